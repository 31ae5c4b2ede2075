"""Operands: an FP8 code in, sign, exponent, and significand out."""

from collections.abc import Collection

from amaranth.hdl import Const, Module, Mux
from amaranth.lib import data
from amaranth.lib.wiring import In, Out

from hw.hierarchy import Block
from pysim.formats import E4M3, E5M2, OPERAND_FORMATS, FloatFormat

FORMAT_BITS = (len(OPERAND_FORMATS) - 1).bit_length()


class Operand(data.Struct):
    """A decoded FP8 number: ``(-1)**sign * significand * 2**(exponent - 18)`` if it is finite.

    Both formats share one exponent range (the bias of E5M2) and one significand of 1.3 bits, its
    hidden bit clear for subnormal numbers.
    """

    sign: 1
    exponent: 5
    significand: 4
    infinite: 1
    nan: 1


def operand_bits(formats: Collection[FloatFormat]) -> int:
    """Return a mask of the bits of an `Operand` that vary with numbers of these formats.

    The others are 0: E5M2 has a fraction of two bits, and E4M3 has no infinity.
    """
    constant = 0
    if E4M3 not in formats:
        constant |= 1 << Operand.as_shape()["significand"].offset
    if E5M2 not in formats:
        constant |= 1 << Operand.as_shape()["infinite"].offset
    return ~constant & (1 << Operand.as_shape().size) - 1


class OperandDecoder(Block):
    """Decodes an FP8 code; combinational.

    Parameters
    ----------
    formats : tuple of FloatFormat
        One or both of `OPERAND_FORMATS`.

    Members
    -------
    code : In(8)
    format : In(1)
        Position in `OPERAND_FORMATS`: 0 is E5M2, 1 is E4M3. Not there with one format.
    operand : Out(Operand)
    """

    module_name = "fp8_operand_decoder"

    def __init__(self, formats: tuple[FloatFormat, ...] = OPERAND_FORMATS):
        self.formats = formats
        members = {"code": In(8), "operand": Out(Operand)}
        if len(formats) > 1:
            members["format"] = In(FORMAT_BITS)
        super().__init__(members)

    def elaborate(self, platform):
        m = Module()
        if self.formats == OPERAND_FORMATS:
            is_e4m3 = self.format == OPERAND_FORMATS.index(E4M3)
        else:
            is_e4m3 = Const(self.formats == (E4M3,))

        e5m2_field, e5m2_fraction = self.code[2:7], self.code[0:2]
        e4m3_field, e4m3_fraction = self.code[3:7], self.code[0:3]
        rebias = E5M2.bias - E4M3.bias

        m.d.comb += self.operand.sign.eq(self.code[7])
        with m.If(is_e4m3):
            normal = e4m3_field.any()
            m.d.comb += [
                self.operand.exponent.eq(Mux(normal, e4m3_field, 1) + rebias),
                self.operand.significand[0:3].eq(e4m3_fraction),
                self.operand.significand[3].eq(normal),
                self.operand.nan.eq(self.code[0:7] == E4M3.nan_code),
            ]
        with m.Else():
            normal = e5m2_field.any()
            special = e5m2_field.all()
            m.d.comb += [
                self.operand.exponent.eq(Mux(normal, e5m2_field, 1)),
                self.operand.significand[1:3].eq(e5m2_fraction),
                self.operand.significand[3].eq(normal),
                self.operand.infinite.eq(special & ~e5m2_fraction.any()),
                self.operand.nan.eq(special & e5m2_fraction.any()),
            ]
        return m
