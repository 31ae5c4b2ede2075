"""A run: a model learns on an engine, its twin in FP32 beside it, and a folder tells of both."""

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import torch

from cosim.audit import AuditEngine
from cosim.engines import open_engine
from cosim.files import make_folder, replacing
from cosim.training import checkpoint
from cosim.training.lanes import start_lanes
from cosim.training.learner import Learner
from cosim.training.metrics import Metrics, score_name
from cosim.training.report import write_report
from cosim.training.settings import FP32, TrainingSettings
from pysim import Engine, InputError

SETTINGS, RESULT, METRICS = "run.json", "result.json", "metrics.jsonl"
EVALUATIONS = 10
"""How many times a run is judged and saved, evenly spread."""


@dataclass(frozen=True)
class Progress:
    """Where a run stands after a step.

    Attributes
    ----------
    step : int
        Steps done.
    loss : float
    accuracy : float or None
        At the latest evaluation: share of the test examples, 0 to 1.
    cycles : int
        Simulated clock cycles of the training so far.
    not_offloaded : tuple of str
        Names of the GEMMs that ran in PyTorch although there is an engine.
    """

    step: int
    loss: float
    accuracy: float | None
    cycles: int
    not_offloaded: tuple[str, ...]


@dataclass(frozen=True)
class Result:
    """What a run ends with.

    Attributes
    ----------
    settings : dict
    metric : str
        What the accuracies below are; BLEU where the model translates.
    steps : int
    accuracy, fp32_accuracy : float
        Shares of the test examples, 0 to 1; the twin's is None if the run was in FP32 itself.
    loss, fp32_loss : float or None
        Mean over the last tenth of the steps.
    cycles : int
        Simulated clock cycles of training; conversions of operands are in them.
    macs : int
        Multiply-accumulate steps of training.
    skipped : int
        Steps without an update.
    weights_sha256 : str
        Of all weights at the end.
    random_state : list of int or None
        LFSR states at the end.
    statistics : dict
        Counts by role, by kind of GEMM, and by layer.
    not_offloaded : dict of str to int
    exempt : dict of str to int
        Layers that the recipe exempts from FP8, and the number of their products.
    loss_scale : float
        At the end.
    master_bytes : dict of str to int
        Bytes of the master weights, and of the same in FP32.
    audit : dict or None
        How much the Verilog checked, if the engine was `audit`.
    seconds : float
        Wall-clock time, all sittings together.
    """

    settings: dict
    metric: str
    steps: int
    accuracy: float
    fp32_accuracy: float | None
    loss: float | None
    fp32_loss: float | None
    cycles: int
    macs: int
    skipped: int
    weights_sha256: str
    random_state: list[int] | None
    statistics: dict
    not_offloaded: dict[str, int]
    exempt: dict[str, int]
    loss_scale: float
    master_bytes: dict[str, int]
    audit: dict | None
    seconds: float


def train(
    settings: TrainingSettings,
    folder: Path,
    *,
    engine: Engine | None = None,
    resume: bool = False,
    progress: Callable[[Progress], None] = lambda progress: None,
) -> Result:
    """Train a model, and write what happened.

    The folder gets ``run.json`` (the settings), ``metrics.jsonl`` (a line for each step),
    ``checkpoint.pt``, ``result.json``, ``curves.png``, ``numbers.png``, and ``report.html``.

    Parameters
    ----------
    settings : TrainingSettings
    folder : Path
    engine : Engine, optional
        An open engine to use; opened by the settings, and closed at the end, without it.
    resume : bool
        Go on from the checkpoint in the folder; the weights end as if the run had never stopped.
    progress : callable
        Called after every step.

    Raises
    ------
    InputError
        If the folder holds a run and is not to be resumed, or the other way round, or cannot be
        written.
    MissingToolError, CheckFailedError
        From the engine.
    """
    if resume:
        saved = checkpoint.load(folder)
        if saved["step"] > settings.steps:
            raise InputError(
                f"run {str(folder)!r} has done {saved['step']} steps already: "
                f"{settings.steps} are not more"
            )
    else:
        saved = None
        if (folder / checkpoint.CHECKPOINT).exists():
            raise InputError(
                f"output folder {str(folder)!r} holds a run already: "
                "name another, or go on with --resume"
            )
        make_folder(folder)
    with _engine(settings, engine, folder) as used, _one_thread():
        return _Run(settings, folder, used, saved).go(progress)


def load_settings(folder: Path) -> TrainingSettings:
    """Return the settings of the run in a folder; InputError if there is none."""
    try:
        values = json.loads((folder / SETTINGS).read_text())
    except (OSError, ValueError) as error:
        raise InputError(f"{str(folder)!r} does not hold a run: {error}") from error
    return TrainingSettings.from_dict(values)


class _Run:
    """A run under way."""

    def __init__(
        self, settings: TrainingSettings, folder: Path, engine: Engine | None, saved: dict | None
    ) -> None:
        self.settings = settings
        self.folder = folder
        self.dataset = settings.task.load()
        self.score_name = score_name(settings.task.metric)
        self.started = time.monotonic()
        self.step = 0
        if engine is not None:
            engine.random_state = start_lanes(settings.config, settings.seed)
        self.learner = Learner(settings, engine)
        self.twin = None if engine is None else Learner(settings)
        self.metrics = Metrics(folder / METRICS)
        if saved is None:
            self.metrics.clear()
        else:
            self.started -= saved["seconds"]
            self.step = saved["step"]
            self.learner.restore(saved["learner"])
            if self.twin is not None:
                self.twin.restore(saved["twin"])
            self.metrics.cut(self.step)
        write_json(folder / SETTINGS, settings.to_dict())

    def go(self, progress: Callable[[Progress], None]) -> Result:
        """Take all steps that are left, and write everything."""
        if not self.metrics.lines:
            self.metrics.append({"step": 0, "cycles": 0, **self._judge()})
            self._save()
        every = max(1, self.settings.steps // EVALUATIONS)
        while self.step < self.settings.steps:
            stop = min(self.step - self.step % every + every, self.settings.steps)
            line = self._learn(stop, progress)
            self.metrics.append({**line, **self._judge()})
            self._save()
        result = self._result()
        write_json(self.folder / RESULT, asdict(result))
        write_report(self.folder, asdict(result), self.metrics.lines)
        return result

    def _learn(self, stop: int, progress: Callable[[Progress], None]) -> dict:
        """Take the steps up to `stop`; return what there is to tell of the last one.

        The twin goes first: within the learner's context, its products would go to the array.
        """
        learner, twin, dataset = self.learner, self.twin, self.dataset
        size, seed = self.settings.batch, self.settings.seed
        first = self.step
        batches = [dataset.batch(step, size, seed) for step in range(first, stop)]
        twin_losses = []
        if twin is not None:
            with twin.training():
                twin_losses = [twin.step(first + i, *batch) for i, batch in enumerate(batches)]
        line: dict = {}
        with learner.training() as session:
            for i, batch in enumerate(batches):
                if line:
                    self.metrics.append(line)
                scaler = learner.scaler
                scale, floor = scaler.get_scale(), scaler.get_floor()
                loss = learner.step(self.step, *batch)
                self.step += 1
                line = {"step": self.step, "loss": loss}
                line |= {"loss_scale": scale, "loss_scale_floor": floor, "skipped": scaler.skipped}
                if twin is not None:
                    line["fp32_loss"] = twin_losses[i]
                line["cycles"] = learner.statistics.cycles
                names: tuple[str, ...] = ()
                if session is not None:
                    line["cycles"] += session.statistics.cycles
                    names = tuple(session.not_offloaded)
                accuracy = self.metrics.latest(self.score_name)
                progress(Progress(self.step, loss, accuracy, line["cycles"], names))
        return line

    def _judge(self) -> dict:
        """Evaluate, and tell how the numbers fare."""
        judged: dict = {
            self.score_name: self.learner.score(self.dataset),
            "squared_weights": self.learner.squared_weights(),
        }
        if self.twin is not None:
            judged[f"fp32_{self.score_name}"] = self.twin.score(self.dataset)
            judged["fp32_squared_weights"] = self.twin.squared_weights()
            roles = self.learner.statistics.roles
            judged["roles"] = {name: asdict(counts) for name, counts in roles.items()}
        return judged

    def _save(self) -> None:
        twin = None if self.twin is None else self.twin.state()
        seconds = time.monotonic() - self.started
        checkpoint.save(self.folder, self.step, self.learner.state(), twin, seconds)

    def _result(self) -> Result:
        learner = self.learner
        kinds = learner.statistics.kinds.values()
        state = None if learner.engine is None else learner.engine.random_state.tolist()
        audit = asdict(learner.engine.finish()) if isinstance(learner.engine, AuditEngine) else None
        accuracy = self.metrics.latest(self.score_name)
        assert accuracy is not None
        return Result(
            settings=self.settings.to_dict(),
            metric=self.settings.task.metric,
            steps=self.step,
            accuracy=accuracy,
            fp32_accuracy=self.metrics.latest(f"fp32_{self.score_name}"),
            loss=self.metrics.closing_mean("loss"),
            fp32_loss=self.metrics.closing_mean("fp32_loss"),
            cycles=learner.statistics.cycles,
            macs=sum(counts.macs for counts in kinds),
            skipped=learner.scaler.skipped,
            weights_sha256=learner.digest(),
            random_state=state,
            statistics=learner.statistics.to_dict(),
            not_offloaded=learner.not_offloaded,
            exempt=learner.exempt,
            loss_scale=learner.scaler.get_scale(),
            master_bytes=learner.memory,
            audit=audit,
            seconds=round(time.monotonic() - self.started, 2),
        )


def write_json(path: Path, value: dict) -> None:
    """Write a JSON file; it appears whole or not at all."""
    with replacing(path) as file:
        file.write((json.dumps(value, indent=2) + "\n").encode())


@contextmanager
def _engine(
    settings: TrainingSettings, engine: Engine | None, folder: Path
) -> Iterator[Engine | None]:
    if engine is not None or settings.engine == FP32:
        yield engine
        return
    own = {"folder": folder} if settings.engine == "audit" else {}
    with open_engine(
        settings.engine, settings.config, simulator=settings.simulator, **own
    ) as opened:
        yield opened


@contextmanager
def _one_thread() -> Iterator[None]:
    """Keep what PyTorch computes itself in one thread, so that the order of its sums is fixed."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
