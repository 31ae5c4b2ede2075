"""What a check of a unit is: cases in order, the first one wrong, and how far it has come."""

import os
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np

from cosim.calls import Call
from cosim.units.harness import Unit

Progress = Callable[[int, int], None]
"""Called with the parts done and the parts in all."""


@dataclass(frozen=True)
class Wrong:
    """The first case that a unit gets wrong.

    Attributes
    ----------
    unit : str
        Name of its module.
    sentence : str
        The case in human terms: operands, what was expected, and what came.
    call : Call or None
        A call of the engine interface that shows it, where there is one.
    """

    unit: str
    sentence: str
    call: Call | None = None


@dataclass(frozen=True)
class Result:
    """What a check found.

    Attributes
    ----------
    name : str
    cases : int
        Cases tried.
    wrong : Wrong or None
        The first case that was wrong.
    detail : object
        What a picture can be made of, if anything.
    note : str
        What was measured, if anything was.
    """

    name: str
    cases: int
    wrong: Wrong | None
    detail: Any = None
    note: str = ""


Part = tuple[int, Wrong | None]
"""Cases tried, and the first that was wrong."""


def run_chunks(
    open_unit: Callable[[], Unit],
    chunks: Sequence[Any],
    check: Callable[[Unit, Any], Part],
    progress: Progress = lambda done, total: None,
) -> Part:
    """Check chunks of cases on as many threads as there are cores, up to the first wrong case.

    Parameters
    ----------
    open_unit : callable
        Opens the unit; each thread has one of its own.
    chunks : sequence
        Whatever `check` makes cases of.
    check : callable
        Tries the cases of a chunk, in compiled code for the most part.
    progress : callable
    """
    own = threading.local()
    opened: list[Unit] = []

    def work(chunk: Any) -> Part:
        if not hasattr(own, "unit"):
            own.unit = open_unit()
            opened.append(own.unit)
        return check(own.unit, chunk)

    cases = done = 0
    try:
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            for tried, wrong in pool.map(work, chunks):
                cases += tried
                done += 1
                progress(done, len(chunks))
                if wrong is not None:
                    pool.shutdown(cancel_futures=True)
                    return cases, wrong
    finally:
        for unit in opened:
            unit.close()
    return cases, None


def first(wrong: np.ndarray) -> int | None:
    """Return the index of the first case that is wrong."""
    return int(np.argmax(wrong)) if wrong.any() else None
