"""Conversion between FP32 and the narrow formats: one rounding, straight from FP32."""

from enum import Enum

import numpy as np

from pysim.errors import InputError
from pysim.flags import Flags
from pysim.formats import FP32, FloatFormat

CANONICAL_NAN = 0x7FC00000
"""The only FP32 NaN that any engine returns."""

SCALES = range(-128, 128)
"""Exponents of the powers of two that a conversion can multiply by."""


class Rounding(Enum):
    """How a conversion rounds; the position is the hardware's encoding of the choice."""

    NEAREST = "nearest"
    STOCHASTIC = "stochastic"
    TOWARD_ZERO = "toward_zero"

    @classmethod
    def named(cls, name: "str | Rounding") -> "Rounding":
        """Look a mode up by name; InputError names what is allowed."""
        if isinstance(name, Rounding):
            return name
        if not isinstance(name, str) or name not in _BY_NAME:
            raise InputError(f"unknown rounding {name!r}: allowed are {', '.join(_BY_NAME)}")
        return _BY_NAME[name]


ROUNDINGS = tuple(Rounding)

# Calling the class to look a member up takes four times as long, which counts in a small GEMM.
_BY_NAME = {mode.value: mode for mode in Rounding}


def code_dtype(fmt: FloatFormat) -> type[np.unsignedinteger]:
    """Return the NumPy type that holds the codes of a format."""
    return {8: np.uint8, 16: np.uint16, 32: np.uint32}[fmt.width]


def convert(
    values: np.ndarray,
    fmt: FloatFormat,
    rounding: Rounding,
    saturate: bool,
    draws: np.ndarray | None = None,
    random_bits: int = 0,
    scale: int = 0,
) -> tuple[np.ndarray, Flags]:
    """Convert FP32 numbers, times a power of two, to the codes of a narrower format.

    The product is exact, whatever the range of FP32. It is rounded first, as if the exponent had no
    upper bound, and the range is checked then. Beyond the largest finite number the result is that
    number if `saturate`, else infinity, or NaN in a format without infinity (OFP8, section 5);
    rounding toward zero never leaves the finite numbers (IEEE 754, section 7.4). An infinity
    converts likewise, and saturates too.

    Parameters
    ----------
    values : numpy.ndarray of float32, any shape
    fmt : FloatFormat
        The target, narrower than FP32.
    rounding : Rounding
    saturate : bool
    draws : numpy.ndarray of uint32, same shape
        For stochastic rounding, the random number R of each element.
    random_bits : int
        Bits r of each draw. With f the discarded fraction truncated to r bits, a magnitude rounds
        up if and only if ``f + R >= 2**r`` (IEEE P3109's StochasticA).
    scale : int
        The exponent s of the factor 2**s, within `SCALES`.

    Returns
    -------
    codes : numpy.ndarray of uint8 or uint16
    flags : Flags
    """
    bits = np.ascontiguousarray(values, dtype=np.float32).view(np.uint32).astype(np.int64)
    negative = bits >> 31
    field = bits >> 23 & 0xFF
    fraction = bits & 0x7FFFFF
    is_nan = (field == 255) & (fraction != 0)
    is_infinite = (field == 255) & (fraction == 0)

    # A subnormal has no hidden bit and shares the exponent of the least normal number, until it is
    # normalised. What is not finite is as it may be: the limits below take its place.
    significand = np.where(field == 0, fraction, fraction | 1 << 23)
    places = 24 - np.frexp(significand)[1]
    significand = significand << places
    exponent = np.maximum(field, 1) - FP32.bias - places + scale
    exponent = np.where(significand == 0, fmt.min_exponent, exponent)

    # Below the target's least normal exponent its unit in the last place stops shrinking.
    denormalise = np.maximum(fmt.min_exponent - exponent, 0)
    shift = np.minimum(23 - fmt.fraction_bits + denormalise, 62)
    kept = significand >> shift
    discarded = significand & ((1 << shift) - 1)

    if rounding is Rounding.NEAREST:
        half = 1 << (shift - 1)
        round_up = (discarded > half) | ((discarded == half) & (kept & 1 == 1))
    elif rounding is Rounding.STOCHASTIC:
        if draws is None:
            raise InputError("stochastic rounding needs draws")
        f = _truncated_fraction(discarded, shift, random_bits)
        round_up = f + draws.astype(np.int64) >= 1 << random_bits
    else:
        round_up = np.zeros(bits.shape, dtype=bool)

    # Adding the significand to the exponent field lets its hidden bit, and a carry out of
    # rounding, count the field up.
    target_field = np.maximum(exponent, fmt.min_exponent) + fmt.bias
    magnitude = ((target_field - 1) << fmt.fraction_bits) + kept + round_up

    beyond = (magnitude > fmt.max_code) | is_infinite
    if saturate:
        limit = fmt.max_code
    elif fmt.infinity_code is not None:
        limit = fmt.infinity_code
    else:
        limit = fmt.nan_code
    limits = np.full(bits.shape, limit, dtype=np.int64)
    if rounding is Rounding.TOWARD_ZERO:
        limits[~is_infinite] = fmt.max_code
    magnitude = np.where(beyond, limits, magnitude)
    codes = np.where(magnitude == fmt.nan_code, 0, negative * fmt.sign_code) | magnitude
    codes = np.where(is_nan, fmt.nan_code, codes)

    changed = beyond & ~(is_infinite & (magnitude == fmt.infinity_code)) & ~is_nan
    finite = field != 255
    inexact = finite & (discarded != 0)
    tiny = exponent < fmt.min_exponent
    flags = Flags(
        overflow=bool(changed.any()),
        underflow=bool((inexact & tiny).any()),
        inexact=bool((inexact | changed).any()),
    )
    return codes.astype(code_dtype(fmt)), flags


def _truncated_fraction(discarded: np.ndarray, shift: np.ndarray, bits: int) -> np.ndarray:
    """First `bits` bits of the discarded fraction ``discarded / 2**shift``."""
    left = np.maximum(bits - shift, 0)
    right = np.maximum(shift - bits, 0)
    return discarded << left >> right


def decode(codes: np.ndarray, fmt: FloatFormat) -> np.ndarray:
    """Return the exact FP32 value of each code; every NaN becomes the canonical one.

    Parameters
    ----------
    codes : numpy.ndarray of uint8 or uint16, any shape
    fmt : FloatFormat

    Returns
    -------
    numpy.ndarray of float32, same shape
    """
    code = codes.astype(np.int64)
    magnitude = code & (fmt.sign_code - 1)
    field = magnitude >> fmt.fraction_bits
    fraction = magnitude & ((1 << fmt.fraction_bits) - 1)
    significand = np.where(field == 0, fraction, fraction | 1 << fmt.fraction_bits)
    exponent = np.maximum(field, 1) - fmt.bias - fmt.fraction_bits
    with np.errstate(over="ignore"):  # infinities and NaNs of BF16, replaced below
        value = np.ldexp(significand.astype(np.float64), exponent).astype(np.float32)
    if fmt.infinity_code is not None:
        value = np.where(magnitude == fmt.infinity_code, np.float32(np.inf), value)
    value = np.where(code & fmt.sign_code != 0, -value, value).astype(np.float32)
    beyond = fmt.max_code if fmt.infinity_code is None else fmt.infinity_code
    return canonical(np.where(magnitude > beyond, np.float32(np.nan), value))


def canonical(values: np.ndarray) -> np.ndarray:
    """Replace every NaN by the canonical one."""
    bits = np.where(np.isnan(values), np.uint32(CANONICAL_NAN), values.view(np.uint32))
    return bits.astype(np.uint32).view(np.float32)
