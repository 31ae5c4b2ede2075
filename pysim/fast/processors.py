"""How many processors there are for this process."""

import os

from pysim.errors import InputError


def available_processors() -> int:
    """Return the number of processors that this process may use."""
    # Linux may allow a process fewer processors than there are; others cannot say.
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def checked_threads(threads: int | None) -> int:
    """Return a number of threads, by default that of processors; InputError if it is not one."""
    if threads is None:
        return available_processors()
    if not isinstance(threads, int) or isinstance(threads, bool) or threads < 1:
        raise InputError(f"threads {threads!r} is not allowed: it must be a positive integer")
    return threads
