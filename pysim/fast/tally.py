"""Counts of codes by what they stand for, in one pass."""

import ctypes
from typing import NamedTuple

import numpy as np

from pysim.fast import library
from pysim.formats import FloatFormat


class Tally(NamedTuple):
    """How many codes of an array are of a kind, whatever their signs."""

    zeros: int
    largest: int
    """The largest finite number."""
    beyond: int
    """Infinite or NaN."""


def tally(codes: np.ndarray, fmt: FloatFormat) -> Tally:
    """Count the codes of a narrow format.

    Parameters
    ----------
    codes : uint8 or uint16, any shape
        As wide as the format.
    fmt : FloatFormat

    Raises
    ------
    MissingToolError
        If the kernels must be compiled and g++ is absent.
    """
    codes = np.ascontiguousarray(codes)
    counts = (ctypes.c_int64 * 3)()
    library.load().fast_tally(
        codes.itemsize, codes.ctypes.data, codes.size, fmt.max_code, ctypes.addressof(counts)
    )
    return Tally(*counts)


def zeros(values: np.ndarray) -> int:
    """Count the zeros, of either sign, among float32 numbers of any shape.

    Raises
    ------
    MissingToolError
        If the kernels must be compiled and g++ is absent.
    """
    values = np.ascontiguousarray(values)
    return library.load().fast_zeros(values.ctypes.data, values.size)
