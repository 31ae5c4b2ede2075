import pytest
import torch
from torch import nn
from torch.nn import functional

from cosim.bridge import Recipe, offload
from cosim.gpu import GpuEngine
from pysim import ArrayConfig
from pysim.fast import FastEngine

CONFIG = ArrayConfig(rows=5, cols=6)


def perceptron():
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 20), nn.ReLU(), nn.Linear(20, 10))


def convolutional():
    return nn.Sequential(
        nn.Conv2d(1, 6, 3, padding=1),
        nn.ReLU(),
        nn.Conv2d(6, 8, 3, stride=2, groups=2),
        nn.Flatten(),
        nn.Linear(72, 10),
    )


def train(build, recipe, engine, device, steps=2):
    torch.manual_seed(0)
    model, x = build().to(device), torch.randn(6, 1, 8, 8).to(device)
    optimiser = torch.optim.SGD(model.parameters(), lr=0.1)
    labels = torch.arange(6, device=device)
    with offload(model, engine, Recipe.named(recipe)) as session:
        for _ in range(steps):
            optimiser.zero_grad()
            (1024 * functional.cross_entropy(model(x), labels)).backward()
            optimiser.step()
    assert session.not_offloaded == {}
    weights = [p.detach().cpu() for p in model.parameters()]
    return weights, session.statistics.to_dict(), engine.random_state.tolist()


@pytest.mark.parametrize("recipe", ["e5m2-sr", "hybrid-delayed", "mellempudi2019"])
@pytest.mark.parametrize("build", [perceptron, convolutional])
def test_trains_as_on_fast(build, recipe):
    gpu = GpuEngine(CONFIG, emulate=True)
    weights, *counts = train(build, recipe, gpu, gpu.device)
    expected, *expected_counts = train(build, recipe, FastEngine(CONFIG), "cpu")
    for ours, theirs in zip(weights, expected, strict=True):
        assert torch.equal(ours, theirs)
    assert counts == expected_counts


@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device")
@pytest.mark.parametrize("build", [perceptron, convolutional])
def test_trains_on_a_gpu(build):
    # What is no product is PyTorch's own there, in another order: not to be compared bit for bit.
    gpu = GpuEngine(CONFIG)
    weights, statistics, state = train(build, "e5m2-sr", gpu, gpu.device)
    expected, expected_statistics, expected_state = train(
        build, "e5m2-sr", FastEngine(CONFIG), "cpu"
    )
    for ours, theirs in zip(weights, expected, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=0.05, atol=0.05)
    assert statistics["kinds"] == expected_statistics["kinds"]
    assert state == expected_state


def test_tensors_elsewhere_are_listed():
    gpu = GpuEngine(CONFIG, emulate=True)
    layer = nn.Linear(4, 4, device="meta")
    with offload(layer, gpu) as session, pytest.warns(UserWarning, match="not offloaded"):
        layer(torch.zeros(1, 4, device="meta"))
    assert len(session.not_offloaded) == 1
    assert "on meta" in next(iter(session.not_offloaded))
