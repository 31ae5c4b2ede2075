"""What a solver is asked: whether goals follow from assumptions."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

Printer = Callable[[str], str]
"""Makes of a value, as the solver writes it, what people read."""


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


@dataclass(frozen=True)
class Facts:
    """Goals that plain arithmetic decides, without a solver.

    Attributes
    ----------
    goals : dict of str to bool
        Whether each holds, by what it says.
    """

    goals: Mapping[str, bool]
