"""The report of a run: one page that needs nothing else, no network either."""

from base64 import b64encode
from importlib import resources
from pathlib import Path

from jinja2 import Environment, StrictUndefined

from cosim.files import replacing
from cosim.training.plots import plot_curves, plot_numbers

REPORT = "report.html"


def write_report(
    folder: Path, result: dict, lines: list[dict], checks: list[tuple[str, str]] | None = None
) -> None:
    """Write ``report.html`` and its pictures, ``curves.png`` and ``numbers.png``.

    Parameters
    ----------
    folder : Path
    result : dict
        A `Result` as a dictionary.
    lines : list of dict
        Of ``metrics.jsonl``.
    checks : list of tuple of str, optional
        What was checked beyond the run itself, and what came of it.
    """
    pictures = {"curves": plot_curves(lines, result["settings"]["engine"], result["metric"])}
    if result["fp32_accuracy"] is not None:
        pictures["numbers"] = plot_numbers(lines)
    for name, png in pictures.items():
        with replacing(folder / f"{name}.png") as file:
            file.write(png)
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True)
    template = resources.files("cosim.training").joinpath("report.html.j2").read_text()
    page = environment.from_string(template).render(
        result=result,
        settings=result["settings"],
        pictures={name: b64encode(png).decode() for name, png in pictures.items()},
        checks=checks or [],
    )
    with replacing(folder / REPORT) as file:
        file.write(page.encode())
