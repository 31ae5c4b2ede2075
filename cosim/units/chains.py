"""Chains of steps: what each accumulator of a ring goes through, in turns with those beside it."""

import numpy as np


def in_turns(chains: np.ndarray, latency: int) -> np.ndarray:
    """Return what enters a ring of `latency` accumulators in each clock.

    Parameters
    ----------
    chains : numpy.ndarray, shape [count, steps]
        What enters in each step of an accumulator. As many chains as there are accumulators go on
        side by side, then the next ones begin.
    latency : int
    """
    steps = chains.shape[1]
    filled = np.pad(chains, ((0, -len(chains) % latency), (0, 0)))
    return filled.reshape(-1, latency, steps).transpose(0, 2, 1).reshape(-1)


def out_of_turns(clocks: np.ndarray, count: int, latency: int) -> np.ndarray:
    """Return what left in each step of a number of chains; the opposite of `in_turns`."""
    steps = len(clocks) // (-(-count // latency) * latency)
    return clocks.reshape(-1, steps, latency).transpose(0, 2, 1).reshape(-1, steps)[:count]
