import itertools

import numpy as np
import pytest

from pysim.fast.gather import gather


def gather_one_by_one(codes, windows):
    n, channels, *sizes = codes.shape
    taps = [range(w[3]) for w in windows]
    counts = [range(w[1]) for w in windows]
    rows = []
    for channel, *tap in itertools.product(range(channels), *taps):
        row = []
        for image, *out in itertools.product(range(n), *counts):
            places = [w[0] + o * w[2] + t * w[4] for w, o, t in zip(windows, out, tap, strict=True)]
            inside = all(0 <= p < s for p, s in zip(places, sizes, strict=True))
            row.append(codes[(image, channel, *places)] if inside else 0)
        rows.append(row)
    return np.array(rows, dtype=np.uint8)


@pytest.mark.parametrize("dimensions", [1, 2, 3])
@pytest.mark.parametrize("seed", range(20))
def test_equals_a_gather_one_by_one(dimensions, seed):
    rng = np.random.default_rng([dimensions, seed])
    longest = (90, 40, 9)[dimensions - 1]
    sizes = rng.integers(1, longest, dimensions)
    codes = rng.integers(1, 256, (*rng.integers(1, 4, 2), *sizes), dtype=np.uint8)
    windows = [
        (
            int(rng.integers(-4, 5)),
            int(rng.integers(1, size + 4)),
            int(rng.integers(1, 4)),
            int(rng.integers(1, 4)),
            int(rng.integers(-3, 4)),
        )
        for size in sizes
    ]
    np.testing.assert_array_equal(gather(codes, windows), gather_one_by_one(codes, windows))


def test_many_threads_share_large_matrices():
    codes = np.random.default_rng(0).integers(1, 256, (8, 16, 28, 28), dtype=np.uint8)
    windows = [(-1, 14, 2, 3, 1), (-1, 28, 1, 3, 1)]
    expected = gather_one_by_one(codes[:, 5:6], windows)
    np.testing.assert_array_equal(gather(codes, windows)[45:54], expected)
