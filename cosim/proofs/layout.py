"""Which bits of the Verilog's packed ports mean what, and the numbers that they stand for."""

from collections.abc import Collection
from dataclasses import dataclass

from cosim.proofs import smt
from cosim.proofs.numbers import E4M3, E5M2, Format

LATENCY = 1
"""Clock edges from the operands of a processing element to its accumulator."""

LANE_BITS = 13
"""An operand and its valid bit, in the top."""

PRODUCT_BITS = 21
"""A product, as `Product` describes it."""

ACCUMULATOR_BITS = 34
"""An FP32 number, and above it its flags: invalid, inexact."""


@dataclass(frozen=True)
class AccumulatorForm:
    """Where the parts of an accumulator lie: fraction, exponent, sign; flags: invalid, inexact.

    Without C the exponent has 7 bits and a bias of 63; zero, infinity, and NaN are encoded as in
    FP32.
    """

    load_c: bool

    @property
    def bits(self) -> int:
        """Bits of the whole."""
        return ACCUMULATOR_BITS if self.load_c else ACCUMULATOR_BITS - 1

    def flags(self, term: str) -> str:
        """The flags."""
        return smt.bits(term, self.bits - 2, 2)

    def fp32(self, term: str) -> str:
        """The FP32 code of the number."""
        if self.load_c:
            return smt.bits(term, 0, 32)
        field, top = smt.bits(term, 23, 7), smt.bits(term, 29, 1)
        extreme = smt.disjunction(smt.equal(field, smt.const(end, 7)) for end in (0, 127))
        below = smt.choose(extreme, top, f"(bvnot {top})")
        return smt.concat(smt.bits(term, 30, 1), top, below, smt.bits(term, 0, 29))


@dataclass(frozen=True)
class Operand:
    """A decoded operand: sign, exponent (5), significand (4), infinite, nan; lowest first."""

    term: str

    @property
    def number(self) -> str:
        """What it stands for, in FP32."""
        sign = smt.bits(self.term, 0, 1)
        # The significand counts eighths, and the bias is 15.
        exponent = smt.extend(smt.bits(self.term, 1, 5), 5, 8)
        scale = f"(fp #b0 (bvadd {exponent} {smt.const(127 - 15 - 3, 8)}) {smt.const(0, 23)})"
        eighths = f"((_ to_fp_unsigned 8 24) RNE {smt.bits(self.term, 6, 4)})"
        magnitude = f"(fp.mul RNE {eighths} {scale})"
        finite = smt.choose(smt.equal(sign, "#b1"), f"(fp.neg {magnitude})", magnitude)
        return _special(sign, smt.bit(self.term, 11), smt.bit(self.term, 10), finite)

    @property
    def well_formed(self) -> str:
        """An infinity is no NaN, and its significand is not that of a zero."""
        significand = smt.bits(self.term, 6, 4)
        return smt.implies(
            smt.bit(self.term, 10),
            smt.conjunction(
                [
                    smt.negation(smt.bit(self.term, 11)),
                    smt.negation(smt.equal(significand, smt.const(0, 4))),
                ]
            ),
        )

    def has_form_of(self, fmt: Format) -> str:
        """E5M2 has a fraction of two bits, and E4M3 no infinity: the bit for it is clear."""
        lacks = 6 if fmt is E5M2 else 10
        return smt.negation(smt.bit(self.term, lacks))


@dataclass(frozen=True)
class Product:
    """A product: sign, exponent (8), significand (8), zero, infinite, nan, invalid."""

    term: str

    @property
    def number(self) -> str:
        """What it stands for, in FP32."""
        sign, exponent = smt.bits(self.term, 0, 1), smt.bits(self.term, 1, 8)
        normal = f"(fp {sign} {exponent} {smt.concat(smt.bits(self.term, 9, 7), smt.const(0, 16))})"
        zero = smt.choose(smt.equal(sign, "#b1"), "(_ -zero 8 24)", "(_ +zero 8 24)")
        finite = smt.choose(smt.bit(self.term, 17), zero, normal)
        return _special(sign, smt.bit(self.term, 19), smt.bit(self.term, 18), finite)

    @property
    def invalid(self) -> str:
        """Infinity times zero."""
        return smt.bit(self.term, 20)

    @property
    def well_formed(self) -> str:
        """At most one kind of special, and a significand whose top bit is set but for zeros.

        The exponent is that of a product of two FP8 numbers: from 2**-32 to below 2**32.
        """
        zero, infinite, nan = (smt.bit(self.term, i) for i in (17, 18, 19))
        exponent = smt.bits(self.term, 1, 8)
        normal = smt.conjunction(
            [
                smt.bit(self.term, 16),
                f"(bvuge {exponent} {smt.const(127 - 32, 8)})",
                f"(bvule {exponent} {smt.const(127 + 31, 8)})",
            ]
        )
        return smt.conjunction(
            [
                smt.implies(infinite, smt.negation(smt.disjunction([nan, zero]))),
                smt.implies(self.invalid, nan),
                smt.implies(zero, smt.equal(smt.bits(self.term, 1, 16), smt.const(0, 16))),
                smt.disjunction([zero, infinite, nan, normal]),
            ]
        )

    def has_form_of(self, formats: Collection[Format]) -> str:
        """E5M2 alone has six significant bits, and E4M3 alone nothing infinite or invalid."""
        if E4M3 not in formats:
            return smt.equal(smt.bits(self.term, 9, 2), smt.const(0, 2))
        if E5M2 not in formats:
            return smt.negation(smt.disjunction([smt.bit(self.term, 18), self.invalid]))
        return "true"


def _special(sign: str, nan: str, infinite: str, finite: str) -> str:
    infinity = smt.choose(smt.equal(sign, "#b1"), "(_ -oo 8 24)", "(_ +oo 8 24)")
    return smt.choose(nan, "(_ NaN 8 24)", smt.choose(infinite, infinity, finite))


@dataclass(frozen=True)
class Command:
    """A command, and where its fields lie, as the manifest has it."""

    term: str
    fields: dict[str, dict[str, int]]

    def width(self, name: str) -> int:
        """Bits of a field."""
        return self.fields[name]["width"]

    def field(self, name: str) -> str:
        """A field, as a bit-vector."""
        return smt.bits(self.term, self.fields[name]["offset"], self.width(name))

    @property
    def mode(self) -> str:
        """Target, rounding, saturation, and scale in a row, as the converter takes them."""
        return smt.concat(
            *(self.field(f"mode_{name}") for name in ("scale", "saturate", "rounding", "target"))
        )
