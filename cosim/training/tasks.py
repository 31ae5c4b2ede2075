"""What can be trained: a model, its data, and settings that suit both."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch
from torch import nn
from torch.nn.functional import cross_entropy

from cosim.datasets.dataset import Dataset
from cosim.datasets.images import CLASSES, generated_images
from cosim.datasets.tokens import PAD
from cosim.datasets.translation import bleu, generated_translations, vocabulary
from cosim.models.decode import greedy
from cosim.models.gnmt import GNMT
from cosim.models.resnet import resnet18, resnet34, resnet50
from cosim.models.transformer import Transformer
from cosim.training import data, models
from pysim import InputError

JUDGED_AT_ONCE = 500
"""Examples of the test that a model sees at a time."""


def classification_loss(
    model: nn.Module, inputs: torch.Tensor, labels: torch.Tensor
) -> torch.Tensor:
    """Return the mean cross-entropy of classes."""
    return cross_entropy(model(inputs), labels)


def accuracy(model: nn.Module, dataset: Dataset) -> float:
    """Return the share of test examples that a model gets right."""
    pairs = zip(
        dataset.test_inputs.split(JUDGED_AT_ONCE),
        dataset.test_labels.split(JUDGED_AT_ONCE),
        strict=True,
    )
    right = [model(inputs).argmax(1) == labels for inputs, labels in pairs]
    return torch.cat(right).double().mean().item()


def translation_loss(
    model: nn.Module, sources: torch.Tensor, targets: torch.Tensor
) -> torch.Tensor:
    """Return the mean cross-entropy of the tokens that follow each token of the targets."""
    logits = model(sources, targets[:, :-1])
    return cross_entropy(logits.flatten(0, 1), targets[:, 1:].flatten(), ignore_index=PAD)


def translation_score(model: nn.Module, dataset: Dataset) -> float:
    """Return the BLEU of greedy translations of the test, 0 to 1."""
    found = greedy(model, dataset.test_inputs, length=dataset.test_labels.shape[1])  # pyright: ignore
    return bleu(found, dataset.test_labels)


@dataclass(frozen=True)
class Task:
    """A model with the data that it learns.

    Attributes
    ----------
    name : str
    description : str
    build : callable
        Makes the model; initial weights come from torch's random state. Models of several sizes
        take `width`, `depth`, and `outputs` (classes or tokens) in place of the task's own.
    load : callable
        Loads the data.
    steps, batch : int
    learning_rate, momentum : float
        Of stochastic gradient descent; of Adam, the rate and its first coefficient.
    loss : callable
        Of a model, inputs, and labels.
    score : callable
        Of a model in evaluation mode and the data: 0 to 1.
    metric : str
        What the score is called.
    optimiser : str
        ``"sgd"`` or ``"adam"``.
    weight_decay : float
        Factor of the L2 term.
    schedule : str
        ``"constant"``, or ``"triangle"``: the rate rises for a twentieth of the run and falls to
        zero until its end.
    """

    name: str
    description: str
    build: Callable[..., nn.Module]
    load: Callable[[], Dataset]
    steps: int
    batch: int
    learning_rate: float
    momentum: float = 0.9
    loss: Callable[[nn.Module, torch.Tensor, torch.Tensor], torch.Tensor] = classification_loss
    score: Callable[[nn.Module, Dataset], float] = accuracy
    metric: str = "test accuracy"
    optimiser: str = "sgd"
    weight_decay: float = 0.0
    schedule: str = "constant"

    def rate(self, base: float, step: int, steps: int) -> float:
        """Return the learning rate of a step, counted from 0, of a run of `steps`."""
        if self.schedule == "constant":
            return base
        warmup = max(1, steps // 20)
        return base * min((step + 1) / warmup, (steps - step) / max(1, steps - warmup))


def _residual(build: Callable[..., nn.Module], own_width: int) -> Callable[..., nn.Module]:
    def make(
        outputs: int = len(CLASSES),
        width: int = own_width,
        depth: int | None = None,
        stem: str = "small",
    ) -> nn.Module:
        blocks = {} if depth is None else {"blocks": (depth,) * 4}
        return build(**blocks, width=width, classes=outputs, stem=stem, zero_init_residual=True)

    return make


def _gnmt(
    outputs: int | None = None,
    width: int = 64,
    depth: int = 3,
    dropout: float = 0.0,
    initial: float = 0.25,
) -> nn.Module:
    tokens = len(vocabulary()) if outputs is None else outputs
    return GNMT(tokens, width=width, depth=depth, dropout=dropout, initial=initial)


def _transformer(
    outputs: int | None = None,
    width: int = 48,
    depth: int = 2,
    heads: int = 4,
    widening: int = 2,
    dropout: float = 0.0,
) -> nn.Module:
    tokens = len(vocabulary()) if outputs is None else outputs
    return Transformer(
        tokens,
        width=width,
        depth=depth,
        heads=heads,
        feed_forward=widening * width,
        dropout=dropout,
    )


_IMAGES = {
    "load": generated_images,
    "batch": 32,
    "learning_rate": 0.1,
    "weight_decay": 1e-4,
    "schedule": "triangle",
}
_TRANSLATION = {
    "load": generated_translations,
    "loss": translation_loss,
    "score": translation_score,
    "metric": "BLEU",
    "optimiser": "adam",
    "schedule": "triangle",
}

TASKS = {
    task.name: task
    for task in (
        Task(
            name="mlp",
            description="perceptron 64-64-32-10 on 8 x 8 digits",
            build=models.mlp,
            load=data.digits,
            steps=600,
            batch=32,
            learning_rate=0.05,
        ),
        Task(
            name="cnn",
            description="two convolutions and a linear layer on 8 x 8 digits",
            build=models.cnn,
            load=data.digits,
            steps=600,
            batch=32,
            learning_rate=0.05,
        ),
        Task(
            name="resnet10",
            description="ResNet-10, a quarter as wide, on generated images",
            build=_residual(partial(resnet18, blocks=(1, 1, 1, 1)), 16),
            steps=400,
            **_IMAGES,
        ),
        Task(
            name="resnet18",
            description="ResNet-18, a quarter as wide, on generated images",
            build=_residual(resnet18, 16),
            steps=600,
            **_IMAGES,
        ),
        Task(
            name="resnet34",
            description="ResNet-34, a quarter as wide, on generated images",
            build=_residual(resnet34, 16),
            steps=600,
            **_IMAGES,
        ),
        Task(
            name="resnet50",
            description="ResNet-50, an eighth as wide, on generated images",
            build=_residual(resnet50, 8),
            steps=600,
            **_IMAGES,
        ),
        Task(
            name="gnmt",
            description="GNMT of 3 layers of 64 on generated sentences",
            build=_gnmt,
            steps=500,
            batch=128,
            learning_rate=1.2e-2,
            **_TRANSLATION,
        ),
        Task(
            name="transformer",
            description="Transformer of 2 layers of 48 on generated sentences",
            build=_transformer,
            steps=1600,
            batch=64,
            learning_rate=4e-3,
            **_TRANSLATION,
        ),
    )
}


def get_task(name: str) -> Task:
    """Return a task by name; InputError lists them."""
    if name not in TASKS:
        raise InputError(f"unknown model {name!r}: allowed are {', '.join(TASKS)}")
    return TASKS[name]
