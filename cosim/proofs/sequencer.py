"""The tile sequencer: tiles cover the result exactly, in order, each with the right command.

Where the next tile begins is counted at the ports: tiles are taken from left to right, and row of
tiles by row of tiles. Each begins where the one before it ended, so that they cover the result
without a gap, and once; the contract says how far each reaches.
"""

from cosim.proofs import smt
from cosim.proofs.counts import BITS, add, less, number
from cosim.proofs.induction import Clock, Count, Run
from cosim.proofs.layout import Command
from cosim.proofs.netlist import Netlist
from cosim.proofs.problem import Shown
from cosim.proofs.schedule import Schedule
from cosim.proofs.statement import Statement, View
from pysim import ArrayConfig
from rtl_gen import Design

SIZES = ("m", "n", "k")


def module(config: ArrayConfig) -> str:
    """Name of the module of the tile sequencer."""
    return f"fp8_tile_sequencer_{config.rows}x{config.cols * config.latency}"


def statements(design: Design) -> list[Statement]:
    """Return the statements about the tile sequencer."""
    unit = module(design.config)
    spec = _Sequencer(design.config, design.manifest["command_fields"])
    return [
        Statement(
            "sequencer/tiles",
            unit,
            "the tiles that are handed out cover m x n exactly, row of tiles by row of "
            "tiles, each from left to right; none is missing or doubled, whatever stalls, and the "
            "last one ends the call",
            (View(unit),),
            lambda netlist: {"": spec.run(netlist).induction()},
        ),
    ]


class _Sequencer:
    """What the ports do, told by where the next tile begins."""

    def __init__(self, config: ArrayConfig, fields: dict) -> None:
        self.rows, self.cols = config.rows, config.cols * config.latency
        self.fields = fields
        self.schedule = Schedule(config, fields)

    def run(self, netlist: Netlist) -> Run:
        """Return what is stated."""
        return Run(
            netlist,
            goals=self._goals,
            invariant=self._invariant,
            assumptions=self._assumptions,
            at_reset=lambda clock: {"no tile is left": smt.negation(clock.wire("active"))},
            counts={"top": Count(BITS, self._top), "left": Count(BITS, self._left)},
            clocks=8,
            shown=self._shown,
        )

    def _size(self, clock: Clock, side: str) -> str:
        return smt.extend(clock.wire(side), BITS - 2, BITS)

    def _taken(self, clock: Clock) -> str:
        return smt.conjunction(clock.wire(f"commands_{wire}") for wire in ("valid", "ready"))

    def _assumptions(self, clock: Clock) -> dict[str, str]:
        """Sizes are allowed, and stay while tiles are left, as registers that are locked do."""
        starts = clock.wire("start")
        active = clock.later.wire("active")
        return {
            "sizes are allowed": smt.implies(
                starts,
                smt.conjunction(less(number(0), self._size(clock, side)) for side in "mn"),
            ),
            "settings stay": smt.implies(
                active,
                smt.conjunction(
                    smt.equal(clock.later.wire(name), clock.wire(name)) for name in (*SIZES, "call")
                ),
            ),
        }

    def _reach(self, clock: Clock, begin: str, side: str, most: int) -> str:
        """How far the next tile reaches: as far as tiles do, but not over the edge."""
        end, size = add(clock.count(begin), number(most)), self._size(clock, side)
        return smt.choose(less(end, size), end, size)

    def _bottom(self, clock: Clock) -> str:
        return self._reach(clock, "top", "m", self.rows)

    def _right(self, clock: Clock) -> str:
        return self._reach(clock, "left", "n", self.cols)

    def _top(self, clock: Clock) -> str:
        """The row at which the next tile begins."""
        row_ends = smt.conjunction(
            [self._taken(clock), smt.equal(self._right(clock), self._size(clock, "n"))]
        )
        after = smt.choose(row_ends, self._bottom(clock), clock.count("top"))
        return smt.choose(clock.wire("start"), number(0), after)

    def _left(self, clock: Clock) -> str:
        """The column at which it begins."""
        right = self._right(clock)
        wrapped = smt.choose(smt.equal(right, self._size(clock, "n")), number(0), right)
        after = smt.choose(self._taken(clock), wrapped, clock.count("left"))
        return smt.choose(clock.wire("start"), number(0), after)

    def _goals(self, clock: Clock) -> dict[str, str]:
        command, call = (
            Command(clock.wire(name), self.fields) for name in ("commands_payload", "call")
        )
        offered, active = clock.wire("commands_valid"), clock.wire("active")
        begins = smt.conjunction([clock.wire("start"), smt.negation(clock.wire("clear"))])
        last = smt.conjunction(
            smt.equal(end, self._size(clock, side))
            for end, side in ((self._bottom(clock), "m"), (self._right(clock), "n"))
        )
        goes_on = smt.conjunction(
            [
                active,
                smt.negation(clock.wire("clear")),
                smt.negation(smt.conjunction([self._taken(clock), last])),
            ]
        )

        def count(command: Command, name: str) -> str:
            return smt.extend(command.field(name), command.width(name), BITS)

        fields = {
            "rows": f"(bvsub {self._bottom(clock)} {clock.count('top')})",
            "cols": f"(bvsub {self._right(clock)} {clock.count('left')})",
            "length": self._size(clock, "k"),
        }
        return {
            "a tile is offered as long as one is left": smt.equal(offered, active),
            "the schedule takes such a tile": smt.implies(
                offered, self.schedule.allowed(clock.wire("commands_payload"))
            ),
            "a tile is left from the start to the last one, or to a clear": smt.equal(
                clock.later.wire("active"), smt.disjunction([begins, goes_on])
            ),
            **{
                f"{name} of the tile": smt.implies(
                    offered,
                    smt.equal(smt.extend(command.field(name), command.width(name), BITS), expected),
                )
                for name, expected in fields.items()
            },
            **{
                f"{name} of the call": smt.implies(
                    offered, smt.equal(command.field(name), call.field(name))
                )
                for name in self.fields
                if name not in fields
            },
        }

    def _invariant(self, clock: Clock) -> dict[str, str]:
        """What is left to the lower and right edges."""
        terms = []
        for left, begin, side in (("rows_left", "top", "m"), ("cols_left", "left", "n")):
            remaining, size = smt.extend(clock.wire(left), BITS - 2, BITS), self._size(clock, side)
            terms += [
                smt.equal(add(clock.count(begin), remaining), size),
                less(clock.count(begin), size),
            ]
        return {"what is left": smt.implies(clock.wire("active"), smt.conjunction(terms))}

    def _shown(self, clock: Clock) -> dict[str, Shown]:
        command = Command(clock.wire("commands_payload"), self.fields)
        wires = ("start", "clear", "active", "commands_valid", "commands_ready")
        return {
            **{side: Shown(clock.wire(side), "count") for side in SIZES},
            **{name: Shown(clock.vector(name)) for name in wires},
            **{
                f"{name} of the tile": Shown(command.field(name), "count")
                for name in ("rows", "cols", "length")
            },
        }
