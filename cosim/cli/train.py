"""`fp8cosim train`: training through the array beside an FP32 twin."""

from dataclasses import asdict
from pathlib import Path
from statistics import fmean, stdev
from typing import TYPE_CHECKING, Annotated

import typer
from rich import progress

from cosim.cli.app import Json, app, console, finish
from cosim.cli.options import TRAINING_LATENCY, Cols, ConfigFile, Rows, array_config
from cosim.engines import open_engine
from cosim.errors import CheckFailedError
from pysim import InputError

if TYPE_CHECKING:
    from cosim.bridge import Recipe
    from cosim.training import Progress, Result, TrainingSettings
    from cosim.training.sources import Source


@app.command()
def train(
    model: Annotated[
        str | None,
        typer.Option(help="mlp, cnn, resnet18, resnet34, resnet50, gnmt, or transformer."),
    ] = None,
    engine: Annotated[
        str | None, typer.Option(help="golden, fast, gpu, rtl, audit, or fp32; fast by default.")
    ] = None,
    simulator: Annotated[
        str | None, typer.Option(help="Of rtl and audit: vector, the default, or verilator.")
    ] = None,
    recipe: Annotated[
        str | None, typer.Option(help="Name of a recipe, or a TOML file with one.")
    ] = None,
    steps: Annotated[int | None, typer.Option(help="Steps; the model's own by default.")] = None,
    batch: Annotated[int | None, typer.Option(help="Examples of a step.")] = None,
    learning_rate: Annotated[
        float | None, typer.Option("--lr", help="Learning rate; the model's own by default.")
    ] = None,
    seed: Annotated[
        int | None, typer.Option(help="Of weights, order of examples, and rounding.")
    ] = None,
    seeds: Annotated[
        int, typer.Option(min=1, help="Train this many times, with seeds from --seed on.")
    ] = 1,
    tolerance: Annotated[
        float | None,
        typer.Option(
            min=0,
            help="Fail if the mean test accuracy lies more percentage points below FP32's.",
        ),
    ] = None,
    audit_rate: Annotated[
        float | None, typer.Option(help="Share of the calls that audit checks; 0.001 by default.")
    ] = None,
    audit_seed: Annotated[int | None, typer.Option(help="Of what audit draws.")] = None,
    audit_budget: Annotated[
        float | None, typer.Option(help="Seconds of simulation after which audit stops checking.")
    ] = None,
    data: Annotated[
        Path | None,
        typer.Option(
            help="Data in place of generated ones, for a model of true size: a folder with train/ "
            "and val/ as ImageNet has, or with train.en, train.de, and a newstest as WMT16 has.",
            metavar="DIR",
        ),
    ] = None,
    width: Annotated[
        int | None, typer.Option(help="Channels of the first stage, or width of the layers.")
    ] = None,
    depth: Annotated[
        int | None, typer.Option(help="Blocks of each stage, or layers of encoder and decoder.")
    ] = None,
    image_size: Annotated[
        int | None, typer.Option(help="Pixels each way of the images of --data; 224 by default.")
    ] = None,
    languages: Annotated[
        str | None, typer.Option(help="Endings of the texts of --data; en-de by default.")
    ] = None,
    vocabulary: Annotated[
        str | None,
        typer.Option(
            help="Subwords to learn from the texts of --data, 32000 by default; or a file with a "
            "model of SentencePiece.",
            metavar="COUNT|FILE",
        ),
    ] = None,
    longest: Annotated[
        int | None, typer.Option(help="Most tokens of a sentence of --data; 50 by default.")
    ] = None,
    rows: Rows = None,
    cols: Cols = None,
    latency: Annotated[
        int | None,
        typer.Option(
            help=f"1 to 6, {TRAINING_LATENCY} by default, for the engine on AXI; 0 for the bare "
            "array, which is simulated faster."
        ),
    ] = None,
    config: ConfigFile = None,
    resume: Annotated[
        Path | None, typer.Option(help="Go on with the run in this folder.", metavar="DIR")
    ] = None,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="Folder of the run.", metavar="DIR")
    ] = None,
    as_json: Json = False,
) -> None:
    """Train a model on an engine, with its FP32 twin beside it; write metrics and a report.

    Under torchrun, several processes share each batch.
    """
    audit = {"rate": audit_rate, "seed": audit_seed, "budget": audit_budget}
    audit = {name: value for name, value in audit.items() if value is not None}
    if resume is not None:
        fixed = {
            "--model": model,
            "--recipe": recipe,
            "--batch": batch,
            "--lr": learning_rate,
            "--seed": seed,
            "--width": width,
            "--depth": depth,
            "--image-size": image_size,
            "--languages": languages,
            "--vocabulary": vocabulary,
            "--longest": longest,
            "--rows": rows,
            "--cols": cols,
            "--latency": latency,
            "--config": config,
            "--output": output,
            "--seeds": None if seeds == 1 else seeds,
        }
        for option, value in fixed.items():
            if value is not None:
                raise InputError(f"{option} is fixed by the run that --resume goes on with")
        results = [_resume(resume, engine, simulator, steps, data, audit)]
    else:
        from cosim.bridge.recipe import DEFAULT_RECIPE
        from cosim.training import TrainingSettings
        from cosim.training.processes import launched

        if model is None:
            raise InputError("no model is named: give --model, or --resume")
        prepared = {
            "image_size": image_size,
            "languages": languages,
            "vocabulary": vocabulary,
            "longest": longest,
        }
        first = 0 if seed is None else seed
        settings = TrainingSettings.of(
            model,
            engine="fast" if engine is None else engine,
            simulator=simulator,
            recipe=named_recipe(DEFAULT_RECIPE if recipe is None else recipe),
            config=array_config(config, rows, cols, _latency(latency, config)),
            steps=steps,
            batch=batch,
            learning_rate=learning_rate,
            seed=first,
            source=_source(data, prepared),
            width=width,
            depth=depth,
            processes=launched(),
        )
        folder = output or Path("out") / f"{model}-{settings.engine}"
        if seeds == 1:
            results = [_run(settings, folder, audit)]
        else:
            results = [
                _run(settings.with_changes(seed=s), folder / f"seed-{s}", audit)
                for s in range(first, first + seeds)
            ]
    summary = _summary(results)
    finish(summary, _describe(summary, resume or folder), as_json)
    if tolerance is not None and summary["accuracy_gap_points"] is not None:
        gap = summary["accuracy_gap_points"]
        if gap < -tolerance:
            raise CheckFailedError(
                f"the mean test accuracy is {-gap:.2f} percentage points below FP32's: "
                f"{tolerance} are allowed"
            )


def run_with_progress(settings: "TrainingSettings", folder: Path, **arguments) -> "Result":
    """Train, with a line of progress on standard error; arguments as of `cosim.training.train`."""
    from cosim.training import train as train_model

    listed: set[str] = set()
    columns = (
        progress.TextColumn("{task.description}"),
        progress.BarColumn(bar_width=12),
        progress.MofNCompleteColumn(),
        progress.TimeRemainingColumn(),
        progress.TextColumn("{task.fields[news]}"),
    )
    with progress.Progress(*columns, console=console) as bar:
        name = f"{settings.model} on {settings.engine}, seed {settings.seed}"
        task = bar.add_task(name, total=settings.steps, news="")

        def show(now: "Progress") -> None:
            for operation in now.not_offloaded:
                if operation not in listed:
                    listed.add(operation)
                    bar.console.print(f"not offloaded: {operation} runs in PyTorch")
            accuracy = "" if now.accuracy is None else f", {100 * now.accuracy:.1f} %"
            cycles = f", {now.cycles / 1e6:.1f} M cycles" if now.cycles else ""
            news = f"loss {now.loss:.3f}{accuracy}{cycles}"
            bar.update(task, completed=now.step, news=news)

        try:
            return train_model(settings, folder, progress=show, **arguments)
        except KeyboardInterrupt:
            bar.stop()
            console.print(f"interrupted: go on with fp8cosim train --resume {folder}")
            raise typer.Exit(130) from None


def _latency(given: int | None, config: Path | None) -> int | None:
    """Return the latency to train with: the engine's, unless a file or an option says another."""
    return TRAINING_LATENCY if given is None and config is None else given


def _resume(
    folder: Path,
    engine: str | None,
    simulator: str | None,
    steps: int | None,
    data: Path | None,
    audit: dict,
) -> "Result":
    from cosim.training.run import load_settings

    settings = load_settings(folder, data)
    if engine is not None and (engine == "fp32") != (settings.engine == "fp32"):
        raise InputError(f"a run on {settings.engine!r} cannot go on with {engine!r}")
    changed = settings.with_changes(engine=engine, simulator=simulator, steps=steps)
    return _run(changed, folder, audit, resume=True)


def _run(settings: "TrainingSettings", folder: Path, audit: dict, resume: bool = False) -> "Result":
    if not audit:
        return run_with_progress(settings, folder, resume=resume)
    where = {"simulator": settings.simulator, "folder": folder}
    with open_engine(settings.engine, settings.config, **where, **audit) as engine:
        return run_with_progress(settings, folder, engine=engine, resume=resume)


def _source(folder: Path | None, prepared: dict) -> "Source | None":
    from cosim.training.sources import Source

    if folder is not None:
        return Source.of(folder, **prepared)
    for name, value in prepared.items():
        if value is not None:
            raise InputError(
                f"--{name.replace('_', '-')} says how --data is prepared: name a folder"
            )
    return None


def named_recipe(name: str) -> "Recipe":
    """Return a recipe by its name or from a TOML file."""
    from cosim.bridge import Recipe

    return Recipe.from_toml(name) if name.endswith(".toml") else Recipe.named(name)


def _summary(results: list["Result"]) -> dict:
    accuracies = [result.accuracy for result in results]
    twins = [r.fp32_accuracy for r in results if r.fp32_accuracy is not None]
    return {
        "accuracy": fmean(accuracies),
        "accuracy_deviation": stdev(accuracies) if len(accuracies) > 1 else None,
        "fp32_accuracy": fmean(twins) if twins else None,
        "accuracy_gap_points": 100 * (fmean(accuracies) - fmean(twins)) if twins else None,
        "cycles": sum(result.cycles for result in results),
        "runs": [asdict(result) for result in results],
    }


def _describe(summary: dict, folder: Path) -> str:
    lines = []
    runs = summary["runs"]
    for run in runs:
        lines.append(f"seed {run['settings']['seed']}: {_accuracies(run, runs[0]['metric'])}")
        lines.append(f"  weights {run['weights_sha256']}")
        if run["fp32_accuracy"] is not None:
            lines.append(
                f"  {run['cycles']:,} cycles, {run['macs']:,} multiply-accumulates, "
                f"the array in use {100 * run['utilisation']:.1f} % of the time"
            )
        if (audit := run["audit"]) is not None:
            lines.append(
                f"  the Verilog checked {audit['checked']} of {audit['calls']} calls and "
                f"{audit['macs_checked']:,} of all multiply-accumulates, {audit['bits']:,} bits of "
                f"results, simulated by {run['simulator']}; "
                f"{audit['passed_over']} passed over"
            )
        lines += [f"  not offloaded: {name}" for name in run["not_offloaded"]]
    if len(runs) > 1:
        lines.append(f"mean of {len(runs)} seeds: {_accuracies(summary, runs[0]['metric'])}")
    if summary["accuracy_gap_points"] is not None:
        lines.append(f"difference: {summary['accuracy_gap_points']:+.2f} percentage points")
    lines.append(f"written to {folder}")
    return "\n".join(lines)


def _accuracies(values: dict, metric: str) -> str:
    text = f"{metric} {100 * values['accuracy']:.2f} %"
    if values["fp32_accuracy"] is not None:
        text += f", FP32 {100 * values['fp32_accuracy']:.2f} %"
    return text
