"""A campaign: mutants are planted one by one, and regression and proofs must notice each."""

import json
import multiprocessing
import shutil
import tempfile
import time
import tomllib
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Executor, ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass
from functools import cache
from hashlib import sha256
from itertools import chain
from pathlib import Path

import rtl_gen
from cosim.errors import CheckFailedError
from cosim.files import make_folder
from cosim.mutation.equivalence import why_equivalent
from cosim.mutation.mutants import Mutant, plant, rewrite
from cosim.mutation.sieve import sift
from cosim.proofs import Outcome, Statement, prove, statements_for
from cosim.regression.runner import OutOfTimeError, require, run_regression
from cosim.units.campaign import checks_of
from pysim import InputError
from rtl_gen import Design

RESULTS = "results.jsonl"
SURVIVORS = "survivors"
EXPLANATIONS = Path(__file__).with_name("explanations.toml")

KILLED, EQUIVALENT, SURVIVED = "killed", "equivalent", "survived"
FATES = (KILLED, EQUIVALENT, SURVIVED)

PATIENCE = 6.0
"""How many times longer than the regression of the original one of a mutant may take."""

QUICK = {
    "fp8_mac_array": (
        "after_reset",
        "payloads_of_nan",
        "unused_inputs",
        "operands_wait_for_each_other",
        "commands_in_a_row",
        "lanes_can_be_set",
        "lanes_draw_only_for_results",
        "lanes_loaded_while_drawing",
        "flags_raised_while_cleared",
        "flags_come_with_results",
        "flags_stick",
    ),
    "fp8_gemm_engine": (
        "flags_stick",
        "registers_after_reset",
        "settings_keep_what_is_written",
        "operands_wait_for_each_other",
        "payloads_of_nan",
        "lanes_of_random_bits",
        "registers_while_busy",
        "sizes_and_modes_that_are_not_there",
        "codes_wait",
        "interrupts",
        "draws_at_the_threshold",
        "conversions_without_stalls",
        "gemms_without_stalls",
    ),
}
"""Tests of each top that take no time to speak of; they come first, and notice most mutants."""

BATCH = 40
"""Mutants in one simulation."""

PROOF_TIMEOUT = 120.0
"""Seconds for a part of a statement; undecided is not killed."""


@dataclass(frozen=True)
class Verdict:
    """What became of a mutant.

    Attributes
    ----------
    mutant, module : str
    fate : str
        One of `FATES`.
    by : str
        The test or the statement that noticed it: ``"regression: random_gemms"``.
    why : str
        What that said; of an equivalent mutant, why it is; of a survivor, its explanation, if any.
    seconds : float
    """

    mutant: str
    module: str
    fate: str
    by: str
    why: str
    seconds: float


@dataclass(frozen=True)
class Task:
    """What is needed to judge a mutant.

    Attributes
    ----------
    original, design : rtl_gen.Design
        Without and with the mutant.
    mutant : Mutant
    seed : int
        Of the regression.
    limit : float
        Seconds for the regression.
    """

    original: Design
    design: Design
    mutant: Mutant
    seed: int
    limit: float


class _Watch:
    """Makes verdicts on a mutant, and takes the time."""

    def __init__(self, mutant: Mutant) -> None:
        self._mutant = mutant
        self._start = time.monotonic()

    def verdict(self, fate: str, by: str = "", why: str = "") -> Verdict:
        seconds = round(time.monotonic() - self._start, 2)
        return Verdict(self._mutant.name, self._mutant.module, fate, by, why, seconds)


@cache
def explanations() -> dict[str, str]:
    """Return why survivors are no faults, by mutant."""
    entries = tomllib.loads(EXPLANATIONS.read_text())["survivor"]
    return {entry["mutant"]: " ".join(entry["because"].split()) for entry in entries}


def compare(task: Task) -> Verdict | None:
    """Look whether a mutant is equivalent."""
    watch = _Watch(task.mutant)
    why = why_equivalent(task.original, task.design, task.mutant.module)
    return None if why is None else watch.verdict(EQUIVALENT, "miter", why)


def sieve(tasks: Sequence[Task]) -> list[Verdict]:
    """Look which mutants the quick tests of the regression notice."""
    first = tasks[0]
    start = time.monotonic()
    mutants = [task.mutant for task in tasks]
    quick = QUICK[first.original.manifest["top"]]
    noticed = sift(first.original, mutants, quick, seed=first.seed, limit=first.limit)
    seconds = round((time.monotonic() - start) / len(tasks), 2)
    return [
        Verdict(mutant.name, mutant.module, KILLED, f"regression: {test}", why, seconds)
        for mutant, (test, why) in noticed.items()
    ]


def judge(task: Task) -> Verdict:
    """Find out what becomes of a mutant by proofs, the whole regression, and checks of its unit.

    Raises
    ------
    CheckFailedError
        If a statement that is refuted is so without the mutant, too.
    """
    watch = _Watch(task.mutant)
    statements = statements_for(task.original, task.mutant.module)
    for proof in prove(task.design, statements, timeout=PROOF_TIMEOUT, until_refuted=True):
        if proof.outcome is Outcome.REFUTED:
            _check_refutes_only_mutants(task.original, proof.statement)
            found = ", ".join(f"{label} {value}" for label, value in proof.counterexample.items())
            return watch.verdict(KILLED, f"proof: {proof.statement.name}", found)
    if (noticed := _simulate(task)) is not None:
        return watch.verdict(KILLED, *noticed)
    for check in checks_of(task.mutant.module):
        result = check.run(task.design, lambda done, total: None, short=False)
        if result.wrong is not None:
            return watch.verdict(KILLED, f"exhaust: {check.name}", result.wrong.sentence)
    return watch.verdict(SURVIVED, why=explanations().get(task.mutant.name, ""))


def _check_refutes_only_mutants(original: Design, statement: Statement) -> None:
    """Check that a statement is not refuted without a mutant, too; whether it is proved or not."""
    (proof,) = prove(original, [statement], timeout=PROOF_TIMEOUT / 10)
    if proof.outcome is Outcome.REFUTED:
        raise CheckFailedError(f"{statement.name} is refuted without a mutant")


def _simulate(task: Task) -> tuple[str, str] | None:
    """Run the regression up to its first failure; return what failed, and how."""
    with tempfile.TemporaryDirectory() as folder:
        try:
            outcome = run_regression(
                task.design,
                Path(folder),
                simulator="icarus",
                seed=task.seed,
                stop_at_failure=True,
                limit=task.limit,
            )
        except OutOfTimeError:
            return "regression: time limit", f"no end within {task.limit:.0f} s"
        except CheckFailedError as error:
            return "regression: simulator", str(error).splitlines()[0]
    return next(((f"regression: {test}", why) for test, why in outcome.failures.items()), None)


def run_campaign(
    design: Design,
    mutants: Sequence[Mutant],
    folder: Path,
    *,
    seed: int = 0,
    jobs: int = 2,
    progress: Callable[[str, int], None] = lambda what, done: None,
) -> list[Verdict]:
    """Judge mutants of a design; go on where an earlier campaign in the same folder stopped.

    The cheapest comes first: whether a mutant is equivalent, then the quick tests, the proofs, the
    rest of the regression, and what `fp8cosim exhaust` tries of the unit. Verdicts of the folder
    count, but for survivors: these are judged again, because new checks may notice them.

    Parameters
    ----------
    design : rtl_gen.Design
    mutants : sequence of Mutant
    folder : Path
        Gets ``results.jsonl``, a verdict a line, and the Verilog of survivors.
    seed : int
        Of the regression.
    jobs : int
        Processes that work at a time.
    progress : callable
        Called with what is being done and the mutants judged.

    Returns
    -------
    list of Verdict
        In the order of the mutants.

    Raises
    ------
    InputError
        If the folder cannot be written, or holds a campaign on other Verilog.
    CheckFailedError
        If the design does not pass without a mutant.
    MissingToolError
        If Icarus, Yosys, or the solver is missing.
    """
    require("icarus")
    make_folder(folder)
    file = folder / RESULTS
    verdicts = {
        name: verdict
        for name, verdict in _earlier(file, design).items()
        if verdict.fate != SURVIVED
    }
    survivors = folder / SURVIVORS
    shutil.rmtree(survivors, ignore_errors=True)

    def pending() -> list[Mutant]:
        return [mutant for mutant in mutants if mutant.name not in verdicts]

    def keep(what: str, found: Iterable[Verdict | None]) -> None:
        progress(what, len(mutants) - len(pending()))
        with file.open("a") as results:
            for verdict in found:
                if verdict is not None:
                    verdicts[verdict.mutant] = verdict
                    results.write(json.dumps(asdict(verdict)) + "\n")
                    results.flush()
                progress(what, len(mutants) - len(pending()))

    if pending():
        progress("the original", len(mutants) - len(pending()))
        limit = PATIENCE * _check_original(design, seed)
        tasks = {
            mutant.name: Task(design, planted, mutant, seed, limit)
            for mutant, planted in zip(pending(), plant(design, pending()), strict=True)
        }
        context = multiprocessing.get_context("spawn")
        with ProcessPoolExecutor(jobs, mp_context=context) as pool:
            keep("equivalent?", _each(pool, compare, tasks.values()))
            left = [tasks[mutant.name] for mutant in pending()]
            batches = [left[i : i + BATCH] for i in range(0, len(left), BATCH)]
            keep("quick tests", chain.from_iterable(_each(pool, sieve, batches)))
            left = [tasks[mutant.name] for mutant in pending()]
            keep("proofs and regression", _each(pool, judge, left))
        for name, task in tasks.items():
            if verdicts[name].fate == SURVIVED:
                rtl_gen.save(task.design, survivors / str(mutants.index(task.mutant)))
    return [verdicts[mutant.name] for mutant in mutants]


def _each(pool: Executor, work: Callable, items: Iterable) -> Iterator:
    """Do the same work on each item; yield what comes of it as it comes."""
    running = [pool.submit(work, item) for item in items]
    try:
        for future in as_completed(running):
            yield future.result()
    finally:
        for future in running:
            future.cancel()


def _check_original(design: Design, seed: int) -> float:
    """Check that the design passes as Yosys writes it; return the seconds that it took."""
    start = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        outcome = run_regression(
            rewrite(design), Path(folder), simulator="icarus", seed=seed, stop_at_failure=True
        )
    if outcome.failures:
        test, why = next(iter(outcome.failures.items()))
        raise CheckFailedError(f"the Verilog fails without a mutant, in {test}: {why}")
    return time.monotonic() - start


def _earlier(file: Path, design: Design) -> dict[str, Verdict]:
    """Read the verdicts of a file by mutant, or begin the file with what they are about."""
    text = "".join(f"{name}\n{module}" for name, module in sorted(design.modules.items()))
    header = {"verilog": sha256(text.encode()).hexdigest()}
    if not file.exists():
        file.write_text(json.dumps(header) + "\n")
        return {}
    first, *lines = file.read_text().splitlines()
    if json.loads(first) != header:
        raise InputError(f"{file} is about other Verilog: name another folder, or remove it")
    verdicts = (Verdict(**json.loads(line)) for line in lines)
    return {verdict.mutant: verdict for verdict in verdicts}
