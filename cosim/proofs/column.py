"""The foot of a column: which numbers it converts, and when its lane draws."""

from cosim.proofs import converter, lfsr, smt
from cosim.proofs.netlist import Netlist, Trace
from cosim.proofs.problem import Problem, Shown
from cosim.proofs.statement import Statement, View
from pysim import ArrayConfig


def module(config: ArrayConfig) -> str:
    """Name of the module of a column's foot."""
    return f"fp8_result_column_{config.lfsr_width}x{config.random_bits}"


def statements(config: ArrayConfig) -> list[Statement]:
    """Return the statements about the foot of a column."""
    unit = module(config)
    lane = View(lfsr.module(config))
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
