"""Everything that determines a run, as data."""

import math
from dataclasses import dataclass, replace

from cosim.bridge import Recipe
from cosim.engines import ENGINES, checked_simulator
from cosim.training.sources import Source, find_task
from cosim.training.tasks import Task
from pysim import ArrayConfig, InputError

FP32 = "fp32"
"""In place of an engine: plain PyTorch, no array."""


@dataclass(frozen=True)
class TrainingSettings:
    """What a run is determined by; two runs with equal settings end with equal weights.

    Parameters
    ----------
    model : str
        Name of a task.
    engine : str
        Of the GEMMs; ``"fp32"`` for PyTorch alone. Engines do not differ in the outcome.
    simulator : str, optional
        Of the engines `rtl` and `audit`.
    recipe : Recipe
    config : ArrayConfig
    steps, batch : int
    learning_rate, momentum : float
    seed : int
        Of the initial weights, the order of the examples, and the random bits of rounding.
    source : Source, optional
        Data in place of the task's own.
    width, depth : int, optional
        Of the model; its own without.
    processes : int
        That share each batch.

    Raises
    ------
    InputError
        If a setting is out of range or unknown.
    """

    model: str
    engine: str
    simulator: str | None
    recipe: Recipe
    config: ArrayConfig
    steps: int
    batch: int
    learning_rate: float
    momentum: float
    seed: int = 0
    source: Source | None = None
    width: int | None = None
    depth: int | None = None
    processes: int = 1

    def __post_init__(self) -> None:
        task = self.task
        if self.engine not in (*ENGINES, FP32):
            allowed = ", ".join((*ENGINES, FP32))
            raise InputError(f"unknown engine {self.engine!r}: allowed are {allowed}")
        checked_simulator(self.engine, self.simulator)
        for name in ("steps", "batch", "processes"):
            if getattr(self, name) < 1:
                raise InputError(f"{name} {getattr(self, name)} is out of range: at least 1")
        examples = task.load().examples
        if self.batch > examples:
            raise InputError(f"batch {self.batch} is too large: there are {examples} examples")
        if self.batch % self.processes:
            raise InputError(
                f"batch {self.batch} cannot be shared by {self.processes} processes: "
                "it must be a multiple of their number"
            )
        if not (math.isfinite(self.learning_rate) and self.learning_rate > 0):
            raise InputError(
                f"learning rate {self.learning_rate} is out of range: it must be positive"
            )
        if not 0 <= self.momentum < 1:
            raise InputError(f"momentum {self.momentum} is out of range: from 0 to below 1")
        if self.seed < 0:
            raise InputError(f"seed {self.seed} is out of range: at least 0")

    @classmethod
    def of(
        cls,
        model: str,
        *,
        engine: str = "fast",
        simulator: str | None = None,
        recipe: Recipe,
        config: ArrayConfig,
        steps: int | None = None,
        batch: int | None = None,
        learning_rate: float | None = None,
        momentum: float | None = None,
        seed: int = 0,
        source: Source | None = None,
        width: int | None = None,
        depth: int | None = None,
        processes: int = 1,
    ) -> "TrainingSettings":
        """Build settings; what is None is the task's own, and as many epochs with another batch."""
        task = find_task(model, source, width, depth)
        if steps is None and source is not None and batch is not None and batch > 0:
            steps = max(1, task.steps * task.batch // batch)
        if recipe.random_bits is not None:
            config = replace(config, random_bits=recipe.random_bits)

        def own(value, name):
            return getattr(task, name) if value is None else value

        return cls(
            model,
            engine,
            simulator,
            recipe,
            config,
            own(steps, "steps"),
            own(batch, "batch"),
            own(learning_rate, "learning_rate"),
            own(momentum, "momentum"),
            seed,
            source,
            width,
            depth,
            processes,
        )

    @property
    def task(self) -> Task:
        """The model and its data."""
        return find_task(self.model, self.source, self.width, self.depth)

    def with_changes(self, **changes) -> "TrainingSettings":
        """Return a copy with some settings changed; None changes nothing."""
        return replace(self, **{key: value for key, value in changes.items() if value is not None})

    def to_dict(self) -> dict:
        """Return what `from_dict` reads, ready for JSON."""
        nested = {
            "recipe": self.recipe.to_dict(),
            "config": self.config.to_dict(),
            "source": None if self.source is None else self.source.to_dict(),
        }
        return {**vars(self), **nested}

    @classmethod
    def from_dict(cls, values: dict) -> "TrainingSettings":
        """Build from a dictionary; InputError if it is not one of settings."""
        try:
            nested = {
                "recipe": Recipe.from_dict(values["recipe"]),
                "config": ArrayConfig.from_dict(values["config"]),
            }
            if (source := values.get("source")) is not None:
                nested["source"] = Source(**source)
            return cls(**{**values, **nested})
        except (KeyError, TypeError) as error:
            raise InputError(f"settings of a run are incomplete or unknown: {error}") from error
