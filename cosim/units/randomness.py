"""Draws of the lanes as random numbers: correlated neither in time, nor with those of others."""

from dataclasses import dataclass
from itertools import combinations
from statistics import NormalDist

import numpy as np

from cosim.units.check import Progress, Result, Wrong
from cosim.units.harness import Unit
from hw.lfsr import LfsrLane
from pysim.lfsr import Lfsr
from rtl_gen import Design

LAGS, BIT_LAGS, LANE_LAGS = 64, 8, 8
LANES = 8
"""As many lanes are looked at, at most."""

FALSE_ALARM = 1e-6
"""Probability that truly random draws fail one of all the tests of a run."""

NARROWEST = 24
"""Width from which on a lane is long enough for statistics; shorter ones are tried whole."""


@dataclass(frozen=True)
class Correlations:
    """Correlation coefficients times the root of their number of draws: normal if random.

    Attributes
    ----------
    draws : int
        From each lane.
    threshold : float
        That none may exceed.
    tests : int
    by_lag : float, shape [lanes, LAGS]
        Of a lane's draws with its draws 1 to LAGS later.
    balance : float, shape [lanes, bits]
        Ones less zeros of each bit, likewise.
    by_bit : float, shape [lanes, BIT_LAGS + 1, bits, bits]
        Of each bit of a draw with each bit of the draw 0 to BIT_LAGS later; zero for a bit with
        itself.
    between : float, shape [lanes, lanes, 2 * LANE_LAGS + 1]
        Of the draws of two lanes, the second -LANE_LAGS to LANE_LAGS later; zero on the diagonal.
    between_bits : float, shape [lanes, lanes, bits, bits]
        Of each bit of a lane with each bit of another in the same draw; zero on the diagonal.
    """

    draws: int
    threshold: float
    tests: int
    balance: np.ndarray
    by_lag: np.ndarray
    by_bit: np.ndarray
    between: np.ndarray
    between_bits: np.ndarray

    def largest(self) -> tuple[float, str]:
        """Return the largest of all, without its sign, and say what it belongs to."""
        found = []
        for values, say in (
            (self.balance, "ones and zeros of lane {}, bit {}, differ"),
            (self.by_lag, "draws of lane {} and those {} later correlate"),
            (self.by_bit, "of lane {}, {} draws apart, bits {} and {} correlate"),
            (self.between, "draws of lanes {} and {}, shifted by {}, correlate"),
            (self.between_bits, "of lanes {} and {}, bits {} and {} correlate"),
        ):
            place = np.unravel_index(np.argmax(np.abs(values)), values.shape)
            index = [int(i) for i in place]
            if values is self.by_lag:
                index[1] += 1
            if values is self.between:
                index[2] -= LANE_LAGS
            found.append((float(np.abs(values[place])), say.format(*index)))
        return max(found)


def check_randomness(
    design: Design, draws: int = 1 << 19, progress: Progress = lambda done, total: None
) -> Result:
    """Let the design's lanes draw, and correlate; a lane below `NARROWEST` is left alone.

    Returns
    -------
    Result
        With `Correlations` as its detail.
    """
    config = design.config
    width, bits = config.lfsr_width, config.random_bits
    if width < NARROWEST:
        return Result("randomness", 0, None)
    lanes = min(LANES, config.cols)
    # A short register must not come round: its draws would meet themselves.
    draws = min(draws, ((1 << width) - 1) // bits // lanes)
    seeds = Lfsr(width).lanes(config.seed, lanes)
    drawn = np.empty((lanes, draws), dtype=np.uint32)
    with Unit.of_block(design, LfsrLane(width, bits)) as unit:
        for lane, seed in enumerate(seeds.tolist()):
            reset = np.zeros(draws + 1, dtype=bool)
            reset[0] = True
            drawn[lane] = unit.run(seed=seed, rst=reset, advance=1)["draw"][1:]
            progress(lane + 1, lanes)
    found = correlate(drawn, bits)
    value, what = found.largest()
    wrong = None
    if value > found.threshold:
        sentence = (
            f"{what} by {value / np.sqrt(draws):.4f}, which is {value:.1f} standard "
            f"deviations of random draws; {found.threshold:.1f} are allowed"
        )
        wrong = Wrong(f"fp8_lfsr_{width}x{bits}", sentence)
    note = (
        f"largest of {found.tests:,}: {value:.1f} standard deviations, "
        f"{found.threshold:.1f} are allowed"
    )
    return Result("randomness", drawn.size, wrong, found, note)


def correlate(drawn: np.ndarray, bits: int) -> Correlations:
    """Correlate draws of lanes.

    Parameters
    ----------
    drawn : numpy.ndarray of uint32, shape [lanes, draws]
    bits : int
        Of each draw.
    """
    lanes, count = drawn.shape
    centred = drawn.astype(np.float64) - ((1 << bits) - 1) / 2
    # The variance of the numbers 0 to 2**bits - 1, all as likely.
    centred /= np.sqrt(((1 << bits) ** 2 - 1) / 12)
    root = np.sqrt(count)
    by_lag = np.array(
        [[lane[:-lag] @ lane[lag:] / root for lag in range(1, LAGS + 1)] for lane in centred]
    )
    signs = 2 * (drawn[:, :, None] >> np.arange(bits, dtype=np.uint32) & 1).astype(np.float32) - 1
    balance = signs.sum(axis=1, dtype=np.float64) / root
    by_bit = np.array(
        [
            [lane[: count - lag].T @ lane[lag:] / root for lag in range(BIT_LAGS + 1)]
            for lane in signs
        ]
    )
    same = np.arange(bits)
    by_bit[:, 0, same, same] = 0
    between = np.zeros((lanes, lanes, 2 * LANE_LAGS + 1))
    between_bits = np.zeros((lanes, lanes, bits, bits))
    for i, j in combinations(range(lanes), 2):
        for lag in range(-LANE_LAGS, LANE_LAGS + 1):
            x, y = (centred[i], centred[j]) if lag >= 0 else (centred[j], centred[i])
            shift = abs(lag)
            between[i, j, lag + LANE_LAGS] = x[: count - shift] @ y[shift:] / root
        between_bits[i, j] = signs[i].T @ signs[j] / root
    pairs = lanes * (lanes - 1) // 2
    # Pairs of bits of one draw are there twice.
    within = by_bit[:, 1:].size + lanes * bits * (bits - 1) // 2
    between_lanes = pairs * (2 * LANE_LAGS + 1 + bits * bits)
    tests = balance.size + by_lag.size + within + between_lanes
    # Bonferroni: the tests share the probability of a false alarm, on both sides.
    threshold = -NormalDist().inv_cdf(FALSE_ALARM / (2 * tests))
    return Correlations(count, threshold, tests, balance, by_lag, by_bit, between, between_bits)
