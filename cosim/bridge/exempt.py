"""Layers that a recipe exempts from FP8: their products in PyTorch, operands in 16 bits."""

from collections.abc import Callable, Sequence
from fnmatch import fnmatchcase
from typing import Any

import torch
from torch import nn
from torch.autograd.function import once_differentiable
from torch.utils import _pytree as pytree

from cosim.bridge.unseen import unseen

FIRST_CONVOLUTION, LAST_LINEAR = "first-convolution", "last-linear"

EXEMPT_FORMATS = {"fp32": None, "fp16": torch.float16, "bf16": torch.bfloat16}
"""What the operands of exempt products are rounded to."""


def exempt_layers(model: nn.Module, wanted: Sequence[str]) -> Callable[[str], bool]:
    """Return what tells whether a layer is exempt.

    Parameters
    ----------
    model : torch.nn.Module
    wanted : sequence of str
        Names of layers, in which ``*`` stands for anything; or ``"first-convolution"`` and
        ``"last-linear"``, by the order in which the model's modules were registered.
    """
    modules = dict(model.named_modules())
    convolutions = [n for n, m in modules.items() if isinstance(m, nn.modules.conv._ConvNd)]
    linears = [n for n, m in modules.items() if isinstance(m, nn.Linear)]
    patterns = set(wanted) - {FIRST_CONVOLUTION, LAST_LINEAR}
    names = set()
    if FIRST_CONVOLUTION in wanted:
        names |= set(convolutions[:1])
    if LAST_LINEAR in wanted:
        names |= set(linears[-1:])
    return lambda layer: layer in names or any(fnmatchcase(layer, p) for p in patterns)


class Exempt(torch.autograd.Function):
    """A function of PyTorch, with rounded operands forward and backward, sums in FP32.

    Operands are rounded to nearest and saturate; so are the errors that come back, and the
    gradients of weights. What has one dimension, such as a bias, stays in FP32.
    """

    @staticmethod
    def forward(
        ctx: Any, func: Callable, form: Any, fmt: str, is_weight: list[bool], *leaves: Any
    ) -> torch.Tensor:
        """Run `func` on the arguments that `leaves` are, in the form of a pytree."""
        operands = []
        for leaf, needed in zip(leaves, ctx.needs_input_grad[4:], strict=True):
            if isinstance(leaf, torch.Tensor):
                rounded = _round(leaf, fmt) if leaf.dim() > 1 else leaf
                leaf = rounded.detach().requires_grad_(needed)
            operands.append(leaf)
        args, kwargs = pytree.tree_unflatten(operands, form)
        # A checkpoint must not take what is kept here for its own, to be computed anew.
        keep = torch.autograd.graph.saved_tensors_hooks(lambda x: x, lambda x: x)
        with torch.enable_grad(), keep:
            result = func(*args, **kwargs)
        ctx.result, ctx.operands, ctx.fmt, ctx.is_weight = result, operands, fmt, is_weight
        return result.detach()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, error: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        """Return the derivatives by the tensors among the leaves."""
        needed = [i for i, need in enumerate(ctx.needs_input_grad[4:]) if need]
        with unseen():
            found = torch.autograd.grad(
                ctx.result,
                [ctx.operands[i] for i in needed],
                _round(error, ctx.fmt),
                retain_graph=True,
                allow_unused=True,
            )
        grads: list[torch.Tensor | None] = [None] * len(ctx.operands)
        for i, grad in zip(needed, found, strict=True):
            whole = grad is None or grad.dim() < 2 or not ctx.is_weight[i]
            grads[i] = grad if whole else _round(grad, ctx.fmt)
        return *(None,) * 4, *grads


def run_exempt(
    func: Callable, args: tuple, kwargs: dict, fmt: str, is_weight: Callable[[torch.Tensor], bool]
) -> torch.Tensor:
    """Call a function of PyTorch as the layer that it belongs to is exempt."""
    leaves, form = pytree.tree_flatten((args, kwargs))
    weights = [isinstance(leaf, torch.Tensor) and is_weight(leaf) for leaf in leaves]
    return Exempt.apply(func, form, fmt, weights, *leaves)


def _round(tensor: torch.Tensor, fmt: str) -> torch.Tensor:
    dtype = EXEMPT_FORMATS[fmt]
    if dtype is None or not tensor.is_floating_point():
        return tensor
    largest = torch.finfo(dtype).max
    return tensor.clamp(-largest, largest).to(dtype).to(tensor.dtype)
