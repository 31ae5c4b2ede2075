"""The coverage report: one page that needs nothing else, no network either."""

from importlib import resources
from pathlib import Path

from jinja2 import Environment, StrictUndefined

from cosim.files import replacing
from cosim.regression.plan import QUESTIONS, split
from pysim import ArrayConfig


def write_report(
    path: Path,
    config: ArrayConfig,
    simulator: str,
    seed: int,
    tests: dict[str, bool],
    about: dict[str, str],
    coverage: dict[str, dict[str, int]],
    missed: list[str],
    clocks: dict[str, int],
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
    about : dict of str to str
        What each is about.
    coverage : dict of str to dict of str to int
        Counts by question and bin.
    missed : list of str
        Bins that no test reached.
    clocks : dict of str to int
        That each test took.
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
        tests=[(name, passed, clocks.get(name, 0), about[name]) for name, passed in tests.items()],
        tables=[_table(question, bins) for question, bins in coverage.items()],
        missed=missed,
        reached=sum(1 for n in counts if n),
        goals=len(counts),
    )
    with replacing(path) as file:
        file.write(page.encode())


def _table(question: str, bins: dict[str, int]) -> dict:
    """Lay a question out as rows of cells: name, count, and shade; None where there is no bin.

    The longer of contexts and answers go down.
    """
    contexts, answers = split(bins)
    down, across = contexts, answers
    across_first = len(contexts) <= len(answers)
    if across_first:
        down, across = answers, contexts
    rows = []
    for left in down:
        cells = []
        for top in across:
            context, answer = (top, left) if across_first else (left, top)
            name = f"{context}: {answer}" if context else answer
            cells.append((name, bins[name], _shade(bins[name])) if name in bins else None)
        rows.append((left, cells))
    return {
        "question": question,
        "anchor": question.replace(" ", "-"),
        "about": QUESTIONS[question].about if question in QUESTIONS else "",
        "reached": sum(1 for n in bins.values() if n),
        "goals": len(bins),
        "across": across,
        "rows": rows,
    }


def _shade(count: int) -> int:
    """How many digits a count has, up to 5."""
    return min(len(str(count)), 5) if count else 0
