"""Random inputs for a circuit of which nothing is known but its ports."""

import re
from collections.abc import Mapping, Sequence

import numpy as np

from cosim.vector import Layout, Port
from pysim.convert import ROUNDINGS
from pysim.formats import OUTPUT_FORMATS
from rtl_gen import Design

RESET = re.compile(r"a?rst(_?n|_ni|_i)?|reset(_?n)?", re.IGNORECASE)
"""Names of inputs that are taken for resets."""

RESET_CLOCKS = 2
"""Clocks during which resets are active after the first one."""

_RESET_PERIOD = 400
"""Clocks between two resets on average; a circuit that is reset often gets nowhere."""

_LONGEST = 64
"""Clocks during which an input keeps its manner of changing."""


def random_commands(design: Design, count: int = 256) -> list[int]:
    """Return commands that the array accepts, short ones: few of all numbers are."""
    config, rng = design.config, np.random.default_rng(0)
    limits = {
        "mode_target": (0, len(OUTPUT_FORMATS) - 1),
        "mode_rounding": (0, len(ROUNDINGS) - 1),
        "rows": (1, config.rows),
        "cols": (1, config.cols),
        "length": (1, 12),
    }
    commands = []
    for _ in range(count):
        command = 0
        for name, field in design.manifest["command_fields"].items():
            low, high = limits.get(name, (0, 1))
            command |= int(rng.integers(low, high, endpoint=True)) << field["offset"]
        commands.append(command)
    return commands


def random_stimulus(
    ports: Sequence[Port],
    clocks: int,
    seed: int,
    typical: Mapping[str, Sequence[int]] | None = None,
) -> np.ndarray:
    """Return inputs for a run.

    Each input changes its manner from time to time: uniform bits, mostly zeros, mostly ones,
    small numbers, one bit set, and standing still. What is named like a reset rests in the first
    clock, is active in the next two, and seldom again: Verilator acts on the edge of an
    asynchronous reset, and sees none before its first evaluation.

    Parameters
    ----------
    ports : sequence of Port
    clocks : int
    seed : int
    typical : mapping of str to sequence of int, optional
        Values of an input that lead on, by its name; half of the time it takes these.

    Returns
    -------
    numpy.ndarray
        uint64, shape [clocks, words of all inputs], as `VectorModel.run` takes it.
    """
    rng = np.random.default_rng(seed)
    layout = Layout(ports)
    stimulus = np.zeros((clocks, layout.words), dtype=np.uint64)
    low = 0
    for port in ports:
        columns = stimulus[:, low : low + port.words]
        if port.width == 1 and RESET.fullmatch(port.name):
            columns[:, 0] = _reset(rng, clocks, active=0 if "n" in port.name.lower() else 1)
        else:
            _vary(rng, columns, port.width, (typical or {}).get(port.name))
        low += port.words
    return stimulus


def _reset(rng: np.random.Generator, clocks: int, active: int) -> np.ndarray:
    in_reset = rng.random(clocks) < 1 / _RESET_PERIOD
    in_reset[0] = False
    in_reset[1 : 1 + RESET_CLOCKS] = True
    return np.where(in_reset, active, 1 - active).astype(np.uint64)


def _vary(
    rng: np.random.Generator, columns: np.ndarray, width: int, typical: Sequence[int] | None
) -> None:
    start = 0
    while start < len(columns):
        end = start + int(rng.integers(1, _LONGEST, endpoint=True))
        stretch = columns[start:end]
        if typical and rng.random() < 0.5:
            choices = np.array(typical, dtype=np.uint64)[:, None]
            stretch[:] = choices[rng.integers(len(choices), size=len(stretch))]
        else:
            stretch[:] = _MANNERS[rng.integers(len(_MANNERS))](rng, stretch.shape, width)
        start = end
    top = width - 64 * (columns.shape[1] - 1)
    columns[:, -1] &= np.uint64((1 << top) - 1)


Shape = tuple[int, int]


def _uniform(rng: np.random.Generator, shape: Shape, width: int) -> np.ndarray:
    return rng.integers(1 << 64, size=shape, dtype=np.uint64)


def _sparse(rng: np.random.Generator, shape: Shape, width: int) -> np.ndarray:
    return _uniform(rng, shape, width) & _uniform(rng, shape, width) & _uniform(rng, shape, width)


def _dense(rng: np.random.Generator, shape: Shape, width: int) -> np.ndarray:
    return ~_sparse(rng, shape, width)


def _small(rng: np.random.Generator, shape: Shape, width: int) -> np.ndarray:
    numbers = np.zeros(shape, dtype=np.uint64)
    numbers[:, 0] = rng.integers(1 << int(rng.integers(1, 7)), size=shape[0], dtype=np.uint64)
    return numbers


def _one_hot(rng: np.random.Generator, shape: Shape, width: int) -> np.ndarray:
    numbers = np.zeros(shape, dtype=np.uint64)
    bits = rng.integers(width, size=shape[0])
    numbers[np.arange(shape[0]), bits // 64] = np.uint64(1) << (bits % 64).astype(np.uint64)
    return numbers


def _still(rng: np.random.Generator, shape: Shape, width: int) -> np.ndarray:
    return np.broadcast_to(_uniform(rng, (1, shape[1]), width), shape)


_MANNERS = (_uniform, _uniform, _sparse, _dense, _small, _one_hot, _still)
