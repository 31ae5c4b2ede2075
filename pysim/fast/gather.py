"""Windows of a convolution as a matrix of codes, at the speed of memory."""

from collections.abc import Sequence

import numpy as np

from pysim.fast import library
from pysim.fast.processors import available_processors

_DIMENSIONS = 3
_POINT = (1, 0, 1, 1, 1, 1)


def gather(codes: np.ndarray, windows: Sequence[tuple[int, int, int, int, int]]) -> np.ndarray:
    """Lay windows out as the columns of a matrix (im2col); code 0 stands outside.

    Parameters
    ----------
    codes : uint8, shape [N, C, *sizes]
        One to three sizes.
    windows : sequence of tuple
        For each dimension ``(start, count, step, taps, tap_step)``: tap t of window o is at
        ``start + o * step + t * tap_step``; the step is positive.

    Returns
    -------
    numpy.ndarray of uint8, shape [C * taps, N * counts]
        Rows and columns each with the last dimension fastest.

    Raises
    ------
    MissingToolError
        If the kernels must be compiled and g++ is absent.
    """
    codes = np.ascontiguousarray(codes)
    n, channels, *sizes = codes.shape
    described = [(size, *window) for size, window in zip(sizes, windows, strict=True)]
    described = [_POINT] * (_DIMENSIONS - len(described)) + described
    rows, columns = channels, n
    for _, _, count, _, taps, _ in described:
        rows, columns = rows * taps, columns * count
    matrix = np.empty((rows, columns), dtype=np.uint8)
    numbers = np.array([n, channels, *(x for each in described for x in each)], dtype=np.int64)
    library.load().fast_gather(
        available_processors(), numbers.ctypes.data, codes.ctypes.data, matrix.ctypes.data
    )
    return matrix
