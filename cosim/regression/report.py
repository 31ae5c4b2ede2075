"""The coverage report: one page that needs nothing else, no network either."""

from importlib import resources
from pathlib import Path

from jinja2 import Environment, StrictUndefined

from cosim.files import replacing
from pysim import ArrayConfig


def write_report(
    path: Path,
    config: ArrayConfig,
    simulator: str,
    seed: int,
    tests: dict[str, bool],
    coverage: dict[str, dict[str, int]],
    missed: list[str],
) -> None:
    """Write coverage and tests as HTML.

    Parameters
    ----------
    path : Path
    config : ArrayConfig
        Of the array.
    simulator : str
    seed : int
    tests : dict of str to bool
        Whether each passed.
    coverage : dict of str to dict of str to int
        Counts by question and bin.
    missed : list of str
        Bins that no test reached.
    """
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    template = resources.files("cosim.regression").joinpath("coverage.html.j2").read_text()
    counts = [n for bins in coverage.values() for n in bins.values()]
    page = environment.from_string(template).render(
        config=config,
        simulator=simulator,
        seed=seed,
        tests=tests,
        tables=[_table(question, bins) for question, bins in coverage.items()],
        missed=missed,
        reached=sum(1 for n in counts if n),
        goals=len(counts),
    )
    with replacing(path) as file:
        file.write(page.encode())


def _table(question: str, bins: dict[str, int]) -> dict:
    """Lay a question out: answers down, contexts across; None where there is no such bin."""
    contexts: dict[str, None] = {}
    answers: dict[str, dict[str, int]] = {}
    for name, count in bins.items():
        context, colon, answer = name.partition(": ")
        if not colon:
            context, answer = "", name
        contexts[context] = None
        answers.setdefault(answer, {})[context] = count
    return {
        "question": question,
        "reached": sum(1 for n in bins.values() if n),
        "goals": len(bins),
        "contexts": list(contexts),
        "rows": [
            (answer, [counts.get(context) for context in contexts])
            for answer, counts in answers.items()
        ],
    }
