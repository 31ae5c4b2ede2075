"""Operands: an FP8 code in, sign, exponent, and significand out."""

from amaranth.hdl import Module, Mux
from amaranth.lib import data
from amaranth.lib.wiring import In, Out

from hw.hierarchy import Block
from pysim.formats import E4M3, E5M2, OPERAND_FORMATS

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


class OperandDecoder(Block):
    """Decodes an FP8 code; combinational.

    Members
    -------
    code : In(8)
    format : In(1)
        Position in `OPERAND_FORMATS`: 0 is E5M2, 1 is E4M3.
    operand : Out(Operand)
    """

    code: In(8)
    format: In(FORMAT_BITS)
    operand: Out(Operand)

    module_name = "fp8_operand_decoder"

    def elaborate(self, platform):
        m = Module()
        is_e4m3 = self.format == OPERAND_FORMATS.index(E4M3)

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
