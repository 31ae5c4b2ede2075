"""The bridge's own work, which the modes that watch a model need not look at."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def unseen() -> Iterator[None]:
    """Keep what runs within from the modes of PyTorch; autograd still records it.

    A mode costs some microseconds for each kernel, and an operation on the array runs dozens to
    bring tensors into form.
    """
    with torch._C._DisableTorchDispatch(), torch._C.DisableTorchFunction():
        yield
