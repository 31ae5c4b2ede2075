"""The bridge: the GEMMs of an unmodified PyTorch model, forward and backward, on an engine."""

from cosim.bridge.offload import NotOffloadedWarning, Session, offload
from cosim.bridge.recipe import DEFAULT_RECIPE, Recipe, RoleSpec
from cosim.bridge.statistics import Statistics

__all__ = [
    "DEFAULT_RECIPE",
    "NotOffloadedWarning",
    "Recipe",
    "RoleSpec",
    "Session",
    "Statistics",
    "offload",
]
