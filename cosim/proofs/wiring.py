"""How elements are joined to an array: which element gets which operand, and when.

Each module is looked at by itself, with those in it left open, so that the cost grows with the
sides of an array and not with its area. Put together, clock by clock: element (i, j) meets column k
of A and row k of B, i + j clocks after they entered; its accumulator shifts up the column.
"""

from cosim.proofs import smt
from cosim.proofs.layout import ACCUMULATOR_BITS, LANE_BITS
from cosim.proofs.mac import ELEMENT
from cosim.proofs.netlist import Netlist, Trace
from cosim.proofs.problem import Problem
from cosim.proofs.statement import Statement, View
from cosim.proofs.wires import delays, same_wires
from pysim import ArrayConfig


def skew_module(lanes: int) -> str:
    """Name of the module that skews the operands of a side."""
    return f"fp8_skew_{lanes}"


def row_module(config: ArrayConfig) -> str:
    """Name of the module of a row."""
    return f"fp8_row_{config.cols}"


def systolic_module(config: ArrayConfig) -> str:
    """Name of the module of the elements and their skews."""
    return f"fp8_systolic_array_{config.rows}x{config.cols}"


def statements(config: ArrayConfig) -> list[Statement]:
    """Return the statements about the wires between elements."""
    sides = sorted({config.rows, config.cols})
    row, systolic = row_module(config), systolic_module(config)
    return [
        *(
            Statement(
                f"skew/{lanes}",
                skew_module(lanes),
                f"lane i leaves i clocks after it entered, for each of {lanes} lanes; "
                "reset leaves nothing valid in any",
                (View(skew_module(lanes)),),
                lambda netlist, lanes=lanes: _skew(netlist, lanes),
            )
            for lanes in sides
        ),
        Statement(
            "row/wiring",
            row,
            "each element takes A from its western neighbour and B from its own column, and shifts "
            "in its own column",
            (View(row, (ELEMENT,)),),
            lambda netlist: {"": _row(netlist, config.cols)},
        ),
        Statement(
            "systolic/wiring",
            systolic,
            "a row takes A from its lane and B from the row above, and shifts from the row below",
            (View(systolic, tuple({row, *map(skew_module, sides)})),),
            lambda netlist: {"": _systolic(netlist, config)},
        ),
    ]


def _lane(packed: str, index: int, width: int = LANE_BITS) -> str:
    return smt.bits(packed, index * width, width)


def _skew(netlist: Netlist, lanes: int) -> dict[str, Problem]:
    problems = {"delay": delays(netlist, lanes, LANE_BITS)}
    if lanes > 1:
        problems["reset"] = _skew_after_reset(netlist, lanes)
    return problems


def _skew_after_reset(netlist: Netlist, lanes: int) -> Problem:
    """Reset, then nothing valid enters: nothing valid leaves."""
    unit = Trace(netlist, "unit", lanes)

    def valid(packed: str, clock: int, lane: int) -> str:
        return smt.bit(unit.wire(packed, clock), lane * LANE_BITS + LANE_BITS - 1)

    entering = [
        smt.assume(smt.negation(valid("aligned", t, i)))
        for t in range(1, lanes + 1)
        for i in range(lanes)
    ]
    text = [netlist.text, unit.text, smt.assume(unit.wire("rst")), *entering]
    return Problem(
        "\n".join(text),
        {
            f"lane {i} after {t} clocks": smt.negation(valid("skewed", t, i))
            for t in range(1, lanes + 1)
            for i in range(lanes)
        },
    )


def _row(netlist: Netlist, cols: int) -> Problem:
    unit = Trace(netlist)

    def accumulator(port: str, col: int) -> str:
        return _lane(unit.wire(port), col, ACCUMULATOR_BITS)

    pairs = {}
    for col in range(cols):
        pe = f"pe_{col}"
        west = unit.wire(f"pe_{col - 1}.east") if col else unit.wire("west")
        pairs |= {
            f"A into {pe}": (unit.wire(f"{pe}.west"), west),
            f"B into {pe}": (unit.wire(f"{pe}.north"), _lane(unit.wire("north"), col)),
            f"B out of {pe}": (_lane(unit.wire("south"), col), unit.wire(f"{pe}.south")),
            f"accumulator into {pe}": (unit.wire(f"{pe}.below"), accumulator("below", col)),
            f"accumulator out of {pe}": (accumulator("above", col), unit.wire(f"{pe}.above")),
            f"shift of {pe}": (unit.wire(f"{pe}.shift"), unit.wire("shift")),
            f"reset of {pe}": (unit.wire(f"{pe}.rst"), unit.wire("rst")),
        }
    return same_wires(unit, pairs)


def _systolic(netlist: Netlist, config: ArrayConfig) -> Problem:
    unit = Trace(netlist)
    a, b = unit.wire("a_skew.skewed"), unit.wire("b_skew.skewed")
    pairs = {
        "A into its skew": (unit.wire("a_skew.aligned"), unit.wire("a")),
        "B into its skew": (unit.wire("b_skew.aligned"), unit.wire("b")),
        "accumulators out": (unit.wire("top"), unit.wire("row_0.above")),
    }
    for row in range(config.rows):
        name = f"row_{row}"
        north = unit.wire(f"row_{row - 1}.south") if row else b
        last = row == config.rows - 1
        below = unit.wire("bottom") if last else unit.wire(f"row_{row + 1}.above")
        pairs |= {
            f"A into {name}": (unit.wire(f"{name}.west"), _lane(a, row)),
            f"B into {name}": (unit.wire(f"{name}.north"), north),
            f"accumulators into {name}": (unit.wire(f"{name}.below"), below),
            f"shift of {name}": (unit.wire(f"{name}.shift"), unit.wire("shift")),
            f"reset of {name}": (unit.wire(f"{name}.rst"), unit.wire("rst")),
        }
    for side, lanes in (("a", config.rows), ("b", config.cols)):
        if lanes > 1:
            reset = unit.wire(f"{side}_skew.rst")
            pairs[f"reset of the skew of {side.upper()}"] = (reset, unit.wire("rst"))
    return same_wires(unit, pairs)
