"""Scaled-dot-product attention as two products on the array."""

import math

import torch

from cosim.bridge.array import Array
from cosim.bridge.matmul import matmul
from cosim.bridge.unsupported import require

Tensor = torch.Tensor


def scaled_dot_product_attention(
    array: Array,
    name: str,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attn_mask: Tensor | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    *,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> Tensor:
    """Attend; scale, mask, softmax, and dropout between the two products stay in FP32.

    A row that the mask leaves nothing to attend to gives zeros, as in PyTorch.
    """
    require(min(query.dim(), key.dim(), value.dim()) >= 2)
    require(not (is_causal and attn_mask is not None))
    if scale is None:
        scale = 1 / math.sqrt(query.shape[-1])
    if enable_gqa:
        query, key, value = _by_key_head(query, key, value)
    scores = matmul(array, name, query, key.mT) * scale
    if enable_gqa:
        heads = scores.shape[-4:-2]
        scores = scores.flatten(-4, -3)

    if is_causal:
        attn_mask = torch.ones(scores.shape[-2:], dtype=torch.bool).tril()
    if attn_mask is None:
        attention = scores.softmax(-1)
    else:
        if attn_mask.dtype == torch.bool:
            scores = scores.masked_fill(~attn_mask, -math.inf)
        else:
            scores = scores + attn_mask
        # Such a row would be NaN throughout, and so would its derivative.
        empty = scores.isneginf().all(-1, keepdim=True)
        attention = scores.masked_fill(empty, 0).softmax(-1).masked_fill(empty, 0)
    attention = torch.dropout(attention, dropout_p, train=True)

    if not enable_gqa:
        return matmul(array, name, attention, value)
    return matmul(array, name, attention.unflatten(-3, heads), value).flatten(-4, -3)


def _by_key_head(query: Tensor, key: Tensor, value: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Group the heads of the query by the head of the key that they share."""
    require(min(query.dim(), key.dim(), value.dim()) >= 3)
    heads = key.shape[-3]
    require(heads == value.shape[-3] and heads > 0 and query.shape[-3] % heads == 0)
    return query.unflatten(-3, (heads, -1)), key.unsqueeze(-3), value.unsqueeze(-3)
