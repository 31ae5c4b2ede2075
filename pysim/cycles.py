"""The cycle model: clock cycles of a call when no stream ever stalls.

Tiles follow one another without overlap. Each takes the phases of the tile control: one cycle to
accept the command, `rows` to load C, K to compute, ``rows + cols - 1`` until the last product has
crossed the array, and one per result row. The last row leaves one cycle after it was converted.
"""

from pysim.config import ArrayConfig


def gemm_cycles(config: ArrayConfig, m: int, n: int, k: int, *, load_c: bool) -> int:
    """Return the clock cycles of an [M, K] x [K, N] GEMM; 0 if it has no output."""
    if m == 0 or n == 0:
        return 0
    tile_rows = -(-m // config.rows)
    tile_cols = -(-n // config.cols)
    load = config.rows if load_c else 0
    flush = config.rows + config.cols - 1 if k else 0
    fixed = 1 + load + k + flush
    return tile_rows * tile_cols * fixed + m * tile_cols + 1


def quantize_cycles(config: ArrayConfig, count: int) -> int:
    """Return the clock cycles to convert `count` numbers; 0 if there are none.

    One command converts the full rows, and another what is left.
    """
    if count == 0:
        return 0
    full_rows, rest = divmod(count, config.cols)
    commands = [rows for rows in (full_rows, min(rest, 1)) if rows]
    return sum(1 + rows for rows in commands) + 1
