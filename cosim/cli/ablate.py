"""`fp8cosim ablate`: what each part of the paper's method matters for, in small."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cosim.cli.app import Json, app, finish
from cosim.cli.seeds import mean_and_deviation, run_seeds
from cosim.files import make_folder, replacing

if TYPE_CHECKING:
    from cosim.training.ablations import Ablation

TABLE = "ablations.md"


@app.command()
def ablate(
    names: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[NAME...]",
            help="rounding, loss-scale, scaling, masters, random-bits; all of them without one.",
        ),
    ] = None,
    seeds: Annotated[int, typer.Option(min=1, help="Train each this many times.")] = 3,
    steps: Annotated[int | None, typer.Option(help="Steps; each model's own by default.")] = None,
    engine: Annotated[str, typer.Option(help="fast, audit, golden, rtl, or gpu.")] = "fast",
    output: Annotated[
        Path, typer.Option("-o", "--output", help="Folder of the runs.", metavar="DIR")
    ] = Path("out/paper"),
    as_json: Json = False,
) -> None:
    """Change one thing of the paper's method at a time, train, and write a table and a plot each.

    Runs that are done are not repeated, also those of `fp8cosim paper` in the same folder, and one
    that was interrupted goes on.
    """
    from cosim.training.ablations import ABLATIONS, get_ablation

    chosen = [get_ablation(name) for name in names or ABLATIONS]
    make_folder(output)
    rows = []
    for ablation in chosen:
        rows += _ablate(ablation, seeds, steps, engine, output)
    table = _table(rows)
    with replacing(output / TABLE) as file:
        file.write(table.encode())
    finish({"variants": rows}, f"{table}\nwritten to {output / TABLE}", as_json)


def _ablate(
    ablation: "Ablation", seeds: int, steps: int | None, engine: str, output: Path
) -> list[dict]:
    """Train all variants, draw them, and return a row of the table for each."""
    from cosim.bridge import Recipe
    from cosim.training.ablation_plots import plot_ablation
    from cosim.training.run import METRICS

    rows, lines = [], {}
    metric = ""
    for variant, name in ablation.recipes.items():
        runs = run_seeds(ablation.model, Recipe.named(name), seeds, steps, engine, output)
        metrics = [(folder / METRICS).read_text().splitlines() for folder in runs]
        lines[variant] = [list(map(json.loads, texts)) for texts in metrics]
        results = list(runs.values())
        metric = results[0]["metric"]
        rows.append(_row(ablation, variant, name, results, lines[variant]))
    picture = plot_ablation(ablation.title, metric, lines, ablation.curves)
    with replacing(output / f"{ablation.name}.png") as file:
        file.write(picture)
    return rows


def _row(
    ablation: "Ablation", variant: str, recipe: str, runs: list[dict], lines: list[list[dict]]
) -> dict:
    ours, our_deviation = mean_and_deviation([100 * run["accuracy"] for run in runs])
    theirs, their_deviation = mean_and_deviation([100 * run["fp32_accuracy"] for run in runs])
    growth = {
        prefix: mean_and_deviation(
            [
                seed[-1][f"{prefix}squared_weights"] / seed[0][f"{prefix}squared_weights"]
                for seed in lines
            ]
        )[0]
        for prefix in ("", "fp32_")
    }
    return {
        "ablation": ablation.name,
        "variant": variant,
        "model": ablation.model,
        "recipe": recipe,
        "metric": runs[0]["metric"],
        "steps": runs[0]["steps"],
        "seeds": len(runs),
        "fp8": ours,
        "fp8_deviation": our_deviation,
        "fp32": theirs,
        "fp32_deviation": their_deviation,
        "growth_of_squared_weights": growth[""],
        "fp32_growth_of_squared_weights": growth["fp32_"],
        "errors_flushed_percent": _flushed(runs, "error"),
        "gradients_flushed_percent": _flushed(runs, "gradient"),
        "skipped": sum(run["skipped"] for run in runs),
        "least_loss_scale": min(line["loss_scale"] for seed in lines for line in seed[1:]),
        "greatest_loss_scale": max(line["loss_scale"] for seed in lines for line in seed[1:]),
        "weights_sha256": [run["weights_sha256"] for run in runs],
    }


def _flushed(runs: list[dict], role: str) -> float:
    """Return the share of a role's numbers that a format's least one was too great for."""
    counts = [run["statistics"]["roles"][role] for run in runs]
    elements = sum(count["elements"] for count in counts)
    return 100 * sum(count["underflowed"] for count in counts) / elements if elements else 0.0


def _table(rows: list[dict]) -> str:
    lines = [
        "| ablation | variant | model | score | FP32 | squared weights, FP32 | errors to 0 "
        "| gradients to 0 | loss scale | steps skipped |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        scales = f"{row['least_loss_scale']:,.0f}"
        if row["greatest_loss_scale"] != row["least_loss_scale"]:
            scales += f" to {row['greatest_loss_scale']:,.0f}"
        lines.append(
            f"| {row['ablation']} | {row['variant']} | {row['model']} "
            f"| {row['fp8']:.2f} ± {row['fp8_deviation']:.2f} "
            f"| {row['fp32']:.2f} ± {row['fp32_deviation']:.2f} "
            f"| x {row['growth_of_squared_weights']:.2f}, "
            f"x {row['fp32_growth_of_squared_weights']:.2f} "
            f"| {row['errors_flushed_percent']:.2f} % | {row['gradients_flushed_percent']:.2f} % "
            f"| {scales} | {row['skipped']} |"
        )
    return "\n".join(lines) + "\n"
