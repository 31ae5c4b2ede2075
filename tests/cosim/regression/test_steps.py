"""What is said of a step: each sum against what can be worked out by hand."""

import numpy as np
import pytest

from cosim.regression.steps import SITUATIONS, Step, steps
from pysim.convert import Rounding
from pysim.engine import GemmRequest
from pysim.formats import E4M3, E5M2, FP32
from pysim.golden import accumulate

ULP = 2.0**-23


def situations_of(accumulator, product):
    x, y = np.array([[accumulator]], dtype=np.float32), np.array([[product]], dtype=np.float32)
    found = Step(x, y, x, y, x + y).situations()
    assert tuple(found) == SITUATIONS
    return {name for name, members in found.items() if members.all()}


@pytest.mark.parametrize(
    ("accumulator", "product", "expected"),
    [
        (1, 2, {"exact"}),
        (1, ULP / 2, {"rounded down", "rounded from a tie", "shifted by 24"}),
        (1 + ULP, ULP / 2, {"rounded up", "rounded from a tie", "shifted by 24"}),
        (1 + ULP, 0.75 * ULP, {"rounded up", "shifted by 24"}),
        (1, ULP / 4, {"rounded down", "shifted by 25"}),
        (1, ULP / 8, {"rounded down", "shifted out of sight"}),
        (1e-40, 1, {"rounded down", "shifted out of sight"}),
        (
            2 - ULP,
            ULP / 2,
            {"rounded up", "rounded from a tie", "rounded up to a power of two", "shifted by 24"},
        ),
        # Below 1 numbers lie twice as close.
        (
            -1,
            ULP / 4,
            {"rounded up", "rounded from a tie", "rounded up to a power of two", "shifted by 25"},
        ),
        (1, -1, {"exact", "cancelled to zero"}),
        (-1, 1 - 2.0**-12, {"exact", "cancelled by 12 bits or more"}),
        (1, -1 + 2.0**-11, {"exact"}),
        (0, 1, set()),
        (1, 0, set()),
        (np.inf, 1, set()),
        (np.nan, 1, set()),
        (1, -np.inf, set()),
    ],
)
def test_situations(accumulator, product, expected):
    assert situations_of(accumulator, product) == expected


def test_steps_are_those_of_the_golden_engine():
    rng = np.random.default_rng(1)
    a, b = (
        rng.integers(256, size=(3, 7), dtype=np.uint8),
        rng.integers(256, size=(7, 5), dtype="u1"),
    )
    c = rng.standard_normal((3, 5)).astype(np.float32)
    request = GemmRequest(a, b, c, E5M2, E4M3, FP32, Rounding.NEAREST, True)
    last = list(steps(request))[-1]
    assert np.array_equal(last.total, accumulate(request)[0], equal_nan=True)
    assert len(list(steps(request))) == 7
