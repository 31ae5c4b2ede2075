"""Windows: which elements meet in a convolution, one dimension at a time, and how to gather them.

Along one dimension, result o of a convolution takes its tap t from position
``o * stride + t * dilation - padding``. The derivative by position i takes error o by tap t for
every o and t that meet at i. Within one residue of i modulo the stride these, too, are windows:
steps of one, taps a fixed distance apart. So both directions gather the same way, and no product
with an inserted zero is ever computed.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from math import gcd

import torch

from pysim.fast.gather import gather as compiled_gather
from pysim.fast.scatter import scatter as compiled_scatter


@dataclass(frozen=True)
class Windows:
    """Windows along one dimension: tap t of window o is at ``start + o * step + t * tap_step``.

    A position outside of the tensor holds a zero.
    """

    start: int
    count: int
    step: int
    taps: int
    tap_step: int

    @classmethod
    def each(cls, size: int) -> "Windows":
        """Return windows of one element, one for each position."""
        return cls(start=0, count=size, step=1, taps=1, tap_step=1)


@dataclass(frozen=True)
class Phase:
    """The derivative by every `stride`-th position of a dimension, from `first` on.

    Attributes
    ----------
    positions : range
        The positions.
    taps : slice
        The taps of the kernel that meet them.
    windows : Windows
        The errors that meet them, in the order of the taps.
    """

    positions: range
    taps: slice
    windows: Windows


@dataclass(frozen=True)
class Axis:
    """A convolution along one dimension."""

    size: int
    kernel: int
    stride: int
    dilation: int
    before: int
    after: int

    @property
    def outputs(self) -> int:
        """Results along the dimension."""
        extent = self.dilation * (self.kernel - 1) + 1
        return (self.size + self.before + self.after - extent) // self.stride + 1

    @property
    def forward(self) -> Windows:
        """The inputs of each result."""
        return Windows(-self.before, self.outputs, self.stride, self.kernel, self.dilation)

    def phases(self) -> Iterator[Phase]:
        """The errors of each input, one residue of its position at a time."""
        common = gcd(self.stride, self.dilation)
        tap_period = self.stride // common
        for first in range(min(self.stride, self.size)):
            positions = range(first, self.size, self.stride)
            padded = first + self.before
            distances = [padded - t * self.dilation for t in range(self.kernel)]
            meeting = [t for t, d in enumerate(distances) if d % self.stride == 0]
            if not meeting:
                continue
            yield Phase(
                positions,
                slice(meeting[0], self.kernel, tap_period),
                Windows(
                    start=distances[meeting[0]] // self.stride,
                    count=len(positions),
                    step=1,
                    taps=len(meeting),
                    tap_step=-(self.dilation // common),
                ),
            )


def phases(axes: Sequence[Axis]) -> Iterator[tuple[Phase, ...]]:
    """Phases of all dimensions together; inputs in none of them meet no error."""
    return product(*(list(axis.phases()) for axis in axes))


def gather(codes: torch.Tensor, windows: Sequence[Windows], groups: int) -> torch.Tensor:
    """Lay windows out as the columns of a matrix for each group of channels (im2col).

    Parameters
    ----------
    codes : uint8, shape [N, C, *sizes]
    windows : Windows of each dimension
    groups : int

    Returns
    -------
    torch.Tensor of uint8, shape [groups, C / groups * taps, N * counts]
        Rows and columns each with the last dimension fastest, as a weight [C_out, C_in, *kernel]
        flattens. Windows are columns because neighbours in a row are then neighbours in memory.
    """
    if codes.device.type != "cpu":
        matrix = gather_on_device(codes, windows)
    else:
        rows = [(w.start, w.count, w.step, w.taps, w.tap_step) for w in windows]
        matrix = torch.from_numpy(compiled_gather(codes.numpy(), rows))
    return matrix.reshape(groups, len(matrix) // groups, -1)


def gather_on_device(codes: torch.Tensor, windows: Sequence[Windows]) -> torch.Tensor:
    """Lay windows out for all channels, [C * taps, N * counts], with PyTorch's own functions."""
    for w in windows:
        # The dimension in hand is always the third; its taps and counts go to the end.
        taps = torch.arange(w.taps, device=codes.device)[:, None] * w.tap_step
        places = taps + torch.arange(w.count, device=codes.device) * w.step + w.start
        size = codes.shape[2]
        inside = (places >= 0) & (places < size)
        chosen = codes.index_select(2, places.clamp(0, size - 1).flatten())
        chosen = chosen.unflatten(2, places.shape)
        chosen = chosen * inside.reshape(*inside.shape, *(1,) * (chosen.dim() - 4))
        codes = chosen.movedim((2, 3), (-2, -1))
    count = len(windows)
    taps, counts = range(2, 2 + 2 * count, 2), range(3, 3 + 2 * count, 2)
    matrix = codes.permute(1, *taps, 0, *counts)
    return matrix.reshape(matrix.shape[: 1 + count].numel(), -1)


def scatter(matrices: torch.Tensor, images: torch.Tensor, positions: Sequence[range]) -> None:
    """Write the columns of a matrix for each group of channels to positions of images.

    Parameters
    ----------
    matrices : float32, shape [groups, C / groups, N * counts]
        The last dimension fastest.
    images : float32, shape [N, C, *sizes]
        Contiguous.
    positions : range of each dimension
    """
    matrix = matrices.reshape(matrices.shape[0] * matrices.shape[1], matrices.shape[2])
    if images.device.type != "cpu":
        scatter_on_device(matrix, images, positions)
    else:
        compiled_scatter(matrix.numpy(), images.numpy(), positions)


def scatter_on_device(
    matrix: torch.Tensor, images: torch.Tensor, positions: Sequence[range]
) -> None:
    """Write the columns of [C, N * counts] to images, with PyTorch's own functions."""
    columns = matrix.reshape(len(matrix), len(images), *map(len, positions)).transpose(0, 1)
    images[(..., *(slice(p.start, p.stop, p.step) for p in positions))] = columns
