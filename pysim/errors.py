"""The errors that a user's mistake, or a bare machine, raises."""


class InputError(ValueError):
    """Bad input: one sentence that names the value and what is allowed."""


class MissingToolError(RuntimeError):
    """A needed tool is absent: one sentence that names it and how to get it."""
