"""What is special about a conversion: the number, where it lies between two others, the range."""

from dataclasses import dataclass

import numpy as np

from pysim import FloatFormat
from pysim.formats import FP32

SOURCES = ("+0", "-0", "below FP32's normals", "rounds among subnormals", "normal", "too large")
SOURCES += ("+infinity", "-infinity", "nan")

ROUNDED = (
    "exact",
    "just above a number",
    "just below a tie",
    "tie, even below",
    "tie, odd below",
    "just above a tie",
    "just below a number",
    "carry out",
)
"""Where a number lies between two neighbours of the format; *just* is within 2**-13 of their
distance, which is one unit in the last place of FP32 beside an FP16 number."""

JUST = 2.0**-13


@dataclass(frozen=True)
class Conversion:
    """Numbers and what they were converted to.

    Attributes
    ----------
    before, after : float32, one shape
    fmt : FloatFormat
    """

    before: np.ndarray
    after: np.ndarray
    fmt: FloatFormat

    def fraction(self) -> np.ndarray:
        """Return the discarded fraction of each number; 0 for one that is not finite."""
        return np.mod(self._scaled(), 1.0)

    def sources(self) -> dict[str, int]:
        """Count numbers by what they are, as in `SOURCES`."""
        x = self.before
        magnitude, negative = np.abs(x), np.signbit(x)
        finite = np.isfinite(x)
        least = 2.0**self.fmt.min_exponent
        members = (
            (x == 0) & ~negative,
            (x == 0) & negative,
            finite & (x != 0) & (magnitude < 2.0**FP32.min_exponent),
            finite & (x != 0) & (magnitude < least),
            finite & (magnitude >= least) & (magnitude <= self.fmt.max_value),
            finite & (magnitude > self.fmt.max_value),
            np.isinf(x) & ~negative,
            np.isinf(x) & negative,
            np.isnan(x),
        )
        return _counted(SOURCES, members)

    def roundings(self) -> dict[str, int]:
        """Count finite numbers in range by region and by where they lie, as in `ROUNDED`."""
        scaled, f = self._scaled(), self.fraction()
        magnitude = np.abs(self.before)
        counts = np.isfinite(self.before) & (magnitude <= self.fmt.max_value) & (magnitude > 0)
        odd = np.mod(np.floor(scaled), 2) == 1
        after = np.abs(self.after).astype(np.float64)
        with np.errstate(invalid="ignore"):
            carried = (after > magnitude) & (np.frexp(after)[0] == 0.5) & np.isfinite(after)
            carried &= after >= 2.0**self.fmt.min_exponent
        members = (
            f == 0,
            (f > 0) & (f <= JUST),
            (f < 0.5) & (f >= 0.5 - JUST),
            (f == 0.5) & ~odd,
            (f == 0.5) & odd,
            (f > 0.5) & (f <= 0.5 + JUST),
            f >= 1 - JUST,
            (f > 0) & carried,
        )
        found = {}
        subnormal = magnitude < 2.0**self.fmt.min_exponent
        for region, chosen in (("subnormal", subnormal), ("normal", ~subnormal)):
            counted = _counted(ROUNDED, [counts & chosen & these for these in members])
            found |= {f"{region} {name}": times for name, times in counted.items()}
        return found

    def out_of_range(self, toward_zero: bool) -> dict[str, int]:
        """Count numbers beyond the largest one.

        Of those below the next number that the format would have, rounding decides; here it is
        said of the upper half that they are too large once rounded. Rounding toward zero does not
        ask, so all are too large alike.
        """
        magnitude = np.abs(self.before).astype(np.float64)
        finite = np.isfinite(self.before)
        largest = self.fmt.max_value
        place = 2.0 ** (np.frexp(largest)[1] - 1 - self.fmt.fraction_bits)
        beyond = finite & (magnitude > largest)
        decided = beyond & (magnitude < largest + place) & (magnitude >= largest + place / 2)
        names = ("infinity", "too large", "too large once rounded")
        members = (np.isinf(self.before), beyond & (magnitude >= largest + place), decided)
        if toward_zero:
            members = (members[0], beyond, np.zeros_like(beyond))
        return _counted(names, members)

    def _scaled(self) -> np.ndarray:
        """Magnitudes in units of the last place of the format; 0 where not finite."""
        x = np.where(np.isfinite(self.before), np.abs(self.before), 0).astype(np.float64)
        exponent = np.frexp(np.maximum(x, self.fmt.min_subnormal / 4))[1] - 1
        exponent = np.maximum(exponent, self.fmt.min_exponent)
        return np.ldexp(x, self.fmt.fraction_bits - exponent)


def _counted(names, members) -> dict[str, int]:
    return {name: int(np.count_nonzero(these)) for name, these in zip(names, members, strict=True)}
