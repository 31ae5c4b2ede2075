import math

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from cosim.bridge import offload

SHAPE = (2, 3, 5, 4)


def reference_of(oracle, mask=None, scale=None):
    def attend(q, k, v):
        scores = oracle.product(oracle.operand(q) @ oracle.operand(k).mT)
        scores = scores * (scale or 1 / math.sqrt(q.shape[-1]))
        if mask is not None:
            scores = scores + mask
        return oracle.product(oracle.operand(scores.softmax(-1)) @ oracle.operand(v))

    return attend


def tensors(keys=SHAPE, values=SHAPE):
    return torch.randn(SHAPE), torch.randn(keys), torch.randn(values)


@pytest.mark.parametrize(
    ("keys", "values"), [(SHAPE, SHAPE), ((2, 3, 7, 4), (2, 3, 7, 6)), ((1, 3, 7, 4), (7, 6))]
)
def test_shapes(compare, oracle, keys, values):
    attend = F.scaled_dot_product_attention
    compare(attend, reference_of(oracle), *tensors(keys, values))


def test_scale(compare, oracle):
    run = lambda *x: F.scaled_dot_product_attention(*x, scale=0.3)  # noqa: E731
    compare(run, reference_of(oracle, scale=0.3), *tensors())


@pytest.mark.parametrize("form", ["causal", "boolean", "additive"])
def test_masks(compare, oracle, form):
    allowed = torch.ones(5, 5, dtype=torch.bool).tril()
    mask = torch.zeros(5, 5).masked_fill(~allowed, -math.inf)
    options = {
        "causal": {"is_causal": True},
        "boolean": {"attn_mask": allowed},
        "additive": {"attn_mask": mask},
    }[form]
    run = lambda *x: F.scaled_dot_product_attention(*x, **options)  # noqa: E731
    compare(run, reference_of(oracle, mask.double()), *tensors())


def test_row_with_nothing_to_attend_to(engine, exact):
    q, k, v = (t.requires_grad_() for t in tensors())
    mask = torch.ones(5, 5, dtype=torch.bool)
    mask[2] = False
    with offload(nn.Module(), engine, exact):
        out = F.scaled_dot_product_attention(q, k, v, mask)
        out.sum().backward()
    assert torch.equal(out[..., 2, :], torch.zeros(2, 3, 4))
    assert q.grad.isfinite().all()
    assert k.grad.isfinite().all()


def test_grouped_queries(compare, oracle):
    def reference(q, k, v):
        k, v = (t.repeat_interleave(3, -3) for t in (k, v))
        return reference_of(oracle)(q, k, v)

    # The derivatives by keys and values sum over the group: on the array, not after conversion.
    run = lambda *x: F.scaled_dot_product_attention(*x, enable_gqa=True)  # noqa: E731
    inputs = (torch.randn(2, 6, 5, 4), torch.randn(2, 2, 5, 4), torch.randn(2, 2, 5, 4))
    compare(run, reference, *inputs)


def test_dropout_draws_from_torch(engine, exact):
    q, k, v = tensors()
    with offload(nn.Module(), engine, exact):
        torch.manual_seed(1)
        whole = F.scaled_dot_product_attention(q, k, torch.ones_like(v))
        dropped = F.scaled_dot_product_attention(q, k, torch.ones_like(v), dropout_p=0.5)
        none = F.scaled_dot_product_attention(q, k, v, dropout_p=1.0)
    assert torch.equal(none, torch.zeros_like(none))
    assert dropped.std() > 3 * whole.std()


@pytest.mark.parametrize("train", [True, False])
@pytest.mark.parametrize("weights", [True, False])
def test_multi_head_attention_by_its_parts(engine, exact, train, weights):
    attention = nn.MultiheadAttention(8, 2, batch_first=True).train(train)
    x = torch.randn(2, 5, 8)
    with offload(attention, engine, exact) as session, torch.set_grad_enabled(train):
        out, map_of_weights = attention(x, x, x, need_weights=weights)
    wanted, wanted_map = attention(x, x, x, need_weights=weights)
    # Two projections and four heads' two products; nothing took the fast path.
    assert session.statistics.kinds["forward"].gemms == 10
    assert session.not_offloaded == {}
    assert 0 < (out - wanted).abs().max() < 0.3
    if weights:
        assert 0 < (map_of_weights - wanted_map).abs().max() < 0.3


@pytest.mark.parametrize("train", [True, False])
def test_transformer_runs_on_the_array_alone(engine, train):
    model = nn.Transformer(8, 2, 1, 1, 16, batch_first=True).train(train)
    with offload(model, engine) as session, torch.set_grad_enabled(train):
        out = model(torch.randn(2, 4, 8), torch.randn(2, 3, 8))
        if train:
            out.square().sum().backward()
    assert session.not_offloaded == {}
    layers = session.statistics.layers
    assert layers["decoder.layers.0.multihead_attn.out_proj"]["forward"].gemms == 1
    # Linear layers and projections, cross attention's with its weight in two pieces; products.
    assert session.statistics.kinds["forward"].gemms == 11 + 3 * 2 * 4
    assert all(p.grad is not None for p in model.parameters()) == train
