"""A step of an accumulator, in a pipeline: a product is added, and rounded once."""

from amaranth.hdl import Cat, Const, Module, Mux, Signal
from amaranth.lib.wiring import In, Out

from hw.accumulator import Accumulator
from hw.hierarchy import Block
from hw.multiplier import Product
from hw.shift import normalise, shift_right_jamming
from pysim.convert import CANONICAL_NAN
from pysim.formats import FP32

CUTS = {
    1: (),
    2: ("added",),
    3: ("aligned", "added"),
    4: ("ordered", "aligned", "added"),
    5: ("ordered", "aligned", "added", "normalised"),
    6: ("ordered", "aligned", "added", "normalised", "rounded"),
}
"""After which parts of the addition there are registers, besides those at the end."""


class PipelinedStep(Block):
    """Adds a product to an accumulator, to nearest with ties to even, `latency` clocks later.

    The sum, and what the flags mean, are those of `AccumulatorAdder`. A step can begin in each
    clock.

    Parameters
    ----------
    latency : int
        Clocks, 1 to 6.

    Members
    -------
    before : In(Accumulator)
    product : In(Product)
    valid : In(1)
        Without, the accumulator stays as it is, in every bit.
    after : Out(Accumulator)
        `latency` clocks later.
    """

    def __init__(self, latency: int):
        self.latency = latency
        super().__init__(
            {
                "before": In(Accumulator),
                "product": In(Product),
                "valid": In(1),
                "after": Out(Accumulator),
            }
        )

    @property
    def module_name(self):
        return f"fp8_step_{self.latency}"

    def elaborate(self, platform):
        m = Module()

        def cut(part, **values):
            """Return the values, a clock later if there are registers after this part."""
            if part not in CUTS[self.latency]:
                return values.values()
            delayed = []
            for name, value in values.items():
                register = Signal(len(value), name=f"{part}_{name}", reset_less=True)
                m.d.sync += register.eq(value)
                delayed.append(register)
            return delayed

        # Which is larger; FP32 magnitudes order like their bit patterns.
        product, value = self.product, self.before.value
        sign, field, fraction = value[31], value[23:31], value[0:23]
        acc_exponent = Mux(field.any(), field, 1)
        acc_significand = Cat(fraction, field.any())
        product_significand = Cat(Const(0, 16), product.significand)
        acc_is_larger = Signal()
        larger_sign = Signal()
        larger_exponent = Signal(8)
        larger = Signal(24)
        smaller = Signal(24)
        distance = Signal(8)
        m.d.comb += [
            acc_is_larger.eq(value[0:31] >= Cat(product_significand[0:23], product.exponent)),
            larger_sign.eq(Mux(acc_is_larger, sign, product.sign)),
            larger_exponent.eq(Mux(acc_is_larger, acc_exponent, product.exponent)),
            larger.eq(Mux(acc_is_larger, acc_significand, product_significand)),
            smaller.eq(Mux(acc_is_larger, product_significand, acc_significand)),
            distance.eq(
                Mux(acc_is_larger, acc_exponent - product.exponent, product.exponent - acc_exponent)
            ),
        ]
        far = Mux(distance[5:].any(), 31, distance[0:5])
        subtract = sign ^ product.sign
        kept, stays, invalid = self._exceptions(m, subtract)
        flags = self.before.flags.as_value() | invalid
        larger_sign, larger_exponent, larger, smaller, far, subtract, kept, stays, flags = cut(
            "ordered",
            sign=larger_sign,
            exponent=larger_exponent,
            larger=larger,
            smaller=smaller,
            far=far,
            subtract=subtract,
            kept=kept,
            stays=stays,
            flags=flags,
        )

        # Guard, round, and sticky bits: with them the sum of the aligned significands rounds like
        # the exact sum.
        aligned, lost = shift_right_jamming(m, Cat(Const(0, 3), smaller), far, "shifted")
        aligned = Cat(aligned[0] | lost, aligned[1:])
        larger_sign, larger_exponent, larger, aligned, subtract, kept, stays, flags = cut(
            "aligned",
            sign=larger_sign,
            exponent=larger_exponent,
            larger=larger,
            smaller=aligned,
            subtract=subtract,
            kept=kept,
            stays=stays,
            flags=flags,
        )

        raw = Signal(28)
        x = Cat(Const(0, 3), larger)
        m.d.comb += raw.eq(Mux(subtract, x - aligned, x + aligned))
        larger_sign, larger_exponent, raw, kept, stays, flags = cut(
            "added",
            sign=larger_sign,
            exponent=larger_exponent,
            raw=raw,
            kept=kept,
            stays=stays,
            flags=flags,
        )

        normal, leading_zeros = normalise(m, raw, "normal")
        exponent = Signal(8)
        m.d.comb += exponent.eq(larger_exponent + 1 - leading_zeros)
        cancelled = ~raw.any()
        larger_sign, exponent, normal, cancelled, kept, stays, flags = cut(
            "normalised",
            sign=larger_sign,
            exponent=exponent,
            normal=normal,
            cancelled=cancelled,
            kept=kept,
            stays=stays,
            flags=flags,
        )

        # A carry out of rounding counts the exponent field up.
        last_place, guard, tail = normal[4], normal[3], normal[0:3].any()
        magnitude = Signal(31)
        m.d.comb += magnitude.eq(Cat(normal[4:27], exponent) + (guard & (tail | last_place)))
        flags = flags | Cat(Const(0, 1), ~stays & (guard | tail))
        larger_sign, magnitude, cancelled, kept, stays, flags = cut(
            "rounded",
            sign=larger_sign,
            magnitude=magnitude,
            cancelled=cancelled,
            kept=kept,
            stays=stays,
            flags=flags,
        )

        total = Mux(cancelled, 0, Cat(magnitude, larger_sign))
        m.d.sync += [
            self.after.value.eq(Mux(stays, kept, total)),
            self.after.flags.eq(flags),
        ]
        return m

    def _exceptions(self, m, subtract):
        """Return what results if nothing is added, whether that is so, and the flags it raises."""
        product, value = self.product, self.before.value
        sign = value[31]
        special = value[23:31].all()
        acc_nan = special & value[0:23].any()
        acc_infinite = special & ~value[0:23].any()
        opposite_infinities = acc_infinite & product.infinite & subtract
        kept = Signal(32)
        with m.If(~self.valid):
            m.d.comb += kept.eq(value)
        with m.Elif(acc_nan | product.nan | opposite_infinities):
            m.d.comb += kept.eq(CANONICAL_NAN)
        with m.Elif(product.infinite & ~acc_infinite):
            m.d.comb += kept.eq(Cat(Const(FP32.infinity_code, 31), product.sign))
        with m.Else():
            # An infinity, or the sum with zero: of two zeros, minus zero only if both are.
            acc_zero = ~value[0:31].any()
            m.d.comb += kept.eq(Cat(value[0:31], Mux(acc_zero, sign & product.sign, sign)))
        stays = ~self.valid | special | product.nan | product.infinite | product.zero
        invalid = self.valid & ~acc_nan & (product.invalid | opposite_infinities)
        return kept, stays, invalid
