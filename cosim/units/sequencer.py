"""The tile sequencer of an engine: sizes in, and of each tile its command."""

from collections.abc import Iterator

import numpy as np

from cosim.units.check import Part, Progress, Result, Wrong, first, run_chunks
from cosim.units.datapath import pack, unpack
from cosim.units.harness import Unit
from hw.control import LENGTH_BITS
from hw.schedule import Job
from hw.sequencer import TileSequencer
from rtl_gen import Design

_CLOCKS = 1 << 18
"""Of one simulation; a call has as many commands as it needs."""

_SIZES = ("rows", "cols", "length")


def sequencer_of(design: Design) -> TileSequencer:
    """Return the sequencer of an engine; a tile has so many times its columns as its latency is."""
    config = design.config
    return TileSequencer(config.rows, config.cols * config.latency)


def tiles(m: int, n: int, rows: int, cols: int) -> Iterator[tuple[int, int]]:
    """Yield rows and columns of each tile, row of tiles by row of tiles."""
    for top in range(0, m, rows):
        for left in range(0, n, cols):
            yield min(rows, m - top), min(cols, n - left)


def check_sequencer(
    design: Design, count: int = 8000, progress: Progress = lambda done, total: None
) -> Result:
    """Clock the sequencer with random calls, some of them cleared, and commands taken at random."""
    rng = np.random.default_rng(5)
    block = sequencer_of(design)
    ready = rng.random(count) < rng.choice([0.2, 1.0], size=count // 50 + 1).repeat(50)[:count]
    clear, reset = rng.random(count) < 0.01, rng.random(count) < 0.003
    reset[0] = True
    start, sizes = np.zeros(count, dtype=bool), np.zeros((3, count), dtype=np.int64)
    call = np.zeros(count, dtype=np.uint64)
    layout = Job.as_shape()
    others = [name for name, _ in layout if name not in _SIZES]
    expected, left = np.zeros((3, count), dtype=np.int64), []
    offered = np.zeros(count, dtype=bool)
    fields: dict[str, np.ndarray] = {}
    m = n = k = 1
    for i in range(count):
        # Settings stay as they are while a call is in work.
        if not left:
            m, n = (int(rng.integers(1, 4 * side + 2)) for side in (block.rows, block.cols))
            k = int(rng.integers(1, 1 << LENGTH_BITS))
            fields = {
                name: rng.integers(1 << layout[name].width, dtype=np.uint64) for name in others
            }
            start[i] = rng.random() < 0.5
        sizes[:, i], call[i] = (m, n, k), pack(Job, fields)
        offered[i] = bool(left)
        if left:
            expected[:, i] = (*left[0], k)
        if reset[i] or clear[i]:
            left = []
        elif start[i]:
            left = list(tiles(m, n, block.rows, block.cols))
        elif left and ready[i]:
            left.pop(0)
    inputs = dict(zip("mnk", sizes, strict=True))
    with Unit.of_block(design, block) as unit:
        got = unit.run(
            **inputs, call=call, start=start, clear=clear, rst=reset, commands_ready=ready
        )
    progress(1, 1)
    commands = unpack(Job, got["commands_payload"])
    settings = unpack(Job, call)
    should = {name: settings[name] for name in others} | dict(zip(_SIZES, expected, strict=True))
    checks = {
        "active": (got["active"], offered),
        "commands_valid": (got["commands_valid"], offered),
    }
    checks |= {
        name: (np.where(offered, commands[name], value), value) for name, value in should.items()
    }
    for name, (found, value) in checks.items():
        # Before the reset nothing is known.
        if (i := first(found[1:] != value[1:])) is not None:
            size = " x ".join(str(side[i + 1]) for side in sizes)
            sentence = (
                f"{name} is {int(found[i + 1])} instead of {int(value[i + 1])} in clock {i + 1}, "
                f"in a call of {size}"
            )
            return Result("sequencer", count, Wrong(unit.name, sentence))
    return Result("sequencer", count, None)


def check_sizes(design: Design, bits: int, progress: Progress = lambda done, total: None) -> Part:
    """Let the sequencer cut matrices whose sides need each number of bits, without stalls.

    One side has a random length of so many bits, the other one is of two tiles at most. What counts
    is how many tiles of which sizes there are.
    """
    rng = np.random.default_rng(0)
    block = sequencer_of(design)
    chunks = []
    for width in range(1, bits + 1):
        length = int(rng.integers(1 << width - 1, 1 << width))
        chunks += [(length, int(rng.integers(1, 2 * block.cols + 1)))]
        chunks += [(int(rng.integers(1, 2 * block.rows + 1)), length)]

    def check(unit: Unit, chunk: tuple[int, int]) -> Part:
        m, n = chunk
        high = -(-m // block.rows), -(-n // block.cols)
        count = high[0] * high[1]
        unit.run(rst=1)
        unit.run(start=1, m=m, n=n, k=1)
        tried = 0
        while tried <= count:
            clocks = min(_CLOCKS, count + 1 - tried)
            got = unit.run(commands_ready=np.ones(clocks, dtype=np.uint64), m=m, n=n, k=1)
            job = unpack(Job, got["commands_payload"])
            row, col = np.divmod(np.arange(tried, tried + clocks), high[1])
            should = {
                "rows": np.minimum(block.rows, m - row * block.rows),
                "cols": np.minimum(block.cols, n - col * block.cols),
            }
            valid = row < high[0]
            wrong = (got["commands_valid"] == 1) != valid
            for name, value in should.items():
                wrong |= valid & (job[name] != value)
            if (i := first(wrong)) is not None:
                there = "is there" if got["commands_valid"][i] else "is missing"
                sentence = (
                    f"of a matrix of {m} x {n}, tile {tried + i} of {count} {there}, with "
                    f"{job['rows'][i]} rows and {job['cols'][i]} columns"
                )
                return tried + i, Wrong(unit.name, sentence)
            tried += clocks
        return tried, None

    return run_chunks(lambda: Unit.of_block(design, block), chunks, check, progress)
