from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from cosim.bridge import Recipe, RoleSpec, offload
from pysim import ArrayConfig, GoldenEngine, decode, get_format
from pysim.formats import OUTPUT_FORMATS


def test_an_array_without_c_leaves_the_bias_to_fp32():
    recipe = Recipe.named("e5m2-nearest")
    layer = nn.Linear(11, 13)
    x = torch.randn(5, 11)
    config = ArrayConfig(rows=4, cols=4, latency=1, load_c=False)
    with offload(layer, GoldenEngine(config), recipe):
        out = layer(x)
    bare = nn.Linear(11, 13, bias=False)
    bare.weight = layer.weight
    with offload(bare, GoldenEngine(config), recipe):
        product = bare(x)
    assert torch.equal(out, product + layer.bias)


@pytest.mark.parametrize("name", ["e5m2-sr", "mixed", "mellempudi2019"])
def test_bits_are_those_of_the_engine_called_by_hand(name):
    if name == "mixed":
        narrow = RoleSpec("e4m3")
        recipe = replace(Recipe.named("e5m2-sr"), weight=narrow, activation=narrow)
    else:
        recipe = replace(Recipe.named(name), exempt=())
    layer = nn.Linear(11, 13)
    x = torch.randn(5, 11, requires_grad=True)
    error = torch.randn(5, 13)
    with offload(layer, GoldenEngine(ArrayConfig(rows=8, cols=8)), recipe):
        out = layer(x)
        out.backward(error)

    engine = GoldenEngine(ArrayConfig(rows=8, cols=8))

    def quantize(tensor, role):
        spec = recipe.role(role)
        return engine.quantize(tensor.detach().numpy(), spec.format, rounding=spec.rounding)

    a, w = quantize(x, "activation"), quantize(layer.weight, "weight")
    formats = {role: recipe.role(role).format for role in ("activation", "weight", "error")}
    bias = np.broadcast_to(layer.bias.detach().numpy(), (5, 13))
    forward = engine.gemm(
        a, w.T, a_format=formats["activation"], b_format=formats["weight"], c=bias
    )
    e = quantize(error, "error")
    dgrad = engine.gemm(e, w, a_format=formats["error"], b_format=formats["weight"])
    wgrad = engine.gemm(
        e.T,
        a,
        a_format=formats["error"],
        b_format=formats["activation"],
        out_format=recipe.gradient.format,
        rounding=recipe.gradient.rounding,
    )
    gradient = decode(wgrad.values, get_format(recipe.gradient.format, OUTPUT_FORMATS))
    assert out.detach().numpy().tobytes() == forward.values.tobytes()
    assert x.grad.numpy().tobytes() == dgrad.values.tobytes()
    assert layer.weight.grad.numpy().tobytes() == gradient.tobytes()
    assert torch.equal(layer.bias.grad, error.sum(0))


@pytest.mark.parametrize("shape", [(7,), (3, 7), (2, 3, 7), (2, 1, 3, 7), (0, 7)])
def test_any_batch_dimensions(compare, oracle, shape):
    compare(
        F.linear,
        lambda x, w, b: (
            oracle.product(F.linear(oracle.operand(x), oracle.operand(w, "weight"))) + b
        ),
        *(torch.randn(shape), torch.randn(5, 7), torch.randn(5)),
    )


def test_vector_weight_and_no_bias(compare, oracle):
    compare(
        F.linear,
        lambda x, w: oracle.product(F.linear(oracle.operand(x), oracle.operand(w, "weight"))),
        *(torch.randn(4, 7), torch.randn(7)),
    )


def test_non_contiguous_operands(compare, oracle):
    def reference(x, w):
        x, w = oracle.operand(x[::2].mT), oracle.operand(w.t(), "weight")
        return oracle.product(F.linear(x, w))

    compare(
        lambda x, w: F.linear(x[::2].mT, w.t()), reference, torch.randn(4, 6, 5), torch.randn(6, 3)
    )


def test_input_that_needs_no_gradient_has_no_dgrad(engine):
    layer = nn.Linear(4, 3)
    with offload(layer, engine) as session:
        layer(torch.randn(2, 4)).sum().backward()
    assert session.statistics.kinds["dgrad"].gemms == 0
    assert session.statistics.kinds["wgrad"].gemms == 1


def test_computed_weight_is_a_weight_of_its_layer(engine):
    layer = nn.Sequential(nn.utils.parametrizations.weight_norm(nn.Linear(4, 3)))
    with offload(layer, engine) as session:
        layer(torch.randn(2, 4)).square().sum().backward()
    assert list(session.statistics.layers) == ["0"]
    assert session.statistics.kinds["wgrad"].gemms == 1
    assert session.statistics.roles["gradient"].elements == 12


class TestWeightCodes:
    """A weight is converted once until it changes, whichever way it changes."""

    def conversions(self, session):
        return session.statistics.roles["weight"].elements

    def test_kept_over_calls_and_views(self, engine):
        layer = nn.Linear(4, 3)
        x = torch.randn(2, 4)
        with offload(layer, engine) as session:
            first = layer(x)
            assert torch.equal(layer(x), first)
            top = x @ layer.weight[1:].t() + layer.bias[1:]
            assert torch.allclose(top, first[:, 1:])
            layer(x).sum().backward()
        assert self.conversions(session) == 12

    @pytest.mark.parametrize(
        "change",
        [
            lambda layer: torch.optim.SGD(layer.parameters(), 0.5).step(),
            lambda layer: layer.weight.data.mul_(2),
            lambda layer: setattr(layer.weight, "data", layer.weight.data * 2),
            lambda layer: layer.load_state_dict({k: -v for k, v in layer.state_dict().items()}),
        ],
    )
    def test_renewed_after_a_change(self, engine, exact, change):
        layer = nn.Linear(4, 3)
        x = torch.randn(2, 4)
        with offload(layer, engine, exact) as session:
            layer(x).sum().backward()
            change(layer)
            changed = layer(x)
        assert self.conversions(session) == 24
        with offload(layer, engine, exact):
            assert torch.equal(layer(x), changed)

    def test_renewed_after_one_sign_changed_unseen_by_torch(self, engine):
        layer = nn.Linear(1000, 3, bias=False)
        nn.init.zeros_(layer.weight)
        with offload(layer, engine) as session:
            layer(torch.ones(1, 1000))
            layer.weight.data[1, 777] = -0.0
            layer(torch.ones(1, 1000))
        assert self.conversions(session) == 6000

    def test_replaced_parameter_is_still_a_weight(self, engine):
        layer = nn.Linear(4, 3)
        with offload(layer, engine) as session:
            layer.weight = nn.Parameter(torch.ones(3, 4))
            x = torch.ones(2, 4)
            assert torch.equal(x @ layer.weight.t(), torch.full((2, 3), 4.0))
        assert self.conversions(session) == 12

    def test_never_kept_if_rounded_stochastically(self, engine):
        values = Recipe.named("e5m2-nearest").to_dict()
        values["roles"]["weight"]["rounding"] = "stochastic"
        layer = nn.Linear(40, 30, bias=False)
        x = torch.eye(40)
        with offload(layer, engine, Recipe.from_dict(values)) as session:
            assert not torch.equal(layer(x), layer(x))
        assert self.conversions(session) == 2400
