"""Linear-feedback shift registers: the random bits of stochastic rounding.

The register holds the next `width` bits of a binary sequence, bit 0 first. One step shifts out bit
0 and shifts in, at the top, the parity of the tapped bits. With the exponents of a primitive
polynomial ``x^width + x^e1 + ... + 1`` as taps (bit ``e`` for each, and bit 0), the sequence runs
through all ``2^width - 1`` states but zero.

A draw of r bits is the low r bits of the state, followed by r steps at once (*leap forward*), so
draws share no bits. With one step a draw, successive draws would correlate by one half.
"""

from dataclasses import dataclass
from functools import cache, reduce

import numpy as np

from pysim.errors import InputError

TAPS = {
    8: (4, 3, 2),
    16: (5, 3, 2),
    24: (7, 2, 1),
    32: (7, 6, 2),
    48: (9, 7, 4),
    64: (4, 3, 1),
}
"""Exponents of a primitive polynomial for each width, without the first and the last."""

Matrix = tuple[int, ...]
"""A square matrix over GF(2): row i is an integer whose set bits are the inputs of output bit i."""


def multiply(a: Matrix, b: Matrix) -> Matrix:
    """Multiply two matrices over GF(2)."""
    return tuple(
        reduce(int.__xor__, (row_b for k, row_b in enumerate(b) if row >> k & 1), 0) for row in a
    )


def apply(matrix: Matrix, state: int) -> int:
    """Multiply a matrix over GF(2) with a state as a column vector."""
    return sum(((row & state).bit_count() & 1) << i for i, row in enumerate(matrix))


@dataclass(frozen=True)
class Lfsr:
    """The recurrence of one register; it holds no state.

    Parameters
    ----------
    width : int
        Bits of the register, one of the keys of `TAPS`.
    """

    width: int

    def __post_init__(self) -> None:
        if self.width not in TAPS:
            raise InputError(f"no LFSR of width {self.width!r}: allowed are {sorted(TAPS)}")

    @property
    def taps(self) -> int:
        """Mask of the bits whose parity is shifted in."""
        return 1 | sum(1 << e for e in TAPS[self.width])

    def step_matrix(self, steps: int) -> Matrix:
        """Return the matrix that advances a state by `steps` steps, by repeated squaring."""
        return _step_matrix(self.width, steps)

    def advance(self, state: int, steps: int) -> int:
        """Advance a state by any number of steps."""
        return apply(self.step_matrix(steps), state)

    def lanes(self, seed: int, count: int) -> np.ndarray:
        """Start states of `count` lanes: lane i is `seed` advanced by i times the lane distance.

        The distance is the odd integer next to the period over the golden ratio, which keeps any
        number of lanes far apart. A power of two would not do: the recurrence holds for every
        power-of-two decimation, so lanes would add up to one another.

        Returns
        -------
        numpy.ndarray of uint64, shape [count]

        Raises
        ------
        InputError
            If `seed` is zero or does not fit the register.
        """
        check_state(seed, self.width)
        matrix = self.step_matrix(lane_distance(self.width))
        states = [seed]
        while len(states) < count:
            states.append(apply(matrix, states[-1]))
        return np.array(states[:count], dtype=np.uint64)

    def draws(self, states: np.ndarray, bits: int, count: int) -> tuple[np.ndarray, np.ndarray]:
        """Take `count` successive draws of `bits` bits from each of several lanes.

        Parameters
        ----------
        states : numpy.ndarray of uint64, shape [lanes]
        bits : int
            Bits of a draw, at most the width.
        count : int
            Draws from each lane.

        Returns
        -------
        draws : numpy.ndarray of uint32, shape [count, lanes]
        states : numpy.ndarray of uint64, shape [lanes]
            The lanes after the draws.
        """
        # Doubling: the draws [n, 2n) are the draws [0, n) of the lanes advanced by n draws.
        lanes = states.astype(np.uint64)[None, :]
        while lanes.shape[0] <= count:
            leap = self.step_matrix(bits * lanes.shape[0])
            lanes = np.concatenate([lanes, _apply_to_all(leap, lanes)])
        mask = np.uint64((1 << bits) - 1)
        return (lanes[:count] & mask).astype(np.uint32), lanes[count].copy()


def lane_distance(width: int) -> int:
    """Steps of the sequence between neighbouring lanes."""
    golden_ratio_64 = 0x9E3779B97F4A7C15
    return (golden_ratio_64 >> (64 - width)) | 1


def check_state(state: int, width: int) -> None:
    """Raise InputError unless `state` is a state that a register of `width` bits can hold."""
    if not 0 < state < 1 << width:
        raise InputError(
            f"LFSR state {state:#x} is not allowed: it must lie between 1 and 2**{width} - 1"
        )


@cache
def _step_matrix(width: int, steps: int) -> Matrix:
    if steps == 0:
        return tuple(1 << i for i in range(width))
    if steps == 1:
        return (*(1 << (i + 1) for i in range(width - 1)), Lfsr(width).taps)
    half = _step_matrix(width, steps // 2)
    square = multiply(half, half)
    return multiply(_step_matrix(width, 1), square) if steps & 1 else square


@cache
def _byte_tables(matrix: Matrix) -> np.ndarray:
    """Tabulate, for each byte of a state and each of its values, what it adds to the product."""
    columns = [sum((row >> k & 1) << i for i, row in enumerate(matrix)) for k in range(len(matrix))]
    tables = np.zeros((len(matrix) // 8, 256), dtype=np.uint64)
    for k, column in enumerate(columns):
        values = np.arange(256)
        tables[k // 8, (values >> (k % 8) & 1) == 1] ^= np.uint64(column)
    return tables


def _apply_to_all(matrix: Matrix, states: np.ndarray) -> np.ndarray:
    result = np.zeros_like(states)
    for i, table in enumerate(_byte_tables(matrix)):
        result ^= table[(states >> np.uint64(8 * i)) & np.uint64(0xFF)]
    return result
