"""The processing element with a pipeline: a ring of accumulators, and results that wait."""

from amaranth.hdl import Array, Module, Mux, Signal
from amaranth.lib import data
from amaranth.lib.wiring import In, Out

from hw.accumulator import Accumulator
from hw.hierarchy import Block, place
from hw.multiplier import Multiplier, Product
from hw.operand import Operand
from hw.pe import OperandLane
from hw.step import PipelinedStep
from pysim.config import MAX_LATENCY

SLOT_BITS = (MAX_LATENCY - 1).bit_length()


class StartLane(data.Struct):
    """An operand of A on its way through the array, and what its clock means.

    With `first`, the accumulator of slot `slot` changes places with what waits in that slot.
    """

    operand: Operand
    valid: 1
    first: 1
    slot: SLOT_BITS


class RingElement(Block):
    """Adds a product a clock to one of `latency` accumulators, which take turns.

    The accumulators go round in the pipeline of the step. For each of them, a number waits
    beside the ring: what the next sum starts from, and after `first` the sum that was finished,
    until it is shifted out.

    Parameters
    ----------
    latency : int
        Clocks of a step, and accumulators.

    Members
    -------
    west, east : In(StartLane), Out(StartLane)
        Operands of A, passing from west to east.
    north, south : In(OperandLane), Out(OperandLane)
        Operands of B, passing from north to south.
    shift : In(1)
        Replace what waits in slot `slot` by what waits there in the southern neighbour. Not while
        `first` passes.
    slot : In(3)
    below, above : In(Accumulator), Out(Accumulator)
        What waits in slot `slot`; `above` is this element's own.
    """

    def __init__(self, latency: int):
        self.latency = latency
        super().__init__(
            {
                "west": In(StartLane),
                "north": In(OperandLane),
                "east": Out(StartLane),
                "south": Out(OperandLane),
                "shift": In(1),
                "slot": In(SLOT_BITS),
                "below": In(Accumulator),
                "above": Out(Accumulator),
            }
        )

    @property
    def module_name(self):
        return f"fp8_ring_element_{self.latency}"

    def elaborate(self, platform):
        m = Module()
        multiplier = Multiplier()
        step = PipelinedStep(self.latency)
        m.submodules.multiplier = place(multiplier, platform)
        m.submodules.step = place(step, platform)

        product = Signal(Product)
        valid = Signal()
        first = Signal()
        slot = Signal(SLOT_BITS)
        m.d.comb += [multiplier.a.eq(self.west.operand), multiplier.b.eq(self.north.operand)]
        m.d.sync += [
            self.east.eq(self.west),
            self.south.eq(self.north),
            product.eq(multiplier.product),
            valid.eq(self.west.valid & self.north.valid),
            first.eq(self.west.first),
            slot.eq(self.west.slot),
        ]

        waiting = [Signal(Accumulator, name=f"waiting_{i}") for i in range(self.latency)]
        words = Array(entry.as_value() for entry in waiting)
        m.d.comb += [
            step.before.eq(Mux(first, words[slot], step.after.as_value())),
            step.product.eq(product),
            step.valid.eq(valid),
            self.above.eq(words[self.slot]),
        ]
        for i, entry in enumerate(waiting):
            with m.If(self.shift & (self.slot == i)):
                m.d.sync += entry.eq(self.below)
            with m.Elif(first & (slot == i)):
                m.d.sync += entry.eq(step.after)
        return m
