"""The engine as the operations see it: roles, kinds, and layers instead of formats and modes."""

from functools import cache
from math import prod
from typing import Any

import numpy as np
import torch

from cosim.bridge.codes import Codes
from cosim.bridge.recipe import Recipe
from cosim.bridge.scales import Scales
from cosim.bridge.statistics import Statistics
from cosim.bridge.weights import Weights
from pysim import Engine, decode
from pysim.fast import FastEngine
from pysim.fast.decode import decode as decode_fp8
from pysim.formats import FP32, OPERAND_FORMATS, FloatFormat


class Array:
    """Converts tensors and multiplies codes by a recipe, and counts both.

    Codes travel as uint8 tensors, so that autograd can save them like any other tensor. They share
    memory with the engine's arrays, or are what an engine on a device takes itself.

    Parameters
    ----------
    engine : Engine
    recipe : Recipe
    weights : Weights
        The parameters of the model, with their codes.
    scales : Scales
    """

    def __init__(self, engine: Engine, recipe: Recipe, weights: Weights, scales: Scales) -> None:
        self.engine = engine
        self.recipe = recipe
        self.weights = weights
        self.scales = scales
        self.statistics = Statistics()
        self._beside: FastEngine | None = None
        # An engine that has a device takes tensors of it, and returns such.
        self._on_device = hasattr(engine, "device")
        self.device: torch.device = getattr(engine, "device", torch.device("cpu"))

    def role(self, tensor: torch.Tensor) -> str:
        """Return the role of an operand of the forward pass."""
        return "weight" if self.weights.is_weight(tensor) else "activation"

    def layer(self, name: str, *operands: torch.Tensor | None) -> str:
        """Return the layer that owns the first parameter among the operands, else `name`."""
        owners = (self.weights.layer(operand) for operand in operands if operand is not None)
        return next((owner for owner in owners if owner is not None), name)

    def quantize(self, tensor: torch.Tensor, role: str, layer: str) -> Codes:
        """Convert a float32 tensor by the converters of the array.

        The converters apply the scale that the recipe asks for. A weight whose rounding is not
        stochastic keeps its codes until its values change.
        """
        spec = self.recipe.role(role)
        if role == "weight" and spec.rounding != "stochastic":
            return self.weights.codes(tensor, lambda whole: self._convert(whole, role, layer))
        return self._convert(tensor, role, layer)

    def multiply(
        self,
        kind: str,
        a: Codes,
        b: Codes,
        roles: tuple[str, str],
        layer: str,
        c: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """Multiply batches of matrices of codes.

        Parameters
        ----------
        kind : str
            ``"forward"``, ``"dgrad"``, or ``"wgrad"``. The result of a wgrad has the role gradient:
            the array's output converters make codes of it.
        a : Codes, shape [B, M, K]
        b : Codes, shape [B, K, N]
            Their scales are taken back from the result, an exact step unless it leaves FP32.
        roles : tuple of str
            Of `a` and `b`.
        layer : str
        c : float32, shape [B, M, N], optional
            What the accumulators start from. It is added to the product in FP32 where the array
            has no C.

        Returns
        -------
        torch.Tensor of float32, shape [B, M, N]
        """
        if c is not None and not self.engine.config.load_c:
            return self.multiply(kind, a, b, roles, layer) + c
        left, right = self._given(a.tensor), self._given(b.tensor)
        start = None if c is None else self._given(c)
        exponent = a.exponent + b.exponent
        if exponent and start is not None:
            start = _scaled(start, exponent)
        if kind == "wgrad" or len(left) == 1:
            starts = [None] * len(left) if start is None else start
            products = [
                self._gemm(kind, left[i], right[i], roles, layer, starts[i])
                for i in range(len(left))
            ]
        else:
            a_format, b_format = (self.recipe.role(role).format for role in roles)
            products, cycles = self.engine.gemm_batch(
                left, right, a_format=a_format, b_format=b_format, c=start
            )
            macs = prod(left.shape) * right.shape[2]
            self.statistics.count_gemm(layer, kind, macs, cycles, gemms=len(left))
        if exponent:
            products = [_scaled(product, -exponent) for product in products]
        if isinstance(products, np.ndarray):
            return torch.from_numpy(products)
        tensors = [self._got(product) for product in products]
        if len(tensors) == 1:
            return tensors[0].unsqueeze(0)
        if not tensors:
            return torch.zeros((0, left.shape[1], right.shape[2]), device=self.device)
        return torch.stack(tensors)

    def _given(self, tensor: torch.Tensor) -> Any:
        """Return a tensor as the engine takes it."""
        return tensor.detach() if self._on_device else tensor.numpy(force=True)

    def _got(self, values: Any) -> torch.Tensor:
        """Return as a tensor what the engine gave."""
        return values if self._on_device else torch.from_numpy(values)

    def _gemm(
        self,
        kind: str,
        a: Any,
        b: Any,
        roles: tuple[str, str],
        layer: str,
        c: Any,
    ) -> Any:
        a_format, b_format = (self.recipe.role(role).float_format for role in roles)
        if kind != "wgrad":
            result = self.engine.gemm(a, b, a_format=a_format, b_format=b_format, c=c)
            values = result.values
        else:
            spec = self.recipe.gradient
            result = self.engine.gemm(
                a,
                b,
                a_format=a_format,
                b_format=b_format,
                c=c,
                out_format=spec.format,
                rounding=spec.rounding,
                saturate=spec.saturate,
            )
            self.statistics.count_gradient(layer, result, spec, a, b)
            values = _decode(result.values, spec.float_format)
            if self.statistics.sampling:
                sums = self._accumulators(a, b, c, a_format, b_format)
                self.statistics.count_exponents("gradient", sums, values)
        macs = a.shape[0] * a.shape[1] * b.shape[1]
        self.statistics.count_gemm(layer, kind, macs, result.cycles)
        return values

    def _accumulators(
        self, a: Any, b: Any, c: Any, a_format: FloatFormat, b_format: FloatFormat
    ) -> np.ndarray:
        """Return what a GEMM leaves in the accumulators, without troubling the engine."""
        if self._beside is None:
            self._beside = FastEngine(self.engine.config)
        a, b, c = (x.cpu().numpy() if isinstance(x, torch.Tensor) else x for x in (a, b, c))
        return self._beside.gemm(a, b, a_format=a_format, b_format=b_format, c=c).values

    def _convert(self, tensor: torch.Tensor, role: str, layer: str) -> Codes:
        spec = self.recipe.role(role)
        values = self._given(tensor)
        exponent = self.scales.exponent(spec.scaling, layer, role, values, spec.float_format)
        cycles = self.engine.cycles
        codes = self.engine.quantize(
            values, spec.format, rounding=spec.rounding, saturate=spec.saturate, scale=exponent
        )
        self.statistics.count_conversion(
            *(layer, role, values, codes, spec.float_format, exponent),
            flags=self.engine.flags,
            cycles=self.engine.cycles - cycles,
        )
        if self.statistics.sampling:
            scaled = _scaled(values, exponent) if exponent else values
            self.statistics.count_exponents(role, scaled, _decode(codes, spec.float_format))
        return Codes(self._got(codes), exponent)


def _decode(codes: Any, fmt: FloatFormat) -> Any:
    if fmt is FP32:
        return codes
    if isinstance(codes, torch.Tensor):
        table = torch.from_numpy(_table(fmt)).to(codes.device)
        return table[codes.to(torch.int32)]
    if fmt in OPERAND_FORMATS:
        return decode_fp8(codes, fmt.name)
    # Every code is in the table: `clip` only spares the check.
    return np.take(_table(fmt), codes, mode="clip")


def _scaled(values: Any, exponent: int) -> Any:
    """Multiply float32 numbers by a power of two, which float32 may not hold; rounded once."""
    if isinstance(values, torch.Tensor):
        return (values.double() * 2.0**exponent).float()
    return np.ldexp(values, exponent)


@cache
def _table(fmt: FloatFormat) -> np.ndarray:
    """Tabulate the values of all codes of a format."""
    return decode(np.arange(1 << fmt.width), fmt)
