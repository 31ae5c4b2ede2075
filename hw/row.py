"""A row of processing elements."""

from amaranth.hdl import Module
from amaranth.lib import data
from amaranth.lib.wiring import In, Out

from hw.accumulator import Accumulator
from hw.hierarchy import Block, place
from hw.pe import OperandLane, ProcessingElement


class Row(Block):
    """`cols` processing elements side by side: A passes through, B and accumulators cross.

    Parameters
    ----------
    cols : int
        Elements, at least 1.

    Members
    -------
    west : In(OperandLane)
    north, south : In, Out of `cols` times OperandLane, packed
    shift : In(1)
    below, above : In, Out of `cols` times Accumulator, packed
    """

    def __init__(self, cols: int):
        self.cols = cols
        self._lanes = data.ArrayLayout(OperandLane, cols)
        self._accumulators = data.ArrayLayout(Accumulator, cols)
        super().__init__(
            {
                "west": In(OperandLane),
                "north": In(self._lanes.size),
                "south": Out(self._lanes.size),
                "shift": In(1),
                "below": In(self._accumulators.size),
                "above": Out(self._accumulators.size),
            }
        )

    @property
    def module_name(self):
        return f"fp8_row_{self.cols}"

    def elaborate(self, platform):
        m = Module()
        north, south = (data.View(self._lanes, port) for port in (self.north, self.south))
        below, above = (data.View(self._accumulators, port) for port in (self.below, self.above))
        west = self.west
        for col in range(self.cols):
            pe = ProcessingElement()
            m.submodules[f"pe_{col}"] = place(pe, platform)
            m.d.comb += [
                pe.west.eq(west),
                pe.north.eq(north[col]),
                pe.shift.eq(self.shift),
                pe.below.eq(below[col]),
                south[col].eq(pe.south),
                above[col].eq(pe.above),
            ]
            west = pe.east
        return m
