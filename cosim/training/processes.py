"""One process of a run, or several under `torchrun`."""

import atexit
import os
from datetime import timedelta
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import nn
from torch.nn.parallel import DistributedDataParallel

Value = TypeVar("Value")

_PATIENCE = timedelta(days=7)
"""How long a process waits for the others: the first evaluates alone. `torchrun` itself ends all
when one fails."""


def launched() -> int:
    """Return how many processes `torchrun` started together; 1 without it."""
    return int(os.environ["WORLD_SIZE"]) if "TORCHELASTIC_RUN_ID" in os.environ else 1


def local_rank() -> int:
    """Return the number of this process on its machine, which is that of its GPU."""
    return int(os.environ.get("LOCAL_RANK", "0"))


class Processes:
    """The processes of a run, as one of them sees them.

    Attributes
    ----------
    rank, world : int
        Number of this process, from 0, and of all.
    """

    def __init__(self) -> None:
        self.rank, self.world = 0, 1
        self._group: Any = None

    @classmethod
    def join(cls, device: torch.device) -> "Processes":
        """Return the processes that `torchrun` started; they exchange gradients on `device`."""
        processes = cls()
        if launched() == 1:
            return processes
        if not dist.is_initialized():
            gpu = device.type == "cuda"
            dist.init_process_group("nccl" if gpu else "gloo", timeout=_PATIENCE)
            atexit.register(dist.destroy_process_group)
        processes.rank, processes.world = dist.get_rank(), dist.get_world_size()
        # What is not a gradient stays on the CPU.
        processes._group = dist.new_group(backend="gloo", timeout=_PATIENCE)
        return processes

    @property
    def first(self) -> bool:
        """Whether this process is the one that evaluates and writes."""
        return self.rank == 0

    @property
    def neighbours(self) -> int:
        """Processes on this machine, this one included."""
        return int(os.environ["LOCAL_WORLD_SIZE"]) if self.world > 1 else 1

    def parallel(self, model: nn.Module) -> nn.Module:
        """Return a model to call in training, whose gradients are the mean over the processes."""
        if self.world == 1:
            return model
        # Looking for unused parameters keeps PyTorch from laying gradients out anew after the first
        # step. It adds up in an order that depends on the layout, and a resumed run has a first
        # step of its own.
        return DistributedDataParallel(model, find_unused_parameters=True)

    def total(self, *numbers: float) -> list[float]:
        """Return the sums of some numbers over the processes."""
        if self.world == 1:
            return list(numbers)
        values = torch.tensor(numbers, dtype=torch.float64)
        dist.all_reduce(values, group=self._group)
        return values.tolist()

    def gather(self, value: Value) -> list[Value]:
        """Return the value of each process, on each."""
        if self.world == 1:
            return [value]
        values: list[Any] = [None] * self.world
        dist.all_gather_object(values, value, group=self._group)
        return values

    def share(self, value: Value) -> Value:
        """Return the value of the first process, on each; others wait for it."""
        return value if self.world == 1 else self.gather(value)[0]
