"""The bridge's own work, which the modes that watch a model need not look at."""

from typing import Any

import torch


class unseen:
    """Keep what runs within from the modes of PyTorch; autograd still records it.

    A mode costs some microseconds for each kernel, and an operation on the array runs dozens to
    bring tensors into form.
    """

    # Not a generator, which would cost as much as a small kernel itself.
    __slots__ = ("_dispatch", "_function")

    def __enter__(self) -> None:
        self._dispatch = torch._C._DisableTorchDispatch()
        self._function = torch._C.DisableTorchFunction()
        self._dispatch.__enter__()
        self._function.__enter__()

    def __exit__(self, *exception: Any) -> None:
        self._function.__exit__(*exception)
        self._dispatch.__exit__(*exception)
