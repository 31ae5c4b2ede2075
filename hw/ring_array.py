"""The systolic array of elements with pipelines."""

from amaranth.hdl import Const, Module, Shape
from amaranth.lib import data
from amaranth.lib.wiring import In, Out

from hw.hierarchy import Block, place
from hw.kind import FULL, Kind
from hw.pe import OperandLane
from hw.ring_element import SLOT_BITS, RingElement, StartLane
from hw.skew import Skew

START_WIDTH = Shape.cast(StartLane).width
LANE_WIDTH = Shape.cast(OperandLane).width


class RingRow(Block):
    """`cols` ring elements side by side: A passes through, B and what waits cross.

    Parameters
    ----------
    cols, latency : int
    kind : Kind

    Members
    -------
    west : In(StartLane)
    north, south : In, Out of `cols` times OperandLane, packed
    shift, slot : In
        As in `RingElement`.
    below, above : In, Out of `cols` times Kind.accumulator, packed
    """

    def __init__(self, cols: int, latency: int, kind: Kind = FULL):
        self.cols, self.latency, self.kind = cols, latency, kind
        waiting = cols * kind.accumulator.size
        super().__init__(
            {
                "west": In(StartLane),
                "north": In(cols * LANE_WIDTH),
                "south": Out(cols * LANE_WIDTH),
                "shift": In(1),
                "slot": In(SLOT_BITS),
                "below": In(waiting),
                "above": Out(waiting),
            }
        )

    @property
    def module_name(self):
        return f"fp8_ring_row_{self.cols}_{self.latency}"

    def elaborate(self, platform):
        m = Module()
        lanes = data.ArrayLayout(OperandLane, self.cols)
        accumulators = data.ArrayLayout(self.kind.accumulator, self.cols)
        north, south = data.View(lanes, self.north), data.View(lanes, self.south)
        below, above = data.View(accumulators, self.below), data.View(accumulators, self.above)
        west = self.west
        for col in range(self.cols):
            element = RingElement(self.latency, self.kind)
            m.submodules[f"element_{col}"] = place(element, platform)
            m.d.comb += [
                element.west.eq(west),
                element.north.eq(north[col]),
                element.shift.eq(self.shift),
                element.slot.eq(self.slot),
                element.below.eq(below[col]),
                south[col].eq(element.south),
                above[col].eq(element.above),
            ]
            west = element.east
        return m


class RingArray(Block):
    """`rows` x `cols` ring elements, with operands skewed at the edges.

    What enters in a clock reaches element (i, j) i + j clocks later, and takes two clocks more to
    be multiplied, before its step begins.

    Parameters
    ----------
    rows, cols, latency : int
    kind : Kind

    Members
    -------
    a : In of `rows` times StartLane, packed
    b : In of `cols` times OperandLane, packed
    shift, slot : In
        As in `RingElement`, all elements in the same clock.
    bottom, top : In, Out of `cols` times Kind.accumulator, packed
        What shifts in below the last row, which is not there without C; what waits in the first
        row.
    """

    def __init__(self, rows: int, cols: int, latency: int, kind: Kind = FULL):
        self.rows, self.cols, self.latency, self.kind = rows, cols, latency, kind
        waiting = cols * kind.accumulator.size
        super().__init__(
            {
                "a": In(rows * START_WIDTH),
                "b": In(cols * LANE_WIDTH),
                "shift": In(1),
                "slot": In(SLOT_BITS),
                "top": Out(waiting),
                **({"bottom": In(waiting)} if kind.load_c else {}),
            }
        )

    @property
    def module_name(self):
        return f"fp8_ring_array_{self.rows}x{self.cols}_{self.latency}"

    def elaborate(self, platform):
        m = Module()
        a_skew = Skew(self.rows, StartLane, self.kind.bits_of(StartLane))
        b_skew = Skew(self.cols, bits=self.kind.bits_of(OperandLane))
        m.submodules.a_skew = place(a_skew, platform)
        m.submodules.b_skew = place(b_skew, platform)
        rows = [RingRow(self.cols, self.latency, self.kind) for _ in range(self.rows)]
        for i, row in enumerate(rows):
            m.submodules[f"row_{i}"] = place(row, platform)
        m.d.comb += [a_skew.aligned.eq(self.a), b_skew.aligned.eq(self.b)]
        north = b_skew.skewed
        bottom = self.bottom if self.kind.load_c else Const(0, len(self.top))
        for i, row in enumerate(rows):
            below = rows[i + 1].above if i + 1 < self.rows else bottom
            m.d.comb += [
                row.west.eq(a_skew.skewed.word_select(i, START_WIDTH)),
                row.north.eq(north),
                row.shift.eq(self.shift),
                row.slot.eq(self.slot),
                row.below.eq(below),
            ]
            north = row.south
        m.d.comb += self.top.eq(rows[0].above)
        return m
