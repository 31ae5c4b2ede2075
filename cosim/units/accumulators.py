"""Accumulators as they are at the ports of units: a number, and the flags raised on the way."""

import numpy as np

from hw.kind import Kind

_FRACTION = 23


def pack_flags(invalid: np.ndarray, inexact: np.ndarray) -> np.ndarray:
    """Return flags as the hardware packs them."""
    return invalid.astype(np.uint64) | inexact.astype(np.uint64) << np.uint64(1)


def any_accumulators(kind: Kind, rng: np.random.Generator, shape: int | tuple) -> np.ndarray:
    """Return accumulators of any bits, but for those that do not vary."""
    bits = kind.flag_bits << int(_width(kind)) | (1 << int(_width(kind))) - 1
    return rng.integers(bits, size=shape, dtype=np.uint64, endpoint=True) & np.uint64(bits)


def pack_accumulator(kind: Kind, bits: np.ndarray, flags: np.ndarray | int = 0) -> np.ndarray:
    """Return accumulators of FP32 numbers and flags.

    Parameters
    ----------
    kind : Kind
    bits : numpy.ndarray of integers
        FP32 numbers; without C, sums of products alone.
    flags : numpy.ndarray of integers, or int
    """
    value = np.asarray(bits).astype(np.int64)
    if not kind.load_c:
        # A bias of 63 instead of 127, and fewer ones in what is no number.
        field = value >> _FRACTION & 0xFF
        narrow = np.where(field == 0xFF, 0x7F, np.maximum(field - 64, 0))
        value = value >> 31 << 30 | narrow << _FRACTION | value & (1 << _FRACTION) - 1
    return value.astype(np.uint64) | np.asarray(flags).astype(np.uint64) << _width(kind)


def unpack_accumulator(kind: Kind, words: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the FP32 numbers of accumulators, and the flags; see `pack_accumulator`."""
    flags = words >> _width(kind)
    value = (words & (np.uint64(1) << _width(kind)) - np.uint64(1)).astype(np.int64)
    if not kind.load_c:
        field = value >> _FRACTION & 0x7F
        wide = np.where(field == 0x7F, 0xFF, np.where(field == 0, 0, field + 64))
        value = value >> 30 << 31 | wide << _FRACTION | value & (1 << _FRACTION) - 1
    return value.astype(np.uint64), flags


def _width(kind: Kind) -> np.uint64:
    """Bits of the number."""
    return np.uint64(1 + kind.exponent_width + _FRACTION)
