"""The output-stationary systolic array: skewed operands in, finished accumulators out."""

from amaranth.hdl import Module, Shape
from amaranth.lib.wiring import In, Out

from hw.accumulator import Accumulator
from hw.hierarchy import Block, place
from hw.pe import OperandLane
from hw.row import Row
from hw.skew import Skew


class SystolicArray(Block):
    """`rows` x `cols` processing elements; element (i, j) holds output (i, j) of a tile.

    Operands enter aligned: one column of A and one row of B in the same clock. The last product of
    theirs is in its accumulator ``rows + cols - 1`` clocks later.

    Parameters
    ----------
    rows, cols : int
        At least 1.

    Members
    -------
    a : In of `rows` times OperandLane, packed
    b : In of `cols` times OperandLane, packed
    shift : In(1)
        Shift all accumulators one row up. Not while valid operands pass.
    bottom, top : In, Out of `cols` times Accumulator, packed
        What shifts in below the last row; the accumulators of the first row.
    """

    def __init__(self, rows: int, cols: int):
        self.rows, self.cols = rows, cols
        lane = Shape.cast(OperandLane).width
        accumulator = Shape.cast(Accumulator).width
        super().__init__(
            {
                "a": In(rows * lane),
                "b": In(cols * lane),
                "shift": In(1),
                "bottom": In(cols * accumulator),
                "top": Out(cols * accumulator),
            }
        )

    @property
    def module_name(self):
        return f"fp8_systolic_array_{self.rows}x{self.cols}"

    def elaborate(self, platform):
        m = Module()
        a_skew, b_skew = Skew(self.rows), Skew(self.cols)
        m.submodules.a_skew = place(a_skew, platform)
        m.submodules.b_skew = place(b_skew, platform)
        rows = [Row(self.cols) for _ in range(self.rows)]
        for i, row in enumerate(rows):
            m.submodules[f"row_{i}"] = place(row, platform)

        m.d.comb += [a_skew.aligned.eq(self.a), b_skew.aligned.eq(self.b)]
        north = b_skew.skewed
        for i, row in enumerate(rows):
            below = rows[i + 1].above if i + 1 < self.rows else self.bottom
            m.d.comb += [
                row.west.eq(a_skew.skewed.word_select(i, len(row.west.as_value()))),
                row.north.eq(north),
                row.shift.eq(self.shift),
                row.below.eq(below),
            ]
            north = row.south
        m.d.comb += self.top.eq(rows[0].above)
        return m
