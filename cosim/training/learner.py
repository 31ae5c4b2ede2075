"""One model that learns: in plain PyTorch, or with its GEMMs on an engine."""

import hashlib
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import nn

from cosim.bridge import LossScale, NotOffloadedWarning, Scales, Session, Statistics, offload
from cosim.datasets.dataset import Dataset
from cosim.training.loss_scaler import LossScaler
from cosim.training.masters import MasterWeights
from cosim.training.processes import Processes
from cosim.training.settings import TrainingSettings
from pysim import Engine


class Learner:
    """A model and its optimiser.

    Parameters
    ----------
    settings : TrainingSettings
    engine : Engine, optional
        Where the GEMMs go, by the recipe of the settings; to PyTorch in FP32 without one.
    processes : Processes, optional
        Those that learn together; this one alone without.
    device : torch.device, optional
        Where the tensors are; the engine's own by default.

    Attributes
    ----------
    statistics : Statistics
        Counts of the training steps; evaluations are not in them.
    not_offloaded : dict of str to int
        GEMMs that ran in PyTorch although there is an engine: name and number of calls.
    exempt : dict of str to int
        Layers that the recipe exempts from FP8, and the number of their products.
    scaler : LossScaler
    memory : dict of str to int
        Bytes of the master weights, and of the same in FP32.
    """

    def __init__(
        self,
        settings: TrainingSettings,
        engine: Engine | None = None,
        processes: Processes | None = None,
        device: torch.device | None = None,
    ) -> None:
        self.settings = settings
        self.engine = engine
        self.statistics = Statistics()
        self.not_offloaded: dict[str, int] = {}
        self.exempt: dict[str, int] = {}
        with _seeded(settings.seed):
            self.model = settings.task.build()
        self.device = device_of(engine) if device is None else device
        self.model.to(self.device)
        self._parallel = (processes or Processes()).parallel(self.model)
        optimiser = _optimiser(self.model, settings)
        # The twin in FP32 scales nothing and rounds nothing.
        recipe = None if engine is None else settings.recipe
        self.scaler = LossScaler(
            LossScale.of(1.0) if recipe is None else recipe.loss_scale, settings.steps
        )
        self._scales = Scales()
        count = sum(parameter.numel() for parameter in self.model.parameters())
        self.memory = {"masters": 4 * count, "fp32": 4 * count}
        self._optimiser: torch.optim.Optimizer = optimiser
        if engine is not None and settings.recipe.master.format != "fp32":
            self._optimiser = MasterWeights(
                optimiser, engine, settings.recipe.master, settings.seed
            )
            self.memory = self._optimiser.memory()

    @contextmanager
    def training(self) -> Iterator[Session | None]:
        """Surround some training steps, as many as one likes; yield what offloads them."""
        self._parallel.train()
        with self._offloaded(self._scales) as session:
            yield session
        if session is not None:
            self.statistics.add(session.statistics)
            for name, calls in session.not_offloaded.items():
                self.not_offloaded[name] = self.not_offloaded.get(name, 0) + calls
            for name, calls in session.exempt.items():
                self.exempt[name] = self.exempt.get(name, 0) + calls

    def step(self, number: int, inputs: torch.Tensor, labels: torch.Tensor) -> float:
        """Learn from one batch, within `training`; return the loss before the update."""
        settings = self.settings
        rate = settings.task.rate(settings.learning_rate, number, settings.steps)
        for group in self._optimiser.param_groups:
            group["lr"] = rate
        self._optimiser.zero_grad()
        # Whatever is random in a model depends on the step alone: the same in a twin, and after
        # a run is resumed.
        with _seeded(self.settings.seed, number):
            loss = self.settings.task.loss(
                self._parallel, inputs.to(self.device), labels.to(self.device)
            )
        self.scaler.scale(loss).backward()
        self.scaler.step(self._optimiser)
        self.scaler.update()
        return loss.item()

    def score(self, dataset: Any) -> float:
        """Return the score of the task on the test examples; the array computes what it does.

        Training is not disturbed: the random state is put back.
        """
        if isinstance(dataset, Dataset):
            dataset = dataset.to(self.device)
        state = None if self.engine is None else self.engine.random_state
        scales = Scales()
        scales.load_state_dict(self._scales.state_dict())
        self.model.eval()
        with torch.no_grad(), self._offloaded(scales):
            score = self.settings.task.score(self.model, dataset)
        if self.engine is not None:
            self.engine.random_state = state
        return score

    def squared_weights(self) -> float:
        """Return the sum of the squares of all weights, which an L2 term pulls down."""
        squares = [
            parameter.detach().double().square().sum() for parameter in self.model.parameters()
        ]
        return torch.stack(squares).sum().item()

    def digest(self, parameters_only: bool = False) -> str:
        """Return the SHA-256 of all weights: names, shapes, and bytes, in the model's order.

        Beside its parameters a model has statistics of batches, which each process has its own of.
        """
        digest = hashlib.sha256()
        tensors = self.model.state_dict()
        if parameters_only:
            tensors = dict(self.model.named_parameters())
        for name, tensor in tensors.items():
            digest.update(f"{name} {tensor.dtype} {list(tensor.shape)}\n".encode())
            digest.update(tensor.detach().cpu().numpy().tobytes())
        return digest.hexdigest()

    def state(self) -> dict:
        """Return what `restore` needs and all processes share, in types that torch saves."""
        return {
            "model": self.model.state_dict(),
            "optimiser": self._optimiser.state_dict(),
            "scaler": self.scaler.state_dict(),
        }

    def own_state(self) -> dict:
        """Return what `restore` needs and is this process's own, in types that torch saves."""
        random_state = None if self.engine is None else self.engine.random_state.tolist()
        return {
            "random_state": random_state,
            "statistics": self.statistics.to_dict(),
            "not_offloaded": self.not_offloaded,
            "exempt": self.exempt,
            "scales": self._scales.state_dict(),
        }

    def restore(self, state: dict, own: dict) -> None:
        """Go back to where `state` and `own` were taken."""
        self.model.load_state_dict(state["model"])
        self._optimiser.load_state_dict(state["optimiser"])
        self.scaler.load_state_dict(state["scaler"])
        if self.engine is not None:
            self.engine.random_state = np.array(own["random_state"], dtype=np.uint64)
        self.statistics = Statistics.from_dict(own["statistics"])
        self.not_offloaded = dict(own["not_offloaded"])
        self.exempt = dict(own["exempt"])
        self._scales.load_state_dict(own["scales"])

    @contextmanager
    def _offloaded(self, scales: Scales) -> Iterator[Session | None]:
        if self.engine is None:
            yield None
            return
        with warnings.catch_warnings():
            # The run lists them itself.
            warnings.simplefilter("ignore", NotOffloadedWarning)
            with offload(self.model, self.engine, self.settings.recipe, scales=scales) as session:
                yield session


def device_of(engine: Engine | None) -> torch.device:
    """Return where the tensors are that an engine takes."""
    return getattr(engine, "device", torch.device("cpu"))


def _optimiser(model: nn.Module, settings: TrainingSettings) -> torch.optim.Optimizer:
    parameters, rate = model.parameters(), settings.learning_rate
    decay = settings.task.weight_decay
    if settings.task.optimiser == "adam":
        betas = (settings.momentum, 0.98)
        return torch.optim.Adam(parameters, lr=rate, betas=betas, weight_decay=decay)
    momentum = settings.momentum
    return torch.optim.SGD(parameters, lr=rate, momentum=momentum, weight_decay=decay)


@contextmanager
def _seeded(*seed: int) -> Iterator[None]:
    """Seed torch's random numbers within the context, and leave them alone outside."""
    digest = hashlib.sha256(repr(seed).encode()).digest()
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(int.from_bytes(digest[:8], "little") >> 1)
        yield
