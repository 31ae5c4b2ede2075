"""Examples to learn from, and the order in which a run sees them."""

from dataclasses import dataclass

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

    def batch(self, step: int, size: int, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Return inputs and labels of a step, counted from 0.

        Every epoch is a permutation of its own. It follows from the seed and the step alone, so a
        resumed run goes on where it stopped.
        """
        steps_per_epoch = len(self.train_labels) // size
        epoch, place = divmod(step, steps_per_epoch)
        order = np.random.default_rng([seed, epoch]).permutation(len(self.train_labels))
        chosen = torch.from_numpy(order[place * size : (place + 1) * size])
        return self.train_inputs[chosen], self.train_labels[chosen]
