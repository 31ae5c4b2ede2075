"""The parameters of a model: their names, and their codes for as long as they do not change."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import nn

from cosim.bridge.codes import Codes


@dataclass(frozen=True)
class _Entry:
    version: int | None
    patterns: torch.Tensor
    codes: Codes


class Weights:
    """Knows which tensors are weights, which layer owns them, and keeps their codes.

    Parameters
    ----------
    model : torch.nn.Module
        Its parameters as they are now; one that is replaced later still counts as a weight, but
        has no layer and no kept codes.
    """

    def __init__(self, model: nn.Module) -> None:
        # Holding the parameters keeps their identities from being given to other tensors.
        self._parameters = list(model.named_parameters(remove_duplicate=False))
        # The last owner of a shared parameter counts: a classifier rather than an embedding.
        self._layers = {id(p): name.rpartition(".")[0] or name for name, p in self._parameters}
        self._entries: dict[int, _Entry] = {}

    def is_weight(self, tensor: torch.Tensor) -> bool:
        """Whether a tensor is a parameter or a view of one."""
        return isinstance(_owner(tensor), nn.Parameter)

    def layer(self, tensor: torch.Tensor) -> str | None:
        """Return the path of the module that owns a weight, or None."""
        return self._layers.get(id(_owner(tensor)))

    def codes(self, tensor: torch.Tensor, convert: Callable[[torch.Tensor], Codes]) -> Codes:
        """Return the codes of a weight: kept ones if its values are the same as then.

        Views of one parameter share its codes. What PyTorch's version counter has counted is taken
        for a change; else the values themselves are compared, bit for bit, because it does not
        count what is written through ``parameter.data``.

        Parameters
        ----------
        tensor : torch.Tensor of float32
        convert : callable
            Converts a tensor to codes of the same shape.
        """
        owner = _owner(tensor)
        known = id(owner) in self._layers and owner.dtype == tensor.dtype
        if not (known and owner.is_contiguous()):
            return convert(tensor)
        patterns = owner.detach().view(torch.int32)
        version = None if owner.is_inference() else owner._version
        entry = self._entries.get(id(owner))
        if entry is None or entry.version != version or not torch.equal(entry.patterns, patterns):
            # Memory that is in use already costs a copy a fraction of what new memory costs.
            room = torch.empty_like(patterns) if entry is None else entry.patterns
            room.resize_(patterns.shape).copy_(patterns)
            entry = self._entries[id(owner)] = _Entry(version, room, convert(owner))
        if tensor is owner:
            return entry.codes
        offset = tensor.storage_offset() - owner.storage_offset()
        place = (tensor.shape, tensor.stride(), offset)
        return entry.codes.map(lambda codes: codes.as_strided(*place))


def _owner(tensor: torch.Tensor) -> torch.Tensor:
    return tensor if tensor._base is None else tensor._base
