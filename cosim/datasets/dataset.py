"""Examples to learn from, and the order in which a run sees them."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch


@dataclass(frozen=True)
class Dataset:
    """Examples to learn from, and examples to be judged by.

    Attributes
    ----------
    train_inputs, test_inputs : torch.Tensor of float32, shape [examples, ...]
    train_labels, test_labels : torch.Tensor of int64, shape [examples]
    """

    train_inputs: torch.Tensor
    train_labels: torch.Tensor
    test_inputs: torch.Tensor
    test_labels: torch.Tensor

    fingerprint: ClassVar[str] = ""
    """Tells data that a user has from other such data; these do not change."""

    def to(self, device: torch.device) -> "Dataset":
        """Return the same on a device."""
        if self.test_inputs.device == device:
            return self
        return Dataset(*(tensor.to(device) for tensor in vars(self).values()))

    @property
    def examples(self) -> int:
        """How many there are to learn from."""
        return len(self.train_labels)

    def batch(
        self, step: int, size: int, seed: int, rank: int = 0, world: int = 1
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return inputs and labels of a step, counted from 0; of several processes, one's part.

        Every epoch is a permutation of its own. It follows from the seed and the step alone, so a
        resumed run goes on where it stopped.
        """
        epoch, place = divmod(step, self.examples // size)
        order = np.random.default_rng([seed, epoch]).permutation(self.examples)
        chosen = torch.from_numpy(order[place * size : (place + 1) * size][rank::world])
        return self.train_inputs[chosen], self.train_labels[chosen]
