"""Which lanes of random bits a run draws from: every seed and every rank has its own."""

import numpy as np

from pysim import ArrayConfig, InputError
from pysim.lfsr import Lfsr, lane_distance

_SEEDS = 1 << 32
"""Seeds between the lanes of one rank and those of the next."""


def start_lanes(config: ArrayConfig, seed: int, rank: int = 0) -> np.ndarray:
    """Return the LFSR states that a run, or a process of a distributed run, starts from.

    Seed s of rank r takes the lanes from ``(r * 2**32 + s) * cols`` on, of the sequence of lanes
    that starts at the seed of the configuration; so seed 0 of rank 0 starts where the hardware does
    after a reset. Registers of 32 bits and fewer have too short a period to keep ranks apart.

    Parameters
    ----------
    config : ArrayConfig
    seed : int
        At least 0, and below 2**32 if there are several ranks.
    rank : int
        As of `torch.distributed.get_rank`. Set the engine's `random_state` to the result.

    Returns
    -------
    numpy.ndarray of uint64, shape [cols]

    Raises
    ------
    InputError
        If a number is out of range.
    """
    if seed < 0 or (rank > 0 and seed >= _SEEDS):
        raise InputError(f"seed {seed} is out of range: 0 to {_SEEDS - 1}")
    if rank < 0:
        raise InputError(f"rank {rank} is out of range: at least 0")
    lfsr = Lfsr(config.lfsr_width)
    period = (1 << config.lfsr_width) - 1
    place = (rank * _SEEDS + seed) * config.cols
    steps = lane_distance(config.lfsr_width) * place % period
    return lfsr.lanes(lfsr.advance(config.seed, steps), config.cols)
