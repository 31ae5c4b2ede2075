"""Tile control: every command takes and gives exactly what it should, whatever stalls.

Its ports are watched, and what passes is counted since the command was taken: rows of C, shifts
before the first product, products, clocks since the last product, and rows of results. The
contract is in these counts; the invariant ties them to the registers.
"""

from cosim.proofs import smt
from cosim.proofs.counts import BITS, add, less, number
from cosim.proofs.induction import Clock, Count, Run, Wires
from cosim.proofs.layout import Command
from cosim.proofs.netlist import Netlist
from cosim.proofs.problem import Shown
from cosim.proofs.statement import Statement, View
from pysim import ArrayConfig
from rtl_gen import Design

PHASES = {"IDLE": 0, "CONVERT": 1, "LOAD": 2, "DRAIN": 3, "COMPUTE": 4, "FLUSH": 5}
"""What the register `fsm_state` holds."""


def module(config: ArrayConfig) -> str:
    """Name of the module of tile control."""
    return f"fp8_tile_control_{config.rows}x{config.cols}"


def statements(design: Design) -> list[Statement]:
    """Return the statements about tile control."""
    unit = module(design.config)
    return [
        Statement(
            "control/counts",
            unit,
            "a tile takes its rows of C, then exactly K products, waits until the last one has "
            "crossed the array, and gives its rows; a conversion gives as many rows as it takes; "
            "whatever stalls, none is lost or doubled, and the command ends with the last one",
            (View(unit),),
            lambda netlist: {"": control_run(netlist, design).induction()},
        )
    ]


def control_run(netlist: Netlist, design: Design) -> Run:
    """Return what is stated of tile control."""
    spec = Control(design.config, design.manifest["command_fields"])
    return Run(
        netlist,
        goals=spec.goals,
        invariant=spec.invariant,
        assumptions=spec.assumptions,
        at_reset=spec.at_reset,
        counts=spec.counts(),
        clocks=2 * (design.config.rows + design.config.cols) + 8,
        shown=lambda clock: spec.shown(
            clock, "a_valid", "b_valid", "c_valid", "result_ready", "bypass", "last"
        ),
    )


class Control:
    """What the ports of tile control do, told by the counts.

    Parameters
    ----------
    config : ArrayConfig
    fields : dict
        Of a command, from the manifest.
    prefix : str
        Of the names of its wires, where it is part of a larger module.
    """

    def __init__(self, config: ArrayConfig, fields: dict, prefix: str = "") -> None:
        self.rows = config.rows
        self.cols = config.cols
        self.crossing = config.rows + config.cols - 1
        self.fields = fields
        self.prefix = prefix

    def wire(self, clock: Wires, name: str) -> str:
        """One of its wires."""
        return clock.wire(self.prefix + name)

    def field(self, command: str, name: str) -> str:
        """A field of a command, as a count."""
        fields = Command(command, self.fields)
        return smt.extend(fields.field(name), fields.width(name), BITS)

    def allowed(self, command: str) -> str:
        """Whether a command is one that the array takes."""
        rows, cols = (self.field(command, name) for name in ("rows", "cols"))
        convert = smt.equal(self.field(command, "operation"), number(1))
        return smt.conjunction(
            [
                less(number(0), rows),
                less(rows, number(self.rows + 1)),
                less(number(0), cols),
                less(cols, number(self.cols + 1)),
                smt.implies(convert, less(number(0), self.field(command, "length"))),
            ]
        )

    def assumptions(self, clock: Wires) -> dict[str, str]:
        """Commands that are offered are allowed."""
        offered = self.wire(clock, "commands_valid")
        payload = self.wire(clock, "commands_payload")
        return {"commands are allowed": smt.implies(offered, self.allowed(payload))}

    def at_reset(self, clock: Clock) -> dict[str, str]:
        """No command is in work."""
        return {"no command is in work": smt.negation(self.wire(clock, "busy"))}

    def shown(self, clock: Clock, *others: str) -> dict[str, Shown]:
        """What a counterexample tells of a clock: the command in work, and what happens."""
        command = Command(self.wire(clock, "command"), self.fields)
        fields = ("operation", "load_c", "rows", "cols", "length")
        wires = ("commands_valid", "busy", *others, "load", "compute", "shift", "accept")
        return {
            **{f"command {name}": Shown(command.field(name), "count") for name in fields},
            **{name: Shown(smt.as_bit(self.wire(clock, name))) for name in wires},
        }

    def counts(self) -> dict[str, Count]:
        """Counts since the command was taken."""

        def counted(event):
            def after(clock: Clock, name: str) -> str:
                starts = smt.conjunction(
                    [self.wire(clock, "commands_valid"), self.wire(clock, "commands_ready")]
                )
                more = add(clock.count(name), number(1))
                counts = smt.choose(event(clock), more, clock.count(name))
                return smt.choose(starts, number(0), counts)

            return after

        def wire(name):
            return lambda clock: self.wire(clock, name)

        def first_shift(clock: Clock) -> str:
            shift, accept = (self.wire(clock, name) for name in ("shift", "accept"))
            return smt.conjunction([shift, smt.negation(accept)])

        def waited(clock: Clock) -> str:
            # It need not count further than the array is wide and high.
            more = smt.choose(
                less(clock.count("waited"), number(self.crossing)),
                add(clock.count("waited"), number(1)),
                clock.count("waited"),
            )
            return smt.choose(self.wire(clock, "compute"), number(0), more)

        events = {
            "loaded": counted(wire("load")),
            "shifted": counted(first_shift),
            "products": counted(wire("compute")),
            "given": counted(wire("accept")),
        }
        return {
            **{
                name: Count(BITS, lambda clock, name=name, after=after: after(clock, name))
                for name, after in events.items()
            },
            "waited": Count(BITS, waited),
        }

    def goals(self, clock: Clock) -> dict[str, str]:
        """What must hold in a clock."""

        def wire(name: str) -> str:
            return self.wire(clock, name)

        def passes(stream: str) -> str:
            return smt.conjunction([wire(f"{stream}_valid"), wire(f"{stream}_ready")])

        command = wire("command")
        rows, length = self.field(command, "rows"), self.field(command, "length")
        gemm = smt.equal(self.field(command, "operation"), number(0))
        count = clock.count
        loads = smt.equal(self.field(command, "load_c"), number(1))
        none_given, no_product = (smt.equal(count(c), number(0)) for c in ("given", "products"))
        all_products = smt.equal(count("products"), length)
        crossed = smt.disjunction(
            [smt.equal(length, number(0)), smt.equal(count("waited"), number(self.crossing))]
        )
        accept, bypass, shift = wire("accept"), wire("bypass"), wire("shift")
        idle = smt.negation(wire("busy"))
        converts = smt.conjunction([accept, bypass])
        drains = smt.conjunction([accept, smt.negation(bypass)])
        final = smt.equal(add(count("given"), number(1)), smt.choose(gemm, rows, length))
        ends = smt.conjunction([accept, wire("last")])
        taken = passes("commands")
        begins = smt.conjunction([shift, smt.negation(accept)])
        nothing_stalls = smt.conjunction(
            [wire("busy"), *(wire(f"{s}_valid") for s in "abc"), wire("result_ready")]
        )
        crossing = smt.conjunction(
            [gemm, all_products, less(count("waited"), number(self.crossing))]
        )
        return {
            "a command is taken when none is in work, and only then": smt.equal(
                wire("commands_ready"), idle
            ),
            "A and B are taken together, with each product": smt.conjunction(
                smt.equal(passes(side), wire("compute")) for side in ("a", "b")
            ),
            "C is taken for each row that is loaded or converted": smt.equal(
                passes("c"), smt.disjunction([wire("load"), converts])
            ),
            "nothing moves without a command": smt.implies(
                idle,
                smt.conjunction(
                    smt.negation(wire(name)) for name in ("load", "shift", "compute", "accept")
                ),
            ),
            "a row of C enters where one is due": smt.implies(
                wire("load"),
                smt.conjunction(
                    [
                        gemm,
                        loads,
                        shift,
                        smt.negation(accept),
                        less(count("loaded"), rows),
                        smt.equal(count("shifted"), count("loaded")),
                    ]
                ),
            ),
            "C reaches its rows before the first product": smt.implies(
                begins,
                smt.conjunction(
                    [
                        gemm,
                        loads,
                        no_product,
                        less(count("shifted"), number(self.rows)),
                        smt.disjunction([wire("load"), smt.equal(count("loaded"), rows)]),
                    ]
                ),
            ),
            "a product is due": smt.implies(
                wire("compute"),
                smt.conjunction(
                    [
                        gemm,
                        smt.negation(shift),
                        none_given,
                        less(count("products"), length),
                        self.ready_to_compute(clock),
                    ]
                ),
            ),
            "a row drains after the last product has crossed the array": smt.implies(
                drains,
                smt.conjunction(
                    [
                        gemm,
                        shift,
                        all_products,
                        crossed,
                        less(count("given"), rows),
                        self.ready_to_compute(clock),
                    ]
                ),
            ),
            "a row converts": smt.implies(
                converts,
                smt.conjunction(
                    [smt.negation(gemm), smt.negation(shift), less(count("given"), length)]
                ),
            ),
            "a row is given only where there is room": smt.implies(accept, wire("result_ready")),
            "the last row is told": smt.implies(accept, smt.equal(wire("last"), final)),
            "a command begins and ends": smt.equal(
                self.wire(clock.later, "busy"),
                smt.disjunction([taken, smt.conjunction([wire("busy"), smt.negation(ends)])]),
            ),
            "the command in work stays what was taken": smt.equal(
                self.wire(clock.later, "command"),
                smt.choose(taken, wire("commands_payload"), command),
            ),
            "something moves where nothing stalls": smt.implies(
                nothing_stalls,
                smt.disjunction([wire("compute"), shift, accept, crossing]),
            ),
        }

    def ready_to_compute(self, clock: Clock) -> str:
        """Whether C is where it belongs, if it was asked for."""
        command = self.wire(clock, "command")
        loads = smt.equal(self.field(command, "load_c"), number(1))
        return smt.conjunction(
            [
                smt.equal(clock.count("shifted"), smt.choose(loads, number(self.rows), number(0))),
                smt.equal(
                    clock.count("loaded"),
                    smt.choose(loads, self.field(command, "rows"), number(0)),
                ),
            ]
        )

    def phase_is(self, clock: Wires, *names: str) -> str:
        """Whether control is in one of these phases."""
        return smt.disjunction(
            smt.equal(self.wire(clock, "fsm_state"), smt.const(PHASES[name], 3)) for name in names
        )

    def remaining(self, clock: Wires) -> str:
        """Steps of the phase left after the present one."""
        return smt.extend(self.wire(clock, "remaining"), BITS - 2, BITS)

    def shape(self, clock: Wires) -> dict[str, str]:
        """What the registers of control hold in each phase, without the counts."""
        command = self.wire(clock, "command")
        rows, length = self.field(command, "rows"), self.field(command, "length")
        gemm = smt.equal(self.field(command, "operation"), number(0))
        left = self.remaining(clock)
        bounds = {
            "CONVERT": length,
            "COMPUTE": length,
            "LOAD": number(self.rows),
            "FLUSH": number(self.crossing),
            "DRAIN": rows,
        }
        return {
            "a phase that exists": self.phase_is(clock, *PHASES),
            "an allowed command": smt.disjunction(
                [self.phase_is(clock, "IDLE"), self.allowed(command)]
            ),
            "a phase of its operation": smt.disjunction(
                [
                    self.phase_is(clock, "IDLE"),
                    smt.equal(self.phase_is(clock, "CONVERT"), smt.negation(gemm)),
                ]
            ),
            **{
                f"steps left in {phase}": smt.implies(
                    self.phase_is(clock, phase), less(left, bound)
                )
                for phase, bound in bounds.items()
            },
        }

    def invariant(self, clock: Clock) -> dict[str, str]:
        """How registers and counts belong together."""
        command = self.wire(clock, "command")
        rows, length = self.field(command, "rows"), self.field(command, "length")
        loads = smt.equal(self.field(command, "load_c"), number(1))
        count = clock.count
        begun = add(self.remaining(clock), number(1))
        no_products = smt.equal(count("products"), number(0))
        none_given = smt.equal(count("given"), number(0))
        all_products = smt.equal(count("products"), length)
        some = less(number(0), length)
        loaded = smt.choose(less(count("shifted"), rows), count("shifted"), rows)

        def left(counted: str, of: str) -> str:
            return smt.equal(add(counted, begun), of)

        phases = {
            "CONVERT": [left(count("given"), length)],
            "LOAD": [
                loads,
                no_products,
                none_given,
                left(count("shifted"), number(self.rows)),
                smt.equal(count("loaded"), loaded),
            ],
            "COMPUTE": [
                none_given,
                some,
                left(count("products"), length),
                self.ready_to_compute(clock),
            ],
            "FLUSH": [
                none_given,
                some,
                all_products,
                left(count("waited"), number(self.crossing)),
                self.ready_to_compute(clock),
            ],
            "DRAIN": [
                all_products,
                smt.implies(some, smt.equal(count("waited"), number(self.crossing))),
                left(count("given"), rows),
                self.ready_to_compute(clock),
            ],
        }
        return {
            **self.shape(clock),
            **{
                phase: smt.implies(self.phase_is(clock, phase), smt.conjunction(terms))
                for phase, terms in phases.items()
            },
        }
