"""The registers of the engine behind AXI4-Lite, as their description has them.

A write is known at the ports: an address and a word are accepted, in either order, and it is done
in the clock before its answer is offered. What was accepted and is not yet done is remembered
beside the Verilog, and the invariant ties it to registers. Everything else follows from a clock.
"""

from collections.abc import Callable

from cosim.proofs import smt
from cosim.proofs.induction import Clock, Count, Run, Terms
from cosim.proofs.netlist import Netlist, Trace
from cosim.proofs.problem import Problem, Shown, Task
from cosim.proofs.statement import Statement, View
from hw.axi import OKAY, SLVERR
from hw.engine_registers import engine_registers
from hw.registers import WORD, Access, Field, Register, RegisterMap
from pysim import ArrayConfig

MODULE = "fp8_engine_registers"
STROBES = WORD // 8


def statements(config: ArrayConfig) -> list[Statement]:
    """Return the statements about the registers."""
    spec = _Registers(engine_registers(config))

    def in_runs(goals: Terms) -> Callable[[Netlist], dict[str, Task]]:
        return lambda netlist: {"": spec.run(netlist, goals).induction()}

    stated = (
        (
            "writes",
            in_runs(spec.writes),
            "every write, its address and its word in either order, is done once and in order, in "
            "the next clock in which the answer before it is taken or gone; its answer stays until "
            "it is taken",
        ),
        (
            "reads",
            lambda netlist: {"": spec.reads(netlist)},
            "every read is answered exactly once, in the next clock, with the fields of its "
            "register, or by SLVERR where there is none; an answer stays until it is taken",
        ),
        (
            "refusals",
            in_runs(spec.refusals),
            "a write is answered by OKAY if it goes to a register that can be written and is not "
            "locked, else by SLVERR; what is refused for the lock is told",
        ),
        (
            "settings",
            in_runs(spec.settings),
            "a setting takes the bytes of a write that is allowed and strobed, and keeps its value "
            "in every other clock; so no locked setting changes while locked",
        ),
        (
            "sticky",
            in_runs(spec.sticky),
            "a sticky bit is set by its cause, and cleared where there is none by a one that is "
            "written, or with all others whatever their causes, and by nothing else",
        ),
        (
            "triggers",
            in_runs(spec.triggers),
            "a trigger is high for the ones of an allowed write, for one clock",
        ),
        (
            "direct",
            in_runs(spec.direct),
            "a field that lies in the hardware is written by an allowed write, once, and but for "
            "the strobed bytes with what it holds",
        ),
    )
    return [
        Statement(f"registers/{name}", MODULE, says, (View(MODULE),), problems)
        for name, problems, says in stated
    ]


class _Registers:
    """What the ports do, told by the description of the registers."""

    def __init__(self, registers: RegisterMap) -> None:
        self.registers = registers
        self.offsets = registers.offsets()

    def run(self, netlist: Netlist, goals: Terms) -> Run:
        """Return what is stated of writes."""
        return Run(
            netlist,
            goals=goals,
            invariant=self._invariant,
            counts=self._counts(),
            at_reset=self._at_reset,
            clocks=6,
            shown=self._shown,
        )

    def writes(self, clock: Clock) -> dict[str, str]:
        """What becomes of what is accepted."""
        waits, stays = clock.wire("bus_bvalid"), _stays(clock, "bus_b")
        both = smt.conjunction(smt.equal(clock.count(c), smt.const(1, 2)) for c in _PARTS)
        room = smt.disjunction([smt.negation(waits), clock.wire("bus_bready")])
        return {
            **{
                f"{part} is accepted where none waits, and only there": smt.equal(
                    clock.wire(f"bus_{channel}ready"),
                    smt.equal(clock.count(part), smt.const(0, 2)),
                )
                for part, channel in _PARTS.items()
            },
            "a write is done when its address and word are there, and only then": smt.equal(
                self._done(clock), smt.conjunction([both, room])
            ),
            "an answer stays until it is taken": smt.implies(
                stays,
                smt.conjunction(
                    [
                        clock.later.wire("bus_bvalid"),
                        smt.equal(clock.later.wire("bus_bresp"), clock.wire("bus_bresp")),
                    ]
                ),
            ),
        }

    def refusals(self, clock: Clock) -> dict[str, str]:
        """How writes are answered."""
        done = self._done(clock)
        response = smt.choose(self._allowed(clock), _response(OKAY), _response(SLVERR))
        locked = smt.disjunction(
            smt.conjunction(
                [self._names(clock.count("address"), register), self._locked(clock, register)]
            )
            for register in self.registers.registers
            if register.lock
        )
        return {
            "the response": smt.implies(done, smt.equal(clock.later.wire("bus_bresp"), response)),
            "what is refused for the lock": smt.equal(
                clock.wire("refused"), smt.conjunction([done, locked])
            ),
        }

    def settings(self, clock: Clock) -> dict[str, str]:
        """What settings hold after a clock."""
        return {
            name: smt.equal(
                clock.later.vector(name),
                smt.choose(
                    written,
                    _merged(clock, clock.vector(name), low, field.width),
                    clock.vector(name),
                ),
            )
            for name, field, low, written in self._fields(clock, Access.SETTING)
        }

    def sticky(self, clock: Clock) -> dict[str, str]:
        """What sticky bits hold after a clock."""
        goals = {}
        for name, field, low, written in self._fields(clock, Access.STICKY):
            none = smt.const(0, field.width)
            ones = smt.choose(written, _merged(clock, none, low, field.width), none)
            kept = f"(bvand {clock.vector(name)} (bvnot {ones}))"
            caused = f"(bvor {kept} {clock.vector(f'{name}_set')})"
            after = smt.choose(clock.wire("clear"), none, caused)
            goals[name] = smt.equal(clock.later.vector(name), after)
        return goals

    def triggers(self, clock: Clock) -> dict[str, str]:
        """When triggers are high."""
        goals = {}
        for name, field, low, written in self._fields(clock, Access.TRIGGER):
            none = smt.const(0, field.width)
            ones = smt.choose(written, _merged(clock, none, low, field.width), none)
            goals[name] = smt.equal(clock.vector(name), ones)
        return goals

    def direct(self, clock: Clock) -> dict[str, str]:
        """When what lies in the hardware is written, and with what."""
        goals = {}
        for name, field, low, written in self._fields(clock, Access.DIRECT):
            merged = _merged(clock, clock.vector(name), low, field.width)
            goals |= {
                f"when {name} is written": smt.equal(clock.wire(f"{name}_write"), written),
                f"what {name} becomes": smt.implies(
                    written, smt.equal(clock.vector(f"{name}_written"), merged)
                ),
            }
        return goals

    def reads(self, netlist: Netlist) -> Problem:
        """Return the problem of reads, which are done in the clock in which they are accepted."""
        now = Clock(Trace(netlist, "unit", 1), 0)
        later, reset, address = now.later, now.wire("rst"), now.wire("bus_araddr")
        taken = smt.conjunction([now.wire("bus_arvalid"), now.wire("bus_arready")])
        stays = _stays(now, "bus_r")
        word, there = smt.const(0, WORD), "false"
        for register in self.registers.registers:
            named = self._names(address, register)
            word = smt.choose(named, self._read(now, register), word)
            there = smt.disjunction([there, named])
        bytes_read = smt.concat(
            *(
                smt.choose(_reaches(address, byte), smt.bits(word, 8 * byte, 8), smt.const(0, 8))
                for byte in reversed(range(STROBES))
            )
        )
        response = smt.choose(there, _response(OKAY), _response(SLVERR))

        def answers(data: str, resp: str) -> str:
            return smt.conjunction(
                [
                    smt.equal(later.wire("bus_rdata"), data),
                    smt.equal(later.wire("bus_rresp"), resp),
                ]
            )

        quiet = smt.negation(reset)
        return Problem(
            "\n".join([netlist.text, now.trace.text]),
            {
                "a read is accepted where no answer waits, and only there": smt.equal(
                    now.wire("bus_arready"), smt.negation(now.wire("bus_rvalid"))
                ),
                "an answer is offered after a read, until it is taken": smt.equal(
                    later.wire("bus_rvalid"),
                    smt.conjunction([quiet, smt.disjunction([taken, stays])]),
                ),
                "the answer": smt.implies(
                    smt.conjunction([quiet, taken]), answers(bytes_read, response)
                ),
                "an answer stays as it is": smt.implies(
                    smt.conjunction([quiet, stays]),
                    answers(now.wire("bus_rdata"), now.wire("bus_rresp")),
                ),
            },
            {
                **{
                    name: Shown(now.vector(f"bus_{name}"))
                    for name in ("arvalid", "arready", "araddr", "rvalid", "rready", "rdata")
                },
                "expected": Shown(bytes_read),
                **{
                    f"{name} after": Shown(later.vector(f"bus_{name}"))
                    for name in ("rvalid", "rdata", "rresp")
                },
            },
        )

    def _counts(self) -> dict[str, Count]:
        """Addresses and words that wait, how many and what they are."""

        def waiting(part: str, channel: str) -> Count:
            def after(clock: Clock) -> str:
                taken = smt.extend(smt.as_bit(_taken(clock, channel)), 1, 2)
                done = smt.extend(smt.as_bit(self._done(clock)), 1, 2)
                return f"(bvsub (bvadd {clock.count(part)} {taken}) {done})"

            return Count(2, after)

        def remembered(name: str, channel: str, port: str, width: int) -> Count:
            return Count(
                width,
                lambda clock: smt.choose(
                    _taken(clock, channel), clock.wire(port), clock.count(name)
                ),
            )

        return {
            **{part: waiting(part, channel) for part, channel in _PARTS.items()},
            "address": remembered("address", "aw", "bus_awaddr", self.registers.address_width),
            "word": remembered("word", "w", "bus_wdata", WORD),
            "strobes": remembered("strobes", "w", "bus_wstrb", STROBES),
        }

    def _invariant(self, clock: Clock) -> dict[str, str]:
        """What waits, as the Verilog's own registers have it."""
        terms = {}
        for part, holds, registers in (
            ("an address", "has_address", {"address": "address"}),
            ("a word", "has_data", {"data": "word", "strobes": "strobes"}),
        ):
            count = smt.choose(clock.wire(holds), smt.const(1, 2), smt.const(0, 2))
            terms[f"whether {part} waits"] = smt.equal(clock.count(part), count)
            terms[f"{part} that waits"] = smt.implies(
                clock.wire(holds),
                smt.conjunction(
                    smt.equal(clock.wire(register), clock.count(remembered))
                    for register, remembered in registers.items()
                ),
            )
        return terms

    def _at_reset(self, clock: Clock) -> dict[str, str]:
        resets = {
            name: field.reset if field.access is Access.SETTING else 0
            for name, field in self.registers.signals()
            if field.access in (Access.SETTING, Access.STICKY)
        }
        widths = clock.trace.netlist.widths
        return {
            "no answer is offered": smt.negation(clock.wire("bus_bvalid")),
            **{
                f"{name} has its value": smt.equal(
                    clock.vector(name), smt.const(value, widths.get(name, 1))
                )
                for name, value in resets.items()
            },
        }

    def _shown(self, clock: Clock) -> dict[str, Shown]:
        channels = ("awvalid", "awready", "wvalid", "wready", "bvalid", "bready", "bresp")
        return {
            **{name: Shown(clock.vector(f"bus_{name}")) for name in channels},
            **{name: Shown(clock.count(name)) for name in ("address", "word", "strobes")},
            **{
                name: Shown(clock.vector(name))
                for name in (*map(_lock, self.registers.locks), "clear")
            },
        }

    def _done(self, clock: Clock) -> str:
        """Whether a write is done in this clock: its answer is offered from the next one on."""
        return smt.conjunction(
            [smt.negation(_stays(clock, "bus_b")), clock.later.wire("bus_bvalid")]
        )

    def _names(self, address: str, register: Register) -> str:
        """Whether an address is that of one of the bytes of a register."""
        width = self.registers.address_width
        index = smt.const(self.offsets[register.name] // STROBES, width - 2)
        return smt.equal(smt.bits(address, 2, width - 2), index)

    def _effect(self, clock: Clock, register: Register) -> str:
        """Whether the write that is remembered goes to a register, and may."""
        unlocked = [smt.negation(self._locked(clock, register))] if register.lock else []
        return smt.conjunction([self._names(clock.count("address"), register), *unlocked])

    def _locked(self, clock: Clock, register: Register) -> str:
        return clock.wire(_lock(register.lock))

    def _allowed(self, clock: Clock) -> str:
        return smt.disjunction(
            self._effect(clock, register)
            for register in self.registers.registers
            if register.writable
        )

    def _fields(self, clock: Clock, access: Access) -> list[tuple[str, Field, int, str]]:
        """Fields of a kind: name, field, lowest bit, and whether a write to it is done."""
        return [
            (
                f"{register.name}_{field.name}",
                field,
                low,
                smt.conjunction([self._done(clock), self._effect(clock, register)]),
            )
            for register in self.registers.registers
            for low, field in register.places()
            if field.access is access
        ]

    def _read(self, clock: Clock, register: Register) -> str:
        """The word of a register."""
        parts = [smt.const(0, WORD)]
        for low, field in register.places():
            if field.access is Access.CONSTANT:
                value = smt.const(field.reset, field.width)
            elif field.access is Access.TRIGGER:
                value = smt.const(0, field.width)
            else:
                value = clock.vector(f"{register.name}_{field.name}")
            shifted = f"(bvshl {smt.extend(value, field.width, WORD)} {smt.const(low, WORD)})"
            parts.append(shifted)
        return f"(bvor {' '.join(parts)})"


_PARTS = {"an address": "aw", "a word": "w"}
"""What a write is made of, and the channel that carries it."""


def _response(code: int) -> str:
    return smt.const(code, 2)


def _taken(clock: Clock, channel: str) -> str:
    return smt.conjunction(clock.wire(f"bus_{channel}{wire}") for wire in ("valid", "ready"))


def _lock(name: str) -> str:
    return f"lock_{name}"


def _stays(clock: Clock, channel: str) -> str:
    """Whether what a channel offers is not taken."""
    return smt.conjunction(
        [clock.wire(f"{channel}valid"), smt.negation(clock.wire(f"{channel}ready"))]
    )


def _reaches(address: str, byte: int) -> str:
    """Whether a byte of a word does not lie below an address in it."""
    return f"(bvule {smt.bits(address, 0, 2)} {smt.const(byte, 2)})"


def _merged(clock: Clock, old: str, low: int, width: int) -> str:
    """A field whose lowest bit is `low`, with the bytes of the write that is remembered."""
    address, strobes = clock.count("address"), clock.count("strobes")
    mask = smt.concat(
        *(
            smt.choose(
                smt.conjunction([smt.bit(strobes, byte), _reaches(address, byte)]),
                smt.const(-1, 8),
                smt.const(0, 8),
            )
            for byte in reversed(range(STROBES))
        )
    )
    mask, word = (smt.bits(term, low, width) for term in (mask, clock.count("word")))
    return f"(bvor (bvand {old} (bvnot {mask})) (bvand {word} {mask}))"
