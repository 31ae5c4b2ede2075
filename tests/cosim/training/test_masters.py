import numpy as np
import pytest
import torch
from torch import nn

from cosim.bridge import MasterSpec
from cosim.training.masters import MasterWeights
from pysim import ArrayConfig, GoldenEngine
from pysim.fast import FastEngine

DTYPES = {"fp16": torch.float16, "bf16": torch.bfloat16}


def learn(engine, spec, steps=3):
    torch.manual_seed(0)
    layer = nn.Linear(30, 20)
    optimiser = torch.optim.SGD(layer.parameters(), lr=1e-3, momentum=0.9, weight_decay=1e-2)
    masters = MasterWeights(optimiser, engine, spec)
    x = torch.randn(8, 30)
    for _ in range(steps):
        masters.zero_grad()
        layer(x).square().sum().backward()
        masters.step()
    return layer, masters


@pytest.mark.parametrize("fmt", ["fp16", "bf16"])
def test_updates_in_fp32_then_rounds_to_nearest(fmt):
    dtype = DTYPES[fmt]
    layer, _ = learn(GoldenEngine(ArrayConfig()), MasterSpec(fmt))
    torch.manual_seed(0)
    plain = nn.Linear(30, 20)
    x = torch.randn(8, 30)
    momenta = [torch.zeros_like(p) for p in plain.parameters()]
    with torch.no_grad():
        for p in plain.parameters():
            p.copy_(p.to(dtype))
    for _ in range(3):
        plain.zero_grad()
        plain(x).square().sum().backward()
        with torch.no_grad():
            for p, momentum in zip(plain.parameters(), momenta, strict=True):
                gradient = p.grad.add(p, alpha=1e-2)
                momentum.mul_(0.9).add_(gradient)
                p.add_(momentum, alpha=-1e-3)
                p.copy_(p.to(dtype))
    for ours, theirs in zip(layer.parameters(), plain.parameters(), strict=True):
        assert torch.equal(ours, theirs)


@pytest.mark.parametrize("rounding", ["nearest", "stochastic"])
def test_engines_agree(rounding):
    ends = []
    for engine in (GoldenEngine(ArrayConfig()), FastEngine(ArrayConfig())):
        layer, _ = learn(engine, MasterSpec("fp16", rounding))
        ends.append([p.detach().numpy() for p in layer.parameters()])
        ends[-1].append(engine.random_state)
        np.testing.assert_array_equal(engine.random_state, GoldenEngine(ArrayConfig()).random_state)
    for one, other in zip(*ends, strict=True):
        np.testing.assert_array_equal(one, other)


def test_stochastic_rounding_keeps_small_updates_in_the_mean():
    weight = nn.Parameter(torch.ones(10_000))
    engine = FastEngine(ArrayConfig())
    # A sixteenth of the distance to the next number below one.
    optimiser = torch.optim.SGD([weight], lr=2.0**-15)
    for rounding, moves in (("nearest", False), ("stochastic", True)):
        with torch.no_grad():
            weight.fill_(1)
        masters = MasterWeights(optimiser, engine, MasterSpec("fp16", rounding))
        for _ in range(16):
            weight.grad = torch.ones_like(weight)
            masters.step()
        mean = weight.detach().double().mean().item()
        assert (mean < 1) == moves
    # 16 steps of 2**-15 in all; the standard deviation of the mean is below 2**-11 / 100.
    assert abs((1 - mean) - 2.0**-11) < 5 * 2.0**-11 / 100


def test_out_of_range_saturates():
    weight = nn.Parameter(torch.tensor([1e6, -1e6]))
    MasterWeights(torch.optim.SGD([weight]), GoldenEngine(ArrayConfig()), MasterSpec("fp16"))
    assert weight.tolist() == [65504, -65504]


def test_memory_and_state():
    _, masters = learn(GoldenEngine(ArrayConfig()), MasterSpec("fp16"))
    assert masters.memory() == {"masters": 2 * 620, "fp32": 4 * 620}
    assert masters.param_groups[0]["lr"] == 1e-3
    schedule = torch.optim.lr_scheduler.StepLR(masters, 1)
    masters.step()
    schedule.step()
    assert masters.param_groups[0]["lr"] == pytest.approx(1e-4)
    state = masters.state_dict()
    _, other = learn(GoldenEngine(ArrayConfig()), MasterSpec("fp16"), steps=0)
    other.load_state_dict(state)
    for ours, theirs in zip(masters.state.values(), other.state.values(), strict=True):
        assert torch.equal(ours["momentum_buffer"], theirs["momentum_buffer"])


def test_stochastic_masters_go_on_where_they_were():
    ends, state = [], {}
    for stop in (None, 2):
        torch.manual_seed(0)
        layer = nn.Linear(9, 9)
        for first, last in ((0, 4),) if stop is None else ((0, stop), (stop, 4)):
            optimiser = torch.optim.SGD(layer.parameters(), lr=1e-3, momentum=0.9)
            engine = FastEngine(ArrayConfig())
            masters = MasterWeights(optimiser, engine, MasterSpec("fp16", "stochastic"), seed=3)
            if first:
                masters.load_state_dict(state)
            for step in range(first, last):
                layer.weight.grad = torch.full((9, 9), 0.1 * step)
                layer.bias.grad = torch.full((9,), 0.1)
                masters.step()
            state = masters.state_dict()
        ends.append([p.detach().clone() for p in layer.parameters()])
    for one, other in zip(*ends, strict=True):
        assert torch.equal(one, other)


def test_hooks_are_those_of_the_optimiser():
    _, masters = learn(GoldenEngine(ArrayConfig()), MasterSpec("fp16"), steps=0)
    called = []
    masters.register_step_post_hook(lambda *_: called.append(1))
    masters.step()
    assert called == [1]
