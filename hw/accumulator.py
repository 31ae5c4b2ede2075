"""The FP32 accumulator's adder: one exact product is added, and rounded once."""

from amaranth.hdl import Cat, Const, Module, Mux, Signal
from amaranth.lib import data
from amaranth.lib.wiring import In, Out

from hw.hierarchy import Block
from hw.multiplier import Product
from hw.shift import normalise, shift_right_jamming
from pysim.convert import CANONICAL_NAN
from pysim.formats import FP32


class MacFlags(data.Struct):
    """What a step can raise.

    Neither underflow nor overflow is among them: subnormal sums are exact, and the largest product
    is far below half a unit in the last place of the largest FP32 number.
    """

    invalid: 1
    inexact: 1


class Accumulator(data.Struct):
    """An FP32 number and the sticky flags of the steps that led to it."""

    value: 32
    flags: MacFlags


class AccumulatorAdder(Block):
    """Adds a product to an FP32 number, to nearest with ties to even; combinational.

    The accumulator may be any FP32 number, but a product is never tiny: it is zero or at least
    2**-32. A sum that involves one is therefore zero or a normal number, and a subnormal
    accumulator matters to it only as a sticky bit. Nor is it ever huge, so finite sums stay finite.

    Members
    -------
    accumulator : In(32)
    product : In(Product)
    total : Out(32)
        Every NaN is the canonical one.
    flags : Out(MacFlags)
    """

    accumulator: In(32)
    product: In(Product)
    total: Out(32)
    flags: Out(MacFlags)

    module_name = "fp8_accumulator_adder"

    def elaborate(self, platform):
        m = Module()
        product = self.product
        sign = self.accumulator[31]
        field = self.accumulator[23:31]
        fraction = self.accumulator[0:23]
        special = field.all()
        acc_nan = special & fraction.any()
        acc_infinite = special & ~fraction.any()

        # FP32 magnitudes order like their bit patterns.
        acc_exponent = Mux(field.any(), field, 1)
        acc_significand = Cat(fraction, field.any())
        product_significand = Cat(Const(0, 16), product.significand)
        product_magnitude = Cat(product_significand[0:23], product.exponent)
        acc_is_larger = Signal()
        m.d.comb += acc_is_larger.eq(self.accumulator[0:31] >= product_magnitude)

        larger_sign = Signal()
        larger_exponent = Signal(8)
        larger_significand = Signal(24)
        smaller_significand = Signal(24)
        distance = Signal(8)
        with m.If(acc_is_larger):
            m.d.comb += [
                larger_sign.eq(sign),
                larger_exponent.eq(acc_exponent),
                larger_significand.eq(acc_significand),
                smaller_significand.eq(product_significand),
                distance.eq(acc_exponent - product.exponent),
            ]
        with m.Else():
            m.d.comb += [
                larger_sign.eq(product.sign),
                larger_exponent.eq(product.exponent),
                larger_significand.eq(product_significand),
                smaller_significand.eq(acc_significand),
                distance.eq(product.exponent - acc_exponent),
            ]

        # Guard, round, and sticky bits: with them the sum of the aligned significands rounds like
        # the exact sum.
        far = Signal(5)
        m.d.comb += far.eq(Mux(distance[5:].any(), 31, distance[0:5]))
        aligned, lost = shift_right_jamming(
            m, Cat(Const(0, 3), smaller_significand), far, "aligned"
        )
        x = Cat(Const(0, 3), larger_significand)
        y = Cat(aligned[0] | lost, aligned[1:])
        subtract = sign ^ product.sign
        raw = Signal(28)
        m.d.comb += raw.eq(Mux(subtract, x - y, x + y))

        normal, leading_zeros = normalise(m, raw, "normal")
        exponent = Signal(8)
        m.d.comb += exponent.eq(larger_exponent + 1 - leading_zeros)
        last_place, guard, tail = normal[4], normal[3], normal[0:3].any()

        # A carry out of rounding counts the exponent field up.
        magnitude = Signal(31)
        m.d.comb += magnitude.eq(
            Cat(normal[4:27], exponent) + (guard & (tail | last_place)),
        )

        opposite_infinities = acc_infinite & product.infinite & subtract
        finite = ~special & ~product.nan & ~product.infinite
        added = finite & ~product.zero
        m.d.comb += [
            self.flags.invalid.eq(~acc_nan & (product.invalid | opposite_infinities)),
            self.flags.inexact.eq(added & (guard | tail)),
        ]

        with m.If(acc_nan | product.nan | opposite_infinities):
            m.d.comb += self.total.eq(CANONICAL_NAN)
        with m.Elif(acc_infinite):
            m.d.comb += self.total.eq(self.accumulator)
        with m.Elif(product.infinite):
            m.d.comb += self.total.eq(Cat(Const(FP32.infinity_code, 31), product.sign))
        with m.Elif(product.zero):
            # Of two zeros, the sum is minus zero only if both are.
            acc_zero = ~self.accumulator[0:31].any()
            total_sign = Mux(acc_zero, sign & product.sign, sign)
            m.d.comb += self.total.eq(Cat(self.accumulator[0:31], total_sign))
        with m.Elif(~raw.any()):
            m.d.comb += self.total.eq(0)
        with m.Else():
            m.d.comb += self.total.eq(Cat(magnitude, larger_sign))
        return m
