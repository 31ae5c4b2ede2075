"""Histograms of exponents, in one pass."""

import numpy as np

from pysim.fast import library

FIELDS = 256
"""Exponent fields of FP32: 0 for subnormals, 255 for infinities and NaNs."""


def exponents(values: np.ndarray) -> np.ndarray:
    """Count float32 numbers by their exponent field.

    Parameters
    ----------
    values : float32, any shape

    Returns
    -------
    numpy.ndarray of int64, shape [257]
        By exponent field; the last counts zeros, which are not in the first.

    Raises
    ------
    MissingToolError
        If the kernels must be compiled and g++ is absent.
    """
    values = np.ascontiguousarray(values, dtype=np.float32)
    counts = np.empty(FIELDS + 1, np.int64)
    library.load().fast_exponents(values.ctypes.data, values.size, counts.ctypes.data)
    return counts
