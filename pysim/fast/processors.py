"""How many processors there are for this process."""

import os


def available_processors() -> int:
    """Return the number of processors that this process may use."""
    # Linux may allow a process fewer processors than there are; others cannot say.
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
