"""The exact multiplier: two FP8 operands in, a normalised product out."""

from amaranth.hdl import Module, Signal
from amaranth.lib import data
from amaranth.lib.wiring import In, Out

from hw.hierarchy import Block
from hw.operand import Operand
from hw.shift import normalise
from pysim.formats import E5M2, FP32


class Product(data.Struct):
    """An exact product: ``(-1)**sign * significand * 2**(exponent - 134)`` if it is finite.

    The exponent is that of FP32; the significand has 1.7 bits and its top bit set, but for zero.
    """

    sign: 1
    exponent: 8
    significand: 8
    zero: 1
    infinite: 1
    nan: 1
    invalid: 1


class Multiplier(Block):
    """Multiplies two operands exactly; combinational.

    Members
    -------
    a, b : In(Operand)
    product : Out(Product)
        `nan` includes infinity times zero, for which alone `invalid` is set too.
    """

    a: In(Operand)
    b: In(Operand)
    product: Out(Product)

    module_name = "fp8_multiplier"

    def elaborate(self, platform):
        m = Module()
        a, b, product = self.a, self.b, self.product

        raw = Signal(8)
        m.d.comb += raw.eq(a.significand * b.significand)
        significand, leading_zeros = normalise(m, raw, "normal")

        # A set top bit of the raw product of two 1.3 significands stands for 2.
        top_exponent = FP32.bias - 2 * E5M2.bias + 1
        any_nan = a.nan | b.nan
        any_infinite = a.infinite | b.infinite
        any_zero = ~a.significand.any() | ~b.significand.any()
        m.d.comb += [
            product.sign.eq(a.sign ^ b.sign),
            product.exponent.eq(a.exponent + b.exponent + top_exponent - leading_zeros),
            product.significand.eq(significand),
            product.zero.eq(any_zero),
            product.invalid.eq(any_infinite & any_zero & ~any_nan),
            product.nan.eq(any_nan | product.invalid),
            product.infinite.eq(any_infinite & ~product.nan),
        ]
        return m
