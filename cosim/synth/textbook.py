"""What the chip is measured against: a processing element as textbooks have it.

Decoders and multiplier are the chip's own, so that what differs is the adder: one of IEEE 754 for
any two FP32 numbers, subnormal ones included on both sides, with overflow. It is built of the same
stages as the chip's (`hw.shift`).
"""

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value
from amaranth.lib import data
from amaranth.lib.wiring import In, Out

from hw.accumulator import Accumulator, MacFlags
from hw.hierarchy import Block, place
from hw.multiplier import Multiplier
from hw.operand import FORMAT_BITS, OperandDecoder
from hw.pe import OperandLane, ProcessingElement
from hw.shift import shift_right_jamming
from pysim.convert import CANONICAL_NAN
from pysim.formats import FP32
from rtl_gen.emitter import Emitter

PRODUCT_FRACTION = 7
"""Fraction bits of a product of two FP8 numbers."""


class CodeLane(data.Struct):
    """A code on its way through an array, with its format (see `OperandDecoder`)."""

    code: 8
    encoding: FORMAT_BITS
    valid: 1


class TextbookAdder(Block):
    """Adds two FP32 numbers as IEEE 754 says, to nearest with ties to even; combinational.

    Parameters
    ----------
    fraction_bits : int
        Fraction bits of `y` that are connected, from the top; all others are zero.

    Members
    -------
    x, y : In(32)
    total : Out(32)
        Every NaN is the canonical one.
    flags : Out(MacFlags)
        An overflow is inexact.
    """

    def __init__(self, fraction_bits: int = FP32.fraction_bits):
        self.fraction_bits = fraction_bits
        super().__init__({"x": In(32), "y": In(32), "total": Out(32), "flags": Out(MacFlags)})

    @property
    def module_name(self):
        narrow = self.fraction_bits < FP32.fraction_bits
        return f"textbook_adder_{self.fraction_bits}" if narrow else "textbook_adder"

    def elaborate(self, platform):
        m = Module()
        unused = FP32.fraction_bits - self.fraction_bits
        x, y = self.x, Cat(Const(0, unused), self.y[unused:])

        swap = Signal()
        m.d.comb += swap.eq(y[0:31] > x[0:31])
        larger, smaller = Signal(32), Signal(32)
        m.d.comb += [larger.eq(Mux(swap, y, x)), smaller.eq(Mux(swap, x, y))]
        larger_exponent, larger_significand = _unpack(larger)
        smaller_exponent, smaller_significand = _unpack(smaller)
        distance, far = Signal(8), Signal(5)
        m.d.comb += [
            distance.eq(larger_exponent - smaller_exponent),
            far.eq(Mux(distance[5:].any(), 31, distance[0:5])),
        ]

        # Guard, round, and sticky bits.
        aligned, lost = shift_right_jamming(
            m, Cat(Const(0, 3), smaller_significand), far, "aligned"
        )
        one = Cat(Const(0, 3), larger_significand)
        other = Cat(aligned[0] | lost, aligned[1:])
        subtract = larger[31] ^ smaller[31]
        raw = Signal(28)
        m.d.comb += raw.eq(Mux(subtract, one - other, one + other))

        # The exponent does not go below that of the subnormal numbers.
        zeros, shift = Signal(5), Signal(5)
        m.d.comb += [
            zeros.eq(_leading_zeros(raw)),
            shift.eq(Mux(zeros > larger_exponent, larger_exponent, zeros)),
        ]
        normal = Signal(28)
        m.d.comb += normal.eq(raw << shift)
        exponent = Signal(9)
        m.d.comb += exponent.eq(Mux(normal[27], larger_exponent + 1 - shift, 0))
        last_place, guard, tail = normal[4], normal[3], normal[0:3].any()
        rounded = Signal(32)
        m.d.comb += rounded.eq(Cat(normal[4:27], exponent) + (guard & (tail | last_place)))
        overflow = Signal()
        m.d.comb += overflow.eq(rounded >= FP32.infinity_code)

        x_nan, x_infinite = _special(x)
        y_nan, y_infinite = _special(y)
        opposite_infinities = x_infinite & y_infinite & subtract
        finite = ~x[23:31].all() & ~y[23:31].all()
        m.d.comb += [
            self.flags.invalid.eq(opposite_infinities),
            self.flags.inexact.eq(finite & (guard | tail | overflow)),
        ]
        with m.If(x_nan | y_nan | opposite_infinities):
            m.d.comb += self.total.eq(CANONICAL_NAN)
        with m.Elif(x_infinite | y_infinite):
            m.d.comb += self.total.eq(larger)
        with m.Elif(~raw.any()):
            m.d.comb += self.total.eq(Cat(Const(0, 31), x[31] & y[31]))
        with m.Elif(overflow):
            m.d.comb += self.total.eq(Cat(Const(FP32.infinity_code, 31), larger[31]))
        with m.Else():
            m.d.comb += self.total.eq(Cat(rounded[0:31], larger[31]))
        return m


class TextbookElement(Block):
    """Decodes two codes, multiplies them exactly, and adds the product to an FP32 accumulator.

    Its members are those of `hw.pe.ProcessingElement`, but for codes in place of operands.
    """

    west: In(CodeLane)
    north: In(CodeLane)
    east: Out(CodeLane)
    south: Out(CodeLane)
    shift: In(1)
    below: In(Accumulator)
    above: Out(Accumulator)

    module_name = "textbook_pe"

    def elaborate(self, platform):
        m = Module()
        multiplier, adder = Multiplier(), TextbookAdder()
        m.submodules.multiplier = place(multiplier, platform)
        m.submodules.adder = place(adder, platform)
        m.d.comb += [
            multiplier.a.eq(_decoded(m, "a", self.west, platform)),
            multiplier.b.eq(_decoded(m, "b", self.north, platform)),
        ]
        product = multiplier.product
        packed = Cat(Const(0, 16), product.significand[0:7], product.exponent)
        with m.If(product.nan):
            m.d.comb += adder.y.eq(CANONICAL_NAN)
        with m.Elif(product.infinite):
            m.d.comb += adder.y.eq(Cat(Const(FP32.infinity_code, 31), product.sign))
        with m.Else():
            m.d.comb += adder.y.eq(Cat(Mux(product.zero, 0, packed), product.sign))

        accumulator = self.above
        m.d.comb += adder.x.eq(accumulator.value)
        was_nan, _ = _special(accumulator.value)
        raised = Cat(adder.flags.invalid | (product.invalid & ~was_nan), adder.flags.inexact)
        m.d.sync += [self.east.eq(self.west), self.south.eq(self.north)]
        with m.If(self.shift):
            m.d.sync += accumulator.eq(self.below)
        with m.Elif(self.west.valid & self.north.valid):
            m.d.sync += [
                accumulator.value.eq(adder.total),
                accumulator.flags.eq(accumulator.flags.as_value() | raised),
            ]
        return m


class DecodingElement(Block):
    """The chip's processing element with two decoders in front: what `TextbookElement` does."""

    west: In(CodeLane)
    north: In(CodeLane)
    east: Out(OperandLane)
    south: Out(OperandLane)
    shift: In(1)
    below: In(Accumulator)
    above: Out(Accumulator)

    module_name = "fp8_decoding_pe"

    def elaborate(self, platform):
        m = Module()
        element = ProcessingElement()
        m.submodules.pe = place(element, platform)
        m.d.comb += [
            element.west.operand.eq(_decoded(m, "a", self.west, platform)),
            element.north.operand.eq(_decoded(m, "b", self.north, platform)),
            element.west.valid.eq(self.west.valid),
            element.north.valid.eq(self.north.valid),
            element.shift.eq(self.shift),
            element.below.eq(self.below),
            self.east.eq(element.east),
            self.south.eq(element.south),
            self.above.eq(element.above),
        ]
        return m


def emit(*blocks: Block) -> dict[str, str]:
    """Return the Verilog of blocks and of what is in them, by module name."""
    emitter = Emitter()
    for block in blocks:
        emitter.emit(block)
    return emitter.verilog()


def _decoded(m: Module, name: str, lane: data.View, platform: object) -> Value:
    decoder = OperandDecoder()
    m.submodules[f"{name}_decoder"] = place(decoder, platform)
    m.d.comb += [decoder.code.eq(lane.code), decoder.format.eq(lane.encoding)]
    return decoder.operand


def _unpack(number: Value) -> tuple[Value, Value]:
    field = number[23:31]
    return Mux(field.any(), field, 1), Cat(number[0:23], field.any())


def _special(number: Value) -> tuple[Value, Value]:
    """Return whether a number is NaN, and whether it is infinite."""
    special, fraction = number[23:31].all(), number[0:23].any()
    return special & fraction, special & ~fraction


def _leading_zeros(value: Value) -> Value:
    """Count the zeros above the highest set bit, by halves; for zero it is at least the width."""
    width = 1 << (len(value) - 1).bit_length()
    padded = Cat(Const(1, width - len(value)), value) if width > len(value) else value
    return _zeros_by_halves(padded)[1]


def _zeros_by_halves(value: Value) -> tuple[Value, Value]:
    """Return whether a value, as wide as a power of two, is zero, and else its leading zeros."""
    if len(value) == 1:
        return ~value, Const(0, 0)
    half = len(value) // 2
    low_zero, low = _zeros_by_halves(value[:half])
    high_zero, high = _zeros_by_halves(value[half:])
    return high_zero & low_zero, Cat(Mux(high_zero, low, high), high_zero)
