"""The bridge: the GEMMs of an unmodified PyTorch model, forward and backward, on an engine."""

from cosim.bridge.loss_scale import LossScale
from cosim.bridge.offload import NotOffloadedWarning, Session, offload
from cosim.bridge.recipe import DEFAULT_RECIPE, MasterSpec, Recipe, RoleSpec
from cosim.bridge.scales import Scales
from cosim.bridge.statistics import Statistics

__all__ = [
    "DEFAULT_RECIPE",
    "LossScale",
    "MasterSpec",
    "NotOffloadedWarning",
    "Recipe",
    "RoleSpec",
    "Scales",
    "Session",
    "Statistics",
    "offload",
]
