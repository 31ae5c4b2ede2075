"""The streaming converter: packets in, packets out, and what happens to wrong ones."""

from cosim.proofs import column, converter, lfsr, smt
from cosim.proofs.counts import BITS, add, less, number
from cosim.proofs.induction import Clock, Count, Run, Wires
from cosim.proofs.netlist import Netlist, Trace
from cosim.proofs.problem import Problem, Shown
from cosim.proofs.rows import CONVERSION, Rows
from cosim.proofs.statement import Statement, View, undivided
from cosim.proofs.wires import same_wires
from pysim import ArrayConfig

MODULE = "fp8_stream_converter"
LANE_BYTES = 4
TARGETS, ROUNDINGS = 5, 3
TARGET, ROUNDING, SCALE = (0, 3), (3, 2), (6, 8)
"""Lowest bit and bits of the fields of a mode."""


def statements(config: ArrayConfig) -> list[Statement]:
    """Return the statements about the streaming converter."""
    spec = _Converter(config)
    alone = View(MODULE, (column.module(config),))
    rows = View(MODULE, (converter.module(config),))
    stated = (
        (
            "packets",
            alone,
            spec.packets,
            "a transfer that is not full before the end of its packet, or has gaps, or comes in a "
            "mode that is not there, fails; nothing else does, and only a clear ends that; "
            "meanwhile what comes in is taken",
        ),
        (
            "offered",
            rows,
            spec.offered,
            "a result that is offered stays, bit for bit, until it is taken, except in reset",
        ),
        (
            "rows",
            rows,
            lambda netlist: spec.rows(netlist).induction(),
            "a transfer that is taken is offered once, in order, with its lanes and its end of "
            "packet, under any back-pressure; after a failure or a clear nothing is that was not "
            "before",
        ),
        (
            "busy",
            alone,
            lambda netlist: spec.busy(netlist).induction(),
            "it is busy from the first transfer of a packet until its last result has been taken, "
            "which is told, or until it fails or is cleared",
        ),
        (
            "columns",
            alone,
            spec.columns,
            "lanes that count are converted, no others are, and all move on together; each starts "
            "from its seed, and is read and loaded by its number",
        ),
        (
            "flags",
            alone,
            spec.flags,
            "no flag of a result is ever lost but by a clear, and none is raised by anything else",
        ),
    )
    return [
        Statement(f"stream/{name}", MODULE, says, (view,), undivided(make))
        for name, view, make, says in stated
    ]


class _Converter:
    """What the ports of the streaming converter do."""

    def __init__(self, config: ArrayConfig) -> None:
        self.config, self.cols = config, config.cols

    # Terms

    def _counts(self, clock: Wires, lane: int) -> str:
        """Whether a lane of what comes in has all of its bytes."""
        return smt.equal(self._keep(clock, lane), smt.const(-1, LANE_BYTES))

    def _keep(self, clock: Wires, lane: int) -> str:
        return smt.bits(clock.wire("x_tkeep"), LANE_BYTES * lane, LANE_BYTES)

    def _is_sound(self, clock: Wires) -> str:
        """Whether a transfer has some first lanes, and all of them before the last transfer."""
        whole = smt.conjunction(
            smt.disjunction(
                [
                    self._counts(clock, lane),
                    smt.equal(self._keep(clock, lane), smt.const(0, LANE_BYTES)),
                ]
            )
            for lane in range(self.cols)
        )
        in_order = smt.conjunction(
            smt.implies(self._counts(clock, lane), self._counts(clock, lane - 1))
            for lane in range(1, self.cols)
        )
        full = self._counts(clock, self.cols - 1)
        ends = smt.disjunction([clock.wire("x_tlast"), full])
        return smt.conjunction([whole, in_order, self._counts(clock, 0), ends])

    def _mode_is_there(self, clock: Wires) -> str:
        target, rounding, scale = (
            smt.bits(clock.wire("mode"), *field) for field in (TARGET, ROUNDING, SCALE)
        )
        fp32 = smt.equal(target, smt.const(0, TARGET[1]))
        return smt.conjunction(
            [
                f"(bvult {target} {smt.const(TARGETS, TARGET[1])})",
                f"(bvult {rounding} {smt.const(ROUNDINGS, ROUNDING[1])})",
                smt.implies(fp32, smt.equal(scale, smt.const(0, SCALE[1]))),
            ]
        )

    def _comes(self, clock: Wires) -> str:
        """Whether a transfer comes that is to be converted."""
        working = smt.negation(clock.wire("failed"))
        return smt.conjunction([clock.wire("x_tvalid"), _room(clock), working])

    def _fails(self, clock: Wires) -> str:
        sound = smt.conjunction([self._is_sound(clock), self._mode_is_there(clock)])
        return smt.conjunction([self._comes(clock), smt.negation(sound)])

    def _accepted(self, clock: Wires) -> str:
        return smt.conjunction([self._comes(clock), smt.negation(self._fails(clock))])

    def _ended(self, clock: Wires) -> str:
        return smt.disjunction([self._fails(clock), clock.wire("clear")])

    # Problems

    def packets(self, netlist: Netlist) -> Problem:
        """Return the problem of what fails."""
        unit = Trace(netlist, "unit", 1)
        now, later = Clock(unit, 0), Clock(unit, 1)
        comes = self._comes(now)
        failed = smt.disjunction([now.wire("failed"), self._fails(now)])
        ends = smt.disjunction([now.wire("clear"), now.wire("rst")])
        pairs = {
            "what is taken": (
                now.wire("x_tready"),
                smt.disjunction([_room(now), now.wire("failed")]),
            ),
            "a wrong packet": (
                now.wire("wrong_packet"),
                smt.conjunction([comes, smt.negation(self._is_sound(now))]),
            ),
            "a wrong mode": (
                now.wire("wrong_mode"),
                smt.conjunction([comes, smt.negation(self._mode_is_there(now))]),
            ),
            "whether it has failed": (
                later.wire("failed"),
                smt.conjunction([failed, smt.negation(ends)]),
            ),
        }
        return same_wires(unit, pairs)

    def offered(self, netlist: Netlist) -> Problem:
        """Return the problem of the rule of AXI4-Stream for who sends."""
        unit = Trace(netlist, "unit", 1)
        waits = [smt.assume(smt.negation(term)) for term in (_room(unit), unit.wire("rst"))]
        pairs = {
            name: (unit.wire(f"y_{name}", 1), unit.wire(f"y_{name}"))
            for name in ("tvalid", "tdata", "tkeep", "tlast")
        }
        return same_wires(unit, pairs, waits)

    def columns(self, netlist: Netlist) -> Problem:
        """Return the problem of what reaches the converters and their lanes."""
        unit = Trace(netlist)
        pairs = {}
        reset = smt.disjunction([unit.wire("rst"), unit.wire("clear")])
        for j in range(self.cols):
            name = f"column_{j}"
            accept = smt.conjunction([self._accepted(unit), self._counts(unit, j)])
            pairs |= {
                f"number of lane {j}": (
                    unit.wire(f"{name}.value"),
                    smt.bits(unit.wire("x_tdata"), 32 * j, 32),
                ),
                f"accept of lane {j}": (unit.wire(f"{name}.accept"), accept),
                f"advance of lane {j}": (unit.wire(f"{name}.advance"), _room(unit)),
                f"mode of lane {j}": (unit.wire(f"{name}.mode"), unit.wire("mode")),
                f"reset of lane {j}": (unit.wire(f"{name}.rst"), reset),
                f"result of lane {j}": (
                    smt.bits(unit.wire("y_tdata"), 32 * j, 32),
                    unit.wire(f"{name}.code"),
                ),
            }
        return same_wires(unit, {**pairs, **lfsr.lane_wires(unit, self.config)})

    def flags(self, netlist: Netlist) -> Problem:
        """Return the problem of what is raised."""
        unit = Trace(netlist, "unit", 1)
        raised = " ".join(unit.wire(f"column_{j}.flags") for j in range(self.cols))
        ended = smt.disjunction([unit.wire("rst"), unit.wire("clear")])
        flags = smt.choose(ended, smt.const(0, 4), f"(bvor {smt.const(0, 4)} {raised})")
        return same_wires(unit, {"the flags": (unit.wire("flags", 1), flags)})

    # Runs

    def rows(self, netlist: Netlist) -> Run:
        """Return what is stated of transfers on their way through the converters."""
        rows = Rows(
            self.cols,
            room=_room,
            accepted=self._accepted,
            last=lambda clock: clock.wire("x_tlast"),
            has_column=self._counts,
            offered=lambda clock: clock.wire("y_tvalid"),
            offered_last=lambda clock: clock.wire("y_tlast"),
            keeps=lambda clock, j: smt.equal(
                smt.bits(clock.wire("y_tkeep"), LANE_BYTES * j, LANE_BYTES),
                smt.const(-1, LANE_BYTES),
            ),
            ended=self._ended,
        )

        def whole(clock: Clock) -> dict[str, str]:
            there = rows.there(clock, CONVERSION - 1)
            lanes = [
                smt.bits(clock.wire("y_tkeep"), LANE_BYTES * j, LANE_BYTES)
                for j in range(self.cols)
            ]
            return {
                "whole lanes are kept": smt.implies(
                    there,
                    smt.conjunction(
                        smt.disjunction(smt.equal(lane, smt.const(i, LANE_BYTES)) for i in (0, -1))
                        for lane in lanes
                    ),
                )
            }

        return Run(
            netlist,
            goals=lambda clock: {**rows.goals(clock), **whole(clock)},
            invariant=lambda clock: {**rows.invariant(clock), **whole(clock)},
            counts=rows.counts(),
            clocks=CONVERSION + 4,
            shown=_shown,
        )

    def busy(self, netlist: Netlist) -> Run:
        """Return what is stated of the beginning and the end of packets."""

        def current(clock: Clock) -> str:
            """Whether what is offered belongs to a packet that has not failed."""
            fresh = smt.equal(clock.count("stale"), "#b0")
            return smt.conjunction([clock.wire("y_tvalid"), fresh])

        def leaves(clock: Clock) -> str:
            return smt.conjunction([current(clock), clock.wire("y_tready")])

        def one_if(condition: str) -> str:
            return smt.choose(condition, number(1), number(0))

        def rows_after(clock: Clock) -> str:
            more = add(clock.count("rows"), one_if(self._accepted(clock)))
            fewer = f"(bvsub {more} {one_if(leaves(clock))})"
            return smt.choose(self._ended(clock), number(0), fewer)

        def open_after(clock: Clock) -> str:
            goes_on = smt.as_bit(smt.negation(clock.wire("x_tlast")))
            after = smt.choose(self._accepted(clock), goes_on, clock.count("open"))
            return smt.choose(self._ended(clock), "#b0", after)

        def stale_after(clock: Clock) -> str:
            after = smt.choose(_room(clock), "#b0", clock.count("stale"))
            return smt.choose(self._ended(clock), "#b1", after)

        def is_busy(clock: Clock) -> str:
            is_open = smt.equal(clock.count("open"), "#b1")
            return smt.disjunction([is_open, less(number(0), clock.count("rows"))])

        def goals(clock: Clock) -> dict[str, str]:
            idle = smt.negation(is_busy(clock))
            return {
                "busy with a packet or its rows": smt.equal(clock.wire("busy"), is_busy(clock)),
                "a first transfer is told": smt.equal(
                    clock.wire("starts"), smt.conjunction([self._accepted(clock), idle])
                ),
                "a last result that is taken is told": smt.equal(
                    clock.wire("ends"), smt.conjunction([leaves(clock), clock.wire("y_tlast")])
                ),
            }

        def invariant(clock: Clock) -> dict[str, str]:
            inside = add(
                *(one_if(smt.bit(clock.wire("occupied"), i)) for i in range(CONVERSION - 1)),
                one_if(current(clock)),
            )
            return {
                "rows are counted": smt.equal(clock.count("rows"), inside),
                "a packet that is open": smt.equal(
                    clock.wire("open_packet"), smt.equal(clock.count("open"), "#b1")
                ),
                "what is current": smt.implies(
                    clock.wire("y_tvalid"), smt.equal(clock.wire("current"), current(clock))
                ),
            }

        return Run(
            netlist,
            goals=goals,
            invariant=invariant,
            counts={
                "rows": Count(BITS, rows_after),
                "open": Count(1, open_after),
                "stale": Count(1, stale_after),
            },
            clocks=CONVERSION + 4,
            shown=_shown,
        )


def _room(clock: Wires) -> str:
    """Whether what is offered, if anything is, leaves."""
    return smt.disjunction([smt.negation(clock.wire("y_tvalid")), clock.wire("y_tready")])


def _shown(clock: Clock) -> dict[str, Shown]:
    names = (
        *("x_tvalid", "x_tready", "x_tlast", "clear", "failed", "busy", "starts", "ends"),
        *("y_tvalid", "y_tready", "y_tlast"),
    )
    return {name: Shown(clock.vector(name)) for name in names}
