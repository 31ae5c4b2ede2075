"""Accumulators that are sums of products, as all are without C, and how an engine comes to them.

A sum is written in digits, each of them a product of an operand of A by a power of two of B. They
are added from the top down, so that no sum on the way is rounded.
"""

from dataclasses import dataclass

import numpy as np

from cosim.units import specification
from cosim.units.boundaries import accumulators_near

_SIGNIFICAND = 24
"""Bits of an FP32 number's."""


@dataclass(frozen=True)
class Sums:
    """Sums of products of two formats, as far as digits go.

    Parameters
    ----------
    a_format, b_format : str
    """

    a_format: str
    b_format: str

    @property
    def infinite(self) -> bool:
        """Whether products can be infinite, and so sums."""
        formats = (self.a_format, self.b_format)
        return any(specification.TARGETS[fmt].infinity is not None for fmt in formats)

    @property
    def exponents(self) -> np.ndarray:
        """Of the last place of each digit, from the top down."""
        places = range(self._least_a + self._least_b, self._top_a + self._top_b + 1, self._bits)
        return np.array(places)[::-1]

    @property
    def steps(self) -> int:
        """How many digits there are."""
        return len(self.exponents)

    def near(self, products: np.ndarray, count: int | None = None) -> np.ndarray:
        """Sums at the boundaries of sums with each product.

        They are those of `accumulators_near`, where need be the next ones below and above in
        magnitude that are sums.

        Parameters
        ----------
        products : numpy.ndarray of float32, shape [P]
        count : int, optional
            Sums for each product, an even number; no fewer than 32 come.

        Returns
        -------
        numpy.ndarray of float32, shape [P, count]
        """
        numbers = accumulators_near(products, count if count is None else max(16, count // 2))
        least = 2.0 ** self.exponents[-1]
        places = self.steps * self._bits
        largest = float(2**places - 2 ** max(0, places - _SIGNIFICAND))
        sides = []
        with np.errstate(invalid="ignore"):
            places = np.abs(numbers).astype(np.float64) / least
            for whole in (np.floor(places), np.ceil(places)):
                # What is too large makes way for the largest, and nothing is minus zero.
                limited = np.where(
                    np.isinf(whole) & self.infinite, whole, np.minimum(whole, largest)
                )
                sides.append(np.where(limited == 0, 0, np.copysign(limited * least, numbers)))
            return np.concatenate(sides, axis=1).astype(np.float32)

    def addends(self, sums: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return codes of A and of B whose products add up to sums, exactly at each step.

        Parameters
        ----------
        sums : numpy.ndarray of float32, any shape
            Of those that `near` returns. NaNs are made of NaNs, infinities of infinities.

        Returns
        -------
        a, b : numpy.ndarray of uint8, shape [*sums.shape, steps]
            Those of B are the same for all sums that are not infinite.
        """
        exponents = self.exponents
        magnitude = np.where(np.isfinite(sums), np.abs(sums), 0).astype(np.float64)
        places = np.ldexp(magnitude, -exponents[-1]).astype(np.int64)
        digits = places[..., None] >> exponents - exponents[-1] & (1 << self._bits) - 1
        of_b = np.minimum(exponents - self._least_a, self._top_b)
        a = _codes(self.a_format, np.ldexp(digits, exponents - of_b))
        b = np.broadcast_to(_codes(self.b_format, 2.0**of_b), a.shape).copy()
        a[..., 0][np.isnan(sums)] = specification.TARGETS[self.a_format].nan
        # Of an infinity and one, whichever side has infinities.
        sides = [(self.a_format, a), (self.b_format, b)]
        sides.sort(key=lambda side: specification.TARGETS[side[0]].infinity is None)
        (fmt, infinite), (other, finite) = sides
        if (infinity := specification.TARGETS[fmt].infinity) is not None:
            infinite[..., 0][np.isinf(sums)] = infinity
            finite[..., 0][np.isinf(sums)] = _codes(other, np.array(1.0))
        negative = (np.signbit(sums) & ~np.isnan(sums))[..., None] & (digits > 0)
        negative[..., 0] |= np.isinf(sums) & np.signbit(sums)
        return np.where(negative, a | 0x80, a).astype(np.uint8), b

    @property
    def _bits(self) -> int:
        """Of a digit: as many as the significand of A has."""
        return _significand(self.a_format)

    @property
    def _least_a(self) -> int:
        return _exponent(specification.grid(self.a_format)[1])

    @property
    def _least_b(self) -> int:
        return _exponent(specification.grid(self.b_format)[1])

    @property
    def _top_a(self) -> int:
        """Exponent of the last place of the largest digit."""
        digit = (1 << self._bits) - 1
        return _exponent(_largest(self.a_format) / digit)

    @property
    def _top_b(self) -> int:
        return _exponent(_largest(self.b_format))


def _significand(fmt: str) -> int:
    """Count the bits of a normal number's significand."""
    return _exponent(specification.TARGETS[fmt].least_normal / specification.grid(fmt)[1]) + 1


def _largest(fmt: str) -> float:
    return specification.grid(fmt)[-2]


def _exponent(number: float) -> int:
    return int(np.frexp(number)[1]) - 1


def _codes(fmt: str, magnitudes: np.ndarray) -> np.ndarray:
    """Return the codes of numbers of a format that are not negative."""
    return np.searchsorted(specification.grid(fmt)[:-1], magnitudes).astype(np.uint8)
