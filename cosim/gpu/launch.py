"""Where the kernels run: on a GPU, or emulated on the processor."""

import ctypes
from functools import cache
from pathlib import Path
from typing import Any, Protocol

import torch

from pysim.errors import MissingToolError
from pysim.native import build_library

_FOLDER = Path(__file__).parent
_SOURCE = _FOLDER / "kernels.cu"


class Launcher(Protocol):
    """Runs kernels on the tensors of one device."""

    device: torch.device

    def __call__(
        self, kernel: str, blocks: tuple[int, int], threads: int, *arguments: torch.Tensor | int
    ) -> None:
        """Run a kernel; whole numbers have 32 bits."""
        ...


class Cuda:
    """The current CUDA device, on PyTorch's current stream.

    Raises
    ------
    MissingToolError
        If there is none.
    """

    def __init__(self) -> None:
        if not torch.cuda.is_available():
            raise MissingToolError(
                "engine 'gpu' needs a CUDA device and a build of PyTorch for it: there is none"
            )
        self.device = torch.device("cuda", torch.cuda.current_device())

    def __call__(
        self, kernel: str, blocks: tuple[int, int], threads: int, *arguments: torch.Tensor | int
    ) -> None:
        """Run a kernel, compiled at its first use in the process."""
        _compiled(kernel, self.device.index)(
            grid=(*blocks, 1), block=(threads, 1, 1), args=list(arguments)
        )


@cache
def _compiled(kernel: str, device: int) -> Any:
    # For this device: its compute capability is found out by PyTorch.
    return torch.cuda._compile_kernel(_SOURCE.read_text(), kernel)


class Emulator:
    """The same source compiled for the processor: for tests, thousands of times slower.

    Raises
    ------
    MissingToolError
        If it must be compiled and g++ is absent.
    """

    device = torch.device("cpu")

    def __init__(self) -> None:
        path = build_library(
            "fp8gpu",
            [_FOLDER / "emulator.cpp"],
            headers=[_SOURCE],
            flags=("-O2", "-std=c++17", "-ffp-contract=off", "-fvisibility=hidden"),
        )
        self._emulate = ctypes.CDLL(str(path)).emulate
        self._emulate.restype = ctypes.c_bool

    def __call__(
        self, kernel: str, blocks: tuple[int, int], threads: int, *arguments: torch.Tensor | int
    ) -> None:
        """Run a kernel."""
        values = [
            ctypes.c_void_p(x.data_ptr()) if isinstance(x, torch.Tensor) else ctypes.c_int(x)
            for x in arguments
        ]
        pointers = [ctypes.cast(ctypes.byref(value), ctypes.c_void_p) for value in values]
        array = (ctypes.c_void_p * len(pointers))(*pointers)
        if not self._emulate(kernel.encode(), *blocks, threads, array):
            raise KeyError(kernel)
