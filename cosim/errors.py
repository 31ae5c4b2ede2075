"""The errors that the command line turns into an exit status of their own."""

from pysim.errors import MissingToolError

__all__ = ["CheckFailedError", "MissingToolError"]


class CheckFailedError(RuntimeError):
    """Everything ran, and a check failed: one sentence that says which."""
