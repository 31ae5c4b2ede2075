"""Data sets that come with a library."""

from functools import cache

import numpy as np
import torch
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

from cosim.datasets.dataset import Dataset

TEST_SHARE = 0.2
SPLIT_SEED = 0


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
