"""The foot of a column: which numbers it converts, and when its lane draws."""

from cosim.proofs import converter, lfsr, smt
from cosim.proofs.netlist import Netlist, Trace
from cosim.proofs.problem import Problem, Shown
from cosim.proofs.statement import Statement, View
from cosim.proofs.wires import same_wires
from pysim import ArrayConfig


def module(config: ArrayConfig) -> str:
    """Name of the module of a column's foot."""
    return f"fp8_result_column_{config.lfsr_width}x{config.random_bits}"


def statements(config: ArrayConfig) -> list[Statement]:
    """Return the statements about the foot of a column."""
    unit = module(config)
    lane = View(lfsr.module(config))
    if config.latency:
        shell = View(unit, (converter.module(config), lfsr.module(config)))
        return [
            Statement(
                "column/moves",
                unit,
                "with an advance each number in the converter moves one part on, and an accepted "
                "one enters; without, all stay where they are; after reset there are none",
                (shell,),
                lambda netlist: {"": _moves(netlist)},
            ),
            Statement(
                "column/result",
                unit,
                "a number that leaves the converter leaves its code, and is told of, until the "
                "next advance; flags are raised for such numbers alone",
                (shell,),
                lambda netlist: {"": _leaves(netlist)},
            ),
            Statement(
                "column/draws",
                unit,
                "the lane draws once for each number that is to be rounded with a draw, at its "
                "turn, and for nothing else; it is loaded, and read, as the column is",
                (shell,),
                lambda netlist: {"": _draws_at_turn(netlist)},
            ),
        ]
    return [
        Statement(
            "column/result",
            unit,
            "a number that is accepted leaves as the converter's code, with the lane's draw; "
            "the code stays until the next one, and flags are raised for accepted numbers alone",
            (View(unit), View(converter.module(config)), lane),
            lambda *netlists: {"": _result(*netlists)},
        ),
        Statement(
            "column/draws",
            unit,
            "the lane draws once for each accepted stochastic result narrower than FP32, "
            "and for nothing else",
            (View(unit), lane),
            lambda *netlists: {"": _draws(*netlists)},
        ),
    ]


def _result(column: Netlist, convert: Netlist, lane: Netlist) -> Problem:
    unit, inner, draws = Trace(column, "column", 1), Trace(convert, "convert"), Trace(lane, "lane")
    accept = unit.wire("accept")
    text = [
        *(part.text for part in (column, convert, lane, unit, inner, draws)),
        smt.assume(smt.negation(unit.wire("rst"))),
        *(smt.assume(smt.equal(inner.wire(p), unit.wire(p))) for p in ("value", "mode")),
        smt.assume(smt.equal(draws.wire("state"), unit.wire("state"))),
        smt.assume(smt.equal(inner.wire("draw"), draws.wire("draw"))),
    ]
    code = smt.choose(accept, inner.wire("code"), unit.wire("code"))
    flags = smt.choose(accept, inner.wire("flags"), smt.const(0, 4))
    return Problem(
        "\n".join(text),
        {
            "the code": smt.equal(unit.wire("code", 1), code),
            "the flags": smt.equal(unit.wire("flags"), flags),
        },
        {
            "accept": Shown(accept),
            "value": Shown(unit.wire("value"), "fp32"),
            "mode": Shown(unit.wire("mode")),
            "draw": Shown(inner.wire("draw")),
            "expected": Shown(code),
            "got": Shown(unit.wire("code", 1)),
        },
    )


def _draws(column: Netlist, lane: Netlist) -> Problem:
    unit, inner = Trace(column, "column", 1), Trace(lane, "lane", 1)
    mode = unit.wire("mode")
    stochastic = smt.equal(smt.bits(mode, 3, 2), smt.const(converter.ROUNDINGS["stochastic"], 2))
    narrow = smt.negation(smt.equal(smt.bits(mode, 0, 3), smt.const(0, 3)))
    draws = smt.conjunction([unit.wire("accept"), stochastic, narrow])
    shared = ("rst", "seed", "load", "load_state", "state")
    text = [
        *(part.text for part in (column, lane, unit, inner)),
        *(smt.assume(smt.equal(inner.wire(port), unit.wire(port))) for port in shared),
        smt.assume(smt.equal(inner.wire("advance"), draws)),
    ]
    want, got = inner.wire("state", 1), unit.wire("state", 1)
    return Problem(
        "\n".join(text),
        {"the next state of the lane": smt.equal(got, want)},
        {
            "accept": Shown(unit.wire("accept")),
            "mode": Shown(mode),
            "load": Shown(unit.wire("load")),
            "state": Shown(unit.wire("state")),
            "expected": Shown(want),
            "got": Shown(got),
        },
    )


def _moves(column: Netlist) -> Problem:
    unit = Trace(column, "column", 1)
    parts = converter.PARTS
    accept, advance, inside = unit.vector("accept"), unit.wire("advance"), unit.wire("inside")
    entering = smt.concat(smt.bits(inside, 0, parts - 1), accept)
    after = smt.choose(advance, entering, inside)
    after = smt.choose(unit.wire("rst"), smt.const(0, parts), after)
    pairs = {
        "which parts have a number": (unit.wire("inside", 1), after),
        "which parts move": (
            unit.wire("converter.move"),
            smt.choose(advance, entering, smt.const(0, parts)),
        ),
        "the number": (unit.wire("converter.value"), unit.wire("value")),
        "the mode": (unit.wire("converter.mode"), unit.wire("mode")),
    }
    return same_wires(unit, pairs)


def _leaves(column: Netlist) -> Problem:
    unit = Trace(column, "column", 1)
    advance, last = unit.wire("advance"), smt.bit(unit.wire("inside"), converter.PARTS - 1)
    leaves = smt.conjunction([advance, last])
    kept = unit.wire("kept")
    pairs = {
        "the code": (
            unit.wire("code", 1),
            smt.choose(
                advance,
                smt.choose(last, unit.wire("converter.code"), smt.const(0, 32)),
                unit.wire("code"),
            ),
        ),
        "the flags": (
            unit.wire("flags"),
            smt.choose(leaves, unit.wire("converter.flags"), smt.const(0, 4)),
        ),
        "whether it is told of": (unit.wire("kept", 1), smt.choose(advance, last, kept)),
    }
    return same_wires(unit, pairs)


def _draws_at_turn(column: Netlist) -> Problem:
    unit = Trace(column, "column")
    turn = smt.bit(unit.wire("converter.move"), converter.PARTS - 1)
    pairs = {
        "when the lane draws": (
            unit.wire("lfsr.advance"),
            smt.conjunction([turn, unit.wire("converter.draws")]),
        ),
        "the draw": (unit.vector("converter.draw"), unit.vector("lfsr.draw")),
        "the state": (unit.wire("state"), unit.wire("lfsr.state")),
        **{
            f"{name} of the lane": (unit.wire(f"lfsr.{name}"), unit.wire(name))
            for name in ("seed", "load", "load_state", "rst")
        },
    }
    return same_wires(unit, pairs)
