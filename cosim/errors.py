"""The errors that the command line turns into an exit status of their own."""


class MissingToolError(RuntimeError):
    """A needed tool is absent: one sentence that names it and how to get it."""


class CheckFailedError(RuntimeError):
    """Everything ran, and a check failed: one sentence that says which."""
