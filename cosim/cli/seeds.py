"""Runs of one model and recipe with several seeds, each in a folder, none of them done twice."""

import json
from dataclasses import asdict
from pathlib import Path
from statistics import fmean, stdev
from typing import TYPE_CHECKING

from cosim.cli.train import run_with_progress
from pysim import ArrayConfig, InputError

if TYPE_CHECKING:
    from cosim.bridge import Recipe


def run_seeds(
    model: str, recipe: "Recipe", seeds: int, steps: int | None, engine: str, output: Path
) -> dict[Path, dict]:
    """Train a model once for each seed; runs that are done are read, interrupted ones go on.

    Returns
    -------
    dict of Path to dict
        Folder and result of each run, in the order of the seeds.

    Raises
    ------
    InputError
        If a folder holds a run with other settings.
    """
    of_the_recipe = output / f"{model}-{recipe.name}"
    folders = [of_the_recipe / f"seed-{seed}" for seed in range(seeds)]
    return {
        folder: _run(model, recipe, seed, steps, engine, folder)
        for seed, folder in enumerate(folders)
    }


def mean_and_deviation(values: list[float]) -> tuple[float, float]:
    """Return the mean and the standard deviation, 0 of a single value."""
    return fmean(values), stdev(values) if len(values) > 1 else 0.0


def _run(
    model: str, recipe: "Recipe", seed: int, steps: int | None, engine: str, folder: Path
) -> dict:
    from cosim.training import TrainingSettings
    from cosim.training.checkpoint import CHECKPOINT
    from cosim.training.run import RESULT, load_settings

    settings = TrainingSettings.of(
        model, engine=engine, recipe=recipe, config=ArrayConfig(), steps=steps, seed=seed
    )
    begun = (folder / CHECKPOINT).exists()
    if begun and load_settings(folder) != settings:
        raise InputError(f"{str(folder)!r} holds a run with other settings: name another --output")
    if (folder / RESULT).exists():
        return json.loads((folder / RESULT).read_text())
    return asdict(run_with_progress(settings, folder, resume=begun))
