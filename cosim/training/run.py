"""A run: a model learns on an engine, its twin in FP32 beside it, and a folder tells of both."""

import json
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import torch

from cosim.audit import AuditEngine
from cosim.bridge import Statistics
from cosim.bridge.unseen import unseen
from cosim.engines import open_engine
from cosim.errors import CheckFailedError
from cosim.files import make_folder, replacing
from cosim.training import checkpoint
from cosim.training.lanes import start_lanes
from cosim.training.learner import Learner, device_of
from cosim.training.metrics import Metrics, score_name
from cosim.training.prefetch import prefetched
from cosim.training.processes import Processes, launched, local_rank
from cosim.training.report import utilisation, write_report
from cosim.training.settings import FP32, TrainingSettings
from pysim import Engine, InputError

SETTINGS, RESULT, METRICS = "run.json", "result.json", "metrics.jsonl"
MAY_CHANGE = ("engine", "simulator", "steps", "source")
"""Settings that a resumed run may have others of: what changes no number, or says how far to go."""
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
    description : str
        Of model and data.
    simulator : str or None
        Of the Verilog, if the engine has one.
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
    utilisation : float or None
        Share of its elements' clock cycles in which the array multiplied, 0 to 1; conversions of
        operands count as time without.
    skipped : int
        Steps without an update.
    weights_sha256 : str
        Of all weights at the end.
    random_state : list of int or None
        LFSR states at the end; those of the first process, then those of the others.
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
    description: str
    simulator: str | None
    metric: str
    steps: int
    accuracy: float
    fp32_accuracy: float | None
    loss: float | None
    fp32_loss: float | None
    cycles: int
    macs: int
    utilisation: float | None
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
    saved = checkpoint.load(folder) if resume else None
    if saved is not None:
        _check_saved(saved, settings, folder)
    elif (folder / checkpoint.CHECKPOINT).exists():
        raise InputError(
            f"output folder {str(folder)!r} holds a run already: "
            "name another, or go on with --resume"
        )
    if launched() != settings.processes:
        raise InputError(
            f"the run is one of {settings.processes} processes, not of {launched()}: "
            "torchrun --nproc-per-node says how many there are"
        )
    with _engine(settings, engine, folder) as used, _one_thread():
        return _Run(settings, folder, used, saved).go(progress)


def load_settings(folder: Path, data: Path | None = None) -> TrainingSettings:
    """Return the settings of the run in a folder; InputError if there is none.

    With `data`, the folder in which the run finds its data from now on.
    """
    try:
        values = json.loads((folder / SETTINGS).read_text())
    except (OSError, ValueError) as error:
        raise InputError(f"{str(folder)!r} does not hold a run: {error}") from error
    if data is not None:
        if not values.get("source"):
            raise InputError(f"the run in {str(folder)!r} has data of its own: it takes no --data")
        values["source"]["folder"] = str(data.resolve())
    return TrainingSettings.from_dict(values)


class _Run:
    """A run under way, in one process of those that share it. The first evaluates and writes."""

    def __init__(
        self, settings: TrainingSettings, folder: Path, engine: Engine | None, saved: dict | None
    ) -> None:
        self.settings = settings
        self.folder = folder
        self.dataset = settings.task.load()
        self.score_name = score_name(settings.task.metric)
        self.started = time.monotonic()
        self.step = 0
        self.processes = Processes.join(device_of(engine))
        rank = self.processes.rank
        if engine is not None:
            engine.random_state = start_lanes(settings.config, settings.seed, rank)
            _share_processors(engine, self.processes.neighbours)
        self.learner = Learner(settings, engine, self.processes)
        self.twin = None
        if engine is not None:
            self.twin = Learner(settings, processes=self.processes, device=device_of(engine))
        self.metrics = Metrics(folder / METRICS, writes=self.processes.first)
        if saved is not None:
            self._restore(saved)
        # Nobody writes before everybody has found that the run can begin.
        self.processes.gather(None)
        if self.processes.first:
            make_folder(folder)
        if saved is None:
            self.metrics.clear()
        else:
            self.metrics.cut(self.step)
        if self.processes.first:
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
        if self.processes.first:
            write_json(self.folder / RESULT, asdict(result))
            write_report(self.folder, asdict(result), self.metrics.lines)
        return result

    def _learn(self, stop: int, progress: Callable[[Progress], None]) -> dict:
        """Take the steps up to `stop`; return what there is to tell of the last one."""
        learner, twin = self.learner, self.twin
        line: dict = {}
        steps = range(self.step, stop)
        with learner.training() as session, closing(prefetched(self._batch, steps)) as batches:
            if twin is not None:
                twin.model.train()
            for batch in batches:
                if line:
                    self.metrics.append(line)
                scale, floor = learner.scaler.get_scale(), learner.scaler.get_floor()
                if twin is not None:
                    # Seen by the session, its products would go to the array.
                    with unseen():
                        twin_loss = twin.step(self.step, *batch)
                if session is not None:
                    session.statistics.sampling = self.step == steps.start
                loss = learner.step(self.step, *batch)
                self.step += 1
                cycles = learner.statistics.cycles
                names: tuple[str, ...] = ()
                if session is not None:
                    cycles += session.statistics.cycles
                    names = tuple(session.not_offloaded)
                world = self.processes.world
                loss, cycles = self.processes.total(loss / world, cycles)
                line = {"step": self.step, "loss": loss}
                if twin is not None:
                    (line["fp32_loss"],) = self.processes.total(twin_loss / world)
                line |= {
                    "loss_scale": scale,
                    "loss_scale_floor": floor,
                    "skipped": learner.scaler.skipped,
                    "cycles": int(cycles),
                }
                accuracy = self.metrics.latest(self.score_name)
                progress(Progress(self.step, loss, accuracy, line["cycles"], names))
        return line

    def _batch(self, step: int) -> tuple[torch.Tensor, torch.Tensor]:
        size, seed = self.settings.batch, self.settings.seed
        return self.dataset.batch(step, size, seed, self.processes.rank, self.processes.world)

    def _judge(self) -> dict:
        """Evaluate, and tell how the numbers fare."""
        judged: dict = {}
        if self.processes.first:
            judged[self.score_name] = self.learner.score(self.dataset)
            judged["squared_weights"] = self.learner.squared_weights()
            if self.twin is not None:
                judged[f"fp32_{self.score_name}"] = self.twin.score(self.dataset)
                judged["fp32_squared_weights"] = self.twin.squared_weights()
        judged = self.processes.share(judged)
        if self.twin is not None:
            roles = self._statistics().roles
            judged["roles"] = {name: asdict(counts) for name, counts in roles.items()}
        return judged

    def _statistics(self) -> Statistics:
        """Return the counts of all processes together."""
        total = Statistics()
        for counted in self.processes.gather(self.learner.statistics.to_dict()):
            total.add(Statistics.from_dict(counted))
        return total

    def _save(self) -> None:
        ranks = self.processes.gather(self.learner.own_state())
        if self.processes.first:
            checkpoint.save(
                self.folder,
                settings=self.settings.to_dict(),
                data=self.dataset.fingerprint,
                step=self.step,
                learner=self.learner.state(),
                twin=None if self.twin is None else self.twin.state(),
                ranks=ranks,
                seconds=time.monotonic() - self.started,
            )

    def _restore(self, saved: dict) -> None:
        """Go back to where a checkpoint was taken."""
        if saved["data"] != self.dataset.fingerprint:
            where = "" if self.settings.source is None else f" in {self.settings.source.folder!r}"
            raise InputError(f"the data{where} is not that which the run began with")
        self.started -= saved["seconds"]
        self.step = saved["step"]
        try:
            self.learner.restore(saved["learner"], saved["ranks"][self.processes.rank])
            if self.twin is not None:
                self.twin.restore(saved["twin"], self.twin.own_state())
        except (RuntimeError, KeyError, IndexError, TypeError, ValueError) as error:
            reason = str(error).splitlines()[0]
            raise InputError(
                f"the checkpoint in {str(self.folder)!r} is not one of this model: {reason}"
            ) from error

    def _result(self) -> Result:
        learner, gather = self.learner, self.processes.gather
        statistics = self._statistics()
        macs = sum(counts.macs for counts in statistics.kinds.values())
        state = audit = None
        if learner.engine is not None:
            states = gather(learner.engine.random_state.tolist())
            state = [number for own in states for number in own]
        if isinstance(learner.engine, AuditEngine):
            audit = _summed(gather(asdict(learner.engine.finish())))
        digests = gather(learner.digest(parameters_only=True))
        if len(set(digests)) > 1:
            raise CheckFailedError("the processes of the run did not end with the same weights")
        accuracy = self.metrics.latest(self.score_name)
        assert accuracy is not None
        return Result(
            settings=self.settings.to_dict(),
            description=self.settings.task.description,
            simulator=getattr(learner.engine, "simulator", None),
            metric=self.settings.task.metric,
            steps=self.step,
            accuracy=accuracy,
            fp32_accuracy=self.metrics.latest(f"fp32_{self.score_name}"),
            loss=self.metrics.closing_mean("loss"),
            fp32_loss=self.metrics.closing_mean("fp32_loss"),
            cycles=statistics.cycles,
            macs=macs,
            utilisation=None
            if learner.engine is None
            else utilisation(macs, statistics.cycles, self.settings.config.to_dict()),
            skipped=learner.scaler.skipped,
            weights_sha256=self.processes.share(learner.digest()),
            random_state=state,
            statistics=statistics.to_dict(),
            not_offloaded=_summed(gather(learner.not_offloaded)),
            exempt=_summed(gather(learner.exempt)),
            loss_scale=learner.scaler.get_scale(),
            master_bytes=learner.memory,
            audit=audit,
            seconds=round(time.monotonic() - self.started, 2),
        )


def write_json(path: Path, value: dict) -> None:
    """Write a JSON file; it appears whole or not at all."""
    with replacing(path) as file:
        file.write((json.dumps(value, indent=2) + "\n").encode())


def _check_saved(saved: dict, settings: TrainingSettings, folder: Path) -> None:
    """Raise InputError unless a run can go on from a checkpoint."""
    if saved["step"] > settings.steps:
        raise InputError(
            f"run {str(folder)!r} has done {saved['step']} steps already: "
            f"{settings.steps} are not more"
        )
    ours = settings.to_dict()
    for name, theirs in saved["settings"].items():
        if name not in MAY_CHANGE and ours.get(name) != theirs:
            raise InputError(
                f"the checkpoint in {str(folder)!r} is of another run: its {name} is not that of "
                f"{SETTINGS}"
            )


def _share_processors(engine: Engine, neighbours: int) -> None:
    """Leave the other processes of this machine their share; threads change no bit."""
    if neighbours > 1 and hasattr(engine, "threads"):
        engine.threads = max(1, engine.threads // neighbours)


def _summed(counts: list[dict]) -> dict:
    """Return the sum of dictionaries of numbers."""
    total: dict = {}
    for each in counts:
        for name, number in each.items():
            total[name] = total.get(name, 0) + number
    return total


@contextmanager
def _engine(
    settings: TrainingSettings, engine: Engine | None, folder: Path
) -> Iterator[Engine | None]:
    if engine is not None or settings.engine == FP32:
        yield engine
        return
    if settings.engine == "gpu" and torch.cuda.is_available():
        torch.cuda.set_device(local_rank())
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
