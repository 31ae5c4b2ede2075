"""What can be trained: a model, its data, and settings that suit both."""

from collections.abc import Callable
from dataclasses import dataclass

from torch import nn

from cosim.training import data, models
from pysim import InputError


@dataclass(frozen=True)
class Task:
    """A model with the data that it learns.

    Attributes
    ----------
    name : str
    description : str
    build : callable
        Makes the model; initial weights come from torch's random state.
    load : callable
        Loads the data.
    steps, batch : int
    learning_rate, momentum : float
        Of stochastic gradient descent.
    """

    name: str
    description: str
    build: Callable[[], nn.Module]
    load: Callable[[], data.Dataset]
    steps: int
    batch: int
    learning_rate: float
    momentum: float = 0.9


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
    )
}


def get_task(name: str) -> Task:
    """Return a task by name; InputError lists them."""
    if name not in TASKS:
        raise InputError(f"unknown model {name!r}: allowed are {', '.join(TASKS)}")
    return TASKS[name]
