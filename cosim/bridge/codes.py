"""Codes of a tensor, and the scale that the tensor had when it was converted."""

from collections.abc import Callable
from typing import NamedTuple

import torch


class Codes(NamedTuple):
    """A tensor in FP8: the numbers of the codes, times ``2**-exponent``.

    Attributes
    ----------
    tensor : torch.Tensor of uint8
    exponent : int
    """

    tensor: torch.Tensor
    exponent: int = 0

    def map(self, change: Callable[[torch.Tensor], torch.Tensor]) -> "Codes":
        """Return the codes after a change of their tensor's shape."""
        return Codes(change(self.tensor), self.exponent)
