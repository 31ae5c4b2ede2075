"""Scales by powers of two that bring a tensor into the range of its format."""

from collections import deque

import numpy as np
import torch

from cosim.bridge.counting import Numbers
from pysim.formats import FloatFormat

SCALINGS = ("none", "current", "delayed")
"""No scale; by the greatest magnitude of the tensor itself; by the greatest of those before it."""

HISTORY = 16
"""Tensors that a delayed scale looks back on."""

MAX_EXPONENT = 100
"""Beyond it, scales of two operands together might leave the range of FP32 with every result."""


class Scales:
    """Chooses scales, and remembers the magnitudes that delayed ones follow from.

    Tensors of one layer and role share a history. The scale is the greatest power of two that
    keeps the magnitude within the format: exact to apply and to take back.
    """

    def __init__(self) -> None:
        self._histories: dict[tuple[str, str], deque[float]] = {}

    def exponent(
        self, scaling: str, layer: str, role: str, values: Numbers, fmt: FloatFormat
    ) -> int:
        """Return the exponent of the scale for a float32 tensor, and remember the tensor."""
        if scaling == "none":
            return 0
        magnitude = greatest_magnitude(values)
        if scaling == "current":
            return fitting_exponent(magnitude, fmt)
        history = self._histories.setdefault((layer, role), deque(maxlen=HISTORY))
        # The first tensor has none before it.
        known = max(history) if history else magnitude
        history.append(magnitude)
        return fitting_exponent(known, fmt)

    def state_dict(self) -> dict:
        """Return the histories, in types that torch saves without code."""
        return {f"{layer}:{role}": list(h) for (layer, role), h in self._histories.items()}

    def load_state_dict(self, state: dict) -> None:
        """Go back to the histories of `state`."""
        self._histories = {}
        for key, history in state.items():
            layer, _, role = key.rpartition(":")
            self._histories[layer, role] = deque(history, maxlen=HISTORY)


def greatest_magnitude(values: Numbers) -> float:
    """Return the greatest finite magnitude; 0 if there is none."""
    if 0 in values.shape:
        return 0.0
    greatest = float(abs(values).max())
    if np.isfinite(greatest):
        return greatest
    if isinstance(values, torch.Tensor):
        values = values.cpu().numpy()
    finite = np.abs(values[np.isfinite(values)])
    return float(finite.max()) if finite.size else 0.0


def fitting_exponent(magnitude: float, fmt: FloatFormat) -> int:
    """Return the greatest e with ``magnitude * 2**e`` within a format; 0 for a magnitude of 0.

    It is at most `MAX_EXPONENT`.
    """
    if magnitude == 0:
        return 0
    fraction, exponent = np.frexp(magnitude)
    largest_fraction, largest_exponent = np.frexp(fmt.max_value)
    fitting = int(largest_exponent - exponent) - int(fraction > largest_fraction)
    return min(MAX_EXPONENT, fitting)
