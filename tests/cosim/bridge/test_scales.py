from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
import torch
from torch import nn

from cosim.bridge import Recipe, RoleSpec, Scales, offload
from cosim.bridge.scales import HISTORY, MAX_EXPONENT, fitting_exponent
from pysim.formats import E4M3, E5M2


@pytest.mark.parametrize("fmt", [E4M3, E5M2])
def test_the_greatest_power_that_fits(fmt):
    rng = np.random.default_rng(0)
    for magnitude in [*np.exp(rng.uniform(-40, 40, 500)), fmt.max_value, 1.0, 2.0**-149, 3e38]:
        exact = Fraction(float(np.float32(magnitude)))
        exponent = fitting_exponent(float(exact), fmt)
        assert exact * Fraction(2) ** exponent <= Fraction(fmt.max_value)
        if exponent < MAX_EXPONENT:
            assert exact * Fraction(2) ** (exponent + 1) > Fraction(fmt.max_value)
    assert fitting_exponent(0.0, fmt) == 0


def test_current_and_delayed():
    scales = Scales()
    small, large = np.float32([1.0, np.nan]), np.float32([-8.0, np.inf])
    unit = fitting_exponent(1.0, E5M2)

    def exponent(scaling, values):
        return scales.exponent(scaling, "layer", "error", values, E5M2)

    assert exponent("none", large) == 0
    assert exponent("current", large) == unit - 3
    # The first of a delayed scale is its own; then the greatest of those before.
    assert [exponent("delayed", x) for x in (small, large, small)] == [unit, unit, unit - 3]
    state = scales.state_dict()
    for _ in range(HISTORY - 1):
        assert exponent("delayed", small) == unit - 3
    assert exponent("delayed", small) == unit
    scales.load_state_dict(state)
    assert exponent("delayed", small) == unit - 3


def exact_recipe(scaling):
    spec = RoleSpec("e5m2", scaling=scaling)
    plain = Recipe.named("e5m2-nearest")
    return replace(plain, weight=spec, activation=spec, error=spec, gradient=RoleSpec("fp32"))


class Both(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3, stride=2, padding=1)
        self.linear = nn.Linear(4 * 9, 5)

    def forward(self, x):
        return self.linear(self.conv(x).flatten(1))


@pytest.mark.parametrize("scaling", ["current", "delayed"])
def test_scales_leave_what_is_exact_as_it_is(engine, scaling):
    # Few bits and small exponents: every code is exact, scaled or not, and so is every sum.
    def whole(shape):
        return torch.randint(-2, 3, shape).float()

    model, x, error = Both(), whole((2, 3, 5, 5)), whole((2, 5))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(whole(parameter.shape))
    results = []
    for recipe in (exact_recipe("none"), exact_recipe(scaling)):
        model.zero_grad()
        leaf = x.clone().requires_grad_()
        with offload(model, engine, recipe):
            out = model(leaf)
            out.backward(error)
        results.append([out, leaf.grad, *(p.grad.clone() for p in model.parameters())])
    for plain, scaled in zip(*results, strict=True):
        assert torch.equal(plain, scaled)


def test_scales_save_what_would_underflow(engine):
    layer = nn.Linear(8, 8, bias=False)
    with torch.no_grad():
        layer.weight.copy_(torch.eye(8))
    x = torch.full((1, 8), 2.0**-30)
    with offload(layer, engine, exact_recipe("none")):
        assert torch.equal(layer(x), torch.zeros(1, 8))
    with offload(layer, engine, exact_recipe("current")):
        assert torch.equal(layer(x), x)


def test_a_session_goes_on_with_the_scales_of_another(engine):
    layer, scales = nn.Linear(4, 4), Scales()
    recipe = exact_recipe("delayed")
    with offload(layer, engine, recipe, scales=scales):
        layer(torch.full((1, 4), 64.0))
    assert scales.state_dict()["weight:activation"] == [64.0]
