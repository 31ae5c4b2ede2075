"""Histograms of exponents, before conversions and after."""

import numpy as np
import pytest
import torch
from torch import nn

from cosim.bridge import Recipe, Statistics, offload
from cosim.bridge.counting import exponents
from cosim.bridge.exponents import Exponents
from pysim import ArrayConfig
from pysim.fast import FastEngine

SPECIAL = [0.0, -0.0, np.inf, -np.inf, np.nan, 1e-40, -1.5, 1.999, 2.0, 2.0**-126, -3e38]


def test_counts():
    rng = np.random.default_rng(0)
    normal = np.ldexp(rng.standard_normal(10_000), rng.integers(-140, 127, 10_000))
    values = np.concatenate([SPECIAL, normal]).astype(np.float32)
    counts = exponents(values)
    assert np.array_equal(exponents(torch.from_numpy(values)), counts)
    finite = values[np.isfinite(values) & (values != 0)]
    for exponent in range(-126, 128):
        assert counts[exponent + 127] == np.count_nonzero(np.frexp(finite)[1] - 1 == exponent)
    assert counts[255] == np.count_nonzero(~np.isfinite(values)) == 3
    assert counts[256] == np.count_nonzero(values == 0) >= 2
    assert counts.sum() == len(values)


def test_names():
    counts = Exponents()
    counts.count(np.float32(SPECIAL), np.float32([1.0, 0.75, 0.0]))
    named = counts.to_dict()
    assert named["after"] == {"-1": 1, "0": 1, "zero": 1}
    assert named["before"] == {
        **{"-127": 1, "-126": 1, "0": 2, "1": 1, "127": 1, "nonfinite": 3, "zero": 2},
    }
    again = Exponents.from_dict(named)
    again.add(counts)
    assert again.to_dict()["before"]["nonfinite"] == 6


@pytest.fixture
def run():
    """Return the session of a training step, and the weights' gradients."""

    def step(sampling, recipe="e5m2-sr"):
        torch.manual_seed(0)
        model = nn.Sequential(nn.Linear(20, 12), nn.ReLU(), nn.Linear(12, 5))
        x = torch.randn(9, 20)
        engine = FastEngine(ArrayConfig(3, 2))
        with offload(model, engine, Recipe.named(recipe)) as session:
            session.statistics.sampling = sampling
            (model(x).square().mean() * 2**10).backward()
        return session.statistics, engine, [p.grad.clone() for p in model.parameters()]

    return step


def test_sampling_disturbs_nothing(run):
    (sampled, *one), (plain, *other) = run(True), run(False)
    assert plain.exponents == {}
    assert sampled.roles == plain.roles
    assert np.array_equal(one[0].random_state, other[0].random_state)
    assert (one[0].cycles, one[0].macs) == (other[0].cycles, other[0].macs)
    assert all(map(torch.equal, one[1], other[1]))


def test_every_number_is_counted(run):
    statistics, _, gradients = run(True)
    for role, counts in statistics.roles.items():
        found = statistics.exponents[role]
        assert found.before.sum() == found.after.sum() == counts.elements > 0
        # What became zero is what underflowed.
        assert found.after[256] - found.before[256] == counts.underflowed
    weights = [gradient for gradient in gradients if gradient.dim() == 2]
    expected = sum(exponents(gradient.numpy()) for gradient in weights)
    assert np.array_equal(statistics.exponents["gradient"].after, expected)
    again = Statistics.from_dict(statistics.to_dict())
    assert again.to_dict() == statistics.to_dict()


def test_gradients_in_fp32_are_not_converted(run):
    recipe = Recipe.named("hybrid")
    assert recipe.gradient.format == "fp32"
    statistics, _, _ = run(True, "hybrid")
    found = statistics.exponents["gradient"]
    assert np.array_equal(found.before, found.after)
