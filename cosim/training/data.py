"""Data sets that come with a library, and the order in which a run sees them."""

from dataclasses import dataclass
from functools import cache

import numpy as np
import torch
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

TEST_SHARE = 0.2
SPLIT_SEED = 0


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


@cache
def digits() -> Dataset:
    """Return scikit-learn's handwritten digits, 1,797 images of 8 x 8, from 0 to 1.

    A fifth of each class is for the test, always the same.

    Returns
    -------
    Dataset
        Inputs of shape [examples, 1, 8, 8]; labels 0 to 9.
    """
    source = load_digits()
    images = (source.images / 16).astype(np.float32)[:, None]
    labels = source.target.astype(np.int64)
    split = train_test_split(
        images, labels, test_size=TEST_SHARE, random_state=SPLIT_SEED, stratify=labels
    )
    train_inputs, test_inputs, train_labels, test_labels = map(torch.from_numpy, split)
    return Dataset(train_inputs, train_labels, test_inputs, test_labels)
