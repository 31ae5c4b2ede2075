"""Statements about runs of any length: by induction over clocks, with counts kept alongside.

An induction shows that an invariant holds after reset, and that every clock keeps it; what is
stated must follow from the invariant in every clock. The invariant names registers of the Verilog,
so Verilog with other registers may break it and be right all the same. Where it is not kept, runs
from reset of a stated length are searched instead: a run that violates the statement refutes it,
and the absence of one leaves it undecided.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from cosim.proofs import smt
from cosim.proofs.netlist import Netlist, Trace
from cosim.proofs.problem import Induction, Problem, Search, Shown


class Wires(Protocol):
    """The wires of a module in some clock."""

    def wire(self, name: str) -> str:
        """A wire: a truth value if it has one bit, else a bit-vector."""
        ...


@dataclass(frozen=True)
class Clock:
    """One clock of a run, and the counts before it."""

    trace: Trace
    time: int

    def wire(self, name: str) -> str:
        """A wire: a truth value if it has one bit, else a bit-vector."""
        return self.trace.wire(name, self.time)

    def vector(self, name: str) -> str:
        """A wire, as a bit-vector even if it has one bit."""
        return self.trace.vector(name, self.time)

    def count(self, name: str) -> str:
        """A count."""
        return f"|{name}@{self.time}|"

    @property
    def later(self) -> "Clock":
        """The next clock."""
        return Clock(self.trace, self.time + 1)


Terms = Callable[[Clock], dict[str, str]]


@dataclass(frozen=True)
class Count:
    """Something that a statement counts, or remembers, and the Verilog need not.

    Attributes
    ----------
    width : int
        Bits.
    after : callable
        Returns the count after a clock; it starts from zero at reset.
    """

    width: int
    after: Callable[[Clock], str]


@dataclass(frozen=True)
class Run:
    """What is stated of every clock of every run that starts with a reset.

    Attributes
    ----------
    netlist : Netlist
    goals : callable
        Returns what must hold in a clock, by what it says.
    invariant : callable
        Returns what the induction rests on.
    assumptions : callable
        Returns what the surroundings keep to.
    counts : dict of str to Count
    shown : callable
        Returns what a counterexample tells of a clock, by its label.
    clocks : int
        Length of the runs searched where the induction fails.
    at_reset : callable
        Returns what must hold after reset, beside the invariant.
    """

    netlist: Netlist
    goals: Terms
    invariant: Terms
    clocks: int
    shown: Callable[[Clock], dict[str, Shown]]
    assumptions: Terms = lambda clock: {}
    at_reset: Terms = lambda clock: {}
    counts: Mapping[str, Count] = field(default_factory=dict)

    def induction(self) -> Induction:
        """Return what is to be decided."""
        return Induction(self._start(), self._step(), self._search())

    def _start(self) -> Problem:
        clock = Clock(Trace(self.netlist, "unit", 1), 0)
        text = [
            *self._begin(clock, smt.assume(clock.wire("rst"))),
            *self._zero_counts(clock.later),
        ]
        goals = {**self.at_reset(clock.later), **self.invariant(clock.later)}
        goals = {f"after reset: {says}": term for says, term in goals.items()}
        return Problem("\n".join(text), goals, self.shown(clock.later))

    def _step(self) -> Problem:
        clock = Clock(Trace(self.netlist, "unit", 1), 0)
        text = [
            *self._begin(clock, *self._free_counts(clock), *self._step_counts(clock)),
            smt.assume(smt.negation(clock.wire("rst"))),
            *map(smt.assume, self.invariant(clock).values()),
            *map(smt.assume, self.assumptions(clock).values()),
        ]
        kept = {f"kept: {says}": term for says, term in self.invariant(clock.later).items()}
        return Problem("\n".join(text), {**self.goals(clock), **kept}, self.shown(clock))

    def _search(self) -> Search:
        first = Clock(Trace(self.netlist, "unit", self.clocks + 1), 0)
        text = self._begin(first, smt.assume(first.wire("rst")), *self._zero_counts(first.later))
        clocks = [Clock(first.trace, t) for t in range(1, self.clocks + 1)]
        for clock in clocks:
            text += [
                *self._step_counts(clock),
                smt.assume(smt.negation(clock.wire("rst"))),
                *map(smt.assume, self.assumptions(clock).values()),
            ]
        return Search("\n".join(text), list(map(self.goals, clocks)), list(map(self.shown, clocks)))

    def _begin(self, clock: Clock, *commands: str) -> list[str]:
        return [self.netlist.text, clock.trace.text, *commands]

    def _free_counts(self, clock: Clock) -> list[str]:
        return [
            smt.declare(clock.count(name), smt.bit_vector(count.width))
            for name, count in self.counts.items()
        ]

    def _zero_counts(self, clock: Clock) -> list[str]:
        return [
            smt.define(clock.count(name), smt.bit_vector(count.width), smt.const(0, count.width))
            for name, count in self.counts.items()
        ]

    def _step_counts(self, clock: Clock) -> list[str]:
        return [
            smt.define(clock.later.count(name), smt.bit_vector(count.width), count.after(clock))
            for name, count in self.counts.items()
        ]
