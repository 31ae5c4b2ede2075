"""Batches made ready ahead of the steps that learn from them."""

from collections.abc import Callable, Generator, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

Batch = TypeVar("Batch")


def prefetched(make: Callable[[int], Batch], steps: Iterable[int]) -> Generator[Batch]:
    """Yield ``make(step)`` for each step; a thread makes the next one meanwhile.

    What `make` raises is raised where its batch is due.
    """
    with ThreadPoolExecutor(1, "prefetch") as worker:
        coming = None
        for step in steps:
            ready, coming = coming, worker.submit(make, step)
            if ready is not None:
                yield ready.result()
        if coming is not None:
            yield coming.result()
