"""The product of batches of matrices, forward and backward, on the array."""

from typing import Any

import torch
from torch.autograd.function import once_differentiable

from cosim.bridge.array import Array
from cosim.bridge.unseen import unseen


class Product(torch.autograd.Function):
    """``C + A @ B^T`` for batches of matrices, each operand with its contracted dimension last.

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
        a_codes: torch.Tensor,
        b_codes: torch.Tensor,
        a: torch.Tensor,
        b: torch.Tensor,
        c: torch.Tensor | None,
    ) -> torch.Tensor:
        """Multiply `a` [B, M, K] and `b` [B, N, K], plus `c` [B, M, N].

        Only the codes of `a` and `b` are read; the tensors themselves tell autograd whose they are.
        `roles` are of `a` and `b`.
        """
        ctx.array, ctx.layer, ctx.roles = array, layer, roles
        ctx.save_for_backward(a_codes, b_codes)
        return array.multiply("forward", a_codes, b_codes.mT, roles, layer, c)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, error: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        """Return the derivatives by `a`, `b`, and `c`."""
        # Seen: under a checkpoint, asking for tensors computes the forward pass anew.
        a_codes, b_codes = ctx.saved_tensors
        with unseen():
            return Product._derivatives(ctx, a_codes, b_codes, error)

    @staticmethod
    def _derivatives(
        ctx: Any, a_codes: torch.Tensor, b_codes: torch.Tensor, error: torch.Tensor
    ) -> tuple[torch.Tensor | None, ...]:
        array, layer = ctx.array, ctx.layer
        a_role, b_role = ctx.roles
        *_, needs_a, needs_b, needs_c = ctx.needs_input_grad
        grad_a = grad_b = None
        if needs_a or needs_b:
            codes = array.quantize(error, "error", layer)
            if needs_a:
                kind = backward_kind(a_role)
                grad_a = array.multiply(kind, codes, b_codes, ("error", b_role), layer)
            if needs_b:
                kind = backward_kind(b_role)
                grad_b = array.multiply(kind, codes.mT, a_codes, ("error", a_role), layer)
        return *(None,) * 5, grad_a, grad_b, error if needs_c else None


def backward_kind(role: str) -> str:
    """Kind of the GEMM that gives the derivative by an operand."""
    return "wgrad" if role == "weight" else "dgrad"
