"""What a solver is asked: whether goals follow from assumptions."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from cosim.proofs import smt


@dataclass(frozen=True)
class Shown:
    """A term whose value is part of a counterexample.

    Attributes
    ----------
    term : str
    kind : str
        A key of `cosim.proofs.numbers.PRINTERS`.
    goal : str
        If not empty: tell it only where this goal does not hold.
    """

    term: str
    kind: str = "bits"
    goal: str = ""


@dataclass(frozen=True)
class Problem:
    """Goals that are to follow from assumptions, whatever else is.

    Attributes
    ----------
    text : str
        SMT-LIB: declarations, definitions, and assumptions.
    goals : dict of str to str
        Terms that must hold, by what they say.
    shown : dict of str to Shown
        What a counterexample tells, by its label.
    """

    text: str
    goals: Mapping[str, str]
    shown: Mapping[str, Shown] = field(default_factory=dict)

    @property
    def assumptions(self) -> str:
        """SMT-LIB without the goals: satisfiable, or anything would follow."""
        return f"(set-logic ALL)\n{self.text}"

    @property
    def refutation(self) -> str:
        """SMT-LIB that is unsatisfiable if, and only if, the goals follow."""
        violated = smt.assume(smt.negation(smt.conjunction(self.goals.values())))
        return f"{self.assumptions}\n{violated}"


@dataclass(frozen=True)
class Facts:
    """Goals that plain arithmetic decides, without a solver.

    Attributes
    ----------
    goals : dict of str to bool
        Whether each holds, by what it says.
    """

    goals: Mapping[str, bool]


@dataclass(frozen=True)
class Search:
    """Goals of each clock of a run from reset.

    Attributes
    ----------
    text : str
        SMT-LIB: declarations, definitions, and assumptions.
    goals : list of dict of str to str
        For each clock, terms that must hold, by what they say.
    shown : list of dict of str to Shown
        For each clock, what a counterexample tells; the labels are the same in each.
    """

    text: str
    goals: list[dict[str, str]]
    shown: list[dict[str, Shown]]


@dataclass(frozen=True)
class Induction:
    """Goals of every clock of every run from reset.

    Attributes
    ----------
    start : Problem
        The invariant after reset.
    step : Problem
        Goals in a clock that begins with the invariant, and the invariant after it.
    search : Search
        Goals in each of the first clocks after reset; decided only if `step` is refuted.
    """

    start: Problem
    step: Problem
    search: Search


Task = Problem | Facts | Induction
"""What a part of a statement may be."""
