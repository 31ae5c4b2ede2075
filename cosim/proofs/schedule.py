"""The schedule of the ring: three tiles at a time, one prepared, one stepped, and one drained.

What its ports tell is kept beside the Verilog: the command that was taken last and how much of its
C has entered; the tile in the ring and its passes, in each of which every slot takes its turn; the
tile before, and its rows. A tile begins with the step after the last pass of the one before. Then
the sums of that one wait, and it is drained; where no command has come, an empty tile begins.
The contract is in these terms; the invariant ties them to the registers.
"""

from cosim.proofs import smt
from cosim.proofs.counts import BITS, add, less, number
from cosim.proofs.induction import Clock, Count, Run, Terms, Wires
from cosim.proofs.layout import Command
from cosim.proofs.netlist import Netlist
from cosim.proofs.problem import Shown
from cosim.proofs.statement import Statement, View
from pysim import ArrayConfig
from rtl_gen import Design

PHASES = ("IDLE", "LOAD", "LAUNCH", "BEGIN", "CROSS", "DRAIN")
"""What the register `fsm_state` counts."""

SLOT_BITS = 3

OF_C = {
    "c_valid": "true",
    "c_ready": "false",
    "c_last": "false",
    "load": "false",
    "load_cols": smt.const(0, 7),
    "fresh": "true",
}
"""Wires that are not there without C, and what stands for them."""


def module(config: ArrayConfig) -> str:
    """Name of the module of the schedule."""
    return f"fp8_overlapped_schedule_{config.rows}x{config.cols}_{config.latency}"


def statements(design: Design) -> list[Statement]:
    """Return the statements about the schedule."""
    unit = module(design.config)
    spec = Schedule(design.config, design.manifest["command_fields"])
    stated: tuple[tuple[str, Terms, str], ...] = (
        (
            "steps",
            spec.steps,
            "each tile takes K passes, in each of which every slot steps once, in order, when the "
            "accumulator of that slot has its turn; a step of a used slot takes a row of B, that "
            "of the last one a column of A, and no other does; whatever stalls",
        ),
        (
            "begins",
            spec.begins,
            "a tile begins after the last pass of the one before, when its C has entered and the "
            "sums of the one before that have left; its first pass is marked, and no other",
        ),
        (
            "loads",
            spec.loads,
            "C is taken for each row and used slot of a tile that loads it, in order, and rows "
            "that are not used are filled, before the tile begins",
        ),
        (
            "drains",
            spec.drains,
            "the rows of a tile leave once, slot by slot, after the next tile has begun, with its "
            "columns, and the last of them is told",
        ),
        (
            "shifts",
            spec.shifts,
            "nothing that waits shifts while the mark of a first step is on its way through the "
            "array, so that no sum is read before its last product was added",
        ),
        (
            "moves",
            spec.moves,
            "it never hangs: where no stream stalls, something moves within latency + 2 clocks",
        ),
    )
    return [
        Statement(
            f"schedule/{name}",
            unit,
            says,
            (View(unit),),
            lambda netlist, goals=goals: {"": spec.run(netlist, goals).induction()},
        )
        for name, goals, says in stated
        if name != "loads" or design.config.load_c
    ]


class Schedule:
    """What the ports of the schedule do, told by the tiles that are in work.

    Parameters
    ----------
    config : ArrayConfig
    fields : dict
        Of a command, from the manifest.
    prefix : str
        Of the names of its wires, where it is part of a larger module.
    """

    def __init__(self, config: ArrayConfig, fields: dict, prefix: str = "") -> None:
        self.rows, self.cols, self.latency = config.rows, config.cols, config.latency
        self.load_c = config.load_c
        self.phases = [name for name in PHASES if name != "LOAD" or config.load_c]
        self.fields = fields
        self.prefix = prefix
        self.command_bits = sum(field["width"] for field in fields.values())
        # A register at the edge of the array, and two in the farthest element.
        self.crossing = config.rows + config.cols + 1

    def run(self, netlist: Netlist, goals: Terms) -> Run:
        """Return what is stated."""
        return Run(
            netlist,
            goals=goals,
            invariant=self.invariant,
            assumptions=self.assumptions,
            counts=self.counts(),
            clocks=2 * (self.rows + self.cols + self.latency) + 8,
            shown=self.shown,
        )

    # Ports

    def wire(self, clock: Wires, name: str) -> str:
        """One of its wires."""
        if name in OF_C and not self.load_c:
            return OF_C[name]
        return clock.wire(self.prefix + name)

    def all_of(self, clock: Wires, *names: str) -> str:
        """Whether all of these wires are high."""
        return smt.conjunction(self.wire(clock, name) for name in names)

    def taken(self, clock: Wires) -> str:
        """Whether a command is taken."""
        return self.all_of(clock, "commands_valid", "commands_ready")

    def field(self, command: str, name: str) -> str:
        """A field of a command, as a count."""
        fields = Command(command, self.fields)
        return smt.extend(fields.field(name), fields.width(name), BITS)

    def loads_c(self, command: str) -> str:
        """Whether a tile loads C."""
        return smt.equal(self.field(command, "load_c"), number(1)) if self.load_c else "false"

    def cols_of(self, command: str, slot: str) -> str:
        """How many columns of a tile lie in a slot."""
        cols, term = self.field(command, "cols"), number(0)
        for i in range(self.latency):
            left = f"(bvsub {cols} {number(i * self.cols)})"
            here = smt.choose(less(left, number(self.cols)), left, number(self.cols))
            here = smt.choose(less(number(i * self.cols), cols), here, number(0))
            term = smt.choose(_is(slot, i), here, term)
        return term

    def is_last_slot(self, command: str, slot: str) -> str:
        """Whether a slot is the last one that a tile uses."""
        cols = self.field(command, "cols")
        return smt.disjunction(
            smt.conjunction(
                [
                    _is(slot, i),
                    less(number(i * self.cols), cols),
                    smt.negation(less(number((i + 1) * self.cols), cols)),
                ]
            )
            for i in range(self.latency)
        )

    def is_used(self, command: str, slot: str) -> str:
        """Whether a tile uses a slot."""
        return less(number(0), self.cols_of(command, slot))

    def allowed(self, command: str) -> str:
        """Whether a command is one that the schedule takes."""
        rows, cols = (self.field(command, name) for name in ("rows", "cols"))
        return smt.conjunction(
            [
                less(number(0), rows),
                less(rows, number(self.rows + 1)),
                less(number(0), cols),
                less(cols, number(self.cols * self.latency + 1)),
            ]
        )

    def assumptions(self, clock: Wires) -> dict[str, str]:
        """Commands that are offered are allowed."""
        payload = self.wire(clock, "commands_payload")
        offered = self.wire(clock, "commands_valid")
        return {"commands are allowed": smt.implies(offered, self.allowed(payload))}

    # What is kept beside the Verilog

    def counts(self) -> dict[str, Count]:
        """The tiles in work, and how far each has come."""
        width = self.command_bits
        return {
            "prepares": Count(1, self._prepares),
            "prepared": Count(width, self._prepared),
            "loading": Count(1, self._loading),
            "load slot": Count(SLOT_BITS, self._load_slot),
            "load row": Count(BITS, self._load_row),
            "steps": Count(1, self._has_tile),
            "stepped": Count(width, self._stepped),
            "passes": Count(BITS, self._passes),
            "in first pass": Count(1, self._in_first_pass),
            "due": Count(SLOT_BITS, self._due),
            "turn": Count(SLOT_BITS, self._turn),
            "drains": Count(1, self._drains),
            "drained": Count(width, self._drained),
            "drain slot": Count(SLOT_BITS, self._drain_slot),
            "drain row": Count(BITS, self._drain_row),
            "passing": Count(BITS, self._passing),
            "quiet": Count(BITS, self._quiet),
        }

    def has(self, clock: Clock, name: str) -> str:
        """Whether something that is kept is set."""
        return smt.equal(clock.count(name), "#b1")

    def is_done(self, clock: Clock) -> str:
        """Whether no pass of the tile in the ring is left."""
        return smt.equal(clock.count("passes"), number(0))

    def begins_now(self, clock: Clock) -> str:
        """Whether a tile begins: there is a step after the last pass of the one before."""
        return smt.conjunction([self.wire(clock, "step"), self.is_done(clock)])

    def _steps_in(self, clock: Clock) -> tuple[str, str]:
        """Whether a step would be one of a tile with a command, and that command."""
        done = self.is_done(clock)
        return (
            smt.choose(done, self.has(clock, "prepares"), self.has(clock, "steps")),
            smt.choose(done, clock.count("prepared"), clock.count("stepped")),
        )

    def _prepares(self, clock: Clock) -> str:
        after = smt.choose(self.begins_now(clock), "#b0", clock.count("prepares"))
        return smt.choose(self.taken(clock), "#b1", after)

    def _prepared(self, clock: Clock) -> str:
        payload = self.wire(clock, "commands_payload")
        return smt.choose(self.taken(clock), payload, clock.count("prepared"))

    def _loads_a_row(self, clock: Clock) -> str:
        """Whether C, or what fills it up, shifts in."""
        return smt.conjunction([self.wire(clock, "shift"), self.has(clock, "loading")])

    def _load_row_is_last(self, clock: Clock) -> str:
        return smt.equal(clock.count("load row"), number(self.rows - 1))

    def _loading(self, clock: Clock) -> str:
        ends = smt.conjunction(
            [
                self._loads_a_row(clock),
                self._load_row_is_last(clock),
                self.is_last_slot(clock.count("prepared"), clock.count("load slot")),
            ]
        )
        after = smt.choose(ends, "#b0", clock.count("loading"))
        loads = smt.as_bit(self.loads_c(self.wire(clock, "commands_payload")))
        return smt.choose(self.taken(clock), loads, after)

    def _load_slot(self, clock: Clock) -> str:
        ends = smt.conjunction([self._loads_a_row(clock), self._load_row_is_last(clock)])
        after = smt.choose(ends, _next(clock.count("load slot")), clock.count("load slot"))
        return smt.choose(self.taken(clock), _slot(0), after)

    def _load_row(self, clock: Clock) -> str:
        more = smt.choose(
            self._load_row_is_last(clock), number(0), add(clock.count("load row"), number(1))
        )
        after = smt.choose(self._loads_a_row(clock), more, clock.count("load row"))
        return smt.choose(self.taken(clock), number(0), after)

    def _has_tile(self, clock: Clock) -> str:
        return smt.choose(self.begins_now(clock), clock.count("prepares"), clock.count("steps"))

    def _stepped(self, clock: Clock) -> str:
        return smt.choose(self.begins_now(clock), clock.count("prepared"), clock.count("stepped"))

    def _passes(self, clock: Clock) -> str:
        """Passes of the tile in the ring that are left."""
        has, command = self._steps_in(clock)
        all_of_them = smt.choose(
            smt.conjunction([has, less(number(0), self.field(command, "length"))]),
            self.field(command, "length"),
            # What is finished comes out of the ring all the same.
            number(1),
        )
        before = smt.choose(self.begins_now(clock), all_of_them, clock.count("passes"))
        ends = smt.conjunction([self.wire(clock, "step"), self._due_is_last(clock)])
        return smt.choose(ends, f"(bvsub {before} {number(1)})", before)

    def _due_is_last(self, clock: Clock) -> str:
        return _is(clock.count("due"), self.latency - 1)

    def _in_first_pass(self, clock: Clock) -> str:
        """Whether some slots have taken the first step of a tile, and others not."""
        step = self.wire(clock, "step")
        begun = smt.choose(self.begins_now(clock), "#b1", clock.count("in first pass"))
        return smt.choose(smt.conjunction([step, self._due_is_last(clock)]), "#b0", begun)

    def _due(self, clock: Clock) -> str:
        following = smt.choose(self._due_is_last(clock), _slot(0), _next(clock.count("due")))
        return smt.choose(self.wire(clock, "step"), following, clock.count("due"))

    def _turn(self, clock: Clock) -> str:
        """The slot whose accumulator enters a step, if one does; any will do in an empty ring."""
        last = _is(clock.count("turn"), self.latency - 1)
        following = smt.choose(last, _slot(0), _next(clock.count("turn")))
        anew = smt.conjunction([self.begins_now(clock), smt.negation(self.has(clock, "steps"))])
        return smt.choose(anew, _slot(1 % self.latency), following)

    def _drains(self, clock: Clock) -> str:
        ends = smt.conjunction([self.wire(clock, "accept"), self._drain_is_last(clock)])
        after = smt.choose(ends, "#b0", clock.count("drains"))
        return smt.choose(self.begins_now(clock), clock.count("steps"), after)

    def _drained(self, clock: Clock) -> str:
        return smt.choose(self.begins_now(clock), clock.count("stepped"), clock.count("drained"))

    def _drain_row_is_last(self, clock: Clock) -> str:
        rows = self.field(clock.count("drained"), "rows")
        return smt.equal(add(clock.count("drain row"), number(1)), rows)

    def _drain_is_last(self, clock: Clock) -> str:
        last_slot = self.is_last_slot(clock.count("drained"), clock.count("drain slot"))
        return smt.conjunction([self._drain_row_is_last(clock), last_slot])

    def _drain_slot(self, clock: Clock) -> str:
        ends = smt.conjunction([self.wire(clock, "accept"), self._drain_row_is_last(clock)])
        after = smt.choose(ends, _next(clock.count("drain slot")), clock.count("drain slot"))
        return smt.choose(self.begins_now(clock), _slot(0), after)

    def _drain_row(self, clock: Clock) -> str:
        more = smt.choose(
            self._drain_row_is_last(clock), number(0), add(clock.count("drain row"), number(1))
        )
        after = smt.choose(self.wire(clock, "accept"), more, clock.count("drain row"))
        return smt.choose(self.begins_now(clock), number(0), after)

    def _passing(self, clock: Clock) -> str:
        """Clocks for which the mark of the latest first step is still on its way."""
        marks = self.all_of(clock, "step", "first")
        left = clock.count("passing")
        fewer = smt.choose(smt.equal(left, number(0)), number(0), f"(bvsub {left} {number(1)})")
        return smt.choose(marks, number(self.crossing), fewer)

    def _quiet(self, clock: Clock) -> str:
        """Clocks in a row in which nothing stalled, and nothing moved though a tile is in work."""
        moves = smt.disjunction(
            [
                self.wire(clock, "step"),
                self.wire(clock, "shift"),
                self.taken(clock),
                less(number(0), clock.count("passing")),
                smt.negation(self.all_of(clock, "a_valid", "b_valid", "c_valid", "result_ready")),
                smt.negation(self.is_busy(clock)),
            ]
        )
        return smt.choose(moves, number(0), add(clock.count("quiet"), number(1)))

    def is_busy(self, clock: Clock) -> str:
        """Whether a tile is in work."""
        return smt.disjunction(self.has(clock, name) for name in ("prepares", "steps", "drains"))

    # What is stated

    def steps(self, clock: Clock) -> dict[str, str]:
        """What must hold of steps, and of A and B."""
        step, operands, slot = (self.wire(clock, w) for w in ("step", "operands", "step_slot"))
        has, command = self._steps_in(clock)
        due, done = clock.count("due"), self.is_done(clock)
        length = self.field(command, "length")
        used = smt.conjunction([has, less(number(0), length), self.is_used(command, due)])
        last_used = self.is_last_slot(command, due)
        turns = smt.equal(clock.count("turn"), due)
        both = self.all_of(clock, "a_valid", "b_valid")
        goes_on = smt.conjunction(
            [smt.negation(done), turns, smt.disjunction([smt.negation(used), both])]
        )
        anew = smt.conjunction([done, smt.negation(self.has(clock, "steps"))])
        last_pass = smt.equal(smt.choose(done, length, clock.count("passes")), number(1))
        takes = {side: self.all_of(clock, f"{side}_valid", f"{side}_ready") for side in "ab"}
        lacks = smt.conjunction([used, smt.negation(both)])
        lacks_now = smt.conjunction([lacks, turns, smt.negation(done)])
        starved, c_ready = self.wire(clock, "starved"), self.wire(clock, "c_ready")
        lacks_c = smt.conjunction([c_ready, smt.negation(self.wire(clock, "c_valid"))])
        return {
            "slots step in order": smt.implies(
                step, smt.conjunction([smt.equal(slot, due), _is_there(slot, self.latency)])
            ),
            "a slot steps when its accumulator has its turn": smt.implies(
                step, smt.disjunction([turns, anew])
            ),
            "a step that is due is taken when its operands are there": smt.implies(
                smt.negation(done), smt.equal(step, goes_on)
            ),
            "operands enter with each step of a used slot": smt.equal(
                operands, smt.conjunction([step, used])
            ),
            "B is taken with operands": smt.equal(takes["b"], operands),
            "A is taken with those of the last used slot": smt.equal(
                takes["a"], smt.conjunction([operands, last_used])
            ),
            "they enter as the tile says": smt.implies(
                operands, smt.equal(self.wire(clock, "formats"), command)
            ),
            "columns of the step": smt.implies(
                operands,
                smt.equal(_count(self.wire(clock, "step_cols"), 7), self.cols_of(command, due)),
            ),
            "the last column of A is told": smt.implies(
                takes["a"], smt.equal(self.wire(clock, "a_last"), last_pass)
            ),
            "the last row of B is told": smt.implies(
                takes["b"],
                smt.equal(self.wire(clock, "b_last"), smt.conjunction([last_pass, last_used])),
            ),
            "a clock is starved if its step lacks operands, or C": smt.conjunction(
                [
                    smt.implies(starved, smt.disjunction([lacks, lacks_c])),
                    smt.implies(smt.disjunction([lacks_now, lacks_c]), starved),
                ]
            ),
        }

    def begins(self, clock: Clock) -> dict[str, str]:
        """What must hold where a tile begins."""
        begins = self.begins_now(clock)
        step, first = self.wire(clock, "step"), self.wire(clock, "first")
        has, command = self._steps_in(clock)
        free = smt.conjunction(
            smt.negation(self.has(clock, name)) for name in ("loading", "drains")
        )
        marked = smt.disjunction([self.is_done(clock), self.has(clock, "in first pass")])
        return {
            "when a tile may begin": smt.implies(
                begins,
                smt.conjunction(
                    [
                        free,
                        smt.disjunction(self.has(clock, name) for name in ("prepares", "steps")),
                    ]
                ),
            ),
            "the first pass is marked": smt.implies(step, smt.equal(first, marked)),
            "sums start from C, or from +0": smt.implies(
                smt.conjunction([step, first]),
                smt.equal(
                    self.wire(clock, "fresh"),
                    smt.negation(smt.conjunction([has, self.loads_c(command)])),
                ),
            ),
            "a command is taken when the one before has begun": smt.implies(
                self.taken(clock), smt.negation(self.has(clock, "prepares"))
            ),
        }

    def loads(self, clock: Clock) -> dict[str, str]:
        """What must hold of C."""
        command, slot = clock.count("prepared"), clock.count("load slot")
        loading, rows = self.has(clock, "loading"), self.field(command, "rows")
        due = smt.conjunction([loading, less(clock.count("load row"), rows)])
        last_row = smt.equal(add(clock.count("load row"), number(1)), rows)
        takes = self.all_of(clock, "c_valid", "c_ready")
        return {
            "C is taken where a row is due": smt.equal(self.wire(clock, "c_ready"), due),
            "what is taken enters": smt.equal(self.wire(clock, "load"), takes),
            "its columns": smt.implies(
                due,
                smt.equal(_count(self.wire(clock, "load_cols"), 7), self.cols_of(command, slot)),
            ),
            "the last row is told": smt.implies(
                due,
                smt.equal(
                    self.wire(clock, "c_last"),
                    smt.conjunction([last_row, self.is_last_slot(command, slot)]),
                ),
            ),
            "the slot": smt.implies(loading, smt.equal(self.wire(clock, "shift_slot"), slot)),
            "no sum waits where C is loaded": smt.negation(
                smt.conjunction([loading, self.has(clock, "drains")])
            ),
            "a slot shifts for each row of C, and for each that is not used": smt.implies(
                loading,
                smt.equal(self.wire(clock, "shift"), smt.disjunction([takes, smt.negation(due)])),
            ),
        }

    def drains(self, clock: Clock) -> dict[str, str]:
        """What must hold of results."""
        command, slot = clock.count("drained"), clock.count("drain slot")
        accept = self.wire(clock, "accept")
        due = smt.conjunction(
            [
                self.has(clock, "drains"),
                smt.negation(self.has(clock, "in first pass")),
                smt.equal(clock.count("passing"), number(0)),
            ]
        )
        expected = {
            "the slot": smt.equal(self.wire(clock, "shift_slot"), slot),
            "columns": smt.equal(
                _count(self.wire(clock, "accept_cols"), 7), self.cols_of(command, slot)
            ),
            "the last row": smt.equal(self.wire(clock, "last"), self._drain_is_last(clock)),
            "what waits shifts": self.wire(clock, "shift"),
        }
        return {
            "a row leaves when it can, and there is room": smt.equal(
                accept, smt.conjunction([due, self.wire(clock, "result_ready")])
            ),
            **{name: smt.implies(accept, term) for name, term in expected.items()},
        }

    def shifts(self, clock: Clock) -> dict[str, str]:
        """When what waits may shift."""
        slot = self.wire(clock, "shift_slot")
        return {
            **self.quiet_shifts(clock),
            "a row is loaded or drained": smt.implies(
                self.wire(clock, "shift"),
                smt.disjunction([self.has(clock, "loading"), self.wire(clock, "accept")]),
            ),
            "a slot that is there": smt.implies(
                self.wire(clock, "shift"), _is_there(slot, self.latency)
            ),
        }

    def quiet_shifts(self, clock: Clock) -> dict[str, str]:
        """That a shift has the array for itself."""
        shift = self.wire(clock, "shift")
        return {
            "no mark is on its way": smt.implies(
                shift, smt.equal(clock.count("passing"), number(0))
            ),
            "no mark enters": smt.implies(shift, smt.negation(self.all_of(clock, "step", "first"))),
        }

    def moves(self, clock: Clock) -> dict[str, str]:
        """That it does not hang."""
        most = number(self.latency + 1)
        return {"something moves": smt.negation(less(most, clock.count("quiet")))}

    # What the induction rests on

    def phase_is(self, clock: Wires, *names: str) -> str:
        """Whether the machine that loads and drains is in one of these phases."""
        return smt.disjunction(
            smt.equal(self.wire(clock, "fsm_state"), smt.const(self.phases.index(name), 3))
            for name in names
            if name in self.phases
        )

    def invariant(self, clock: Clock) -> dict[str, str]:
        """How registers and tiles belong together."""
        return {
            "a phase that exists": self.phase_is(clock, *PHASES),
            **self._prepared_is(clock),
            **self._stepped_is(clock),
            **self._drained_is(clock),
            **self._marks_are(clock),
        }

    def launched(self, clock: Clock) -> str:
        """Whether a tile is in the registers of steps, and has not begun."""
        return smt.conjunction(
            [self.phase_is(clock, "BEGIN"), _is(self.wire(clock, "step_slot"), 0)]
        )

    def _prepared_is(self, clock: Clock) -> dict[str, str]:
        prepares, loading = (self.has(clock, name) for name in ("prepares", "loading"))
        command = clock.count("prepared")
        empty = self.wire(clock, "upcoming_empty")
        launched = self.launched(clock)
        left = _count(self.wire(clock, "rows_left"), BITS - 2)
        offers = smt.conjunction([self.phase_is(clock, "LAUNCH"), smt.negation(empty)])
        waits = smt.conjunction([launched, self.wire(clock, "has_tile")])
        return {
            "a tile is prepared": smt.equal(
                prepares, smt.disjunction([self.phase_is(clock, "LOAD"), offers, waits])
            ),
            "it is what was taken": smt.implies(
                prepares,
                smt.conjunction(
                    [smt.equal(self.wire(clock, "upcoming"), command), self.allowed(command)]
                ),
            ),
            "C is loaded": smt.equal(loading, self.phase_is(clock, "LOAD")),
            "rows of C": smt.implies(
                loading,
                smt.conjunction(
                    [
                        smt.negation(empty),
                        self.loads_c(command),
                        smt.equal(add(clock.count("load row"), left), number(self.rows - 1)),
                        less(clock.count("load row"), number(self.rows)),
                        smt.equal(self.wire(clock, "shift_slot"), clock.count("load slot")),
                        self.is_used(command, clock.count("load slot")),
                    ]
                ),
            ),
            "slots are counted from the first": smt.disjunction(
                [
                    self.phase_is(clock, "LOAD", "DRAIN"),
                    _is(self.wire(clock, "shift_slot"), 0),
                ]
            ),
            "an empty tile takes the place of the next one": smt.implies(
                smt.conjunction([self.phase_is(clock, "LAUNCH"), empty]),
                smt.conjunction(
                    [self.wire(clock, "has_tile"), smt.negation(self.wire(clock, "active"))]
                ),
            ),
        }

    def _stepped_is(self, clock: Clock) -> dict[str, str]:
        launched, active = self.launched(clock), self.wire(clock, "active")
        steps, has_tile = self.has(clock, "steps"), self.wire(clock, "has_tile")
        command, done = clock.count("stepped"), self.is_done(clock)
        due, turn = self.wire(clock, "step_slot"), self.wire(clock, "turn")
        left = add(_count(self.wire(clock, "left"), BITS - 2), number(1))
        formats, empty = self.wire(clock, "formats"), self.wire(clock, "empty")
        upcoming_length = self.field(clock.count("prepared"), "length")
        first = self.wire(clock, "first")
        products = smt.conjunction([steps, less(number(0), self.field(command, "length"))])
        to_come = smt.conjunction([self.has(clock, "prepares"), less(number(0), upcoming_length)])
        return {
            "a tile that is launched waits for the last pass": smt.implies(
                launched,
                smt.conjunction(
                    [
                        active,
                        done,
                        first,
                        smt.equal(has_tile, self.has(clock, "prepares")),
                        smt.equal(formats, self.wire(clock, "upcoming")),
                        smt.equal(empty, smt.negation(to_come)),
                        smt.equal(left, smt.choose(to_come, upcoming_length, number(1))),
                        smt.equal(
                            self.wire(clock, "fresh"),
                            smt.negation(
                                smt.conjunction([has_tile, self.loads_c(clock.count("prepared"))])
                            ),
                        ),
                        smt.equal(self.wire(clock, "has_finished"), steps),
                        smt.implies(steps, smt.equal(self.wire(clock, "finished"), command)),
                        smt.implies(smt.negation(has_tile), steps),
                    ]
                ),
            ),
            "the tile in the ring": smt.disjunction(
                [
                    launched,
                    smt.conjunction(
                        [
                            smt.equal(has_tile, steps),
                            smt.implies(steps, smt.equal(formats, command)),
                            smt.equal(active, smt.negation(done)),
                            smt.implies(active, smt.equal(clock.count("passes"), left)),
                            smt.implies(active, smt.equal(empty, smt.negation(products))),
                            smt.implies(first, self.phase_is(clock, "BEGIN")),
                        ]
                    ),
                ]
            ),
            "its command is allowed": smt.implies(steps, self.allowed(command)),
            "its turns": smt.conjunction(
                [
                    smt.equal(due, clock.count("due")),
                    _is_there(due, self.latency),
                    _is_there(turn, self.latency),
                    _is_there(clock.count("turn"), self.latency),
                    smt.disjunction([active, _is(due, 0)]),
                    smt.disjunction(
                        [
                            smt.equal(turn, clock.count("turn")),
                            smt.conjunction([done, smt.negation(steps)]),
                        ]
                    ),
                ]
            ),
            "its first pass": smt.conjunction(
                [
                    smt.equal(
                        self.has(clock, "in first pass"),
                        smt.conjunction([self.phase_is(clock, "BEGIN"), smt.negation(launched)]),
                    ),
                    smt.implies(
                        self.has(clock, "in first pass"),
                        smt.conjunction(
                            [
                                active,
                                first,
                                smt.equal(
                                    self.wire(clock, "fresh"),
                                    smt.negation(smt.conjunction([steps, self.loads_c(command)])),
                                ),
                            ]
                        ),
                    ),
                ]
            ),
        }

    def _drained_is(self, clock: Clock) -> dict[str, str]:
        drains, command = self.has(clock, "drains"), clock.count("drained")
        after_begin = smt.disjunction(
            [
                self.has(clock, "in first pass"),
                self.phase_is(clock, "CROSS"),
            ]
        )
        rows, left = self.field(command, "rows"), self.wire(clock, "rows_left")
        row = clock.count("drain row")
        return {
            "a tile is drained": smt.equal(
                drains,
                smt.disjunction(
                    [
                        smt.conjunction([after_begin, self.wire(clock, "has_finished")]),
                        self.phase_is(clock, "DRAIN"),
                    ]
                ),
            ),
            "it is the one before": smt.implies(
                drains,
                smt.conjunction(
                    [
                        smt.equal(self.wire(clock, "finished"), command),
                        self.allowed(command),
                        self.is_used(command, clock.count("drain slot")),
                        less(row, rows),
                    ]
                ),
            ),
            "no row has left yet": smt.implies(
                smt.conjunction([drains, after_begin]),
                smt.conjunction([smt.equal(row, number(0)), _is(clock.count("drain slot"), 0)]),
            ),
            "rows that have left": smt.implies(
                self.phase_is(clock, "DRAIN"),
                smt.conjunction(
                    [
                        smt.equal(add(row, _count(left, BITS - 2), number(1)), rows),
                        smt.equal(self.wire(clock, "shift_slot"), clock.count("drain slot")),
                    ]
                ),
            ),
        }

    def _marks_are(self, clock: Clock) -> dict[str, str]:
        passing, quiet = clock.count("passing"), clock.count("quiet")
        left = _count(self.wire(clock, "rows_left"), BITS - 2)
        active = self.wire(clock, "active")
        # Clocks until the slot that is due has its turn.
        due, turn = (_count(self.wire(clock, name), SLOT_BITS) for name in ("step_slot", "turn"))
        wait = f"(bvsub {due} {turn})"
        wait = smt.choose(less(due, turn), add(wait, number(self.latency)), wait)
        return {
            "marks cross": smt.implies(
                self.phase_is(clock, "CROSS"),
                smt.conjunction(
                    [
                        smt.equal(passing, add(left, number(1))),
                        less(left, number(self.crossing)),
                    ]
                ),
            ),
            "no mark is on its way": smt.disjunction(
                [
                    self.phase_is(clock, "CROSS"),
                    self.has(clock, "in first pass"),
                    smt.equal(passing, number(0)),
                ]
            ),
            "what is due comes soon": smt.conjunction(
                [
                    less(quiet, number(self.latency + 2)),
                    smt.implies(
                        active,
                        smt.negation(less(number(self.latency + 1), add(quiet, wait))),
                    ),
                    smt.implies(
                        smt.negation(active),
                        smt.negation(
                            less(
                                smt.choose(self.phase_is(clock, "LAUNCH"), number(1), number(0)),
                                quiet,
                            )
                        ),
                    ),
                ]
            ),
        }

    def shown(self, clock: Clock) -> dict[str, Shown]:
        """What a counterexample tells of a clock: the tiles in work, and what happens."""
        wires = (
            *("commands_valid", "commands_ready", "a_valid", "b_valid", "c_valid"),
            *("result_ready", "step", "operands", "first", "load", "shift", "accept", "last"),
        )
        payload = Command(self.wire(clock, "commands_payload"), self.fields)
        return {
            **{
                f"command {name}": Shown(payload.field(name), "count")
                for name in ("load_c", "rows", "cols", "length")
            },
            **{name: Shown(smt.as_bit(self.wire(clock, name))) for name in wires},
            **{
                name: Shown(self.wire(clock, name), "count") for name in ("step_slot", "shift_slot")
            },
        }


def _slot(index: int) -> str:
    return smt.const(index, SLOT_BITS)


def _is(slot: str, index: int) -> str:
    return smt.equal(slot, _slot(index))


def _next(slot: str) -> str:
    return f"(bvadd {slot} {_slot(1)})"


def _is_there(slot: str, latency: int) -> str:
    """Whether there is such a slot."""
    return f"(bvult {slot} {_slot(latency)})"


def _count(term: str, width: int) -> str:
    """A bit-vector as a count."""
    return smt.extend(term, width, BITS)
