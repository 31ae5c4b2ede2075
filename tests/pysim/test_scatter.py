import numpy as np
import pytest

from pysim.fast.scatter import scatter


@pytest.mark.parametrize("dimensions", [1, 2, 3])
@pytest.mark.parametrize("seed", range(10))
def test_equals_an_assignment(dimensions, seed):
    rng = np.random.default_rng([dimensions, seed])
    n, channels, *sizes = rng.integers(1, (300, 40, 12)[dimensions - 1], 2 + dimensions)
    positions = []
    for size in sizes:
        step = int(rng.integers(1, 4))
        positions.append(range(int(rng.integers(size)), int(size), step))
    counts = [len(where) for where in positions]
    matrix = rng.standard_normal((channels, n * np.prod(counts)), dtype=np.float32)
    images = rng.standard_normal((n, channels, *sizes), dtype=np.float32)
    expected = images.copy()
    slices = tuple(slice(where.start, where.stop, where.step) for where in positions)
    columns = matrix.reshape(channels, n, *counts).swapaxes(0, 1)
    expected[(slice(None), slice(None), *slices)] = columns
    scatter(matrix, images, positions)
    np.testing.assert_array_equal(images, expected)
