"""Lockstep: the vector simulator against Verilator, every register at every clock."""

from cosim.lockstep.comparison import Difference, Lockstep, Reproducer, modules_below
from cosim.lockstep.stimulus import random_commands, random_stimulus

__all__ = [
    "Difference",
    "Lockstep",
    "Reproducer",
    "modules_below",
    "random_commands",
    "random_stimulus",
]
