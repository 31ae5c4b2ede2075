"""Proves statements about a design, and says what became of each."""

import multiprocessing
import re
import signal
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass, field

from cosim.errors import CheckFailedError
from cosim.proofs import (
    array,
    clock,
    column,
    control,
    converter,
    element,
    engine,
    flight,
    lfsr,
    mac,
    operands,
    overlap,
    registers,
    ring,
    schedule,
    sequencer,
    stream_converter,
    wiring,
)
from cosim.proofs.netlist import Reader, instantiated
from cosim.proofs.problem import Task
from cosim.proofs.solver import Answer, Outcome, decide
from cosim.proofs.statement import Statement
from pysim import InputError
from rtl_gen import Design

TIMEOUT = 120.0
"""Seconds after which the solver gives up on a part of a statement."""


@dataclass(frozen=True)
class Verdict:
    """What became of a statement.

    Attributes
    ----------
    statement : Statement
    outcome : Outcome
    seconds : float
        That the solver took.
    violated : list of str
        What does not hold in the counterexample.
    counterexample : dict of str to str
        For people to read, by label.
    reason : str
        Why the statement is undecided.
    """

    statement: Statement
    outcome: Outcome
    seconds: float
    violated: list[str] = field(default_factory=list)
    counterexample: dict[str, str] = field(default_factory=dict)
    reason: str = ""

    def to_dict(self) -> dict:
        """Return what there is to tell, ready for JSON."""
        return {
            "name": self.statement.name,
            "module": self.statement.module,
            "says": self.statement.says,
            "outcome": self.outcome.value,
            "seconds": round(self.seconds, 2),
            "violated": self.violated,
            "counterexample": self.counterexample,
            "reason": self.reason,
        }


def statements(design: Design) -> list[Statement]:
    """Return every statement about an array or an engine; the manifest says what it is."""
    config = design.config
    if config.latency:
        return [
            *clock.statements(design),
            *operands.statements(ring.MULTIPLIER, 1, config),
            *ring.statements(config),
            *converter.statements(config),
            *lfsr.statements(config),
            *column.statements(config),
            *registers.statements(config),
            *sequencer.statements(design),
            *schedule.statements(design),
            *overlap.statements(design),
            *stream_converter.statements(config),
            *engine.statements(design),
            *ring.steps(config),
        ]
    return [
        *clock.statements(design),
        *mac.statements(config),
        *element.statements(),
        *converter.statements(config),
        *lfsr.statements(config),
        *column.statements(config),
        *wiring.statements(config),
        *control.statements(design),
        *array.statements(design),
        *flight.statements(design),
        *mac.steps(),
    ]


def touched(design: Design, statement: Statement) -> set[str]:
    """Return the modules whose insides a statement depends on."""
    modules: set[str] = set()
    for view in statement.views:
        modules |= instantiated(design, view.module, view.open_modules)
    return modules


def statements_for(design: Design, *modules: str) -> list[Statement]:
    """Return the statements that depend on the insides of any of the modules.

    Raises
    ------
    InputError
        If the design has no such module.
    """
    for module in modules:
        if module not in design.modules:
            known = ", ".join(sorted(design.modules))
            raise InputError(f"no module {module!r}: there are {known}")
    return [s for s in statements(design) if touched(design, s) & set(modules)]


def select(
    candidates: list[Statement], expression: str | None = None, *, short: bool = False
) -> list[Statement]:
    """Return the statements in whose name a regular expression is found; all without one.

    Parameters
    ----------
    candidates : list of Statement
    expression : str, optional
    short : bool
        Only those of the short form.

    Raises
    ------
    InputError
        If it is not a regular expression, or is found in none of the names.
    """
    candidates = [s for s in candidates if s.short or not short]
    if expression is None:
        return candidates
    try:
        chosen = [s for s in candidates if re.search(expression, s.name)]
    except re.error as error:
        raise InputError(f"{expression!r} is not a regular expression: {error}") from error
    if not chosen:
        names = ", ".join(s.name for s in candidates)
        raise InputError(f"no statement matches {expression!r}: there are {names}")
    return chosen


def prove(
    design: Design,
    chosen: Collection[Statement] | None = None,
    *,
    jobs: int = 1,
    timeout: float = TIMEOUT,
    until_refuted: bool = False,
    progress: Callable[[str, int], None] = lambda name, done: None,
) -> list[Verdict]:
    """Try to prove statements about Verilog.

    Parameters
    ----------
    design : rtl_gen.Design
        Generated, and perhaps edited since.
    chosen : collection of Statement, optional
        As from `statements`, `statements_for`, or `select`; all by default.
    jobs : int
        Processes that prove at once; with 1, the caller's own.
    timeout : float
        Seconds after which the solver gives up on a part of a statement.
    until_refuted : bool
        Stop at the first statement that does not hold; the others have no verdict then.
    progress : callable
        Called with a statement's name and how many statements are done.

    Returns
    -------
    list of Verdict
        In the order of the statements.

    Raises
    ------
    CheckFailedError
        If Yosys refuses the Verilog, or a module is missing.
    MissingToolError
        If Yosys or Bitwuzla is missing.
    """
    chosen = statements(design) if chosen is None else chosen
    order = {statement.name: i for i, statement in enumerate(chosen)}
    verdicts: list[Verdict] = []
    for verdict in _verdicts(design, chosen, jobs, timeout, progress):
        verdicts.append(verdict)
        if until_refuted and verdict.outcome is Outcome.REFUTED:
            break
    return sorted(verdicts, key=lambda verdict: order[verdict.statement.name])


def faulty_modules(design: Design, verdicts: Collection[Verdict]) -> list[str]:
    """Name the modules at fault: those refuted whose own parts are not refuted as well."""
    refuted = [v.statement for v in verdicts if v.outcome is Outcome.REFUTED]
    modules = {statement.module for statement in refuted}
    return sorted(
        {
            statement.module
            for statement in refuted
            if not (touched(design, statement) - {statement.module}) & modules
        }
    )


def _verdicts(
    design: Design,
    chosen: Collection[Statement],
    jobs: int,
    timeout: float,
    progress: Callable[[str, int], None],
) -> Iterator[Verdict]:
    reader = Reader(design)
    if jobs == 1:
        for done, statement in enumerate(chosen):
            progress(statement.name, done)
            yield _decided(statement, _problems(reader, statement), timeout)
        return
    context = multiprocessing.get_context("spawn")
    # An interrupt ends the solver at once; Python would wait for it.
    dies = (signal.SIGINT, signal.SIG_DFL)
    with ProcessPoolExecutor(jobs, context, signal.signal, dies) as pool:
        pending = {}
        for statement in chosen:
            problems = _problems(reader, statement)
            if isinstance(problems, Answer):
                yield _decided(statement, problems, timeout)
            else:
                pending[pool.submit(_decide, problems, timeout)] = statement
        done = len(chosen) - len(pending)
        try:
            for future in as_completed(pending):
                done += 1
                progress(pending[future].name, done)
                yield _verdict(pending[future], *future.result())
        finally:
            for future in pending:
                future.cancel()


def _problems(reader: Reader, statement: Statement) -> Mapping[str, Task] | Answer:
    netlists = [reader.read(view.module, view.open_modules) for view in statement.views]
    try:
        return statement.problems(*netlists)
    except CheckFailedError as error:
        return Answer(Outcome.UNDECIDED, reason=str(error))


def _decided(
    statement: Statement, problems: Mapping[str, Task] | Answer, timeout: float
) -> Verdict:
    if isinstance(problems, Answer):
        return _verdict(statement, problems, 0.0)
    return _verdict(statement, *_decide(problems, timeout))


def _decide(problems: Mapping[str, Task], timeout: float) -> tuple[Answer, float]:
    """Decide the parts of a statement up to the first that is not proved."""
    start = time.monotonic()
    answer = Answer(Outcome.PROVED)
    for part, problem in problems.items():
        answer = decide(problem, timeout)
        if answer.outcome is not Outcome.PROVED:
            prefix = f"{part}: " if part else ""
            answer = Answer(
                answer.outcome,
                [prefix + says for says in answer.violated],
                answer.counterexample,
                answer.reason and prefix + answer.reason,
            )
            break
    return answer, time.monotonic() - start


def _verdict(statement: Statement, answer: Answer, seconds: float) -> Verdict:
    return Verdict(
        statement,
        answer.outcome,
        seconds,
        answer.violated,
        answer.counterexample,
        answer.reason,
    )
