import numpy as np
import torch

from cosim.datasets.images import CLASSES, NOISE, SIZE, figures, generated_images


def test_shapes_and_kinds():
    images, labels = figures(500, seed=3)
    assert images.shape == (500, 3, SIZE, SIZE)
    assert images.dtype == np.float32
    assert abs(images.std() - 1) < 0.01
    assert set(labels) == set(range(len(CLASSES)))


def test_the_seed_decides():
    again = figures(20, seed=3)
    for ours, theirs in zip(figures(20, seed=3), again, strict=True):
        np.testing.assert_array_equal(ours, theirs)
    assert not np.array_equal(figures(20, seed=4)[0], again[0])


def test_classes_differ_beyond_the_noise():
    images, labels = figures(4000, seed=0)
    means = np.stack([images[labels == i].mean((0, 1)) ** 2 for i in range(len(CLASSES))])
    spread = np.stack([images[labels == i].std(0).mean(0) for i in range(len(CLASSES))])
    assert means.shape[0] == 10
    # Ink in the middle varies less for a ring than for a disk.
    distances = [abs(spread[i] - spread[j]).max() for i in range(10) for j in range(i)]
    assert min(distances) > 0.02 > NOISE / np.sqrt(4000)


def test_data_set():
    data = generated_images()
    assert (len(data.train_labels), len(data.test_labels)) == (1000, 2000)
    assert data.train_inputs.dtype == torch.float32
    assert not torch.equal(data.train_inputs, data.test_inputs[:1000])
