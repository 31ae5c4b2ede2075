"""The contract once more, by value: what no line of `pysim` or `hw` had a hand in.

Numbers of a format come from `ml_dtypes` and NumPy, sums from the processor's own FP32 adder, and
a conversion is a look at the two neighbours of a number. Nothing here shifts a significand or adds
to an exponent, so it cannot share a mistake with what does.
"""

from dataclasses import dataclass
from functools import cache

import ml_dtypes
import numpy as np

CANONICAL_NAN = 0x7FC00000


@dataclass(frozen=True)
class Target:
    """A format as the table of the contract gives it, and the type that knows its numbers.

    Attributes
    ----------
    dtype : type
        Of NumPy or `ml_dtypes`.
    width : int
        Bits of a code.
    infinity, nan : int or None
        Codes, sign bit clear.
    least_normal : float
    """

    dtype: type
    width: int
    infinity: int | None
    nan: int
    least_normal: float


TARGETS = {
    "e5m2": Target(ml_dtypes.float8_e5m2, 8, 0x7C, 0x7E, 2.0**-14),
    "e4m3": Target(ml_dtypes.float8_e4m3fn, 8, None, 0x7F, 2.0**-6),
    "fp16": Target(np.float16, 16, 0x7C00, 0x7E00, 2.0**-14),
    "bf16": Target(ml_dtypes.bfloat16, 16, 0x7F80, 0x7FC0, 2.0**-126),
}


@dataclass(frozen=True)
class Converted:
    """Codes, and the flags of each conversion, all of one shape."""

    codes: np.ndarray
    overflow: np.ndarray
    underflow: np.ndarray
    inexact: np.ndarray

    def flag_bits(self) -> np.ndarray:
        """Flags as the hardware packs them: invalid, overflow, underflow, inexact from bit 0."""
        bits = np.zeros(self.codes.shape, dtype=np.uint64)
        for i, flag in enumerate((self.overflow, self.underflow, self.inexact)):
            bits |= flag.astype(np.uint64) << np.uint64(i + 1)
        return bits


@cache
def values(fmt: str) -> np.ndarray:
    """The number of each code of a format, float64 [2**width]."""
    target = TARGETS[fmt]
    codes = np.arange(1 << target.width, dtype=np.uint64).astype(f"u{target.width // 8}")
    with np.errstate(invalid="ignore"):  # signalling NaNs among the codes
        return codes.view(target.dtype).astype(np.float64)


@cache
def grid(fmt: str) -> np.ndarray:
    """Magnitudes of a format in order, and the next one if its exponent had no upper bound."""
    magnitudes = values(fmt)[: 1 << TARGETS[fmt].width - 1]
    magnitudes = magnitudes[np.isfinite(magnitudes)]
    return np.append(magnitudes, 2 * magnitudes[-1] - magnitudes[-2])


def convert(
    x: np.ndarray,
    fmt: str,
    rounding: str,
    saturate: bool,
    draws: np.ndarray | int = 0,
    random_bits: int = 1,
    scale: int = 0,
) -> Converted:
    """Convert FP32 numbers, times 2**scale, to a narrow format by the contract.

    Parameters
    ----------
    x : numpy.ndarray of float32
    fmt : str
        One of `TARGETS`.
    rounding : str
        ``"nearest"``, ``"stochastic"``, or ``"toward_zero"``.
    saturate : bool
    draws : numpy.ndarray of integers, or int
        For stochastic rounding.
    random_bits : int
        Of each draw.
    scale : int
    """
    target, steps = TARGETS[fmt], grid(fmt)
    last = len(steps) - 2
    finite = np.isfinite(x)
    magnitude = np.abs(np.where(finite, x, np.float32(0))).astype(np.float64) * 2.0**scale
    below = np.minimum(np.searchsorted(steps, magnitude, side="right") - 1, last)
    fraction = (magnitude - steps[below]) / (steps[below + 1] - steps[below])
    if rounding == "nearest":
        up = (fraction > 0.5) | ((fraction == 0.5) & (below % 2 == 1))
    elif rounding == "stochastic":
        most = 1 << random_bits
        up = np.floor(np.minimum(fraction, 1) * most) + draws >= most
        up &= fraction > 0
    else:
        up = np.zeros(x.shape, dtype=bool)
    index = below + up
    too_large = finite & ((index > last) | (fraction >= 1))
    infinite = np.isinf(x)
    limited = (too_large | infinite) & saturate | too_large & (rounding == "toward_zero")
    lost = (too_large | infinite) & ~limited

    codes = np.where(limited, last, index)
    codes = np.where(lost, target.nan if target.infinity is None else target.infinity, codes)
    codes = np.where(np.signbit(x), codes | 1 << target.width - 1, codes)
    becomes_nan = np.isnan(x) | (lost & (target.infinity is None))
    codes = np.where(becomes_nan, target.nan, codes)

    overflow = too_large | infinite & ~(lost & (target.infinity is not None))
    moved = finite & (fraction > 0)
    underflow = moved & (magnitude < target.least_normal)
    return Converted(codes.astype(np.uint64), overflow, underflow, moved | overflow)


def canonical_bits(x: np.ndarray) -> np.ndarray:
    """FP32 numbers as integers, every NaN the canonical one."""
    return np.where(np.isnan(x), np.uint32(CANONICAL_NAN), x.view(np.uint32)).astype(np.uint64)


def step(
    accumulator: np.ndarray, a: np.ndarray | np.float32, b: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Add a product to an accumulator: the bits of the sum, whether invalid, whether inexact.

    A product of FP8 numbers is exact in FP32, so the processor's FP32 adder rounds once, to nearest
    with ties to even.

    Parameters
    ----------
    accumulator, a, b : numpy.ndarray of float32, broadcast
    """
    with np.errstate(all="ignore"):
        product = a * b
        total = accumulator + product
        # The difference to the larger of two addends is exact (Dekker), so both hold only then.
        wide = total.astype(np.float64)
        exact = (wide - accumulator == product) & (wide - product == accumulator)
    quiet = np.isnan(accumulator) | np.isnan(a) | np.isnan(b)
    invalid = np.isnan(total) & ~quiet
    inexact = np.isfinite(total) & ~exact
    return canonical_bits(total), invalid, inexact


def lfsr_step(states: np.ndarray, width: int, exponents: tuple[int, ...]) -> np.ndarray:
    """Step registers once: the parity of bit 0 and the bits of the polynomial enters at the top."""
    one = np.uint64(1)
    parity = states & one
    for exponent in exponents:
        parity = parity ^ (states >> np.uint64(exponent) & one)
    return states >> one | parity << np.uint64(width - 1)


POLYNOMIALS = {
    8: (4, 3, 2),
    16: (5, 3, 2),
    24: (7, 2, 1),
    32: (7, 6, 2),
    48: (9, 7, 4),
    64: (4, 3, 1),
}
"""Exponents between the first and the last, as the contract lists them."""
