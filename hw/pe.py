"""The processing element: a multiplier, an adder, and an accumulator that stays where it is."""

from amaranth.hdl import Module
from amaranth.lib import data
from amaranth.lib.wiring import In, Out

from hw.accumulator import Accumulator, AccumulatorAdder
from hw.hierarchy import Block, place
from hw.multiplier import Multiplier
from hw.operand import Operand


class OperandLane(data.Struct):
    """An operand on its way through the array; no product is made of one that is not valid."""

    operand: Operand
    valid: 1


class ProcessingElement(Block):
    """Adds one product a clock to its accumulator, and passes the operands on a clock later.

    Members
    -------
    west, east : In(OperandLane), Out(OperandLane)
        Operands of A, passing from west to east.
    north, south : In(OperandLane), Out(OperandLane)
        Operands of B, passing from north to south.
    shift : In(1)
        Replace the accumulator by its southern neighbour's. Not while valid operands pass.
    below, above : In(Accumulator), Out(Accumulator)
        Accumulators of a column, shifting from south to north; `above` is this element's own.
    """

    west: In(OperandLane)
    north: In(OperandLane)
    east: Out(OperandLane)
    south: Out(OperandLane)
    shift: In(1)
    below: In(Accumulator)
    above: Out(Accumulator)

    module_name = "fp8_pe"

    def elaborate(self, platform):
        m = Module()
        multiplier = Multiplier()
        adder = AccumulatorAdder()
        m.submodules.multiplier = place(multiplier, platform)
        m.submodules.adder = place(adder, platform)

        accumulator = self.above
        m.d.comb += [
            multiplier.a.eq(self.west.operand),
            multiplier.b.eq(self.north.operand),
            adder.product.eq(multiplier.product),
            adder.accumulator.eq(accumulator.value),
        ]
        m.d.sync += [self.east.eq(self.west), self.south.eq(self.north)]
        with m.If(self.shift):
            m.d.sync += accumulator.eq(self.below)
        with m.Elif(self.west.valid & self.north.valid):
            m.d.sync += [
                accumulator.value.eq(adder.total),
                accumulator.flags.eq(accumulator.flags.as_value() | adder.flags.as_value()),
            ]
        return m
