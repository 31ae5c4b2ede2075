"""The converter: FP32 in, a code of any output format out, rounded once."""

from amaranth.hdl import Array, Cat, Const, Module, Mux, Signal
from amaranth.lib import data
from amaranth.lib.wiring import In, Out

from hw.hierarchy import Block
from hw.shift import shift_right_jamming
from pysim.convert import CANONICAL_NAN, ROUNDINGS, Rounding
from pysim.formats import BF16, FP32, OUTPUT_FORMATS


class StatusFlags(data.Struct):
    """The status flags, in the order of `pysim.flags.BITS`."""

    invalid: 1
    overflow: 1
    underflow: 1
    inexact: 1


class ConversionMode(data.Struct):
    """What a conversion aims at.

    `target` is a position in `OUTPUT_FORMATS`, `rounding` one in `ROUNDINGS`; beyond the largest
    finite number `saturate` chooses that number instead of infinity or NaN.
    """

    target: (len(OUTPUT_FORMATS) - 1).bit_length()
    rounding: (len(ROUNDINGS) - 1).bit_length()
    saturate: 1


class Converter(Block):
    """Converts an FP32 number; combinational.

    Parameters
    ----------
    random_bits : int
        Bits of `draw`.

    Members
    -------
    value : In(32)
    draw : In(random_bits)
        Used by stochastic rounding only.
    mode : In(ConversionMode)
    code : Out(32)
        The code in the low bits, zero above.
    flags : Out(StatusFlags)
    """

    def __init__(self, random_bits: int):
        self.random_bits = random_bits
        super().__init__(
            {
                "value": In(32),
                "draw": In(random_bits),
                "mode": In(ConversionMode),
                "code": Out(32),
                "flags": Out(StatusFlags),
            }
        )

    @property
    def module_name(self):
        return f"fp8_converter_{self.random_bits}"

    def elaborate(self, platform):
        m = Module()
        sign, field, fraction = self.value[31], self.value[23:31], self.value[0:23]
        special = field.all()
        is_nan = special & fraction.any()
        is_infinite = special & ~fraction.any()
        exponent = Mux(field.any(), field, 1)

        def per_format(constant):
            # FP32 passes by, so its entry may be anything.
            narrow = (fmt if fmt is not FP32 else BF16 for fmt in OUTPUT_FORMATS)
            return Array(constant(fmt) for fmt in narrow)[self.mode.target]

        # Below the target's least normal exponent its unit in the last place stops shrinking.
        least = Signal(8)
        above_least = Signal(8)
        below_least = Signal(8)
        m.d.comb += least.eq(per_format(lambda fmt: FP32.bias + fmt.min_exponent))
        subnormal = exponent < least
        m.d.comb += [
            above_least.eq(Mux(subnormal, 0, exponent - least)),
            below_least.eq(Mux(subnormal, least - exponent, 0)),
        ]
        shift = Signal(8)
        far = Signal(6)
        m.d.comb += [
            shift.eq(below_least + per_format(lambda fmt: FP32.fraction_bits - fmt.fraction_bits)),
            far.eq(Mux(shift[6:].any(), 63, shift[0:6])),
        ]

        # The discarded fraction: `random_bits` of it, then a sticky bit.
        r = self.random_bits
        shifted, tail = shift_right_jamming(
            m, Cat(Const(0, r), fraction, field.any()), far, "shifted"
        )
        kept, discarded = shifted[r:], shifted[:r]
        guard = discarded[r - 1]
        below_guard = discarded[: r - 1].any() | tail
        carry = Signal(r + 1)
        m.d.comb += carry.eq(discarded + self.draw)

        round_up = Signal()
        with m.Switch(self.mode.rounding):
            with m.Case(ROUNDINGS.index(Rounding.NEAREST)):
                m.d.comb += round_up.eq(guard & (below_guard | kept[0]))
            with m.Case(ROUNDINGS.index(Rounding.STOCHASTIC)):
                m.d.comb += round_up.eq(carry[r])

        # Adding the significand to the exponent field lets its hidden bit, and a carry out of
        # rounding, count the field up.
        exponent_code = per_format(lambda fmt: above_least << fmt.fraction_bits)
        magnitude = Signal(20)
        m.d.comb += magnitude.eq(exponent_code + kept + round_up)

        max_code = per_format(lambda fmt: fmt.max_code)
        beyond = Signal()
        m.d.comb += beyond.eq((magnitude > max_code) | is_infinite)
        limit = Signal(16)
        toward_zero = self.mode.rounding == ROUNDINGS.index(Rounding.TOWARD_ZERO)
        finite_limit = self.mode.saturate | (toward_zero & ~is_infinite)
        has_infinity = per_format(lambda fmt: fmt.infinity_code is not None)
        m.d.comb += limit.eq(
            Mux(finite_limit, max_code, per_format(lambda fmt: fmt.infinity_code or fmt.nan_code))
        )

        signed_bit = per_format(lambda fmt: fmt.sign_code)
        nan_code = per_format(lambda fmt: fmt.nan_code)
        becomes_nan = is_nan | (beyond & ~finite_limit & ~has_infinity)
        changed = beyond & ~is_nan & ~(is_infinite & has_infinity & ~finite_limit)
        inexact = ~special & (discarded.any() | tail)

        with m.If(self.mode.target == OUTPUT_FORMATS.index(FP32)):
            m.d.comb += self.code.eq(Mux(is_nan, CANONICAL_NAN, self.value))
        with m.Else():
            with m.If(becomes_nan):
                m.d.comb += self.code.eq(nan_code)
            with m.Else():
                m.d.comb += self.code.eq(
                    Mux(beyond, limit, magnitude[0:16]) | Mux(sign, signed_bit, 0)
                )
            m.d.comb += [
                self.flags.overflow.eq(changed),
                self.flags.underflow.eq(inexact & (subnormal | ~field.any())),
                self.flags.inexact.eq(inexact | changed),
            ]
        return m
