"""The processing element with a pipeline: a ring of accumulators, and results that wait."""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import data
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from hw.hierarchy import Block, place
from hw.kind import FULL, Kind
from hw.multiplier import Multiplier, Product
from hw.operand import Operand
from hw.pe import OperandLane
from hw.step import PipelinedStep
from pysim.config import MAX_LATENCY

SLOT_BITS = (MAX_LATENCY - 1).bit_length()


class StartLane(data.Struct):
    """An operand of A on its way through the array, and what its clock means.

    With `first`, the accumulator of slot `slot` changes places with what waits in that slot. With
    `fresh`, too, what waited does not matter: the sum starts from +0, without flags.
    """

    operand: Operand
    valid: 1
    first: 1
    fresh: 1
    slot: SLOT_BITS


class RingElement(Block):
    """Adds a product a clock to one of `latency` accumulators, which take turns.

    The accumulators go round in the pipeline of the step. For each of them, a number waits in a
    memory beside the ring: what the next sum starts from, and after `first` the sum that was
    finished, until it is shifted out. A step begins two clocks after its operands came.

    No accumulator is reset: what it holds does not matter before `fresh` or C has entered.

    Parameters
    ----------
    latency : int
        Clocks of a step, and accumulators.
    kind : Kind
        What is multiplied, and whether sums may start from what waits. Bits that do not vary in it
        are 0 at the ports, and have no registers; without C, `fresh` means nothing.

    Members
    -------
    west, east : In(StartLane), Out(StartLane)
        Operands of A, passing from west to east.
    north, south : In(OperandLane), Out(OperandLane)
        Operands of B, passing from north to south.
    shift : In(1)
        Replace what waits in slot `slot` by what waits there in the southern neighbour. Not in
        the two clocks after `first` entered, whatever its slot.
    slot : In(3)
    below, above : In(Kind.accumulator), Out(Kind.accumulator)
        What waits in slot `slot`; `above` is this element's own. It means nothing in the clock
        after `first` entered.
    """

    def __init__(self, latency: int, kind: Kind = FULL):
        self.latency, self.kind = latency, kind
        super().__init__(
            {
                "west": In(StartLane),
                "north": In(OperandLane),
                "east": Out(StartLane),
                "south": Out(OperandLane),
                "shift": In(1),
                "slot": In(SLOT_BITS),
                "below": In(kind.accumulator),
                "above": Out(kind.accumulator),
            }
        )

    @property
    def module_name(self):
        return f"fp8_ring_element_{self.latency}"

    def elaborate(self, platform):
        m = Module()
        kind = self.kind
        multiplier = Multiplier(latency=1, formats=kind.formats)
        step = PipelinedStep(self.latency, kind)
        m.submodules.multiplier = place(multiplier, platform)
        m.submodules.step = place(step, platform)
        m.submodules.waiting = waiting = Memory(shape=kind.accumulator, depth=self.latency, init=[])
        read, write = waiting.read_port(domain="comb"), waiting.write_port()

        # While the product is normalised, the number that its sum may start from is read.
        product = Signal(Product, reset_less=True)
        both = Signal(reset_less=True)
        valid = Signal(reset_less=True)
        given_back = Signal()
        slot = Signal(SLOT_BITS, reset_less=True)
        m.d.comb += [
            multiplier.a.eq(self.west.operand),
            multiplier.b.eq(self.north.operand),
            read.addr.eq(self.slot),
            self.above.eq(read.data),
            step.first.eq(self.east.first),
            step.product.eq(product),
            step.valid.eq(valid),
        ]
        if kind.load_c:
            m.d.comb += [
                read.addr.eq(Mux(self.east.first, self.east.slot, self.slot)),
                step.fresh.eq(self.east.fresh),
                step.start.eq(read.data),
            ]
        m.d.sync += [
            self.east.eq(self.west.as_value() & kind.bits_of(StartLane)),
            self.south.eq(self.north.as_value() & kind.bits_of(OperandLane)),
            both.eq(self.west.valid & self.north.valid),
            product.eq(multiplier.product.as_value() & kind.product_bits),
            valid.eq(both),
            given_back.eq(self.east.first),
            slot.eq(self.east.slot),
        ]
        with m.If(~both):
            # Minus zero, which changes nothing.
            m.d.sync += product.eq(Product.const({"sign": 1, "zero": 1}))

        # The mark is at hand in each element, and the shift comes to all of them from afar.
        m.d.comb += [
            write.en.eq(self.shift | given_back),
            write.addr.eq(Mux(given_back, slot, self.slot)),
            write.data.eq(Mux(given_back, step.after.as_value(), self.below.as_value())),
        ]
        return m
