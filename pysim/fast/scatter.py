"""The columns of a matrix as positions of images, at the speed of memory."""

from collections.abc import Sequence

import numpy as np

from pysim.fast import library
from pysim.fast.processors import available_processors

_DIMENSIONS = 3
_POINT = (1, 0, 1, 1)


def scatter(matrix: np.ndarray, images: np.ndarray, positions: Sequence[range]) -> None:
    """Write the columns of a matrix to positions of images.

    Parameters
    ----------
    matrix : float32, shape [C, N * counts]
        Rows contiguous, the last dimension fastest.
    images : float32, shape [N, C, *sizes]
        Contiguous, with one to three sizes; what `positions` leave out stays as it is.
    positions : sequence of range
        Of each dimension, ascending and within its size.

    Raises
    ------
    MissingToolError
        If the kernels must be compiled and g++ is absent.
    """
    matrix = np.ascontiguousarray(matrix)
    n, channels, *sizes = images.shape
    described = [
        (size, where.start, len(where), where.step)
        for size, where in zip(sizes, positions, strict=True)
    ]
    described = [_POINT] * (_DIMENSIONS - len(described)) + described
    numbers = np.array([n, channels, *(x for each in described for x in each)], dtype=np.int64)
    library.load().fast_scatter(
        available_processors(), numbers.ctypes.data, matrix.ctypes.data, images.ctypes.data
    )
