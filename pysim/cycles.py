"""The cycle model: clock cycles of a call when no stream ever stalls.

On the bare array, tiles follow one another without overlap. Each takes the phases of the tile
control: one cycle to accept the command, `rows` to load C, K to compute, ``rows + cols - 1`` until
the last product has crossed the array, and one per result row. The last row leaves one cycle after
it was converted. On the engine, tiles overlap.
"""

from collections import deque
from collections.abc import Iterator
from functools import lru_cache
from typing import NamedTuple

from pysim.config import ArrayConfig

ENGINE_ENDS = 2
"""From START to the first command, and from the last result's register until it is taken."""

CONVERSION_CLOCKS = 7
"""Clocks of a conversion in a pipeline, the register of the result included."""


def gemm_cycles(config: ArrayConfig, m: int, n: int, k: int, *, load_c: bool) -> int:
    """Return the clock cycles of an [M, K] x [K, N] GEMM; 0 if it has no output."""
    if m == 0 or n == 0:
        return 0
    if config.latency:
        return _engine_gemm(config, m, n, k, load_c)
    tile_rows = -(-m // config.rows)
    tile_cols = -(-n // config.cols)
    load = config.rows if load_c else 0
    flush = config.rows + config.cols - 1 if k else 0
    fixed = 1 + load + k + flush
    return tile_rows * tile_cols * fixed + m * tile_cols + 1


def quantize_cycles(config: ArrayConfig, count: int) -> int:
    """Return the clock cycles to convert `count` numbers; 0 if there are none.

    On the bare array, one command converts the full rows, and another what is left. On the engine
    they are one packet of the converter, and the clocks those from its first transfer taken to its
    last one given.
    """
    if count == 0:
        return 0
    full_rows, rest = divmod(count, config.cols)
    if config.latency:
        return full_rows + min(rest, 1) + CONVERSION_CLOCKS
    commands = [rows for rows in (full_rows, min(rest, 1)) if rows]
    return sum(1 + rows for rows in commands) + 1


class TileClocks(NamedTuple):
    """When the engine works on a tile, counted from the clock in which it takes the first command.

    Attributes
    ----------
    load, compute, drain : range
        Clocks in which rows of C enter, operands enter, and sums leave the array.
    """

    load: range
    compute: range
    drain: range

    @property
    def results(self) -> range:
        """Clocks in which results are given: the converters and a register at the port later."""
        later = CONVERSION_CLOCKS + 1
        return range(self.drain.start + later, self.drain.stop + later)


def tile_clocks(
    config: ArrayConfig, m: int, n: int, k: int, *, load_c: bool
) -> Iterator[TileClocks]:
    """Tell for each tile of a GEMM on the engine when it is worked on, if no stream stalls.

    Two machines work side by side. One computes: `latency` clocks for each k of a tile. The other
    loads C for the next tile, lets it begin, waits until its beginning has crossed the array, and
    drains the tile before. After the last tile an empty one begins.
    """
    rows, cols, latency = config.rows, config.cols, config.latency
    crossing = rows + cols + 1
    # When the preparing machine is free, the last clock of computing, and the results that wait.
    idle, computed, waiting = 0, -1, 0
    load = compute = range(0)
    for top in range(0, m, rows):
        for left in range(0, n, latency * cols):
            slots = min(latency, -(-(n - left) // cols))
            ready = idle + 1 + (slots * rows if load_c else 0)
            first = _turn(max(ready, computed) + 1, latency, computed)
            drained = first + latency + crossing
            if waiting:
                yield TileClocks(load, compute, range(drained, drained + waiting))
            load, compute = range(idle + 1, ready), range(first, first + latency * k)
            idle, computed = drained + waiting, first + latency * k - 1
            waiting = slots * min(rows, m - top)
    first = _turn(max(idle, computed + 1) + 2, latency, computed)
    drained = first + latency + crossing
    yield TileClocks(load, compute, range(drained, drained + waiting))


@lru_cache(maxsize=4096)
def _engine_gemm(config: ArrayConfig, m: int, n: int, k: int, load_c: bool) -> int:
    """Return the clock cycles of a GEMM on the engine, from START to the last result.

    Without products there is nothing to compute, and the results are packets of the converter: one
    for each slot that is `cols` wide, and in narrower ones one for each row.
    """
    if k == 0:
        wide, narrow = n // config.cols, min(n % config.cols, 1)
        packets = wide * -(-m // config.rows) + narrow * m
        return (wide + narrow) * m + packets * CONVERSION_CLOCKS
    last = deque(tile_clocks(config, m, n, k, load_c=load_c), maxlen=1).pop()
    return last.drain.stop + CONVERSION_CLOCKS - 1 + ENGINE_ENDS


def _turn(earliest: int, latency: int, computed: int) -> int:
    """Return the first cycle from `earliest` on in which slot 0 has its turn.

    Turns go on from where the tile before ended, in cycle `computed`; the first tile need not wait.
    """
    if computed < 0:
        return earliest
    return earliest + (computed + 1 - earliest) % latency
