"""The exact multiplier: two FP8 operands in, a normalised product out."""

from collections.abc import Collection
from types import SimpleNamespace

from amaranth.hdl import Cat, Const, Module, Mux, Signal
from amaranth.lib import data
from amaranth.lib.wiring import In, Out

from hw.hierarchy import Block
from hw.operand import Operand
from hw.shift import normalise
from pysim.formats import E4M3, E5M2, FP32, OPERAND_FORMATS, FloatFormat


class Product(data.Struct):
    """An exact product: ``(-1)**sign * significand * 2**(exponent - 134)`` if it is finite.

    The exponent is that of FP32; the significand has 1.7 bits and its top bit set. Of a zero both
    are zero.
    """

    sign: 1
    exponent: 8
    significand: 8
    zero: 1
    infinite: 1
    nan: 1
    invalid: 1


def product_bits(formats: Collection[FloatFormat]) -> int:
    """Return a mask of the bits of a `Product` that vary with numbers of these formats.

    The others are 0: those of E5M2 have six significant bits, and E4M3 has no infinity.
    """
    shape = Product.as_shape()
    constant = 0
    if E4M3 not in formats:
        constant |= 3 << shape["significand"].offset
    if E5M2 not in formats:
        constant |= 1 << shape["infinite"].offset | 1 << shape["invalid"].offset
    return ~constant & (1 << shape.size) - 1


class Multiplier(Block):
    """Multiplies two operands exactly.

    Parameters
    ----------
    latency : int
        Clocks, 0 or 1: with 1, there is a register before the product is normalised.
    formats : tuple of FloatFormat
        Those of the operands.

    Members
    -------
    a, b : In(Operand)
    product : Out(Product)
        `nan` includes infinity times zero, for which alone `invalid` is set too.
    """

    def __init__(self, latency: int = 0, formats: tuple[FloatFormat, ...] = OPERAND_FORMATS):
        self.latency, self.formats = latency, formats
        super().__init__({"a": In(Operand), "b": In(Operand), "product": Out(Product)})

    @property
    def module_name(self):
        return "fp8_pipelined_multiplier" if self.latency else "fp8_multiplier"

    def elaborate(self, platform):
        m = Module()
        a, b, product = self.a, self.b, self.product

        # A product before it is normalised: the exponent is the sum of those of the operands.
        fields = {"sign": 1, "exponent": 6, "significand": 8}
        fields |= dict.fromkeys(("zero", "infinite", "nan", "invalid"), 1)
        raw = SimpleNamespace(
            **{
                name: Signal(bits, name=f"raw_{name}", reset_less=True)
                for name, bits in fields.items()
            }
        )
        any_nan = a.nan | b.nan
        any_infinite = (a.infinite | b.infinite) if E5M2 in self.formats else Const(0)
        # A bit of the significand that is always 0 is not multiplied.
        low = 0 if E4M3 in self.formats else 1
        x, y = a.significand[low:], b.significand[low:]
        any_zero = ~x.any() | ~y.any()
        no_meaning = any_infinite & any_zero & ~any_nan
        m.d["sync" if self.latency else "comb"] += [
            raw.sign.eq(a.sign ^ b.sign),
            raw.exponent.eq(a.exponent + b.exponent),
            raw.significand.eq(Cat(Const(0, 2 * low), x * y)),
            raw.zero.eq(any_zero),
            raw.invalid.eq(no_meaning),
            raw.nan.eq(any_nan | no_meaning),
            raw.infinite.eq(any_infinite & ~any_nan & ~any_zero),
        ]

        # A set top bit of the raw product of two 1.3 significands stands for 2.
        significand, leading_zeros = normalise(m, raw.significand, "normal")
        top_exponent = FP32.bias - 2 * E5M2.bias + 1
        m.d.comb += [
            product.sign.eq(raw.sign),
            product.exponent.eq(
                Mux(raw.zero, 0, raw.exponent + top_exponent - leading_zeros),
            ),
            product.significand.eq(significand),
            product.zero.eq(raw.zero),
            product.invalid.eq(raw.invalid),
            product.nan.eq(raw.nan),
            product.infinite.eq(raw.infinite),
        ]
        return m
