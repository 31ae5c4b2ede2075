"""The product of batches of matrices, forward and backward, on the array."""

from typing import Any

import torch
from torch.autograd.function import once_differentiable

from cosim.bridge.array import Array
from cosim.bridge.codes import Codes
from cosim.bridge.layout import Layout
from cosim.bridge.unseen import unseen


class Product(torch.autograd.Function):
    """``C + A @ B^T`` for tensors laid out as batches of matrices, what is contracted last.

    That is how a linear layer keeps its weight, and how attention meets its keys. With E the
    derivative by the result, the derivative by A is ``E @ B`` and that by B is ``E^T @ A``: each
    one more GEMM, a wgrad if the operand is a weight and a dgrad if not. E is converted once for
    both. C is preloaded into the accumulators, so that a bias costs no rounding of its own; its
    derivative is E before conversion.
    """

    @staticmethod
    def forward(
        ctx: Any,
        array: Array,
        layer: str,
        roles: tuple[str, str],
        layouts: tuple[Layout, Layout, Layout],
        a_codes: Codes,
        b_codes: Codes,
        a: torch.Tensor,
        b: torch.Tensor,
        c: torch.Tensor | None,
    ) -> torch.Tensor:
        """Multiply `a`, laid out as [B, M, K], and `b`, as [B, N, K]; add `c`, broadcast.

        `layouts` are of `a`, of `b`, and of the result, as [B, M, N]; `roles` of `a` and `b`. Only
        the codes of `a` and `b` are read; the tensors themselves tell autograd whose they are.
        Laying out is no step of autograd's own, for each would cost as much as a small product.
        """
        ctx.array, ctx.layer, ctx.roles, ctx.layouts = array, layer, roles, layouts
        ctx.c_shape = None if c is None else c.shape
        of_a, of_b, of_result = layouts
        a_codes, b_codes = a_codes.map(of_a.join), b_codes.map(of_b.join)
        ctx.save_for_backward(a_codes.tensor, b_codes.tensor)
        ctx.exponents = a_codes.exponent, b_codes.exponent
        start = None if c is None else of_result.join(c.expand(of_result.tensor_shape))
        product = array.multiply("forward", a_codes, b_codes.map(transpose), roles, layer, start)
        return of_result.part(product)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, error: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        """Return the derivatives by `a`, `b`, and `c`."""
        # Seen: under a checkpoint, asking for tensors computes the forward pass anew.
        a_codes, b_codes = map(Codes, ctx.saved_tensors, ctx.exponents)
        with unseen():
            return Product._derivatives(ctx, a_codes, b_codes, error)

    @staticmethod
    def _derivatives(
        ctx: Any, a_codes: Codes, b_codes: Codes, error: torch.Tensor
    ) -> tuple[torch.Tensor | None, ...]:
        array, layer = ctx.array, ctx.layer
        a_role, b_role = ctx.roles
        of_a, of_b, of_result = ctx.layouts
        *_, needs_a, needs_b, needs_c = ctx.needs_input_grad
        grad_a = grad_b = None
        if needs_a or needs_b:
            codes = array.quantize(of_result.join(error), "error", layer)
            if needs_a:
                kind = backward_kind(a_role)
                product = array.multiply(kind, codes, b_codes, ("error", b_role), layer)
                grad_a = of_a.part(product)
            if needs_b:
                kind = backward_kind(b_role)
                turned = codes.map(transpose)
                product = array.multiply(kind, turned, a_codes, ("error", a_role), layer)
                grad_b = of_b.part(product)
        grad_c = error.sum_to_size(ctx.c_shape) if needs_c else None
        return *(None,) * 6, grad_a, grad_b, grad_c


def transpose(matrices: torch.Tensor) -> torch.Tensor:
    """Exchange rows and columns."""
    return matrices.mT


def backward_kind(role: str) -> str:
    """Kind of the GEMM that gives the derivative by an operand."""
    return "wgrad" if role == "weight" else "dgrad"
