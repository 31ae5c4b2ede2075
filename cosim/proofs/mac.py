"""The MAC step: operands decoded, multiplied, and added to the accumulator as IEEE 754 says.

The units are proved one by one, each against the number that it should deliver, so that a fault is
laid at the right door; and then once more in a row, as a processing element wires them.
"""

from itertools import product as pairs

from cosim.proofs import operands, smt
from cosim.proofs.layout import LATENCY, Product
from cosim.proofs.netlist import Netlist, Trace
from cosim.proofs.numbers import FP32_SORT, OPERANDS, Format, fp32, inexact, operand, same_fp32
from cosim.proofs.operands import DECODER, format_is
from cosim.proofs.problem import Problem, Shown
from cosim.proofs.statement import Statement, View
from pysim import ArrayConfig

MULTIPLIER, ADDER, ELEMENT = "fp8_multiplier", "fp8_accumulator_adder", "fp8_pe"


def statements(config: ArrayConfig) -> list[Statement]:
    """Return the statements about the units that make a MAC step."""
    adder = [
        Statement(
            "adder/sum",
            ADDER,
            "any FP32 number and any product add up to IEEE 754's sum, to nearest even",
            (View(ADDER),),
            _adder,
        ),
        Statement(
            "adder/flags",
            ADDER,
            "inexact says that a sum was rounded, invalid that it has no meaning",
            (View(ADDER),),
            _adder_flags,
        ),
    ]
    return [*operands.statements(MULTIPLIER, 0, config), *adder]


def steps() -> list[Statement]:
    """Return the statements about the step of a processing element; they take longest."""
    return [
        Statement(
            f"mac/{a}-{b}",
            ELEMENT,
            f"a step adds the product of any {a} code and any {b} code to any FP32 accumulator "
            "as IEEE 754's fused multiply-add does",
            (View(ELEMENT), View(DECODER)),
            lambda element, decoder, a=a, b=b: _step(element, decoder, a, b),
            short=(a, b) == OPERANDS,
        )
        for a, b in pairs(OPERANDS, repeat=2)
    ]


def _adder_text(netlist: Netlist) -> tuple[Trace, str, dict[str, Shown]]:
    unit = Trace(netlist)
    product = Product(unit.wire("product"))
    text = [
        netlist.text,
        unit.text,
        smt.assume(product.well_formed),
        smt.define("addend", FP32_SORT, product.number),
        smt.define("before", FP32_SORT, fp32(unit.wire("accumulator"))),
        smt.define("sum", FP32_SORT, "(fp.add RNE before addend)"),
    ]
    shown = {
        "accumulator": Shown(unit.wire("accumulator"), "fp32"),
        "product": Shown("addend", "number"),
    }
    return unit, "\n".join(text), shown


def _adder(netlist: Netlist) -> dict[str, Problem]:
    unit, text, shown = _adder_text(netlist)
    total = unit.wire("total")
    shown |= {"expected": Shown("sum", "number"), "got": Shown(total, "fp32")}
    return _one(Problem(text, {"the sum": same_fp32(total, "sum")}, shown))


def _adder_flags(netlist: Netlist) -> dict[str, Problem]:
    unit, text, shown = _adder_text(netlist)
    product = Product(unit.wire("product"))
    flags = unit.wire("flags")
    # A NaN among the operands is quiet. Infinity times zero comes as a NaN with a flag of its own.
    invalid = smt.conjunction(
        [
            "(not (fp.isNaN before))",
            smt.disjunction(
                [product.invalid, smt.conjunction(["(not (fp.isNaN addend))", "(fp.isNaN sum)"])]
            ),
        ]
    )
    return _one(
        Problem(
            text,
            {
                "the invalid flag": smt.equal(smt.bit(flags, 0), invalid),
                "the inexact flag": smt.equal(smt.bit(flags, 1), inexact("before", "addend")),
            },
            shown | {"flags": Shown(flags)},
        )
    )


def _step(
    element: Netlist, decoder: Netlist, a_format: Format, b_format: Format
) -> dict[str, Problem]:
    a, b = Trace(decoder, "a"), Trace(decoder, "b")
    unit = Trace(element, "element", LATENCY)
    before, after = unit.wire("above"), unit.wire("above", LATENCY)
    quiet = [
        smt.assume(smt.negation(unit.wire(name, clock)))
        for clock in range(LATENCY)
        for name in ("rst", "shift")
    ]
    enters = [
        smt.assume(smt.equal(unit.wire(port), smt.concat("#b1", side.wire("operand"))))
        for port, side in (("west", a), ("north", b))
    ]
    text = [
        decoder.text,
        element.text,
        a.text,
        b.text,
        unit.text,
        format_is(a, a_format),
        format_is(b, b_format),
        *quiet,
        *enters,
        smt.define("x", FP32_SORT, operand(a.wire("code"), a_format)),
        smt.define("y", FP32_SORT, operand(b.wire("code"), b_format)),
        smt.define("before", FP32_SORT, fp32(smt.bits(before, 0, 32))),
        smt.define("want", FP32_SORT, "(fp.add RNE before (fp.mul RNE x y))"),
    ]
    got = smt.bits(after, 0, 32)
    shown = {
        "accumulator": Shown(smt.bits(before, 0, 32), "fp32"),
        "flags": Shown(smt.bits(before, 32, 2)),
        "a": Shown(a.wire("code"), a_format.name),
        "b": Shown(b.wire("code"), b_format.name),
        "expected": Shown("want", "number"),
        "got": Shown(got, "fp32"),
    }
    no_nan = smt.conjunction(f"(not (fp.isNaN {z}))" for z in ("before", "x", "y"))
    invalid = smt.conjunction([no_nan, "(fp.isNaN want)"])
    raised = smt.concat(smt.as_bit(inexact("before", "(fp.mul RNE x y)")), smt.as_bit(invalid))
    flags = f"(bvor {smt.bits(before, 32, 2)} {raised})"
    return {
        "sum": Problem("\n".join(text), {"the sum": same_fp32(got, "want")}, shown),
        "flags": Problem(
            "\n".join(text),
            {"the flags": smt.equal(smt.bits(after, 32, 2), flags)},
            {**shown, "expected flags": Shown(flags), "got flags": Shown(smt.bits(after, 32, 2))},
        ),
    }


def _one(problem: Problem) -> dict[str, Problem]:
    return {"": problem}
