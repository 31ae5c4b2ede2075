"""Statements about wires: that they carry what is expected of them, now or some clocks later."""

from collections.abc import Callable, Iterable

from cosim.proofs import smt
from cosim.proofs.netlist import Netlist, Trace
from cosim.proofs.problem import Problem, Shown


def same_wires(
    unit: Trace, pairs: dict[str, tuple[str, str]], commands: Iterable[str] = ()
) -> Problem:
    """Return the problem of wires that are to be equal to what is expected of them.

    Parameters
    ----------
    unit : Trace
    pairs : dict
        A wire and what is expected, by what they say.
    commands : iterable of str
        Assumptions and definitions.
    """
    shown = {}
    for says, (got, expected) in pairs.items():
        shown |= {
            says: Shown(got, goal=says),
            f"{says}, expected": Shown(expected, goal=says),
        }
    return Problem(
        "\n".join([unit.netlist.text, unit.text, *commands]),
        {says: smt.equal(*pair) for says, pair in pairs.items()},
        shown,
    )


def delays(
    netlist: Netlist, lanes: int, width: int, form: Callable[[str], str] = lambda lane: "true"
) -> Problem:
    """Return the problem whether lane i of a skew, so many bits wide, leaves i clocks late.

    Of what enters a lane, `form` is supposed.
    """
    unit = Trace(netlist, "unit", lanes - 1)
    last = lanes - 1
    quiet = [smt.assume(smt.negation(reset)) for t in range(last) for reset in _resets(unit, t)]
    quiet += [
        smt.assume(form(smt.bits(unit.wire("aligned", t), i * width, width)))
        for t in range(lanes)
        for i in range(lanes)
    ]
    leaving = [smt.bits(unit.wire("skewed", last), i * width, width) for i in range(lanes)]
    return Problem(
        "\n".join([netlist.text, unit.text, *quiet]),
        {
            f"lane {i}": smt.equal(
                leaving[i], smt.bits(unit.wire("aligned", last - i), i * width, width)
            )
            for i in range(lanes)
        },
        {f"lane {i}": Shown(leaving[i]) for i in range(lanes)},
    )


def _resets(unit: Trace, clock: int) -> list[str]:
    """The reset in a clock; a module without registers has none."""
    return [unit.wire("rst", clock)] if "rst" in unit.netlist.widths else []
