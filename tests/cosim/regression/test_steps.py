"""What is said of a step: each sum against what can be worked out by hand."""

import numpy as np
import pytest

from cosim.regression.steps import Step, steps
from pysim.convert import Rounding
from pysim.engine import GemmRequest
from pysim.formats import E4M3, E5M2, FP32
from pysim.golden import accumulate

ULP = 2.0**-23


def situations_of(accumulator, product):
    x, y = np.array([[accumulator]], dtype=np.float32), np.array([[product]], dtype=np.float32)
    with np.errstate(invalid="ignore"):
        found = Step(x, y, x, y, x + y).situations()
    return {
        question: {name for name, count in counts.items() if count}
        for question, counts in found.items()
    }


@pytest.mark.parametrize(
    ("accumulator", "product", "rounded", "alignment"),
    [
        (1, 2, {"add exact"}, "add -1"),
        (1, ULP / 2, {"add tie, even below"}, "add 24"),
        (1 + ULP, ULP / 2, {"add tie, odd below"}, "add 24"),
        (1 + ULP, 0.75 * ULP, set(), "add 24"),
        (1, ULP / 4, set(), "add 25"),
        (1, ULP / 8, set(), "add 26"),
        (1, ULP / 16, {"add sticky bit alone"}, "add above 26"),
        (1e-40, 1, {"add sticky bit alone"}, "add below -25"),
        (2 - ULP, ULP / 2, {"add tie, odd below", "add carry out"}, "add 24"),
        # Below 1 numbers lie twice as close.
        (-1, ULP / 4, {"subtract tie, odd below", "subtract carry out"}, "subtract 25"),
        (ULP * 0.499, 1, {"add just below a tie"}, "add -25"),
        (ULP * 0.501, 1, {"add just above a tie"}, "add -24"),
        (ULP * 0.999, 1, {"add just below a number"}, "add -24"),
    ],
)
def test_rounding_and_alignment(accumulator, product, rounded, alignment):
    found = situations_of(accumulator, product)
    assert found["rounding of a sum"] == rounded
    assert found["alignment"] == {alignment}


@pytest.mark.parametrize(
    ("accumulator", "product", "depth"),
    [
        (1, -1, "to zero"),
        (-1, 1 - 2.0**-12, "8 to 15"),
        (1, -1 + 2.0**-20, "16 and more"),
        (1.5, -0.75, "1"),
        (1.5, -0.25, "none"),
        (1, -0.875, "2 to 7"),
    ],
)
def test_cancellation(accumulator, product, depth):
    assert situations_of(accumulator, product)["cancellation"] == {depth}


@pytest.mark.parametrize("pair", [(0, 1), (1, 0), (np.inf, 1), (np.nan, 1), (1, -np.inf)])
def test_what_is_no_ordinary_sum(pair):
    assert situations_of(*pair) == {}


def test_steps_are_those_of_the_golden_engine():
    rng = np.random.default_rng(1)
    a, b = (
        rng.integers(256, size=(3, 7), dtype=np.uint8),
        rng.integers(256, size=(7, 5), dtype="u1"),
    )
    c = rng.standard_normal((3, 5)).astype(np.float32)
    request = GemmRequest(a, b, c, E5M2, E4M3, FP32, Rounding.NEAREST, True, 0)
    last = list(steps(request))[-1]
    assert np.array_equal(last.total, accumulate(request)[0], equal_nan=True)
    assert len(list(steps(request))) == 7
