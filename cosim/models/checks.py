"""What the settings of all models have in common."""

from pysim import InputError


def require_positive(**settings: int) -> None:
    """Raise InputError for the first setting that is not a whole number above zero."""
    for name, value in settings.items():
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise InputError(f"{name} {value!r} is out of range: a whole number of at least 1")


def require_share(**settings: float) -> None:
    """Raise InputError for the first setting that is not from 0 to below 1."""
    for name, value in settings.items():
        if not 0 <= value < 1:
            raise InputError(f"{name} {value!r} is out of range: from 0 to below 1")
