"""Operands in flight, and what is left in accumulators: the elements of the whole array at once.

An operand that entered g clocks ago is g registers far. While a tile flushes, the last one to enter
moves on, and nothing follows it; so nothing valid is left when accumulators begin to shift. Rows of
an accumulator that shifts up leave zeros below. The invariant says both, register by register.
"""

from cosim.proofs import column, smt
from cosim.proofs.control import Control
from cosim.proofs.counts import add, less, number
from cosim.proofs.induction import Clock, Run
from cosim.proofs.layout import ACCUMULATOR_BITS, LANE_BITS
from cosim.proofs.mac import ADDER, MULTIPLIER
from cosim.proofs.netlist import Netlist
from cosim.proofs.operands import DECODER
from cosim.proofs.statement import Statement, View
from pysim import ArrayConfig
from rtl_gen import Design


def statements(design: Design) -> list[Statement]:
    """Return the statements about the elements of an array, taken together."""
    config, top = design.config, design.manifest["top"]
    view = View(top, (MULTIPLIER, ADDER, DECODER, column.module(config)))
    return [
        Statement(
            "tiles/clean",
            top,
            "whenever no command is in work, every accumulator is +0 without flags, so that a tile "
            "never inherits from the one before; elements that a tile does not use stay so, "
            "but for C on its way through unused rows",
            (view,),
            lambda netlist: {"": _run(netlist, design, "clean").induction()},
        ),
        Statement(
            "tiles/complete",
            top,
            "accumulators never shift while a product is still to be added",
            (view,),
            lambda netlist: {"": _run(netlist, design, "complete").induction()},
        ),
    ]


def _run(netlist: Netlist, design: Design, stated: str) -> Run:
    config = design.config
    control = Control(config, design.manifest["command_fields"], "control.")
    grid = _Grid(config, control)
    return Run(
        netlist,
        goals=grid.clean if stated == "clean" else grid.complete,
        invariant=lambda clock: {
            **control.shape(clock),
            **grid.operands(clock),
            **grid.accumulators(clock),
        },
        assumptions=control.assumptions,
        at_reset=control.at_reset,
        clocks=config.rows + config.cols + 8,
        shown=control.shown,
    )


class _Grid:
    """The registers of the elements and of the skews before them."""

    def __init__(self, config: ArrayConfig, control: Control) -> None:
        self.config, self.control = config, control
        self.places = [(i, j) for i in range(config.rows) for j in range(config.cols)]

    def _pe(self, clock: Clock, place: tuple[int, int], port: str) -> str:
        return clock.wire(f"systolic.row_{place[0]}.pe_{place[1]}.{port}")

    def _fields(self, clock: Clock) -> tuple[str, str]:
        command = self.control.wire(clock, "command")
        return self.control.field(command, "rows"), self.control.field(command, "cols")

    def complete(self, clock: Clock) -> dict[str, str]:
        """No element has both operands while accumulators shift."""
        both = smt.disjunction(
            smt.conjunction(
                smt.bit(self._pe(clock, place, side), LANE_BITS - 1) for side in ("west", "north")
            )
            for place in self.places
        )
        shift = self.control.wire(clock, "shift")
        return {"no product in the clock of a shift": smt.implies(shift, smt.negation(both))}

    def clean(self, clock: Clock) -> dict[str, str]:
        """Accumulators are zero when idle, and outside of the tile always."""
        idle = smt.negation(self.control.wire(clock, "busy"))
        rows, cols = self._fields(clock)
        loads = self.control.phase_is(clock, "LOAD")
        converts = self.control.phase_is(clock, "CONVERT")
        goals = {}
        for i, j in self.places:
            used_row = smt.disjunction([less(number(i), rows), loads])
            used = smt.conjunction([used_row, less(number(j), cols)])
            clean = smt.disjunction([idle, converts, smt.negation(used)])
            goals[f"element {(i, j)}"] = smt.implies(clean, self._is_zero(clock, (i, j)))
        return goals

    def _is_zero(self, clock: Clock, place: tuple[int, int]) -> str:
        return smt.equal(self._pe(clock, place, "above"), smt.const(0, ACCUMULATOR_BITS))

    def operands(self, clock: Clock) -> dict[str, str]:
        """Where valid operands may be."""
        rows, cols = self._fields(clock)
        terms = {}
        for side, count, used in (("a", self.config.rows, rows), ("b", self.config.cols, cols)):
            for lane in range(1, count):
                packed = clock.wire(f"systolic.{side}_skew.lane_{lane}")
                for stage in range(lane):
                    valid = smt.bit(packed, stage * LANE_BITS + LANE_BITS - 1)
                    terms[f"lane {lane} of {side}, {stage + 1} clocks on"] = smt.implies(
                        valid, self._may_be(clock, stage + 1, less(number(lane), used))
                    )
        for i, j in self.places:
            for port, used in (
                ("east", less(number(i), rows)),
                ("south", less(number(j), cols)),
            ):
                valid = smt.bit(self._pe(clock, (i, j), port), LANE_BITS - 1)
                terms[f"{port} of element {(i, j)}"] = smt.implies(
                    valid, self._may_be(clock, i + j + 1, used)
                )
        return terms

    def _may_be(self, clock: Clock, age: int, used: str) -> str:
        """Whether an operand that entered `age` clocks ago may be there, in a lane that is used."""
        control = self.control
        ahead = smt.negation(
            less(add(control.remaining(clock), number(age)), number(control.crossing))
        )
        flushes = smt.conjunction([control.phase_is(clock, "FLUSH"), ahead])
        return smt.conjunction(
            [used, smt.disjunction([control.phase_is(clock, "COMPUTE"), flushes])]
        )

    def accumulators(self, clock: Clock) -> dict[str, str]:
        """Where accumulators need not be zero."""
        control = self.control
        rows, cols = self._fields(clock)
        left = control.remaining(clock)
        terms = {}
        for i, j in self.places:
            row = number(i)
            computes = smt.conjunction(
                [control.phase_is(clock, "COMPUTE", "FLUSH"), less(row, rows)]
            )
            # The rows that are still to drain are on top.
            drains = smt.conjunction(
                [control.phase_is(clock, "DRAIN"), smt.negation(less(left, row))]
            )
            # The first row of C is as many rows from the top as there are shifts to come.
            loads = smt.conjunction(
                [
                    control.phase_is(clock, "LOAD"),
                    less(left, row),
                    smt.negation(less(add(left, rows), row)),
                ]
            )
            may_count = smt.conjunction(
                [less(number(j), cols), smt.disjunction([computes, drains, loads])]
            )
            terms[f"accumulator of element {(i, j)}"] = smt.disjunction(
                [may_count, self._is_zero(clock, (i, j))]
            )
        return terms
