from itertools import product

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from cosim.bridge import Recipe, offload
from pysim import ArrayConfig, GoldenEngine


def small_integers(*shape):
    """Numbers whose products and sums are exact in every format on the way."""
    return torch.randint(-1, 3, shape).float()


def check_exact(engine, recipe, function, x, weight, bias, **options):
    """On exact numbers the array and torch have to agree in every bit."""
    outcomes = []
    error = None
    for offloaded in (False, True):
        tensors = [t if t is None else t.clone().requires_grad_() for t in (x, weight, bias)]
        if offloaded:
            with offload(nn.Module(), engine, recipe) as session:
                out = function(*tensors, **options)
        else:
            out = function(*tensors, **options)
            error = small_integers(*out.shape)
        out.backward(error)
        outcomes.append([out, *(t.grad for t in tensors if t is not None)])
    assert session.not_offloaded == {}
    for wanted, got in zip(*outcomes, strict=True):
        assert torch.equal(wanted, got)


GRID = list(product((1, 2, 3), (0, 1, 2), (1, 2, 3), (1, 2)))


@pytest.mark.parametrize(("stride", "padding", "dilation", "groups"), GRID)
def test_conv2d_parameters(engine, exact, exact_errors, stride, padding, dilation, groups):
    # The second dimension differs in everything, so that none can be taken for the other.
    options = {
        "stride": (stride, 2),
        "padding": (padding, 1),
        "dilation": (dilation, 1),
        "groups": groups,
    }
    x, weight = small_integers(2, 4, 7, 5), small_integers(6, 4 // groups, 3, 2)
    bias = small_integers(6) if stride == dilation else None
    recipe = exact if padding == 1 else exact_errors
    check_exact(engine, recipe, F.conv2d, x, weight, bias, **options)


@pytest.mark.parametrize(("stride", "padding", "dilation", "groups"), GRID[::3])
@pytest.mark.parametrize("kernel", [1, 2, 4])
def test_conv1d_parameters(engine, exact, stride, padding, dilation, groups, kernel):
    x, weight = small_integers(2, 4, 11), small_integers(2, 4 // groups, kernel)
    options = {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups}
    check_exact(engine, exact, F.conv1d, x, weight, small_integers(2), **options)


@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel lengths")
@pytest.mark.parametrize(
    ("function", "x", "weight", "options"),
    [
        (F.conv1d, (1, 2, 6), (3, 2, 4), {"padding": "same"}),
        (F.conv1d, (1, 2, 6), (3, 2, 3), {"padding": "valid"}),
        (F.conv2d, (1, 2, 6, 5), (3, 2, 2, 3), {"padding": "same", "dilation": (2, 1)}),
        (F.conv2d, (2, 6, 5), (3, 2, 2, 3), {"stride": [2], "padding": (1,)}),
        (F.conv1d, (2, 6), (3, 2, 3), {}),
        (F.conv2d, (2, 4, 5, 5), (4, 1, 3, 3), {"groups": 4, "padding": 1}),
        (F.conv2d, (1, 2, 5, 5), (3, 2, 1, 1), {"stride": 3}),
        (F.conv2d, (1, 2, 5, 5), (3, 2, 5, 5), {}),
        (F.conv2d, (1, 1, 2, 2), (1, 1, 1, 1), {"padding": 3, "stride": 5}),
        (F.conv3d, (1, 2, 4, 3, 3), (2, 2, 2, 3, 1), {"stride": (2, 1, 1), "padding": 1}),
    ],
)
def test_other_forms(engine, exact, function, x, weight, options):
    tensors = small_integers(*x), small_integers(*weight), small_integers(weight[0])
    check_exact(engine, exact, function, *tensors, **options)


def test_non_contiguous_operands(engine, exact):
    x = small_integers(2, 5, 6, 4).permute(0, 3, 1, 2)
    weight = small_integers(3, 3, 4, 5).permute(3, 2, 0, 1)
    check_exact(engine, exact, F.conv2d, x, weight, None, padding=1)
    channels_last = small_integers(2, 4, 5, 6).to(memory_format=torch.channels_last)
    check_exact(engine, exact, F.conv2d, channels_last, weight, None)


def test_result_is_contiguous(engine):
    with offload(nn.Module(), engine):
        out = F.conv2d(torch.randn(2, 3, 5, 5), torch.randn(4, 3, 3, 3))
    assert out.is_contiguous()


def test_empty_batch(engine):
    conv = nn.Conv2d(2, 3, 2)
    with offload(conv, engine):
        out = conv(torch.randn(0, 2, 4, 4))
        out.sum().backward()
    assert out.shape == (0, 3, 3, 3)
    assert torch.equal(conv.weight.grad, torch.zeros(3, 2, 2, 2))


@pytest.mark.parametrize("mode", ["zeros", "reflect", "circular"])
def test_random_numbers(compare, oracle, mode):
    shape = nn.Conv2d(3, 4, 3, padding=1, padding_mode=mode)

    def reference(x, weight, bias):
        conv = nn.Conv2d(3, 4, 3, padding=1, padding_mode=mode, bias=False)._conv_forward
        return (
            oracle.product(conv(oracle.operand(x), oracle.operand(weight, "weight"), None))
            + (bias[:, None, None])
        )

    inputs = (torch.randn(2, 3, 6, 5), torch.randn(4, 3, 3, 3), torch.randn(4))
    compare(shape._conv_forward, reference, *inputs)


def test_bits_are_those_of_the_engine_called_by_hand():
    recipe = Recipe.named("e5m2-sr")
    conv = nn.Conv2d(3, 4, 2, stride=2)
    x = torch.randn(2, 3, 6, 4)
    error = torch.randn(2, 4, 3, 2)
    with offload(conv, GoldenEngine(ArrayConfig(rows=8, cols=8)), recipe):
        out = conv(x)
        out.backward(error)

    engine = GoldenEngine(ArrayConfig(rows=8, cols=8))
    a = engine.quantize(x.numpy(), "e5m2")
    w = engine.quantize(conv.weight.detach().numpy(), "e5m2").reshape(4, 12)
    # Windows that do not overlap are a reshape.
    windows = a.reshape(2, 3, 3, 2, 2, 2).transpose(1, 3, 5, 0, 2, 4).reshape(12, 12)
    bias = np.broadcast_to(conv.bias.detach().numpy()[:, None], (4, 12))
    forward = engine.gemm(w, windows, a_format="e5m2", b_format="e5m2", c=bias)
    e = engine.quantize(error.numpy(), "e5m2", rounding="stochastic")
    wgrad = engine.gemm(
        e.transpose(1, 0, 2, 3).reshape(4, 12),
        windows.T,
        a_format="e5m2",
        b_format="e5m2",
        out_format="e5m2",
        rounding="stochastic",
    )
    wanted = forward.values.reshape(4, 2, 3, 2).transpose(1, 0, 2, 3)
    assert np.array_equal(out.detach().numpy().view(np.uint32), wanted.view(np.uint32))
    gradient = engine.quantize(conv.weight.grad.numpy(), "e5m2")
    assert np.array_equal(gradient.reshape(4, 12), wgrad.values)


def test_strided_dgrad_multiplies_no_inserted_zeros(engine):
    x = torch.randn(1, 2, 8, 8, requires_grad=True)
    with offload(nn.Module(), engine) as session:
        F.conv2d(x, torch.randn(3, 2, 2, 2), stride=2).sum().backward()
    kinds = session.statistics.kinds
    assert kinds["dgrad"].macs == kinds["forward"].macs == 3 * 8 * 16


@pytest.mark.parametrize(
    ("x", "weight", "options"),
    [
        ((1, 3, 5, 5), (4, 2, 3, 3), {}),
        ((1, 2, 2, 2), (4, 2, 3, 3), {}),
        ((1, 2, 5, 5), (4, 2, 3, 3), {"padding": "same", "stride": 2}),
        ((1, 2, 5, 5), (3, 1, 3, 3), {"groups": 2}),
        ((1, 2, 5, 5), (4, 2, 3, 3), {"stride": 0}),
        ((1, 2, 5, 5), (4, 2, 3, 3), {"padding": -1}),
        ((2, 2, 1, 5, 5), (4, 2, 3, 3), {}),
    ],
)
def test_errors_are_those_of_torch(engine, x, weight, options):
    x, weight = torch.randn(x), torch.randn(weight)
    with pytest.raises(RuntimeError) as wanted:
        F.conv2d(x, weight, **options)
    with offload(nn.Module(), engine) as session, pytest.raises(RuntimeError) as got:
        F.conv2d(x, weight, **options)
    assert str(got.value) == str(wanted.value)
    assert session.not_offloaded == {}
