"""The units that make a product: decoders of operands, and a multiplier."""

from itertools import product as pairs

from cosim.proofs import smt
from cosim.proofs.layout import Operand, Product
from cosim.proofs.netlist import Netlist, Trace
from cosim.proofs.numbers import FP32_SORT, OPERANDS, Format, operand
from cosim.proofs.problem import Problem, Shown
from cosim.proofs.statement import Statement, View
from pysim import ArrayConfig

DECODER = "fp8_operand_decoder"


def multiplied(config: ArrayConfig) -> list[Format]:
    """Return the formats that a configuration multiplies."""
    return [fmt for fmt in OPERANDS if fmt.name in config.operand_formats]


def statements(multiplier: str, clocks: int, config: ArrayConfig) -> list[Statement]:
    """Return the statements about the units that make a product.

    Parameters
    ----------
    multiplier : str
        The multiplier's module.
    clocks : int
        Clock edges from its operands to their product.
    config : ArrayConfig
    """
    formats = multiplied(config)
    decoders = [
        Statement(
            f"decoder/{fmt.name}",
            DECODER,
            f"every {fmt.name} code decodes to its number",
            (View(DECODER),),
            lambda unit, fmt=fmt: _decoder(unit, fmt),
        )
        for fmt in formats
    ]
    products = [
        Statement(
            f"multiplier/{a}-{b}",
            multiplier,
            f"the product of every {a} number with every {b} number is exact",
            (View(multiplier),),
            lambda unit, a=a, b=b: _multiplier(unit, clocks, a, b),
        )
        for a, b in pairs(formats, repeat=2)
    ]
    return [*decoders, *products]


def _decoder(netlist: Netlist, fmt: Format) -> dict[str, Problem]:
    unit = Trace(netlist)
    code = unit.wire("code")
    decoded = Operand(unit.wire("operand"))
    got = decoded.number
    text = [netlist.text, unit.text, format_is(unit, fmt)]
    problem = Problem(
        "\n".join(text),
        {
            "the number": smt.equal(got, operand(code, fmt)),
            "the form of the operand": decoded.well_formed,
            f"bits that {fmt.name} lacks": decoded.has_form_of(fmt),
        },
        {
            "code": Shown(code, fmt.name),
            "expected": Shown(operand(code, fmt), "number"),
            "got": Shown(got, "number"),
        },
    )
    return {"": problem}


def _multiplier(
    netlist: Netlist, clocks: int, a_format: Format, b_format: Format
) -> dict[str, Problem]:
    unit = Trace(netlist, "unit", clocks)
    got = Product(unit.wire("product", clocks))
    a, b = Operand(unit.wire("a")), Operand(unit.wire("b"))
    text = [
        netlist.text,
        unit.text,
        smt.declare("a", smt.bit_vector(8)),
        smt.declare("b", smt.bit_vector(8)),
        smt.define("x", FP32_SORT, operand("a", a_format)),
        smt.define("y", FP32_SORT, operand("b", b_format)),
        *(smt.assume(smt.equal(port.number, number)) for port, number in ((a, "x"), (b, "y"))),
        *(smt.assume(port.well_formed) for port in (a, b)),
        smt.assume(a.has_form_of(a_format)),
        smt.assume(b.has_form_of(b_format)),
        smt.define("want", FP32_SORT, "(fp.mul RNE x y)"),
    ]
    invalid = smt.conjunction(["(fp.isNaN want)", "(not (fp.isNaN x))", "(not (fp.isNaN y))"])
    problem = Problem(
        "\n".join(text),
        {
            "the product": smt.equal(got.number, "want"),
            "the invalid flag": smt.equal(got.invalid, invalid),
            "the form of the product": got.well_formed,
            "bits that the formats lack": got.has_form_of({a_format, b_format}),
        },
        {
            "a": Shown("a", a_format.name),
            "b": Shown("b", b_format.name),
            "expected": Shown("want", "number"),
            "got": Shown(got.number, "number"),
        },
    )
    return {"": problem}


def format_is(decoder: Trace, fmt: Format) -> str:
    """Return the assumption that a decoder is asked for a format, if it has more than one."""
    if "format" not in decoder.netlist.widths:
        return ""
    return smt.assume(smt.equal(decoder.vector("format"), smt.const(OPERANDS.index(fmt), 1)))
