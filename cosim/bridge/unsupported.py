"""How an offloaded function declines a call."""


class UnsupportedError(Exception):
    """Why a call cannot be offloaded, in a few words."""


def require(condition: bool) -> None:
    """Leave what PyTorch rejects to PyTorch, which knows best what to say."""
    if not condition:
        raise UnsupportedError("shapes that do not match")
