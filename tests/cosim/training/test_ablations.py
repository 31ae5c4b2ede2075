import pytest

from cosim.bridge import Recipe
from cosim.training.ablation_plots import CURVES, plot_ablation
from cosim.training.ablations import ABLATIONS
from cosim.training.tasks import get_task


@pytest.mark.parametrize("ablation", ABLATIONS.values(), ids=ABLATIONS)
def test_recipes_of_an_ablation_differ_in_one_thing(ablation):
    get_task(ablation.model)
    assert {*ablation.curves} <= {"score", *CURVES}
    recipes = [vars(Recipe.named(name)) for name in ablation.recipes.values()]
    first, *others = recipes
    differing = {key for other in others for key in first if first[key] != other[key]}
    roles = {"activation", "error", "gradient"}
    assert (
        differing - {"name", "description"}
        <= {
            "rounding": roles,
            "loss-scale": {"loss_scale"},
            "scaling": {"loss_scale"},
            "masters": {"master"},
            "random-bits": {"random_bits"},
        }[ablation.name]
    )
    assert len({recipe["name"] for recipe in recipes}) == len(recipes)


def lines(flushed):
    """Return what a run of two steps writes, some of its errors flushed in the second."""
    counts = {"elements": 0, "underflowed": 0}
    start = {"step": 0, "accuracy": 0.1, "fp32_accuracy": 0.1, "roles": {"error": counts}}
    first = {
        "step": 1,
        "loss_scale": 8.0,
        "loss_scale_floor": 0.0,
        "accuracy": 0.5,
        "fp32_accuracy": 0.4,
        "roles": {"error": {"elements": 10, "underflowed": 2}},
    }
    counts = {"elements": 30, "underflowed": 2 + flushed}
    second = {**first, "step": 2, "loss_scale": 16.0, "roles": {"error": counts}}
    return [start, first, second]


def test_curves():
    run = lines(flushed=5)
    assert CURVES["underflow of errors"].series(run) == [(1, 20.0), (2, 25.0)]
    assert CURVES["underflow of errors"].series(run, "fp32_") == []
    assert CURVES["loss scale"].series(run) == [(1, 8.0), (2, 16.0)]


@pytest.mark.parametrize("seeds", [1, 3])
def test_plot(seeds):
    curves = ("loss scale", "underflow of errors", "score")
    runs = {name: [lines(5)] * seeds for name in ("dynamic", "enhanced")}
    assert plot_ablation("Scales", "test accuracy", runs, curves).startswith(b"\x89PNG")
