"""The steps that lead to the accumulators of a GEMM: what each one multiplied, added, and rounded.

The arithmetic is the golden engine's; here a step is only looked at, to say what was special.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from pysim import decode
from pysim.engine import GemmRequest
from pysim.formats import FP32

ALIGNMENTS = ("below -25", "-25", "-24", "-23 to -2", "-1", "0", "1", "2 to 22")
ALIGNMENTS += ("23", "24", "25", "26", "above 26")
"""Exponent of the accumulator less that of the product."""

CANCELLATIONS = ("none", "1", "2 to 7", "8 to 15", "16 and more", "to zero")
"""Places that the leading one of a difference lies below that of the larger number."""

SUMS = (
    "exact",
    "sticky bit alone",
    "just below a tie",
    "tie, even below",
    "tie, odd below",
    "just above a tie",
    "just below a number",
    "carry out",
)
"""Where an exact sum lies between two FP32 numbers: with less than an eighth of their distance only
the sticky bit tells; *just* is within 2**-6 of it."""

JUST = 2.0**-6


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

    def situations(self) -> dict[str, dict[str, int]]:
        """Count what the sums of two finite numbers, neither of them zero, are like.

        Returns
        -------
        dict of str to dict of str to int
            For ``"alignment"`` and ``"rounding of a sum"``, ``add`` or ``subtract`` and one of
            `ALIGNMENTS` or `SUMS`; for ``"cancellation"`` one of `CANCELLATIONS`.
        """
        ordinary = np.isfinite(self.accumulator) & np.isfinite(self.product)
        ordinary &= (self.accumulator != 0) & (self.product != 0)
        if not ordinary.any():
            return {}
        x, y, total = (
            values[ordinary].astype(np.float32)
            for values in np.broadcast_arrays(self.accumulator, self.product, self.total)
        )
        # What rounding took away, exact by Knuth's TwoSum.
        with np.errstate(all="ignore"):
            virtual = total - x
            lost = (x - (total - virtual)) + (y - virtual)
        x, y, total, lost = (z.astype(np.float64) for z in (x, y, total, lost))
        subtract = np.signbit(x) != np.signbit(y)
        distance = _exponent(x) - _exponent(y)
        alignment = np.select(
            [
                distance < -25,
                distance <= -24,
                distance <= -2,
                distance <= 1,
                distance <= 22,
                distance <= 26,
            ],
            [0, distance + 26, 3, distance + 5, 7, distance - 15],
            12,
        )
        larger = np.maximum(_exponent(x), _exponent(y))
        depth = np.where(total == 0, 0, np.maximum(larger - _exponent(total), 0))
        cancelled = np.select(
            [total == 0, depth == 0, depth == 1, depth <= 7, depth <= 15], [5, 0, 1, 2, 3], 4
        )
        found = {"alignment": {}, "cancellation": {}, "rounding of a sum": {}}
        for sign, chosen in (("add", ~subtract), ("subtract", subtract)):
            counts = np.bincount(alignment[chosen], minlength=len(ALIGNMENTS))
            named = zip(ALIGNMENTS, counts.tolist(), strict=True)
            found["alignment"] |= {f"{sign} {name}": count for name, count in named}
            for name, members in _roundings(total, lost).items():
                count = int(np.count_nonzero(members & chosen))
                found["rounding of a sum"][f"{sign} {name}"] = count
        counts = np.bincount(cancelled[subtract], minlength=len(CANCELLATIONS))
        found["cancellation"] = dict(zip(CANCELLATIONS, counts.tolist(), strict=True))
        return found


def _roundings(total: np.ndarray, lost: np.ndarray) -> dict[str, np.ndarray]:
    """Tell which exact sums, ``total + lost``, are in each of `SUMS`."""
    outward = (lost != 0) & (np.signbit(lost) != np.signbit(total))
    power = np.frexp(np.abs(total))[0] == 0.5
    place = np.ldexp(1.0, _exponent(total) - FP32.fraction_bits)
    # Below a power of two numbers lie twice as close.
    place = np.where(outward & power, place / 2, place)
    f = np.where(outward, 1 - np.abs(lost) / place, np.abs(lost) / place)
    odd_total = np.mod(np.abs(total) / place, 2) == 1
    odd = odd_total != outward
    members = (
        lost == 0,
        (f > 0) & (f < 0.125),
        (f < 0.5) & (f >= 0.5 - JUST),
        (f == 0.5) & ~odd,
        (f == 0.5) & odd,
        (f > 0.5) & (f <= 0.5 + JUST),
        (f >= 1 - JUST) & (lost != 0),
        outward & power,
    )
    return dict(zip(SUMS, members, strict=True))


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
