"""Bitwuzla decides a problem."""

import time
from dataclasses import dataclass, field
from enum import Enum

from cosim.errors import MissingToolError
from cosim.proofs import smt
from cosim.proofs.numbers import PRINTERS
from cosim.proofs.problem import Facts, Problem


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


def decide(problem: Problem | Facts, timeout: float) -> Answer:
    """Decide whether the goals follow from the assumptions.

    Parameters
    ----------
    problem : Problem or Facts
    timeout : float
        Seconds.

    Raises
    ------
    MissingToolError
        If the solver is not installed.
    """
    if isinstance(problem, Facts):
        violated = [says for says, holds in problem.goals.items() if not holds]
        return Answer(Outcome.REFUTED if violated else Outcome.PROVED, violated)
    try:
        import bitwuzla
    except ImportError as error:
        raise MissingToolError("Bitwuzla is missing: pip install bitwuzla") from error
    deadline = time.monotonic() + timeout

    def check(*commands: str):
        options = bitwuzla.Options()
        options.set(bitwuzla.Option.PRODUCE_MODELS, True)
        left = max(deadline - time.monotonic(), 0.001)
        options.set(bitwuzla.Option.TIME_LIMIT_PER, int(1000 * left) + 1)
        parser = bitwuzla.Parser(bitwuzla.TermManager(), options)
        parser.parse("\n".join(["(set-logic ALL)", problem.text, *commands]), True, False)
        return parser, parser.bitwuzla().check_sat()

    try:
        parser, result = check(smt.assume(smt.negation(smt.conjunction(problem.goals.values()))))
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
        _, result = check()
        if result == bitwuzla.Result.SAT:
            return Answer(Outcome.PROVED)
        if result == bitwuzla.Result.UNSAT:
            return Answer(Outcome.UNDECIDED, reason="its assumptions contradict each other")
    return Answer(Outcome.UNDECIDED, reason=f"no answer within {timeout:.0f} s")
