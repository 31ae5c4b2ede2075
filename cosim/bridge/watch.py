"""The safety net: PyTorch's own matrix kernels, seen wherever they are called from."""

from collections.abc import Callable
from functools import cache
from typing import Any

from torch.utils._python_dispatch import TorchDispatchMode

from cosim.bridge.functions import KERNELS


class Watch(TorchDispatchMode):
    """Reports each call of a kernel that multiplies matrices.

    Functions can hide products from a function mode: those in C++ and in scripts, and the backward
    passes of all that was not offloaded. Their kernels cannot hide from a dispatch mode.

    Parameters
    ----------
    report : callable
        Gets the name of the kernel.
    """

    def __init__(self, report: Callable[[str], None]) -> None:
        super().__init__()
        self._report = report

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple = (), kwargs: dict | None = None
    ) -> Any:
        """Run the kernel; called by PyTorch."""
        if _multiplies(func):
            self._report(str(func.overloadpacket))
        return func(*args, **(kwargs or {}))


@cache
def _multiplies(func: Any) -> bool:
    # The form in place has an underscore more.
    return func.overloadpacket.__name__.removesuffix("_") in KERNELS
