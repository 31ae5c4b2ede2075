"""The five models of the paper, reduced, with their products on the array."""

from dataclasses import replace

import pytest
import torch
from torch.nn.functional import cross_entropy

from cosim import open_engine
from cosim.bridge import Recipe, offload
from cosim.datasets.tokens import PAD
from cosim.models.gnmt import GNMT
from cosim.models.resnet import resnet18, resnet34, resnet50
from cosim.models.transformer import Transformer
from pysim import ArrayConfig

SCALE = 1024
IMAGES = {"width": 2, "classes": 4, "channels": 1, "stem": "small"}

MODELS = {
    # All blocks of the true models.
    "resnet18": lambda: resnet18(**IMAGES),
    "resnet34": lambda: resnet34(**{**IMAGES, "width": 1}),
    "resnet50": lambda: resnet50(**{**IMAGES, "width": 1}),
    "gnmt": lambda: GNMT(9, width=4, depth=4),
    "transformer": lambda: Transformer(9, width=4, depth=2, heads=2, feed_forward=6),
}


def loss_of(model):
    if isinstance(model, (GNMT, Transformer)):
        source = torch.tensor([[4, 5, 6, 3], [8, 3, PAD, PAD]])
        target = torch.tensor([[2, 7, 5, 3], [2, 4, 3, PAD]])
        logits = model(source, target[:, :-1])
        return cross_entropy(logits.flatten(0, 1), target[:, 1:].flatten(), ignore_index=PAD)
    images = torch.randn(2, 1, 8, 8, generator=torch.Generator().manual_seed(1))
    return cross_entropy(model(images), torch.tensor([1, 3]))


def train(name, engine, steps, exempt=()):
    """Return the model after some steps, and the session."""
    torch.manual_seed(0)
    recipe = replace(Recipe.named("mellempudi2019"), exempt=exempt)
    model = MODELS[name]()
    optimiser = torch.optim.SGD(model.parameters(), 0.1, momentum=0.9)
    with engine, offload(model, engine, recipe) as session:
        for _ in range(steps):
            optimiser.zero_grad()
            (loss_of(model) * SCALE).backward()
            for parameter in model.parameters():
                parameter.grad /= SCALE
            optimiser.step()
    return model, session


@pytest.mark.parametrize("name", MODELS)
def test_every_product_is_offloaded(name):
    model, session = train(name, open_engine("fast", ArrayConfig()), steps=1)
    assert session.not_offloaded == {}
    layers = session.statistics.layers
    owners = {
        path.rpartition(".")[0]
        for path, parameter in model.named_parameters()
        if (parameter.dim() > 1 or path.endswith("direction")) and "embedding" not in path
    }
    # Each matrix is multiplied by, in its own layer, and has its derivative from the array.
    for layer in owners:
        assert layers[layer]["forward"].gemms > 0, layer
        assert layers[layer]["wgrad"].gemms > 0, layer
    for path, parameter in model.named_parameters():
        assert parameter.grad.isfinite().all(), path


def test_lstm_multiplies_all_its_inputs_at_once():
    _, session = train("gnmt", open_engine("fast", ArrayConfig()), steps=1)
    layers = session.statistics.layers
    assert layers["encoder.second"]["forward"].gemms == 1 + 4  # positions of the source
    assert layers["decoder.first"]["forward"].gemms == 1 + 3  # and of the target


@pytest.mark.parametrize("name", MODELS)
def test_verilog_ends_with_the_weights_of_fast(name):
    config = ArrayConfig(4, 4)
    exempt = Recipe.named("mellempudi2019").exempt
    fast, _ = train(name, open_engine("fast", config), 2, exempt)
    rtl, session = train(name, open_engine("rtl", config), 2, exempt)
    assert "classifier" in session.exempt
    assert session.not_offloaded == {}
    torch.manual_seed(0)
    start = MODELS[name]().state_dict()
    weights = fast.state_dict()
    for path, weight in rtl.state_dict().items():
        assert torch.equal(weight, weights[path]), path
    gradients = dict(fast.named_parameters())
    for path, parameter in rtl.named_parameters():
        # Of the second step, which the weights of the first have led to.
        assert torch.equal(parameter.grad, gradients[path].grad), path
    # Some gradients of such narrow models are zero, but not those of many layers.
    changed = [not torch.equal(p, start[path]) for path, p in rtl.named_parameters()]
    assert sum(changed) > 0.8 * len(changed)
