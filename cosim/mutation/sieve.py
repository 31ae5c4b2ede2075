"""A sieve: many mutants in one simulation, each awake until the regression notices it.

It is quick, because the simulator starts once, and it only notices: what passes may be noticed
where a mutant is alone and registers start without a value.
"""

import json
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from cosim.errors import CheckFailedError
from cosim.mutation.mutants import Mutant, plant_all
from cosim.regression.runner import run_tests
from rtl_gen import Design

ENVIRONMENT = "FP8COSIM_SIEVE"
"""Variable that names the file with the numbers of the mutants and the names of the tests."""

NOTICED = "noticed.jsonl"
"""File beside it that gets a line for each mutant that is noticed."""


def sift(
    design: Design,
    mutants: Sequence[Mutant],
    tests: Sequence[str],
    *,
    seed: int,
    limit: float,
) -> dict[Mutant, tuple[str, str]]:
    """Return the mutants that tests notice: the first test of each, and what it said.

    Parameters
    ----------
    design : rtl_gen.Design
    mutants : sequence of Mutant
    tests : sequence of str
        Of the regression, the quickest first.
    seed : int
        Of the regression.
    limit : float
        Seconds. What was noticed until then counts.

    Raises
    ------
    MissingToolError
        If Icarus or Yosys is missing.
    """
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary).resolve()
        numbers = range(1, len(mutants) + 1)
        setup = folder / "sieve.json"
        setup.write_text(json.dumps({"mutants": list(numbers), "tests": list(tests)}))
        # A mutant that hangs or breaks the simulation is judged alone, later.
        with suppress(CheckFailedError):
            run_tests(
                plant_all(design, mutants),
                folder,
                [test_name(number, test) for number in numbers for test in tests],
                "icarus",
                seed,
                waves=False,
                limit=limit,
                module="cosim.mutation.sieve_tests",
                extra_environment={ENVIRONMENT: str(setup)},
            )
        noticed = folder / NOTICED
        lines = noticed.read_text().splitlines() if noticed.exists() else []
    return {
        mutants[found["mutant"] - 1]: (found["test"], found["why"])
        for found in map(json.loads, lines)
    }


def test_name(number: int, test: str) -> str:
    """Return what a test of the regression is called that runs with a mutant awake."""
    return f"mutant_{number}_{test}"
