"""The converter: FP32 in, a code of any output format out, rounded once."""

from types import SimpleNamespace

from amaranth.hdl import Array, Cat, Const, Module, Mux, Signal
from amaranth.lib import data
from amaranth.lib.wiring import In, Out

from hw.hierarchy import Block
from hw.pipeline import delay
from hw.shift import normalise, shift_right_jamming
from pysim.convert import ROUNDINGS, SCALES, Rounding
from pysim.cycles import CONVERSION_CLOCKS
from pysim.formats import FP32, OUTPUT_FORMATS

PARTS = ("coarse", "normalised", "placed", "halfway", "shifted", "decided")
"""Parts of a conversion that end with a register in a pipeline; one more, of the code, follows."""

assert len(PARTS) + 1 == CONVERSION_CLOCKS


class StatusFlags(data.Struct):
    """The status flags, in the order of `pysim.flags.BITS`."""

    invalid: 1
    overflow: 1
    underflow: 1
    inexact: 1


class ConversionMode(data.Struct):
    """What a conversion aims at.

    `target` is a position in `OUTPUT_FORMATS`, `rounding` one in `ROUNDINGS`; beyond the largest
    finite number `saturate` chooses that number instead of infinity or NaN. Numbers are multiplied
    by 2**`scale`, in two's complement, which is 0 if they are to stay FP32.
    """

    target: (len(OUTPUT_FORMATS) - 1).bit_length()
    rounding: (len(ROUNDINGS) - 1).bit_length()
    saturate: 1
    scale: (len(SCALES) - 1).bit_length()


def is_sound(mode):
    """Return whether a mode is one that there is."""
    passes = mode.target == OUTPUT_FORMATS.index(FP32)
    return (
        (mode.target < len(OUTPUT_FORMATS))
        & (mode.rounding < len(ROUNDINGS))
        & (~passes | (mode.scale == 0))
    )


class Converter(Block):
    """Converts an FP32 number; combinational, or in a pipeline.

    Parameters
    ----------
    random_bits : int
        Bits of `draw`.
    pipelined : bool
        Whether a register follows each of `PARTS`. The mode must stay while numbers are inside.

    Members
    -------
    move : In(6)
        Of a pipeline: bit i lets the register behind part i take what comes.
    value : In(32)
    draw : In(random_bits)
        Used by stochastic rounding only, in the part that is called decided.
    mode : In(ConversionMode)
    draws : Out(1)
        The rounding of the mode uses a draw.
    code : Out(32)
        The code in the low bits, zero above.
    flags : Out(StatusFlags)
    """

    def __init__(self, random_bits: int, pipelined: bool = False):
        self.random_bits, self.pipelined = random_bits, pipelined
        members = {
            "value": In(32),
            "draw": In(random_bits),
            "mode": In(ConversionMode),
            "draws": Out(1),
            "code": Out(32),
            "flags": Out(StatusFlags),
        }
        if pipelined:
            members = {"move": In(len(PARTS)), **members}
        super().__init__(members)

    @property
    def module_name(self):
        return f"fp8_converter_{self.random_bits}"

    def elaborate(self, platform):
        m = Module()

        def cut(part):
            """Put registers behind what goes on, if this is a pipeline."""
            if self.pipelined:
                delay(m, now, part, self.move[PARTS.index(part)])

        def per_format(constant):
            return Array(constant(fmt) for fmt in OUTPUT_FORMATS)[self.mode.target]

        def named(name, shape, value):
            signal = Signal(shape, name=name)
            m.d.comb += signal.eq(value)
            return signal

        # Exponents, from here on, are fields of FP32 in two's complement.
        field, fraction = self.value[23:31], self.value[0:23]
        special = field.all()
        scale = self.mode.scale
        now = SimpleNamespace(
            sign=self.value[31],
            is_nan=special & fraction.any(),
            is_infinite=special & ~fraction.any(),
            exponent=named(
                "exponent", 10, Mux(field.any(), field, 1) + Cat(scale, scale[-1].replicate(2))
            ),
        )
        now.significand, now.far_up = normalise(
            m, Cat(fraction, field.any()), "significand", distances=(16, 8)
        )
        cut("coarse")

        # Below the target's least normal exponent its unit in the last place stops shrinking.
        least = per_format(lambda fmt: FP32.bias + fmt.min_exponent)
        dropped_bits = per_format(lambda fmt: FP32.fraction_bits - fmt.fraction_bits)
        now.above = named("above", 10, now.exponent - least)
        now.shift_below = named("shift_below", 10, dropped_bits + least - now.exponent)
        now.significand, near_up = normalise(m, now.significand, "significand", distances=(4, 2, 1))
        now.up = Cat(near_up, now.far_up)
        del now.exponent, now.far_up
        cut("normalised")

        # A number of a lower exponent is shifted by as much more; zero may be shifted anyhow.
        lifted = named("lifted", 10, now.above - now.up)
        further = named("further", 10, now.shift_below + now.up)
        now.tiny = lifted[-1]
        now.above_least = named(
            "above_least", 9, Mux(now.tiny | ~now.significand[-1], 0, lifted[:-1])
        )
        beyond_shift = Mux(further[6:].any(), 63, further[:6])
        now.shift = named("shift", 6, Mux(now.tiny, beyond_shift, dropped_bits))
        del now.above, now.shift_below, now.up
        cut("placed")

        # The discarded fraction: `random_bits` of it, then a sticky bit.
        r = self.random_bits
        now.shifted, now.lost = shift_right_jamming(
            m, Cat(Const(0, r), now.significand), now.shift[3:], "right", distances=(8, 16, 32)
        )
        now.shift = now.shift[:3]
        del now.significand
        cut("halfway")
        now.shifted, lost_here = shift_right_jamming(m, now.shifted, now.shift, "right")
        now.tail = named("tail", 1, now.lost | lost_here)
        del now.shift, now.lost
        cut("shifted")

        kept, discarded = now.shifted[r:], now.shifted[:r]
        guard = discarded[r - 1]
        below_guard = discarded[: r - 1].any() | now.tail
        carry = named("carry", r + 1, discarded + self.draw)
        rounding = self.mode.rounding
        stochastic = rounding == ROUNDINGS.index(Rounding.STOCHASTIC)
        passes = self.mode.target == OUTPUT_FORMATS.index(FP32)
        m.d.comb += self.draws.eq(stochastic & ~passes)
        now.round_up = round_up = Signal()
        with m.If(stochastic):
            m.d.comb += round_up.eq(carry[r])
        with m.Elif(rounding == ROUNDINGS.index(Rounding.NEAREST)):
            m.d.comb += round_up.eq(guard & (below_guard | kept[0]))
        # Adding the significand to the exponent field lets its hidden bit, and a carry out of
        # rounding, count the field up.
        above_least = now.above_least
        exponent_code = per_format(lambda fmt: above_least << fmt.fraction_bits)
        now.truncated = named("truncated", 32, exponent_code + kept)
        now.inexact = named("inexact", 1, discarded.any() | now.tail)
        del now.above_least, now.shifted, now.tail
        cut("decided")

        is_nan, is_infinite, truncated = now.is_nan, now.is_infinite, now.truncated
        max_code = per_format(lambda fmt: fmt.max_code)
        nan_code = per_format(lambda fmt: fmt.nan_code)
        has_infinity = per_format(lambda fmt: fmt.infinity_code is not None)
        magnitude = named("magnitude", 32, truncated + now.round_up)
        at_limit = (truncated > max_code) | (truncated == max_code) & now.round_up
        beyond = named("beyond", 1, at_limit | is_infinite)
        toward_zero = rounding == ROUNDINGS.index(Rounding.TOWARD_ZERO)
        # An infinity that stays FP32 stays infinite.
        finite_limit = ~passes & (self.mode.saturate | (toward_zero & ~is_infinite))
        limit = Mux(
            finite_limit, max_code, per_format(lambda fmt: fmt.infinity_code or fmt.nan_code)
        )
        becomes_nan = is_nan | (beyond & ~finite_limit & ~has_infinity)
        changed = beyond & ~is_nan & ~(is_infinite & has_infinity & ~finite_limit)
        rounded = now.inexact & ~is_infinite & ~is_nan
        with m.If(becomes_nan):
            m.d.comb += self.code.eq(nan_code)
        with m.Else():
            signed_bit = per_format(lambda fmt: fmt.sign_code)
            m.d.comb += self.code.eq(Mux(beyond, limit, magnitude) | Mux(now.sign, signed_bit, 0))
        m.d.comb += [
            self.flags.overflow.eq(changed),
            self.flags.underflow.eq(rounded & now.tiny),
            self.flags.inexact.eq(rounded | changed),
        ]
        return m
