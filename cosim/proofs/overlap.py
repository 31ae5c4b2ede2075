"""The array with overlap: what enters the ring and what leaves it, and that nothing gets lost."""

from cosim.proofs import column, converter, lfsr, smt
from cosim.proofs.counts import BITS, add, less, number
from cosim.proofs.induction import Clock, Count, Run, Wires
from cosim.proofs.layout import ACCUMULATOR_BITS, LANE_BITS, AccumulatorForm, Command
from cosim.proofs.netlist import Netlist, Trace
from cosim.proofs.operands import DECODER
from cosim.proofs.problem import Problem, Shown
from cosim.proofs.ring import (
    FIRST,
    START_BITS,
    array_module,
    element_module,
)
from cosim.proofs.rows import CONVERSION, Rows
from cosim.proofs.schedule import Schedule
from cosim.proofs.schedule import module as schedule_module
from cosim.proofs.statement import Statement, View, undivided
from cosim.proofs.wires import same_wires
from rtl_gen import Design

MODULE = "fp8_overlapped_array"

SIDE_BITS = 7
MOST_TILES = 2 + CONVERSION
"""One computes while another is prepared or drained; of each row in the converters, one more."""


def statements(design: Design) -> list[Statement]:
    """Return the statements about the array."""
    config = design.config
    spec = _Array(design)
    parts = (schedule_module(config), array_module(config), DECODER, column.module(config))
    alone = View(MODULE, parts)
    moving = (schedule_module(config), element_module(config), DECODER)
    ring = View(MODULE, (*moving, column.module(config)))
    results = View(
        MODULE, (schedule_module(config), array_module(config), DECODER, converter.module(config))
    )
    tiles = View(MODULE, (array_module(config), DECODER, column.module(config)))
    stated = (
        (
            "operands",
            alone,
            spec.operands,
            "operands of used rows and columns enter decoded in their format, a clock later, all "
            "others marked as not valid, with what their step means",
        ),
        (
            "start",
            alone,
            spec.start,
            "what waits shifts as the schedule says, and takes in C where a row of it is loaded, "
            "and else +0, without flags",
        ),
        ("streams", alone, spec.streams, "the schedule sees the streams, and they see it"),
        (
            "columns",
            alone,
            spec.columns,
            "used columns, and no others, convert what leaves the first row, and move on together "
            "where there is room",
        ),
        (
            "lanes",
            alone,
            spec.lanes,
            "each column starts from the seed of its lane, and is read and loaded by its number",
        ),
        (
            "flags",
            alone,
            spec.flags,
            "no flag of an accepted result is ever lost, and none is raised by anything else",
        ),
        (
            "stable",
            results,
            spec.stable,
            "a row of results that is offered stays, bit for bit, until it is taken",
        ),
        (
            "rows",
            results,
            lambda netlist: spec.rows(netlist).induction(),
            "a row that the converters take is offered once, in order, with its columns and the "
            "last one told: none is lost or doubled under any back-pressure",
        ),
        (
            "tiles",
            tiles,
            lambda netlist: spec.tiles(netlist).induction(),
            f"operands are taken, and rows given, for tiles alone; at most {MOST_TILES} of them "
            "are in the array",
        ),
        (
            "marks",
            ring,
            lambda netlist: spec.marks(netlist).induction(),
            "nothing that waits shifts in the two clocks after a mark of a first step enters an "
            "element",
        ),
    )
    return [
        Statement(f"array/{name}", MODULE, says, (view,), undivided(make))
        for name, view, make, says in stated
    ]


class _Array:
    """What the ports of the array and of its parts do."""

    def __init__(self, design: Design) -> None:
        self.config = design.config
        self.fields = design.manifest["command_fields"]
        self.form = AccumulatorForm(design.config.load_c)
        self.streams_in = "abc" if design.config.load_c else "ab"
        self.schedule = Schedule(self.config, self.fields, "schedule.")

    def operands(self, netlist: Netlist) -> Problem:
        """Return the problem of what enters the ring."""
        unit = Trace(netlist, "unit", 1)
        tile = Command(unit.wire("schedule.formats"), self.fields)
        step_cols = unit.wire("schedule.step_cols")
        marks = smt.concat(
            unit.wire("schedule.step_slot"),
            *(
                smt.as_bit(term)
                for term in (
                    self.schedule.wire(unit, "fresh") if self.config.load_c else "false",
                    smt.conjunction(unit.wire(f"schedule.{name}") for name in ("step", "first")),
                )
            ),
        )
        pairs = {}
        for side, count, used, width in (
            ("a", self.config.rows, tile.field("rows"), START_BITS),
            ("b", self.config.cols, step_cols, LANE_BITS),
        ):
            entering = unit.wire(f"ring.{side}", 1)
            for i in range(count):
                decoder = f"{side}_decoder_{i}"
                counts = f"(bvult {smt.const(i, netlist.widths['schedule.step_cols'])} {used})"
                valid = smt.as_bit(smt.conjunction([unit.wire("schedule.operands"), counts]))
                lane = smt.concat(valid, unit.wire(f"{decoder}.operand"))
                pairs |= {
                    f"code of {side}[{i}]": (
                        unit.wire(f"{decoder}.code"),
                        smt.bits(unit.wire(f"{side}_payload"), 8 * i, 8),
                    ),
                    f"lane of {side}[{i}]": (
                        smt.bits(entering, i * width, LANE_BITS),
                        lane,
                    ),
                    f"whether {side}[{i}] counts": (
                        smt.bit(unit.vector(f"{side}_used"), i),
                        counts,
                    ),
                }
                if len(self.config.operand_formats) > 1:
                    pairs[f"format of {side}[{i}]"] = (
                        unit.vector(f"{decoder}.format"),
                        tile.field(f"{side}_format"),
                    )
                if side == "a":
                    pairs[f"marks of {side}[{i}]"] = (
                        smt.bits(entering, i * width + LANE_BITS, START_BITS - LANE_BITS),
                        marks,
                    )
        return same_wires(unit, pairs, [smt.assume(smt.negation(unit.wire("rst")))])

    def start(self, netlist: Netlist) -> Problem:
        """Return the problem of what shifts into the ring."""
        unit = Trace(netlist)
        pairs = {
            "shift": (unit.wire("ring.shift"), unit.wire("schedule.shift")),
            "slot": (unit.wire("ring.slot"), unit.wire("schedule.shift_slot")),
        }
        if not self.config.load_c:
            return same_wires(unit, pairs)
        cols = unit.wire("schedule.load_cols")
        for j in range(self.config.cols):
            used = f"(bvult {smt.const(j, netlist.widths['schedule.load_cols'])} {cols})"
            loads = smt.conjunction([unit.wire("schedule.load"), used])
            c = smt.bits(unit.wire("c_payload"), 32 * j, 32)
            pairs |= {
                f"column {j}": (
                    smt.bits(unit.wire("ring.bottom"), ACCUMULATOR_BITS * j, ACCUMULATOR_BITS),
                    smt.concat(smt.const(0, 2), smt.choose(loads, c, smt.const(0, 32))),
                ),
                f"whether column {j} counts": (smt.bit(unit.vector("c_used"), j), used),
            }
        return same_wires(unit, pairs)

    def streams(self, netlist: Netlist) -> Problem:
        """Return the problem of what is only passed on."""
        unit = Trace(netlist)
        tile = Command(unit.wire("schedule.formats"), self.fields)
        names = [
            *(f"commands_{wire}" for wire in ("payload", "valid", "ready")),
            *(
                f"{stream}_{wire}"
                for stream in self.streams_in
                for wire in ("valid", "ready", "last")
            ),
            *("operands", "step_cols", "starved", "rst"),
        ]
        pairs = {name: (unit.wire(name), unit.wire(f"schedule.{name}")) for name in names}
        pairs |= {
            "rows of a step": (unit.wire("step_rows"), tile.field("rows")),
            "reset of the elements": (unit.wire("ring.rst"), unit.wire("rst")),
        }
        return same_wires(unit, pairs)

    def columns(self, netlist: Netlist) -> Problem:
        """Return the problem of what reaches the feet of columns."""
        unit = Trace(netlist)
        pairs = {"room for a row": (unit.wire("schedule.result_ready"), _room(unit))}
        for j in range(self.config.cols):
            name = f"column_{j}"
            used = self._accepted_cols(unit, j)
            accept = smt.conjunction([unit.wire("schedule.accept"), used])
            pairs |= {
                f"number of column {j}": (
                    unit.wire(f"{name}.value"),
                    self.form.fp32(
                        smt.bits(unit.wire("ring.top"), self.form.bits * j, self.form.bits)
                    ),
                ),
                f"accept of column {j}": (unit.wire(f"{name}.accept"), accept),
                f"advance of column {j}": (unit.wire(f"{name}.advance"), _room(unit)),
                f"mode of column {j}": (unit.wire(f"{name}.mode"), unit.wire("mode")),
                f"reset of column {j}": (unit.wire(f"{name}.rst"), unit.wire("rst")),
                f"result of column {j}": (
                    smt.bits(unit.wire("d_payload"), 32 * j, 32),
                    unit.wire(f"{name}.code"),
                ),
            }
        return same_wires(unit, pairs)

    def lanes(self, netlist: Netlist) -> Problem:
        """Return the problem of the lanes of random bits."""
        unit = Trace(netlist)
        return same_wires(unit, lfsr.lane_wires(unit, self.config))

    def flags(self, netlist: Netlist) -> Problem:
        """Return the problem of what is raised."""
        unit = Trace(netlist, "unit", 1)
        flags = smt.const(0, 4)
        for j in range(self.config.cols):
            steps = self.form.flags(
                smt.bits(unit.wire("ring.top"), self.form.bits * j, self.form.bits)
            )
            # Of the steps: inexact on top, invalid below.
            raised = smt.concat(smt.bits(steps, 1, 1), smt.const(0, 2), smt.bits(steps, 0, 1))
            accepted = smt.conjunction([unit.wire("schedule.accept"), self._accepted_cols(unit, j)])
            of_steps = smt.choose(accepted, raised, smt.const(0, 4))
            flags = f"(bvor (bvor {flags} {unit.wire(f'column_{j}.flags')}) {of_steps})"
        flags = smt.choose(unit.wire("rst"), smt.const(0, 4), flags)
        return same_wires(unit, {"the flags": (unit.wire("flags", 1), flags)})

    def stable(self, netlist: Netlist) -> Problem:
        """Return the problem of a row that waits."""
        unit = Trace(netlist, "unit", 1)
        waits = [
            smt.assume(smt.negation(_room(unit))),
            smt.assume(smt.negation(unit.wire("rst"))),
        ]
        pairs = {
            "valid": (unit.wire("d_valid", 1), "true"),
            "the row": (unit.wire("d_payload", 1), unit.wire("d_payload")),
        }
        return same_wires(unit, pairs, waits)

    def _accepted_cols(self, unit: Wires, index: int) -> str:
        """Whether a row that is accepted has a column."""
        cols = unit.wire("schedule.accept_cols")
        return f"(bvult {smt.const(index, SIDE_BITS)} {cols})"

    def rows(self, netlist: Netlist) -> Run:
        """Return what is stated of rows on their way through the converters."""
        cols = self.config.cols
        rows = Rows(
            cols,
            room=_room,
            accepted=lambda clock: clock.wire("schedule.accept"),
            last=lambda clock: clock.wire("schedule.last"),
            has_column=self._accepted_cols,
            offered=lambda clock: clock.wire("d_valid"),
            offered_last=self._last_offered,
            keeps=lambda clock, j: smt.bit(clock.wire("d_payload"), 32 * cols + j),
        )

        def assumptions(clock: Clock) -> dict[str, str]:
            accept = clock.wire("schedule.accept")
            return {"rows are accepted where there is room": smt.implies(accept, _room(clock))}

        def shown(clock: Clock) -> dict[str, Shown]:
            names = ("schedule.accept", "schedule.last", "d_valid", "d_ready")
            return {name: Shown(clock.vector(name)) for name in names}

        return Run(
            netlist,
            goals=rows.goals,
            invariant=rows.invariant,
            assumptions=assumptions,
            counts=rows.counts(),
            clocks=CONVERSION + 4,
            shown=shown,
        )

    def _last_offered(self, clock: Wires) -> str:
        return smt.bit(clock.wire("d_payload"), 33 * self.config.cols)

    def tiles(self, netlist: Netlist) -> Run:
        """Return what is stated of the tiles that the array has in work."""
        schedule = self.schedule
        stages = range(CONVERSION - 1)

        def last_given(clock: Clock) -> str:
            taken = [clock.wire(name) for name in ("d_valid", "d_ready")]
            return smt.conjunction([*taken, self._last_offered(clock)])

        def one_if(condition: str) -> str:
            return smt.choose(condition, number(1), number(0))

        def inside(clock: Clock) -> str:
            taken = smt.conjunction(clock.wire(f"commands_{wire}") for wire in ("valid", "ready"))
            more = add(clock.count("inside"), one_if(taken))
            return f"(bvsub {more} {one_if(last_given(clock))})"

        def goals(clock: Clock) -> dict[str, str]:
            takes = smt.disjunction(
                [last_given(clock), *(clock.wire(f"{stream}_ready") for stream in self.streams_in)]
            )
            most = number(MOST_TILES)
            return {
                "operands and rows are those of a tile": smt.implies(
                    takes, less(number(0), clock.count("inside"))
                ),
                "there are not too many": smt.negation(less(most, clock.count("inside"))),
            }

        def invariant(clock: Clock) -> dict[str, str]:
            total = add(
                *(one_if(schedule.has(clock, name)) for name in ("prepares", "steps", "drains")),
                *(
                    one_if(
                        smt.conjunction(
                            smt.bit(clock.wire(name), stage) for name in ("occupied", "lasts")
                        )
                    )
                    for stage in stages
                ),
                one_if(smt.conjunction([clock.wire("d_valid"), self._last_offered(clock)])),
            )
            return {
                **schedule.invariant(clock),
                "tiles are in the schedule, or on their way out": smt.equal(
                    clock.count("inside"), total
                ),
            }

        return Run(
            netlist,
            goals=goals,
            invariant=invariant,
            assumptions=schedule.assumptions,
            counts={**schedule.counts(), "inside": Count(BITS, inside)},
            clocks=self.config.rows + self.config.cols + self.config.latency + 12,
            shown=schedule.shown,
        )

    def marks(self, netlist: Netlist) -> Run:
        """Return what is stated of marks on their way to every element.

        Elements and schedule are open, but ``ring/passes`` and ``schedule/shifts`` hold of them.
        """
        schedule = self.schedule
        places = [(i, j) for i in range(self.config.rows) for j in range(self.config.cols)]

        def mark(clock: Clock, side: str, place: tuple[int, int]) -> str:
            return smt.bit(clock.wire(f"ring.{_element(place)}.{side}"), FIRST)

        def shift(clock: Clock) -> str:
            return clock.wire("ring.shift")

        def passed(clock: Clock, place: tuple[int, int]) -> str:
            """Whether a mark entered an element in the clock before."""
            return smt.equal(clock.count(_element(place)), "#b1")

        def entered(place: tuple[int, int]) -> Count:
            return Count(1, lambda clock: smt.as_bit(mark(clock, "west", place)))

        def assumptions(clock: Clock) -> dict[str, str]:
            quiet = {
                f"{says}, {when}": term
                for when, at in (("now", clock), ("then", clock.later))
                for says, term in schedule.quiet_shifts(at).items()
            }
            passes = {
                f"{_element(place)} passes marks on": smt.equal(
                    mark(clock, "east", place), passed(clock, place)
                )
                for place in places
            }
            return {**quiet, **passes}

        def goals(clock: Clock) -> dict[str, str]:
            shifts = smt.disjunction([shift(clock), shift(clock.later)])
            marked = smt.disjunction(passed(clock, place) for place in places)
            return {
                "no shift in the two clocks after a mark entered an element": smt.negation(
                    smt.conjunction([shifts, marked])
                )
            }

        def at_age(clock: Clock, age: int) -> str:
            """Whether a mark may be where it comes so many clocks after its step."""
            return less(number(schedule.crossing - age), clock.count("passing"))

        def invariant(clock: Clock) -> dict[str, str]:
            terms = {"the edge": smt.implies(clock.wire("first"), at_age(clock, 1))}
            for lane in range(1, self.config.rows):
                packed = clock.wire(f"ring.a_skew.lane_{lane}")
                for stage in range(lane):
                    terms[f"lane {lane}, {stage + 1} clocks on"] = smt.implies(
                        smt.bit(packed, stage * START_BITS + FIRST), at_age(clock, stage + 2)
                    )
            for i, j in places:
                terms[_element((i, j))] = smt.implies(
                    passed(clock, (i, j)), at_age(clock, i + j + 2)
                )
            return terms

        def shown(clock: Clock) -> dict[str, Shown]:
            names = ("step", "first", "shift")
            return {name: Shown(smt.as_bit(schedule.wire(clock, name))) for name in names}

        return Run(
            netlist,
            goals=goals,
            invariant=invariant,
            assumptions=assumptions,
            counts={
                "passing": schedule.counts()["passing"],
                **{_element(place): entered(place) for place in places},
            },
            clocks=self.config.rows + self.config.cols + 6,
            shown=shown,
        )


def _room(clock: Wires) -> str:
    """Whether a row may move on to where it is offered."""
    return smt.disjunction([smt.negation(clock.wire("d_valid")), clock.wire("d_ready")])


def _element(place: tuple[int, int]) -> str:
    return f"row_{place[0]}.element_{place[1]}"
