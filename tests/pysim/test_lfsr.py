"""Random bits: full periods, leaps that are steps, lanes that keep apart."""

from itertools import pairwise

import numpy as np
import pytest

from pysim import InputError
from pysim.lfsr import TAPS, Lfsr, lane_distance

# Prime factors of 2**width - 1.
FACTORS = {
    8: (3, 5, 17),
    16: (3, 5, 17, 257),
    24: (3, 5, 7, 13, 17, 241),
    32: (3, 5, 17, 257, 65537),
    48: (3, 5, 7, 13, 17, 97, 241, 257, 673),
    64: (3, 5, 17, 257, 641, 65537, 6700417),
}


def step(state, width):
    """Step once, by the definition."""
    parity = (state & 1) ^ 0
    for exponent in TAPS[width]:
        parity ^= state >> exponent & 1
    return state >> 1 | parity << (width - 1)


@pytest.mark.parametrize("width", [8, 16])
def test_whole_period(width):
    state, seen = 1, bytearray(1 << width)
    for _ in range((1 << width) - 1):
        assert not seen[state]
        seen[state] = 1
        state = step(state, width)
    assert state == 1
    assert not seen[0]


@pytest.mark.parametrize("width", TAPS)
def test_polynomial_is_primitive(width):
    period = (1 << width) - 1
    rest = period
    for factor in FACTORS[width]:
        while rest % factor == 0:
            rest //= factor
    assert rest == 1
    lfsr = Lfsr(width)
    assert lfsr.step_matrix(period) == lfsr.step_matrix(0)
    for factor in FACTORS[width]:
        assert lfsr.step_matrix(period // factor) != lfsr.step_matrix(0)


@pytest.mark.parametrize("width", TAPS)
def test_leaps_are_steps(width):
    state = expected = 0x9E3779B97F4A7C15 >> (64 - width)
    for _ in range(100):
        expected = step(expected, width)
    assert Lfsr(width).advance(state, 100) == expected


@pytest.mark.parametrize(("width", "bits"), [(8, 8), (16, 5), (32, 16), (64, 24), (64, 1)])
def test_draws(width, bits):
    lfsr = Lfsr(width)
    starts = lfsr.lanes(77, 3)
    for count in (0, 1, 2, 7, 100):
        draws, ends = lfsr.draws(starts, bits, count)
        assert draws.shape == (count, 3)
        for lane, state in enumerate(starts.tolist()):
            for i in range(count):
                assert draws[i, lane] == state & ((1 << bits) - 1)
                for _ in range(bits):
                    state = step(state, width)
            assert ends[lane] == state


def test_draws_share_no_bits():
    """Draws in a row are the sequence itself, cut into pieces."""
    draws, _ = Lfsr(64).draws(np.array([12345], dtype=np.uint64), 16, 8)
    bits, state = [], 12345
    for _ in range(128):
        bits.append(state & 1)
        state = step(state, 64)
    assert [draw >> i & 1 for draw in draws[:, 0].tolist() for i in range(16)] == bits


@pytest.mark.parametrize("bits", [8, 16])
def test_draws_do_not_correlate(bits):
    draws, _ = Lfsr(64).draws(Lfsr(64).lanes(1, 8), bits, 20_000)
    columns = draws.astype(np.float64)
    between_lanes = np.corrcoef(columns.T) - np.eye(8)
    in_a_row = np.corrcoef(columns[:-1, 0], columns[1:, 0])[0, 1]
    # Five standard deviations of a correlation of 20,000 pairs.
    assert np.abs(between_lanes).max() < 5 / np.sqrt(20_000)
    assert abs(in_a_row) < 5 / np.sqrt(20_000)
    assert abs(columns.mean() / 2**bits - 0.5) < 5 * np.sqrt(1 / 12 / columns.size)


@pytest.mark.parametrize("width", TAPS)
def test_lanes(width):
    lfsr = Lfsr(width)
    lanes = lfsr.lanes(5, 64).tolist()
    assert lanes[0] == 5
    assert len(set(lanes)) == 64
    assert 0 not in lanes
    for lane, after in pairwise(lanes):
        assert lfsr.advance(lane, lane_distance(width)) == after
    assert lfsr.lanes(5, 3).tolist() == lanes[:3]


@pytest.mark.parametrize("state", [0, -1, 1 << 16])
def test_states_that_cannot_be(state):
    with pytest.raises(InputError, match="not allowed"):
        Lfsr(16).lanes(state, 1)


def test_unknown_width():
    with pytest.raises(InputError, match="width 12"):
        Lfsr(12)
