"""The report of a run: one page that needs nothing else, no network either."""

from base64 import b64encode
from importlib import resources
from pathlib import Path
from typing import Any

from jinja2 import Environment, StrictUndefined

from cosim.bridge.recipe import ROLES, RoleSpec
from cosim.bridge.statistics import KINDS
from cosim.files import replacing
from cosim.training import plots

REPORT = "report.html"


def write_report(
    folder: Path, result: dict, lines: list[dict], checks: list[tuple[str, str]] | None = None
) -> None:
    """Write ``report.html``, and of its pictures ``curves.png`` and ``numbers.png``.

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
    on_array = result["fp32_accuracy"] is not None
    panels = _panels(result, lines, on_array)
    files = {"curves": ("loss", "score"), "numbers": ("underflow", "overflow")}
    for name, parts in files.items():
        if all(part in panels for part in parts):
            with replacing(folder / f"{name}.png") as file:
                file.write(plots.picture(*(panels[part] for part in parts)))
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True)
    environment.filters |= {"number": _number, "percent": _percent, "part": _part, "heat": _heat}
    environment.filters |= {"short": _short, "duration": _duration}
    template = resources.files("cosim.training").joinpath("report.html.j2").read_text()
    page = environment.from_string(template).render(
        result=result,
        settings=result["settings"],
        on_array=on_array,
        pictures={name: b64encode(plots.picture(panel)).decode() for name, panel in panels.items()},
        work=_work(result),
        conversions=sum(counts["cycles"] for counts in result["statistics"]["roles"].values()),
        layers=_layers(result["statistics"]["layers"]),
        roles=ROLES,
        kinds=KINDS,
        checks=checks or [],
    )
    with replacing(folder / REPORT) as file:
        file.write(page.encode())


def utilisation(macs: int, cycles: int, config: dict) -> float:
    """Return the share of its elements' clock cycles in which the array multiplied, 0 to 1."""
    return macs / (cycles * config["rows"] * config["cols"]) if cycles else 0.0


def _panels(result: dict, lines: list[dict], on_array: bool) -> dict[str, plots.Panel]:
    settings = result["settings"]
    engine = settings["engine"]
    panels = {
        "loss": plots.loss(lines, engine),
        "score": plots.score(lines, engine, result["metric"]),
        "squared_weights": plots.squared_weights(lines, engine),
    }
    if not on_array:
        return panels
    panels["loss_scale"] = plots.loss_scale(lines)
    panels["underflow"] = plots.left_range(lines, "underflowed")
    panels["overflow"] = plots.left_range(lines, "overflowed")
    for role, counts in result["statistics"]["exponents"].items():
        fmt = RoleSpec.from_dict(settings["recipe"]["roles"][role]).float_format
        panels[f"exponents_{role}"] = plots.exponents(role, counts, fmt)
    return panels


def _work(result: dict) -> list[dict]:
    """Return a line about the GEMMs of each kind, and one about all."""
    config, kinds = result["settings"]["config"], result["statistics"]["kinds"]
    lines = [{"kind": kind, **counts} for kind, counts in kinds.items()]
    total: dict[str, Any] = {"kind": "all"}
    for name in ("gemms", "macs", "cycles"):
        total[name] = sum(line[name] for line in lines)
    for line in (*lines, total):
        line["utilisation"] = utilisation(line["macs"], line["cycles"], config)
    return [*lines, total]


def _layers(layers: dict[str, dict]) -> dict[str, dict]:
    """Return the counts of each layer, with its GEMMs and cycles summed up."""
    return {
        name: {
            **entries,
            "gemms": sum(entries[kind]["gemms"] for kind in KINDS if kind in entries),
            "macs": sum(entries[kind]["macs"] for kind in KINDS if kind in entries),
            "cycles": sum(counts["cycles"] for counts in entries.values()),
        }
        for name, entries in layers.items()
    }


def _number(value: float) -> str:
    return f"{value:,}"


def _short(value: float) -> str:
    """Return a great number with three digits and its unit."""
    for factor, unit in ((1e12, " T"), (1e9, " G"), (1e6, " M"), (1e3, " k")):
        if value >= factor:
            return f"{value / factor:.3g}{unit}" if value < 1000 * factor else f"{value:,.0f}"
    return f"{value:,}"


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    if not minutes:
        return f"{seconds:.1f} s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s"


def _percent(share: float) -> str:
    return f"{100 * share:.2f} %"


def _part(part: int, whole: int) -> str:
    """Return a percentage that tells little from nothing."""
    if not whole or not part:
        return "0" if whole else "–"
    share = 100 * part / whole
    return f"{share:.3f}" if share >= 0.0005 else "< 0.001"


def _heat(part: int, whole: int) -> str:
    """Return a colour, the stronger the greater a share: full at a tenth."""
    strength = min(1.0, (10 * part / whole) ** 0.5) if whole else 0.0
    return f"background: rgb(179 38 30 / {0.55 * strength:.3f})" if strength else ""
