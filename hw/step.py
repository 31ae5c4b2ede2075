"""A step of an accumulator, in a pipeline: a product is added, and rounded once."""

from types import SimpleNamespace

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

    Parameters
    ----------
    latency : int
        Clocks, 1 to 6.

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
    start : In(Accumulator)
    after : Out(Accumulator)
        The accumulator whose turn it is, before it is replaced.
    """

    def __init__(self, latency: int):
        self.latency = latency
        super().__init__(
            {
                "product": In(Product),
                "valid": In(1),
                "first": In(1),
                "fresh": In(1),
                "start": In(Accumulator),
                "after": Out(Accumulator),
            }
        )

    @property
    def module_name(self):
        return f"fp8_step_{self.latency}"

    def elaborate(self, platform):
        m = Module()
        now = SimpleNamespace()

        def cut(part):
            """Delay all values by a clock, if there are registers after this part."""
            if part in CUTS[self.latency]:
                for name, value in vars(now).items():
                    register = Signal(len(value), name=f"{part}_{name}", reset_less=True)
                    m.d.sync += register.eq(value)
                    setattr(now, name, register)

        # Which is larger? FP32 magnitudes order like their bit patterns, and the low half of a
        # product is zero. A smaller accumulator with an exponent of 0 is a sticky bit, no more.
        before = Signal(Accumulator, reset_less=True)
        value, product = before.value, self.product
        fraction, field = value[0:23], value[23:31]
        acc_is_larger = Signal()
        both_zero = Signal()
        for name, bits in (("sign", 1), ("subtract", 1), ("exponent", 8), ("distance", 8)):
            setattr(now, name, Signal(bits, name=name))
        now.larger, now.smaller = Signal(24, name="larger"), Signal(24, name="smaller")
        product_significand = Cat(Const(0, 16), product.significand)
        m.d.comb += [
            acc_is_larger.eq(value[16:31] >= Cat(product.significand[0:7], product.exponent)),
            both_zero.eq(~product.significand[7] & ~value[0:31].any()),
            # Of two zeros, the sum is minus zero only if both are.
            now.sign.eq(
                Mux(
                    acc_is_larger & ~product.infinite,
                    value[31] & (product.sign | ~both_zero),
                    product.sign,
                )
            ),
            now.subtract.eq(value[31] ^ product.sign),
            now.exponent.eq(Mux(acc_is_larger, field, product.exponent)),
            now.distance.eq(Mux(acc_is_larger, field - product.exponent, product.exponent - field)),
            # What is added to a product of zero passes as if it were normal, whatever it is.
            now.larger.eq(Cat(Mux(acc_is_larger, fraction, product_significand[0:23]), Const(1))),
            now.smaller.eq(Mux(acc_is_larger, product_significand, Cat(fraction, field.any()))),
        ]
        self._exceptions(m, before, now)
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
        now.exponent = Signal(8, name="normal_exponent")
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
        magnitude = Signal(31)
        m.d.comb += magnitude.eq(Cat(now.normal[4:27], now.exponent) + now.round_up)
        no_number = Cat(Mux(now.nan, CANONICAL_NAN, FP32.infinity_code)[0:31], now.sign & ~now.nan)
        number = Cat(magnitude, now.sign)
        m.d.sync += [
            self.after.value.eq(Mux(now.special, no_number, number)),
            self.after.flags.eq(now.flags),
        ]
        # What goes on is that, too, unless another sum begins. Of the four, a constant or a number
        # that varies is chosen first, so that one LUT is enough for a bit.
        constant = Signal()
        m.d.comb += constant.eq(Mux(self.first, self.fresh, now.special))
        m.d.sync += [
            before.value.eq(
                Mux(
                    constant,
                    Mux(self.first, 0, no_number),
                    Mux(self.first, self.start.value, number),
                )
            ),
            before.flags.eq(
                Mux(self.first, Mux(self.fresh, 0, self.start.flags.as_value()), now.flags)
            ),
        ]
        return m

    def _exceptions(self, m, before, now):
        """Tell which flag is raised, whether the sum is no number, and whether a NaN."""
        value, product = before.value, self.product
        limit = Signal()
        acc_nan = Signal()
        acc_infinite = Signal()
        opposite = Signal()
        for name, bits in (("nan", 1), ("special", 1), ("exact", 1), ("flags", 2)):
            setattr(now, name, Signal(bits, name=name))
        m.d.comb += [
            limit.eq(value[23:31].all()),
            acc_nan.eq(limit & value[0:23].any()),
            acc_infinite.eq(limit & ~value[0:23].any()),
            opposite.eq(acc_infinite & product.infinite & now.subtract),
            now.nan.eq(self.valid & acc_nan | product.nan | opposite),
            now.special.eq(now.nan | product.infinite),
            now.exact.eq(limit | product.nan | product.infinite),
            now.flags.eq(before.flags.as_value() | (~acc_nan & (product.invalid | opposite))),
        ]
