from dataclasses import replace

import pytest
import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

from cosim.bridge import Recipe, offload
from cosim.bridge.exempt import exempt_layers


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(1, 4, 3)
        self.body = nn.Conv2d(4, 4, 3)
        self.hidden = nn.Linear(16, 12)
        self.head = nn.Linear(12, 3)

    def forward(self, x):
        return self.head(self.hidden(self.body(self.stem(x)).flatten(1)).relu())


def exempting(*layers, fmt="fp32"):
    return replace(Recipe.named("e5m2-nearest"), exempt=layers, exempt_format=fmt)


def test_which_layers():
    ends = exempt_layers(Net(), ["first-convolution", "last-linear"])
    assert [name for name, _ in Net().named_modules() if ends(name)] == ["stem", "head"]
    by_name = exempt_layers(Net(), ["h*"])
    assert [name for name, _ in Net().named_modules() if by_name(name)] == ["hidden", "head"]
    assert not exempt_layers(Net(), [])("head")
    assert not exempt_layers(nn.ReLU(), ["first-convolution"])("")


def test_the_others_are_on_the_array(engine):
    model = Net()
    with offload(model, engine, exempting("first-convolution", "last-linear")) as session:
        model(torch.randn(2, 1, 6, 6)).sum().backward()
    assert list(session.statistics.layers) == ["body", "hidden"]
    assert session.exempt == {"stem": 1, "head": 1}
    assert session.not_offloaded == {}
    assert "exempt, in fp32: stem, called once" in session.report()


def test_all_in_fp32_is_plain_pytorch(engine):
    model, x = Net(), torch.randn(2, 1, 6, 6)
    with offload(model, engine, exempting("*")) as session:
        out = model(x)
        out.square().sum().backward()
    gradients = [p.grad.clone() for p in model.parameters()]
    model.zero_grad()
    plain = model(x)
    plain.square().sum().backward()
    assert torch.equal(out, plain)
    for ours, theirs in zip(gradients, model.parameters(), strict=True):
        assert torch.equal(ours, theirs.grad)
    assert session.not_offloaded == {}
    assert engine.macs == 0


@pytest.mark.parametrize(("fmt", "dtype"), [("fp16", torch.float16), ("bf16", torch.bfloat16)])
def test_operands_errors_and_gradients_have_16_bits(engine, fmt, dtype):
    def rounded(x):
        return x.detach().to(dtype).float()

    layer, x, error = nn.Linear(7, 5), torch.randn(3, 7, requires_grad=True), torch.randn(3, 5)
    with offload(layer, engine, exempting("*", fmt=fmt)):
        out = layer(x)
        out.backward(error)
    e = rounded(error)
    w = rounded(layer.weight)
    assert torch.equal(out, nn.functional.linear(rounded(x), w, layer.bias))
    assert torch.equal(x.grad, e @ w)
    assert torch.equal(layer.weight.grad, rounded(e.T @ rounded(x)))
    assert torch.equal(layer.bias.grad, e.sum(0))


def test_what_is_out_of_range_saturates(engine):
    layer = nn.Linear(1, 1, bias=False)
    with torch.no_grad():
        layer.weight.fill_(1)
    with offload(layer, engine, exempting("*", fmt="fp16")):
        assert layer(torch.tensor([[1e9]])).item() == 65504


def test_under_a_checkpoint(engine):
    model, x = Net(), torch.randn(2, 1, 6, 6)
    grads = []
    for run in (model, lambda x: checkpoint(model, x, use_reentrant=False)):
        model.zero_grad()
        with offload(model, engine, exempting("first-convolution", "last-linear")):
            run(x).sum().backward()
        grads.append([p.grad.clone() for p in model.parameters()])
    for once, anew in zip(*grads, strict=True):
        assert torch.equal(once, anew)
