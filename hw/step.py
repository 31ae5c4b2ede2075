"""A step of an accumulator, in a pipeline: a product is added, and rounded once."""

from types import SimpleNamespace

from amaranth.hdl import Cat, Const, Module, Mux, Signal
from amaranth.lib import data
from amaranth.lib.wiring import In, Out

from hw.hierarchy import Block
from hw.kind import FULL, Kind
from hw.multiplier import Product
from hw.pipeline import delay
from hw.shift import normalise, shift_right_jamming
from pysim.formats import E5M2

CUTS = {
    1: (),
    2: ("added",),
    3: ("half_aligned", "half_normalised"),
    4: ("half_aligned", "added", "half_normalised"),
    5: ("ordered", "half_aligned", "added", "half_normalised"),
    6: ("ordered", "half_aligned", "added", "half_normalised", "normalised"),
}
"""After which parts of the addition there are registers, besides those at the end."""


class PipelinedStep(Block):
    """A ring of accumulators: adds a product to each in turn, to nearest with ties to even.

    In each clock one of `latency` accumulators takes a step, which ends `latency` clocks later,
    when its turn comes again. The sum, and what the flags mean, are those of `AccumulatorAdder`.

    Without C, accumulators are sums of products alone: zero but not -0, multiples of 2**-32 below
    2**57, the canonical NaN, or infinite if products may be.

    Parameters
    ----------
    latency : int
        Clocks, 1 to 6.
    kind : Kind
        It decides which bits an accumulator has.

    Members
    -------
    product : In(Product)
        What the accumulator whose turn it is takes.
    valid : In(1)
        Without, the accumulator stays as it is, in every bit; the product must be -0 then.
    first : In(1)
        Of the accumulator whose turn it is in the next clock: it is replaced by `start`.
    fresh : In(1)
        With `first`: by +0 without flags instead.
    start : In(Kind.accumulator)
        Without C neither this nor `fresh` is there, and sums start from +0 without flags.
    after : Out(Kind.accumulator)
        The accumulator whose turn it is, before it is replaced.
    """

    def __init__(self, latency: int, kind: Kind = FULL):
        self.latency, self.kind = latency, kind
        members = {
            "product": In(Product),
            "valid": In(1),
            "first": In(1),
            "after": Out(kind.accumulator),
        }
        if kind.load_c:
            members |= {"fresh": In(1), "start": In(kind.accumulator)}
        super().__init__(members)

    @property
    def module_name(self):
        return f"fp8_step_{self.latency}"

    def elaborate(self, platform):
        m = Module()
        now = SimpleNamespace()

        def cut(part):
            """Delay all values by a clock, if there are registers after this part."""
            if part in CUTS[self.latency]:
                delay(m, now, part)

        # Which is larger? FP32 magnitudes order like their bit patterns, and the low half of a
        # product is zero. A smaller accumulator with an exponent of 0 is a sticky bit, no more.
        width = self.kind.exponent_width
        before = Signal(self.kind.accumulator, reset_less=True)
        product = data.View(Product, self.product.as_value() & self.kind.product_bits)
        value, product_exponent = before.value, product.exponent
        if not self.kind.load_c:
            # From a bias of 127 to one of 63: products lie between 2**-32 and 2**32.
            product_exponent = Cat(product.exponent[0:6], product.exponent[7])
        sign, fraction, field = value[-1], value[0:23], value[23:-1]
        acc_is_larger = Signal()
        for name, bits in (("sign", 1), ("subtract", 1), ("exponent", width), ("distance", width)):
            setattr(now, name, Signal(bits, name=name))
        now.larger, now.smaller = Signal(24, name="larger"), Signal(24, name="smaller")
        product_significand = Cat(Const(0, 16), product.significand)
        acc_sign = sign
        if self.kind.load_c:
            # Of two zeros, the sum is minus zero only if both are.
            both_zero = Signal()
            m.d.comb += both_zero.eq(~product.significand[7] & ~value[0:-1].any())
            acc_sign = sign & (product.sign | ~both_zero)
        m.d.comb += [
            acc_is_larger.eq(value[16:-1] >= Cat(product.significand[0:7], product_exponent)),
            now.sign.eq(Mux(acc_is_larger & ~product.infinite, acc_sign, product.sign)),
            now.subtract.eq(sign ^ product.sign),
            now.exponent.eq(Mux(acc_is_larger, field, product_exponent)),
            now.distance.eq(Mux(acc_is_larger, field - product_exponent, product_exponent - field)),
            # What is added to a product of zero passes as if it were normal, whatever it is.
            now.larger.eq(Cat(Mux(acc_is_larger, fraction, product_significand[0:23]), Const(1))),
            now.smaller.eq(Mux(acc_is_larger, product_significand, Cat(fraction, field.any()))),
        ]
        self._exceptions(m, before, product, now)
        cut("ordered")

        # Guard, round, and sticky bits: with them the sum of the aligned significands rounds like
        # the exact sum.
        distance = now.distance
        beyond = distance[5:].any()
        aligned, lost = shift_right_jamming(
            m, Cat(Const(0, 3), now.smaller), distance[0:4], "shifted"
        )
        now.aligned = Mux(beyond, 0, aligned)
        now.lost = lost | beyond & now.smaller.any()
        now.sixteen = distance[4]
        cut("half_aligned")
        aligned, lost = shift_right_jamming(m, now.aligned, now.sixteen, "shifted", (16,))
        now.aligned = Cat(aligned[0] | lost | now.lost, aligned[1:])

        # One adder: the complement, and a carry from a place below, subtract.
        addend = Cat(now.aligned, Const(0, 1)) ^ now.subtract.replicate(28)
        total = Signal(29)
        m.d.comb += total.eq(Cat(Const(1, 1), Const(0, 3), now.larger) + Cat(now.subtract, addend))
        now.raw = total[1:]
        cut("added")

        now.raw, now.coarse = normalise(m, now.raw, "normal", (16, 8, 4))
        cut("half_normalised")
        now.normal, fine = normalise(m, now.raw, "normal", (2, 1))
        exponent = now.exponent
        now.exponent = Signal(width, name="normal_exponent")
        # Nothing is left if the top bit is not set.
        cancelled = ~now.normal[27]
        m.d.comb += [
            now.exponent.eq(Mux(cancelled, 0, exponent + 1 - Cat(fine, now.coarse))),
        ]
        now.sign = now.sign & (now.special | ~cancelled)
        last_place, guard, tail = now.normal[4], now.normal[3], now.normal[0:3].any()
        now.round_up = guard & (tail | last_place)
        inexact = ~now.exact & (guard | tail)
        now.flags = now.flags | Cat(Const(0, 1), inexact)
        cut("normalised")

        # A carry out of rounding counts the exponent field up.
        magnitude = Signal(23 + width)
        m.d.comb += magnitude.eq(Cat(now.normal[4:27], now.exponent) + now.round_up)
        # An infinity, or the canonical NaN.
        no_number = Cat(Const(0, 22), now.nan, Const((1 << width) - 1, width), now.sign & ~now.nan)
        number = Cat(magnitude, now.sign)
        m.d.sync += [
            self.after.value.eq(Mux(now.special, no_number, number)),
            self.after.flags.eq(now.flags),
        ]
        # What goes on is that, too, unless another sum begins. Of the four, a constant or a number
        # that varies is chosen first, so that one LUT is enough for a bit.
        constant = Signal()
        if self.kind.load_c:
            zero, start = self.fresh, self.start
            start_value, start_flags = start.value, start.flags.as_value() & self.kind.flag_bits
        else:
            zero, start_value, start_flags = Const(1), Const(0), Const(0)
        m.d.comb += constant.eq(Mux(self.first, zero, now.special))
        m.d.sync += [
            before.value.eq(
                Mux(
                    constant,
                    Mux(self.first, 0, no_number),
                    Mux(self.first, start_value, number),
                )
            ),
            before.flags.eq(Mux(self.first, Mux(zero, 0, start_flags), now.flags)),
        ]
        return m

    def _exceptions(self, m, before, product, now):
        """Tell which flag is raised, whether the sum is no number, and whether a NaN."""
        value = before.value
        limit = Signal()
        acc_nan = Signal()
        acc_infinite = Signal()
        opposite = Signal()
        for name, bits in (("nan", 1), ("special", 1), ("exact", 1), ("flags", 2)):
            setattr(now, name, Signal(bits, name=name))
        if self.kind.load_c:
            any_nan = value[0:23].any()
        else:
            # The only NaN is the canonical one, and infinities are made of infinite products.
            any_nan = value[22] if E5M2 in self.kind.formats else Const(1)
        m.d.comb += [
            limit.eq(value[23:-1].all()),
            acc_nan.eq(limit & any_nan),
            acc_infinite.eq(limit & ~any_nan),
            opposite.eq(acc_infinite & product.infinite & now.subtract),
            now.nan.eq(self.valid & acc_nan | product.nan | opposite),
            now.special.eq(now.nan | product.infinite),
            now.exact.eq(limit | product.nan | product.infinite),
            now.flags.eq(before.flags.as_value() | (~acc_nan & (product.invalid | opposite))),
        ]
