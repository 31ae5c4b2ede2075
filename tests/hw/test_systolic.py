"""Rows and the array: output (i, j) of a tile ends up in element (i, j)."""

import numpy as np
import pytest

from hw.accumulator import Accumulator
from hw.pe import OperandLane
from hw.row import Row
from hw.systolic import SystolicArray

LANE = OperandLane.as_shape().size
ACCUMULATOR = Accumulator.as_shape().size


def lane(value, valid=1):
    """An integer of 0 to 15 as a valid operand."""
    operand = {"sign": 0, "exponent": 18, "significand": value, "infinite": 0, "nan": 0}
    return OperandLane.const({"operand": operand, "valid": valid}).as_bits()


def pack(words, width):
    return sum(word << width * i for i, word in enumerate(words))


def floats(word, count):
    bits = [word >> ACCUMULATOR * i & 0xFFFFFFFF for i in range(count)]
    return np.array(bits, dtype=np.uint32).view(np.float32)


@pytest.mark.parametrize(("rows", "cols"), [(1, 1), (2, 3), (3, 2)])
def test_tile(clocked, rows, cols):
    array = SystolicArray(rows, cols)
    rng = np.random.default_rng(0)
    a, b = rng.integers(16, size=(rows, 5)), rng.integers(16, size=(5, cols))
    out = []

    async def bench(context):
        for k in range(5):
            if k == 2:
                # A stall is a clock without valid operands.
                context.set(array.a, pack([lane(9, 0)] * rows, LANE))
                context.set(array.b, pack([lane(9, 0)] * cols, LANE))
                await context.tick()
            context.set(array.a, pack([lane(int(x)) for x in a[:, k]], LANE))
            context.set(array.b, pack([lane(int(x)) for x in b[k]], LANE))
            await context.tick()
        context.set(array.a, 0)
        context.set(array.b, 0)
        for _ in range(rows + cols - 1):
            await context.tick()
        context.set(array.shift, 1)
        for _ in range(rows):
            out.append(floats(context.get(array.top), cols))
            await context.tick()
        assert not floats(context.get(array.top), cols).any()

    clocked(array, bench)
    assert np.array_equal(np.array(out), (a @ b).astype(np.float32))


def test_row_passes_on(clocked):
    row = Row(2)

    async def bench(context):
        context.set(row.west, {"operand": {"significand": 3, "exponent": 18}, "valid": 1})
        context.set(row.north, pack([lane(2), lane(5, 0)], LANE))
        await context.tick()
        assert context.get(row.south) == pack([lane(2), lane(5, 0)], LANE)
        assert floats(context.get(row.above), 2).tolist() == [6, 0]
        context.set(row.north, pack([lane(2, 0), lane(5)], LANE))
        await context.tick()
        # The operand of A reaches the second element a clock later.
        assert floats(context.get(row.above), 2).tolist() == [6, 15]

    clocked(row, bench)
