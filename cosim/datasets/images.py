"""Generated images in the shape of a small ImageNet: figures in colour, turned, hidden, and noisy.

They are hard enough that a small network in FP32 stays below 100 %: a tenth or so of the figures is
drowned in noise or lies behind a bar. There are so few to learn from that a run of minutes
comes to know them by heart, as long runs on ImageNet do.
"""

from functools import cache

import numpy as np
import torch

from cosim.datasets.dataset import Dataset

CLASSES = (
    *("disk", "ring", "square", "frame", "triangle"),
    *("cross", "stripes", "columns", "checkers", "half disk"),
)
SIZE = 12
TRAIN, TEST = 1000, 2000
NOISE = 0.25


def figures(count: int, seed: int, size: int = SIZE) -> tuple[np.ndarray, np.ndarray]:
    """Draw figures of random class, place, scale, turn, and colour, with a bar before them.

    Parameters
    ----------
    count : int
    seed : int
        The same images for the same seed.
    size : int
        Pixels each way.

    Returns
    -------
    images : float32, shape [count, 3, size, size]
        About zero, with a standard deviation near one.
    labels : int64, shape [count]
        Indices of `CLASSES`.
    """
    rng = np.random.default_rng(seed)
    labels = rng.integers(len(CLASSES), size=count)
    x, y = _coordinates(rng, count, size)
    shapes = _shapes(x, y)
    inside = np.choose(labels[:, None, None], shapes)

    paper = rng.uniform(-0.7, 0.7, (count, 3, 1, 1))
    ink = paper + rng.choice((-1, 1), (count, 1, 1, 1)) * rng.uniform(0.5, 1.3, (count, 3, 1, 1))
    images = np.where(inside[:, None], ink, paper)

    start, width = rng.integers(0, size, (count, 1, 1)), rng.integers(1, size // 4, (count, 1, 1))
    columns = np.arange(size)[None, None, :]
    bar = (columns >= start) & (columns < start + width)
    bar = np.where(rng.integers(2, size=(count, 1, 1)) == 1, bar, bar.swapaxes(1, 2))
    images = np.where(bar[:, None], rng.uniform(-1, 1, (count, 3, 1, 1)), images)
    images += NOISE * rng.standard_normal(images.shape)
    return (images / images.std()).astype(np.float32), labels.astype(np.int64)


@cache
def generated_images() -> Dataset:
    """Return the images that the models learn, and others of the same kind for the test."""
    train, test = figures(TRAIN, seed=1), figures(TEST, seed=2)
    return Dataset(*map(torch.from_numpy, (*train, *test)))


def _coordinates(rng: np.random.Generator, count: int, size: int) -> tuple[np.ndarray, np.ndarray]:
    """Coordinates of the pixels in the system of each figure, [count, size, size]."""
    grid = (np.arange(size) + 0.5) / size * 2 - 1
    rows, columns = grid[None, :, None], grid[None, None, :]
    along, across = rng.uniform(-0.2, 0.2, (2, count, 1, 1))
    scale = rng.uniform(0.6, 0.85, (count, 1, 1))
    turn = rng.uniform(-np.pi / 16, np.pi / 16, (count, 1, 1))
    x, y = (columns - across) / scale, (rows - along) / scale
    return x * np.cos(turn) + y * np.sin(turn), y * np.cos(turn) - x * np.sin(turn)


def _shapes(x: np.ndarray, y: np.ndarray) -> list[np.ndarray]:
    """Where each class has ink, in the order of `CLASSES`."""
    radius, side = np.hypot(x, y), np.maximum(abs(x), abs(y))
    within = side < 1
    waves = np.sin(3 * np.pi * y) > 0, np.sin(3 * np.pi * x) > 0
    return [
        radius < 1,
        (radius < 1) & (radius > 0.55),
        side < 0.9,
        (side < 0.95) & (side > 0.5),
        (y < 0.8) & (y > 2 * abs(x) - 1),
        within & (np.minimum(abs(x), abs(y)) < 0.3),
        within & waves[0],
        within & waves[1],
        within & (waves[0] ^ waves[1]),
        (radius < 1) & (x > 0),
    ]
