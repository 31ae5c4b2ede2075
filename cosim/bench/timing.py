"""Timing two things against one another: in turn, so that both meet the same machine."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from statistics import median

SHORTEST = 0.02
"""Seconds that a sample lasts at least; shorter work is repeated."""


@dataclass(frozen=True)
class Comparison:
    """Seconds that one call of each took, sample by sample.

    Attributes
    ----------
    ours, theirs : tuple of float
    """

    ours: tuple[float, ...]
    theirs: tuple[float, ...]

    @property
    def speed(self) -> float:
        """How many times as fast we are: the median of the ratios of neighbouring samples."""
        return median(b / a for a, b in zip(self.ours, self.theirs, strict=True))

    @property
    def cost(self) -> float:
        """How many times as long we take."""
        return 1 / self.speed

    @property
    def spread(self) -> float:
        """Half of what lies between the least and the greatest ratio, relative to the median."""
        ratios = [b / a for a, b in zip(self.ours, self.theirs, strict=True)]
        return (max(ratios) - min(ratios)) / 2 / median(ratios)


def compare(ours: Callable[[], object], theirs: Callable[[], object], samples: int) -> Comparison:
    """Time two calls in turn.

    Parameters
    ----------
    ours, theirs : callable
    samples : int
        Of each.
    """
    repeats = _repeats(ours), _repeats(theirs)
    pairs = [(_sample(ours, repeats[0]), _sample(theirs, repeats[1])) for _ in range(samples)]
    first, second = zip(*pairs, strict=True)
    return Comparison(first, second)


def _repeats(call: Callable[[], object]) -> int:
    call()
    return max(1, round(SHORTEST / max(_sample(call, 1), 1e-9)))


def _sample(call: Callable[[], object], repeats: int) -> float:
    start = time.perf_counter()
    for _ in range(repeats):
        call()
    return (time.perf_counter() - start) / repeats
