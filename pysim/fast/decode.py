"""FP8 codes back to numbers, at the speed of memory."""

import numpy as np

from pysim.fast import library
from pysim.fast.processors import available_processors


def decode(codes: np.ndarray, fmt: str) -> np.ndarray:
    """Return the float32 numbers of FP8 codes, as `pysim.decode` does.

    Parameters
    ----------
    codes : uint8, any shape
    fmt : str
        ``"e5m2"`` or ``"e4m3"``.

    Raises
    ------
    MissingToolError
        If the kernels must be compiled and g++ is absent.
    """
    kernels = library.load()
    codes = np.ascontiguousarray(codes)
    values = np.empty(codes.shape, np.float32)
    kernels.fast_decode(
        *(kernels.fast_best_instructions(), available_processors(), library.OPERANDS[fmt]),
        *(codes.ctypes.data, values.ctypes.data, codes.size),
    )
    return values
