import pytest

from cosim.bridge import LossScale
from pysim import InputError

PAPER = LossScale(
    "enhanced", floors=((40_000, 8192.0), (150_000, 32_768.0)), schedule_length=350_000
)


@pytest.mark.parametrize("steps", [350_000, 3500])
def test_floors_scale_with_the_run(steps):
    at = [40_000 * steps // 350_000, 150_000 * steps // 350_000]
    assert [PAPER.floor(step, steps) for step in (0, at[0] - 1, at[0])] == [0, 0, 8192]
    assert [PAPER.floor(step, steps) for step in (at[1] - 1, at[1], steps)] == [8192, 32768, 32768]


def test_floors_as_they_are():
    scale = LossScale("enhanced", floors=[[10, 4]])
    assert [scale.floor(step, 1_000_000) for step in (9, 10)] == [0, 4]


@pytest.mark.parametrize("scale", [PAPER, LossScale.of(8), LossScale("dynamic", 4.0, interval=7)])
def test_round_trip(scale):
    assert LossScale.of(scale.to_dict()) == scale


@pytest.mark.parametrize(
    ("value", "sentence"),
    [
        ({"kind": "enhanced"}, "needs floors"),
        ({"kind": "dynamic", "floors": [[1, 2]]}, "a dynamic loss scale has no floors"),
        ({"kind": "enhanced", "floors": [[9, 2], [9, 4]]}, "backwards: step 9 follows step 9"),
        ({"kind": "enhanced", "floors": [[9, -2]]}, "the scale of a floor -2 is out of range"),
        ({"kind": "enhanced", "floors": [[0.5, 2]]}, "the step of a floor 0.5 is out of range"),
        ({"kind": "enhanced", "floors": [3]}, "floor 3 must be"),
        ({"kind": "enhanced", "floors": 3}, "floors 3 must be a list"),
        ({"growth": 1}, "growth 1 is out of range"),
        ({"backoff": 2}, "backoff 2 is out of range"),
        ({"interval": 0}, "interval 0 is out of range"),
        ({"initial": float("inf")}, "initial inf is out of range"),
        ({"step": 1}, "unknown key 'step' of loss_scale: allowed are kind"),
        (True, "loss_scale True is not a number"),
    ],
)
def test_bad_values(value, sentence):
    with pytest.raises(InputError, match=sentence):
        LossScale.of(value)
