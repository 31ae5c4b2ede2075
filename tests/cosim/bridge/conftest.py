from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch

from cosim.bridge import Recipe, RoleSpec
from pysim import ArrayConfig, GoldenEngine, Rounding, convert, decode

EXACT = replace(Recipe.named("e5m2-nearest"), weight=RoleSpec("e4m3"), gradient=RoleSpec("fp32"))
"""Deterministic, and gradients as the accumulators hold them: comparable with a reference.

Weights have a format of their own, so that no other role can be taken for theirs.
"""


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(0)


@pytest.fixture
def engine():
    return GoldenEngine(ArrayConfig(rows=8, cols=8))


@pytest.fixture
def exact():
    return EXACT


@pytest.fixture
def exact_errors():
    """As `exact`, but the role with a format of its own is the error."""
    return replace(EXACT, weight=RoleSpec("e5m2"), error=RoleSpec("e4m3"))


class Oracle:
    """Products of converted operands in float64, differentiated by torch itself."""

    def __init__(self, recipe: Recipe) -> None:
        self._recipe = recipe

    def quantize(self, tensor: torch.Tensor, role: str) -> torch.Tensor:
        spec = self._recipe.role(role)
        values = tensor.detach().to(torch.float32).numpy()
        codes, _ = convert(values, spec.float_format, Rounding.named(spec.rounding), spec.saturate)
        exact = decode(codes, spec.float_format).astype(np.float64)
        return torch.from_numpy(exact.reshape(values.shape))

    def operand(self, tensor: torch.Tensor, role: str = "activation") -> torch.Tensor:
        """Convert; the derivative passes as it is."""
        return tensor + (self.quantize(tensor, role) - tensor).detach()

    def product(self, result: torch.Tensor) -> torch.Tensor:
        """Let pass; the derivative is converted."""
        if result.requires_grad:
            result.register_hook(lambda error: self.quantize(error, "error"))
        return result


@pytest.fixture
def oracle():
    return Oracle(EXACT)


@pytest.fixture
def compare(engine):
    """Compare a function under `offload` with a reference, results and all derivatives."""

    def check(
        run: Callable[..., torch.Tensor],
        reference: Callable[..., torch.Tensor],
        *inputs: torch.Tensor,
        rtol: float = 1e-5,
    ) -> None:
        from cosim.bridge import offload

        ours = [x.detach().clone().requires_grad_() for x in inputs]
        theirs = [x.detach().double().requires_grad_() for x in inputs]
        with offload(torch.nn.Module(), engine, EXACT) as session:
            result = run(*ours)
        wanted = reference(*theirs)
        assert result.shape == wanted.shape
        assert session.statistics.kinds["forward"].gemms > 0 or not wanted.numel()
        assert session.not_offloaded == {}
        weights = torch.randn(result.shape)
        result.backward(weights)
        wanted.backward(weights.double())
        pairs = [(result, wanted), *((x.grad, y.grad) for x, y in zip(ours, theirs, strict=True))]
        for got, want in pairs:
            scale = float(want.detach().abs().max()) if want.numel() else 1.0
            torch.testing.assert_close(got.double(), want, rtol=rtol, atol=rtol * scale)

    return check
