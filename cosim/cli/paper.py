"""`fp8cosim paper`: the paper's models, reduced, in its numbers and in FP32."""

from pathlib import Path
from typing import Annotated

import typer

from cosim.cli.app import Json, app, finish
from cosim.cli.seeds import mean_and_deviation, run_seeds
from cosim.cli.train import named_recipe
from cosim.errors import CheckFailedError
from cosim.files import make_folder, replacing
from pysim import InputError

RECIPES = {
    "resnet18": "mellempudi2019",
    "resnet34": "mellempudi2019",
    "resnet50": "mellempudi2019",
    "gnmt": "mellempudi2019-enhanced",
    "transformer": "mellempudi2019-enhanced",
}
"""The recipe of each model, by default."""

TABLE = "table.md"


@app.command()
def paper(
    models: Annotated[
        list[str] | None, typer.Argument(metavar="[MODEL...]", help="Which; all five without one.")
    ] = None,
    seeds: Annotated[int, typer.Option(min=1, help="Train each this many times.")] = 3,
    recipes: Annotated[
        list[str] | None,
        typer.Option("--recipe", help="In place of each model's own; several make a comparison."),
    ] = None,
    steps: Annotated[int | None, typer.Option(help="Steps; each model's own by default.")] = None,
    engine: Annotated[str, typer.Option(help="fast, audit, golden, rtl, or gpu.")] = "fast",
    output: Annotated[
        Path, typer.Option("-o", "--output", help="Folder of the runs.", metavar="DIR")
    ] = Path("out/paper"),
    as_json: Json = False,
) -> None:
    """Train the models of arXiv 1905.12334 in FP8 and in FP32, and write a table of the scores.

    Runs that are done are not repeated, and one that was interrupted goes on. Status 1 if a mean
    lies below FP32's by more than a standard deviation.
    """
    chosen = models or list(RECIPES)
    for name in chosen:
        if name not in RECIPES:
            raise InputError(f"unknown model {name!r}: allowed are {', '.join(RECIPES)}")
    wanted = {name: named_recipe(name) for name in (recipes or RECIPES.values())}
    make_folder(output)
    rows = []
    for model in chosen:
        for name in recipes or [RECIPES[model]]:
            runs = run_seeds(model, wanted[name], seeds, steps, engine, output)
            rows.append(_row(model, wanted[name].name, list(runs.values())))
    table = _table(rows)
    with replacing(output / TABLE) as file:
        file.write(table.encode())
    finish({"models": rows}, f"{table}\nwritten to {output / TABLE}", as_json)
    short = [f"{row['model']} with {row['recipe']}" for row in rows if not row["met"]]
    if short:
        raise CheckFailedError(
            f"the mean score lies more than a standard deviation below FP32's: {', '.join(short)}"
        )


def _row(model: str, recipe: str, runs: list[dict]) -> dict:
    ours, our_deviation = mean_and_deviation([100 * run["accuracy"] for run in runs])
    theirs, their_deviation = mean_and_deviation([100 * run["fp32_accuracy"] for run in runs])
    gap = ours - theirs
    return {
        "model": model,
        "recipe": recipe,
        "metric": runs[0]["metric"],
        "steps": runs[0]["steps"],
        "seeds": len(runs),
        "fp8": ours,
        "fp8_deviation": our_deviation,
        "fp32": theirs,
        "fp32_deviation": their_deviation,
        "gap": gap,
        "met": gap >= -max(our_deviation, their_deviation),
        "skipped": sum(run["skipped"] for run in runs),
        "seconds": sum(run["seconds"] for run in runs),
        "weights_sha256": [run["weights_sha256"] for run in runs],
    }


def _table(rows: list[dict]) -> str:
    lines = [
        "| model | recipe | score | steps | seeds | FP32 | FP8 | difference | steps skipped |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        lines.append(
            f"| {row['model']} | {row['recipe']} | {row['metric']} | {row['steps']} "
            f"| {row['seeds']} | {row['fp32']:.2f} ± {row['fp32_deviation']:.2f} "
            f"| {row['fp8']:.2f} ± {row['fp8_deviation']:.2f} "
            f"| {row['gap']:+.2f}{'' if row['met'] else ' (short)'} | {row['skipped']} |"
        )
    return "\n".join(lines) + "\n"
