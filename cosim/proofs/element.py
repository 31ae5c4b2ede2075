"""The processing element around its MAC: when its accumulator changes, and how far it can go."""

from cosim.proofs import smt
from cosim.proofs.layout import ACCUMULATOR_BITS, LANE_BITS, LATENCY, Operand
from cosim.proofs.mac import ADDER, ELEMENT, MULTIPLIER
from cosim.proofs.netlist import Netlist, Trace
from cosim.proofs.numbers import RANGE, in_range, is_finite
from cosim.proofs.operands import DECODER
from cosim.proofs.problem import Problem, Shown
from cosim.proofs.statement import Statement, View


def statements() -> list[Statement]:
    """Return the statements about a processing element, apart from its arithmetic."""
    shell = View(ELEMENT, (MULTIPLIER, ADDER))
    return [
        Statement(
            "element/holds",
            ELEMENT,
            "an accumulator and its flags stay as they are unless both operands are valid: "
            "padding never adds a product",
            (shell,),
            lambda unit: {"": _holds(unit)},
        ),
        Statement(
            "element/shifts",
            ELEMENT,
            "while accumulators shift, an element takes its southern neighbour's, flags and all",
            (shell,),
            lambda unit: {"": _shifts(unit)},
        ),
        Statement(
            "element/passes",
            ELEMENT,
            "operands pass to the eastern and southern neighbour, unchanged, a clock later",
            (shell,),
            lambda unit: {"": _passes(unit)},
        ),
        Statement(
            "element/resets",
            ELEMENT,
            "after reset the accumulator is +0 without flags, and nothing valid passes on",
            (shell,),
            lambda unit: {"": _resets(unit)},
        ),
        Statement(
            "element/sticky",
            ELEMENT,
            "a flag of an accumulator, once set, stays set through every step",
            (View(ELEMENT),),
            lambda unit: {"": _sticky(unit)},
        ),
        Statement(
            "range/step",
            ELEMENT,
            RANGE,
            (View(ELEMENT), View(DECODER)),
            lambda unit, decoder: {
                "at the start": _range_start(unit),
                "after a step": _range_step(unit, decoder),
            },
        ),
    ]


def _inputs(unit: Trace) -> dict[str, Shown]:
    return {name: Shown(unit.wire(name)) for name in ("west", "north", "shift", "below", "above")}


def _quiet(unit: Trace, *low: str) -> list[str]:
    """Inputs that are low in every clock but the last, whose inputs do not matter."""
    return [
        smt.assume(smt.negation(unit.wire(name, clock)))
        for clock in range(unit.clocks)
        for name in low
    ]


def _valid(lane: str) -> str:
    return smt.bit(lane, LANE_BITS - 1)


def _holds(netlist: Netlist) -> Problem:
    unit = Trace(netlist, "unit", 1)
    both = smt.conjunction(_valid(unit.wire(side)) for side in ("west", "north"))
    text = [netlist.text, unit.text, *_quiet(unit, "rst", "shift"), smt.assume(f"(not {both})")]
    after = unit.wire("above", 1)
    return Problem(
        "\n".join(text),
        {"the accumulator": smt.equal(after, unit.wire("above"))},
        {**_inputs(unit), "got": Shown(after)},
    )


def _shifts(netlist: Netlist) -> Problem:
    unit = Trace(netlist, "unit", 1)
    text = [netlist.text, unit.text, *_quiet(unit, "rst"), smt.assume(unit.wire("shift"))]
    after = unit.wire("above", 1)
    return Problem(
        "\n".join(text),
        {"the accumulator": smt.equal(after, unit.wire("below"))},
        {**_inputs(unit), "got": Shown(after)},
    )


def _passes(netlist: Netlist) -> Problem:
    unit = Trace(netlist, "unit", 1)
    return Problem(
        "\n".join([netlist.text, unit.text, *_quiet(unit, "rst")]),
        {
            leaving: smt.equal(unit.wire(leaving, 1), unit.wire(entering))
            for entering, leaving in (("west", "east"), ("north", "south"))
        },
        {**_inputs(unit), **{name: Shown(unit.wire(name, 1)) for name in ("east", "south")}},
    )


def _resets(netlist: Netlist) -> Problem:
    unit = Trace(netlist, "unit", 1)
    text = [netlist.text, unit.text, smt.assume(unit.wire("rst"))]
    zero = smt.const(0, ACCUMULATOR_BITS)
    return Problem(
        "\n".join(text),
        {
            "the accumulator": smt.equal(unit.wire("above", 1), zero),
            "the lanes": smt.conjunction(
                smt.negation(_valid(unit.wire(side, 1))) for side in ("east", "south")
            ),
        },
        {**_inputs(unit), "got": Shown(unit.wire("above", 1))},
    )


def _sticky(netlist: Netlist) -> Problem:
    unit = Trace(netlist, "unit", LATENCY)
    before, after = (smt.bits(unit.wire("above", t), 32, 2) for t in (0, LATENCY))
    return Problem(
        "\n".join([netlist.text, unit.text, *_quiet(unit, "rst", "shift")]),
        {"the flags": smt.equal(f"(bvor {before} {after})", after)},
        {**_inputs(unit), "got": Shown(unit.wire("above", LATENCY))},
    )


def _range_start(netlist: Netlist) -> Problem:
    unit = Trace(netlist, "unit", 1)
    after = smt.bits(unit.wire("above", 1), 0, 32)
    return Problem(
        "\n".join([netlist.text, unit.text, smt.assume(unit.wire("rst"))]),
        {"the range": in_range(after)},
        {"got": Shown(after, "fp32")},
    )


def _range_step(element: Netlist, decoder: Netlist) -> Problem:
    a, b = Trace(decoder, "a"), Trace(decoder, "b")
    unit = Trace(element, "unit", LATENCY)
    before, after = (smt.bits(unit.wire("above", t), 0, 32) for t in (0, LATENCY))
    operands = []
    for port, side in (("west", a), ("north", b)):
        operand = side.wire("operand")
        lane = unit.wire(port)
        operands += [
            side.text,
            smt.assume(smt.equal(smt.bits(lane, 0, LANE_BITS - 1), operand)),
            smt.assume(is_finite(Operand(operand).number)),
        ]
    text = [
        decoder.text,
        element.text,
        unit.text,
        *operands,
        *_quiet(unit, "rst", "shift"),
        smt.assume(in_range(before)),
    ]
    number = {"a": Operand(a.wire("operand")).number, "b": Operand(b.wire("operand")).number}
    return Problem(
        "\n".join(text),
        {"the range": in_range(after)},
        {
            "accumulator": Shown(before, "fp32"),
            **{name: Shown(term, "number") for name, term in number.items()},
            "got": Shown(after, "fp32"),
        },
    )
