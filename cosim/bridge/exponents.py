"""How exponents are spread before a conversion and after it."""

from dataclasses import dataclass, field

import numpy as np

from cosim.bridge.counting import Numbers, exponents
from pysim.fast.exponents import FIELDS

_BIAS = 127
_ZERO, _NONFINITE = "zero", "nonfinite"


def _none() -> np.ndarray:
    return np.zeros(FIELDS + 1, np.int64)


@dataclass
class Exponents:
    """Histograms of the exponents of a role's numbers.

    Attributes
    ----------
    before, after : numpy.ndarray of int64, shape [257]
        As of `pysim.fast.exponents.exponents`: what was converted, and what it became.
    """

    before: np.ndarray = field(default_factory=_none)
    after: np.ndarray = field(default_factory=_none)

    def count(self, before: Numbers, after: Numbers) -> None:
        """Count float32 numbers and what they were converted to."""
        self.before += exponents(before)
        self.after += exponents(after)

    def add(self, other: "Exponents") -> None:
        """Count everything that `other` counted, too."""
        self.before += other.before
        self.after += other.after

    def to_dict(self) -> dict[str, dict[str, int]]:
        """Return the counts that are not 0, by exponent, and of ``zero`` and ``nonfinite``.

        Numbers below 2**-126 are at -127.
        """
        return {"before": _named(self.before), "after": _named(self.after)}

    @classmethod
    def from_dict(cls, values: dict[str, dict[str, int]]) -> "Exponents":
        """Return what `to_dict` told of."""
        return cls(_numbered(values["before"]), _numbered(values["after"]))


def _named(counts: np.ndarray) -> dict[str, int]:
    names = [*(str(i - _BIAS) for i in range(FIELDS - 1)), _NONFINITE, _ZERO]
    return {names[i]: int(counts[i]) for i in np.flatnonzero(counts)}


def _numbered(names: dict[str, int]) -> np.ndarray:
    counts = _none()
    special = {_NONFINITE: FIELDS - 1, _ZERO: FIELDS}
    for name, count in names.items():
        counts[special[name] if name in special else int(name) + _BIAS] = count
    return counts
