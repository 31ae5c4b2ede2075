"""Convolution along any number of dimensions, forward and backward, as GEMMs on the array."""

from collections.abc import Sequence
from math import prod
from typing import Any

import torch
from torch.autograd.function import once_differentiable

from cosim.bridge.array import Array
from cosim.bridge.codes import Codes
from cosim.bridge.product import backward_kind, transpose
from cosim.bridge.unseen import unseen
from cosim.bridge.unsupported import require
from cosim.bridge.windows import Axis, Windows, gather, phases, scatter


def conv(
    array: Array,
    name: str,
    input: torch.Tensor,
    weight: torch.Tensor,
    bias: torch.Tensor | None = None,
    stride: int | Sequence[int] = 1,
    padding: str | int | Sequence[int] = 0,
    dilation: int | Sequence[int] = 1,
    groups: int = 1,
):
    """Convolve along one, two, or three dimensions; input with or without a batch dimension."""
    dims = weight.dim() - 2
    require(dims >= 1 and input.dim() in (dims + 1, dims + 2))
    x = input if input.dim() == dims + 2 else input.unsqueeze(0)
    strides, dilations = _each(stride, dims), _each(dilation, dims)
    kernel = weight.shape[2:]
    if isinstance(padding, str):
        require(padding == "valid" or (padding == "same" and set(strides) == {1}))
        total = [d * (k - 1) * (padding == "same") for d, k in zip(dilations, kernel, strict=True)]
        sides = [(t // 2, t - t // 2) for t in total]
    else:
        sides = [(p, p) for p in _each(padding, dims)]
    require(min(*strides, *dilations, groups) > 0 and min(map(min, sides)) >= 0)
    axes = [
        Axis(size, taps, step, spread, before, after)
        for size, taps, step, spread, (before, after) in zip(
            x.shape[2:], kernel, strides, dilations, sides, strict=True
        )
    ]
    require(x.shape[1] == weight.shape[1] * groups and len(weight) % groups == 0)
    require(min(kernel) > 0 and min(axis.outputs for axis in axes) > 0)
    require(bias is None or bias.shape == weight.shape[:1])
    roles = (array.role(input), "weight")
    layer = array.layer(name, input, weight, bias)
    codes = array.quantize(x, roles[0], layer), array.quantize(weight, roles[1], layer)
    result = Convolution.apply(array, layer, roles, axes, groups, *codes, x, weight, bias)
    return result if input.dim() == dims + 2 else result.squeeze(0)


class Convolution(torch.autograd.Function):
    """Convolution of [N, C_in, *sizes] with [C_out, C_in / groups, *kernel].

    Tensors are converted first and laid out as matrices then, so that a window costs one byte an
    element and overlapping windows agree. For each group of channels:

    - forward: ``[C_out, C_in * taps] @ [C_in * taps, N * outputs]``, the bias preloaded;
    - wgrad: ``[C_out, N * outputs] @ [N * outputs, C_in * taps]``;
    - dgrad: ``[C_in, C_out * taps] @ [C_out * taps, N * inputs]``, a transposed convolution, so
      that every sum runs in the accumulators and nothing is added up outside of the array. With a
      stride, inputs of one residue at a time (`windows.Phase`).
    """

    @staticmethod
    def forward(
        ctx: Any,
        array: Array,
        layer: str,
        roles: tuple[str, str],
        axes: Sequence[Axis],
        groups: int,
        x_codes: Codes,
        weight_codes: Codes,
        x: torch.Tensor,
        weight: torch.Tensor,
        bias: torch.Tensor | None,
    ) -> torch.Tensor:
        """Convolve; `roles` of `x` and `weight`, one axis for each of the sizes.

        Only the codes of `x` and `weight` are read; the tensors themselves tell autograd whose they
        are.
        """
        ctx.array, ctx.layer, ctx.roles, ctx.axes, ctx.groups = array, layer, roles, axes, groups
        ctx.save_for_backward(x_codes.tensor, weight_codes.tensor)
        ctx.exponents = x_codes.exponent, weight_codes.exponent

        inputs = _gathered(x_codes, [axis.forward for axis in axes], groups)
        kernels = weight_codes.map(lambda w: w.reshape(groups, len(w) // groups, -1))
        start = None
        if bias is not None:
            start = bias.reshape(groups, -1, 1).expand(-1, -1, inputs.tensor.shape[-1])
        result = array.multiply("forward", kernels, inputs, (roles[1], roles[0]), layer, start)
        outputs = [axis.outputs for axis in axes]
        images = torch.empty(len(x), len(weight), *outputs, device=x.device)
        scatter(result, images, [range(count) for count in outputs])
        return images

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, error: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        """Return the derivatives by `x`, `weight`, and `bias`."""
        # Seen: under a checkpoint, asking for tensors computes the forward pass anew.
        x_codes, weight_codes = map(Codes, ctx.saved_tensors, ctx.exponents)
        with unseen():
            return Convolution._derivatives(ctx, x_codes, weight_codes, error)

    @staticmethod
    def _derivatives(
        ctx: Any, x_codes: Codes, weight_codes: Codes, error: torch.Tensor
    ) -> tuple[torch.Tensor | None, ...]:
        array, layer, axes, groups = ctx.array, ctx.layer, ctx.axes, ctx.groups
        x_role, weight_role = ctx.roles
        *_, needs_x, needs_weight, needs_bias = ctx.needs_input_grad
        grad_x = grad_weight = grad_bias = None
        if needs_x or needs_weight:
            codes = array.quantize(error, "error", layer)
        if needs_x:
            kind = backward_kind(x_role)
            parts = list(phases(axes))
            met = sum(prod(len(p.positions) for p in phase) for phase in parts)
            # Inputs that no window meets are in no phase.
            make = torch.empty if met == prod(axis.size for axis in axes) else torch.zeros
            grad_x = make(x_codes.tensor.shape, device=error.device)
            for phase in parts:
                errors = _gathered(codes, [p.windows for p in phase], groups)
                kernels = _by_input_channel(weight_codes, [p.taps for p in phase], groups)
                part = array.multiply(kind, kernels, errors, (weight_role, "error"), layer)
                scatter(part, grad_x, [p.positions for p in phase])
        if needs_weight:
            inputs = _gathered(x_codes, [axis.forward for axis in axes], groups)
            errors = _gathered(codes, [Windows.each(axis.outputs) for axis in axes], groups)
            kind = backward_kind(weight_role)
            rows = inputs.map(transpose)
            product = array.multiply(kind, errors, rows, ("error", x_role), layer)
            grad_weight = product.reshape(weight_codes.tensor.shape)
        if needs_bias:
            grad_bias = error.sum([0, *range(2, error.dim())])
        return *(None,) * 7, grad_x, grad_weight, grad_bias


def _gathered(codes: Codes, windows: Sequence[Windows], groups: int) -> Codes:
    return codes.map(lambda images: gather(images, windows, groups))


def _by_input_channel(weight: Codes, taps: Sequence[slice], groups: int) -> Codes:
    """Lay some taps of [C_out, C_in / groups, *kernel] out as [groups, C_in / groups, others]."""

    def lay_out(whole: torch.Tensor) -> torch.Tensor:
        per_group = whole[(..., *taps)].unflatten(0, (groups, len(whole) // groups))
        return per_group.transpose(1, 2).reshape(groups, whole.shape[1], -1)

    return weight.map(lay_out)


def _each(value: int | Sequence[int], dims: int) -> list[int]:
    values = [value] if isinstance(value, int) else list(value)
    values = values * dims if len(values) == 1 else values
    require(len(values) == dims)
    return values
