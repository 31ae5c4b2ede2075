"""Bitwuzla decides a problem."""

import time
from dataclasses import dataclass, field
from enum import Enum

from cosim.errors import MissingToolError
from cosim.proofs.numbers import PRINTERS
from cosim.proofs.problem import Facts, Induction, Problem, Search, Task


class Outcome(Enum):
    """What became of a statement."""

    PROVED = "proved"
    REFUTED = "refuted"
    UNDECIDED = "undecided"


@dataclass(frozen=True)
class Answer:
    """What the solver says of a problem.

    Attributes
    ----------
    outcome : Outcome
    violated : list of str
        Goals that do not hold in the counterexample.
    counterexample : dict of str to str
        For people to read, by label.
    reason : str
        Why a problem is undecided.
    """

    outcome: Outcome
    violated: list[str] = field(default_factory=list)
    counterexample: dict[str, str] = field(default_factory=dict)
    reason: str = ""


def decide(task: Task, timeout: float) -> Answer:
    """Decide whether the goals of a part of a statement hold.

    Parameters
    ----------
    task : Problem, Facts, or Induction
    timeout : float
        Seconds, for each problem.

    Raises
    ------
    MissingToolError
        If the solver is not installed.
    """
    if isinstance(task, Facts):
        violated = [says for says, holds in task.goals.items() if not holds]
        return Answer(Outcome.REFUTED if violated else Outcome.PROVED, violated)
    if isinstance(task, Induction):
        return _induce(task, timeout)
    return _solve(task, timeout)


def _induce(induction: Induction, timeout: float) -> Answer:
    start = _solve(induction.start, timeout)
    if start.outcome is not Outcome.PROVED:
        return start
    step = _solve(induction.step, timeout)
    if step.outcome is not Outcome.REFUTED:
        return step
    # A state that breaks the invariant need not be one that is ever reached.
    search = _search(induction.search, timeout)
    if search.outcome is Outcome.REFUTED:
        return search
    clocks = len(induction.search.goals)
    within = (
        f"no run of {clocks} clocks from reset violates it"
        if search.outcome is Outcome.PROVED
        else f"runs of {clocks} clocks are undecided, too: {search.reason}"
    )
    broken = ", ".join(step.violated)
    return Answer(Outcome.UNDECIDED, reason=f"the induction fails ({broken}); {within}")


def _search(search: Search, timeout: float) -> Answer:
    """Search runs from reset; tell of a counterexample up to the clock that goes wrong."""
    goals = {
        _in_clock(says, clock): term
        for clock, terms in enumerate(search.goals, start=1)
        for says, term in terms.items()
    }
    shown = {
        _in_clock(label, clock): value
        for clock, values in enumerate(search.shown, start=1)
        for label, value in values.items()
    }
    answer = _solve(Problem(search.text, goals, shown), timeout)
    if answer.outcome is not Outcome.REFUTED:
        return answer
    wrong = next(
        clock
        for clock, terms in enumerate(search.goals, start=1)
        if any(_in_clock(says, clock) in answer.violated for says in terms)
    )
    values = {
        label: " ".join(
            answer.counterexample[_in_clock(label, clock)] for clock in range(1, wrong + 1)
        )
        for label in search.shown[0]
    }
    violated = [
        says for says in answer.violated if says in {_in_clock(s, wrong) for s in search.goals[0]}
    ]
    return Answer(Outcome.REFUTED, violated, values)


def _in_clock(says: str, clock: int) -> str:
    return f"in clock {clock} after reset: {says}"


def _solve(problem: Problem, timeout: float) -> Answer:
    try:
        import bitwuzla
    except ImportError as error:
        raise MissingToolError("Bitwuzla is missing: pip install bitwuzla") from error
    deadline = time.monotonic() + timeout

    def check(script: str):
        options = bitwuzla.Options()
        options.set(bitwuzla.Option.PRODUCE_MODELS, True)
        left = max(deadline - time.monotonic(), 0.001)
        options.set(bitwuzla.Option.TIME_LIMIT_PER, int(1000 * left) + 1)
        parser = bitwuzla.Parser(bitwuzla.TermManager(), options)
        parser.parse(script, True, False)
        return parser, parser.bitwuzla().check_sat()

    try:
        parser, result = check(problem.refutation)
    except bitwuzla.BitwuzlaException as error:
        # Ports of other widths than the statement expects, for one.
        return Answer(Outcome.UNDECIDED, reason=f"it makes no sense of this Verilog: {error}")
    if result == bitwuzla.Result.SAT:
        solver = parser.bitwuzla()

        def value(term: str) -> str:
            return str(solver.get_value(parser.parse_term(term)))

        violated = [says for says, goal in problem.goals.items() if value(goal) == "false"]
        counterexample = {
            label: PRINTERS[shown.kind](value(shown.term))
            for label, shown in problem.shown.items()
            if shown.goal in ("", *violated)
        }
        return Answer(Outcome.REFUTED, violated, counterexample)
    if result == bitwuzla.Result.UNSAT:
        # From assumptions that contradict each other anything would follow.
        _, result = check(problem.assumptions)
        if result == bitwuzla.Result.SAT:
            return Answer(Outcome.PROVED)
        if result == bitwuzla.Result.UNSAT:
            return Answer(Outcome.UNDECIDED, reason="its assumptions contradict each other")
    return Answer(Outcome.UNDECIDED, reason=f"no answer within {timeout:.0f} s")
