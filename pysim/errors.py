"""The error that a user's mistake raises."""


class InputError(ValueError):
    """Bad input: one sentence that names the value and what is allowed."""
