"""The steps that lead to the accumulators of a GEMM: what each one multiplied, added, and rounded.

The arithmetic is the golden engine's; here a step is only looked at, to say what was special.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from pysim import decode
from pysim.engine import GemmRequest
from pysim.formats import FP32

SITUATIONS = (
    "exact",
    "rounded down",
    "rounded up",
    "rounded from a tie",
    "rounded up to a power of two",
    "cancelled to zero",
    "cancelled by 12 bits or more",
    "shifted by 24",
    "shifted by 25",
    "shifted out of sight",
)
"""What a sum of two finite numbers, neither of them zero, can be."""


@dataclass(frozen=True)
class Step:
    """One step of every output.

    Attributes
    ----------
    a : float32, shape [M, 1]
    b : float32, shape [1, N]
    accumulator, product, total : float32, shape [M, N]
        What was there, what was added, and what that makes.
    """

    a: np.ndarray
    b: np.ndarray
    accumulator: np.ndarray
    product: np.ndarray
    total: np.ndarray

    def situations(self) -> dict[str, np.ndarray]:
        """Return which of the sums are in each of `SITUATIONS`, bool [M, N]."""
        x, y, total = self.accumulator, self.product, self.total
        ordinary = np.isfinite(x) & np.isfinite(y) & (x != 0) & (y != 0)
        # What rounding took away, exact by Knuth's TwoSum.
        with np.errstate(all="ignore"):
            virtual = total - x
            lost = (x - (total - virtual)) + (y - virtual)
        x, y, total, lost = (
            np.where(ordinary, z, 1.0).astype(np.float64) for z in (x, y, total, lost)
        )
        outward = np.sign(lost) == -np.sign(total)
        magnitude = np.abs(total)
        place = _place(magnitude)
        # Below a power of two numbers lie twice as close, so from there half a place is a quarter.
        power = np.frexp(magnitude)[0] == 0.5
        half = np.where(outward & power, place / 4, place / 2)
        distance = np.abs(_exponent(x) - _exponent(y))
        inexact = lost != 0
        larger = np.maximum(np.abs(x), np.abs(y))
        found = {
            "exact": ~inexact,
            "rounded down": inexact & ~outward,
            "rounded up": inexact & outward,
            "rounded from a tie": inexact & (np.abs(lost) == half),
            "rounded up to a power of two": inexact & outward & power,
            "cancelled to zero": total == 0,
            "cancelled by 12 bits or more": (total != 0) & (magnitude <= larger / 2**12),
            "shifted by 24": distance == 24,
            "shifted by 25": distance == 25,
            "shifted out of sight": distance > 25,
        }
        return {name: ordinary & members for name, members in found.items()}


def steps(request: GemmRequest) -> Iterator[Step]:
    """Go through the steps of a GEMM, k ascending."""
    m, n, k = request.shape
    a = decode(request.a, request.a_format)
    b = decode(request.b, request.b_format)
    accumulator = np.zeros((m, n), np.float32) if request.c is None else request.c
    for step in range(k):
        column, row = a[:, step, None], b[None, step, :]
        with np.errstate(all="ignore"):
            product = column * row
            total = accumulator + product
        yield Step(column, row, accumulator, product, total)
        accumulator = total


def _exponent(x: np.ndarray) -> np.ndarray:
    """Exponents as FP32 holds them: all subnormal numbers have that of the least normal one."""
    return np.maximum(np.frexp(x)[1] - 1, FP32.min_exponent)


def _place(magnitude: np.ndarray) -> np.ndarray:
    return np.ldexp(1.0, _exponent(magnitude) - FP32.fraction_bits)
