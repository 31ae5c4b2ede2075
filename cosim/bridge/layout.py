"""How a tensor of labelled dimensions becomes a batch of matrices, and back."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

import torch

Label = int | str


@dataclass(frozen=True)
class Layout:
    """A tensor's dimensions in another order, and joined into three.

    Attributes
    ----------
    order : tuple of int
        The tensor's dimensions, as they follow each other in the batch.
    inverse : tuple of int
        Where each of the tensor's dimensions is in that order.
    sizes : tuple of int
        Of the dimensions in that order.
    shape : tuple of int
        Of the batch.
    """

    order: tuple[int, ...]
    inverse: tuple[int, ...]
    sizes: tuple[int, ...]
    shape: tuple[int, ...]

    @classmethod
    def of(
        cls, labels: Sequence[Label], sizes: Sequence[int], parts: tuple[Sequence[Label], ...]
    ) -> "Layout":
        """Return the layout of a tensor, from its labels and those that each part joins."""
        places = {label: i for i, label in enumerate(labels)}
        order = tuple(places[label] for part in parts for label in part)
        inverse = tuple(sorted(range(len(order)), key=order.__getitem__))
        shape = tuple(prod(sizes[places[label]] for label in part) for part in parts)
        return cls(order, inverse, tuple(sizes[i] for i in order), shape)

    @property
    def tensor_shape(self) -> tuple[int, ...]:
        """Shape of the tensor itself."""
        return tuple(self.sizes[i] for i in self.inverse)

    def join(self, tensor: torch.Tensor) -> torch.Tensor:
        """Lay the tensor out as the batch."""
        return tensor.permute(self.order).reshape(self.shape)

    def part(self, batch: torch.Tensor) -> torch.Tensor:
        """Lay the batch out as the tensor."""
        return batch.reshape(self.sizes).permute(self.inverse)
