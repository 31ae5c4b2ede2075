"""The context in which a model's GEMMs run on an engine."""

import inspect
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

import torch
from torch import nn
from torch.overrides import TorchFunctionMode, resolve_name

from cosim.bridge.array import Array
from cosim.bridge.functions import OFFLOADED, UnsupportedError
from cosim.bridge.recipe import Recipe
from cosim.bridge.statistics import Statistics
from cosim.bridge.weights import Weights
from pysim import Engine, InputError

DEFAULT_RECIPE = "e5m2-sr"

_active = threading.local()


class NotOffloadedWarning(UserWarning):
    """A GEMM ran in PyTorch instead of on the array; once for each name in a session."""


class Session:
    """What happened within one `offload` context.

    Attributes
    ----------
    engine : Engine
    recipe : Recipe
    statistics : Statistics
        Conversions by role and GEMMs by kind, by layer.
    not_offloaded : dict of str to int
        What ran in PyTorch instead, by name in the order of its first call, and how often.
    """

    def __init__(self, model: nn.Module, engine: Engine, recipe: Recipe) -> None:
        self.engine = engine
        self.recipe = recipe
        self.not_offloaded: dict[str, int] = {}
        self._array = Array(engine, recipe, Weights(model))

    @property
    def statistics(self) -> Statistics:
        """Counts so far."""
        return self._array.statistics

    def list_not_offloaded(self, name: str) -> None:
        """Count a call that runs in PyTorch, and warn at the first of its name."""
        if name not in self.not_offloaded:
            self.not_offloaded[name] = 0
            warnings.warn(
                f"not offloaded: {name} runs in PyTorch, not on the array",
                NotOffloadedWarning,
                stacklevel=2,
            )
        self.not_offloaded[name] += 1


@contextmanager
def offload(model: nn.Module, engine: Engine, recipe: Recipe | None = None) -> Iterator[Session]:
    """Send the GEMMs of a model, forward and backward, to an engine."""
    if not isinstance(model, nn.Module):
        raise InputError(f"model must be a torch.nn.Module, not {model!r}")
    if not isinstance(engine, Engine):
        raise InputError(f"engine must be an Engine, not {engine!r}")
    recipe = Recipe.named(DEFAULT_RECIPE) if recipe is None else recipe
    if not isinstance(recipe, Recipe):
        raise InputError(f"recipe must be a Recipe, not {recipe!r}")
    if getattr(_active, "value", False):
        raise InputError("offload contexts do not nest: leave the first before entering another")
    session = Session(model, engine, recipe)
    _active.value = True
    try:
        with _Mode(session):
            yield session
    finally:
        _active.value = False


class _Mode(TorchFunctionMode):
    def __init__(self, session: Session) -> None:
        super().__init__()
        self._session = session

    def __torch_function__(
        self, func: Callable, types: Any, args: tuple = (), kwargs: dict | None = None
    ) -> Any:
        kwargs = kwargs or {}
        handler = OFFLOADED.get(getattr(func, "__name__", ""))
        if handler is None:
            return func(*args, **kwargs)
        name = resolve_name(func) or func.__name__
        array = self._session._array
        try:
            try:
                bound = _signature(handler).bind(array, func.__name__, *args, **kwargs)
            except TypeError:
                raise UnsupportedError("another signature") from None
            _check(args, kwargs)
            return handler(*bound.args, **bound.kwargs)
        except UnsupportedError as reason:
            self._session.list_not_offloaded(f"{name} ({reason})")
            return func(*args, **kwargs)


@cache
def _signature(handler: Callable) -> inspect.Signature:
    return inspect.signature(handler)


def _check(args: tuple, kwargs: dict) -> None:
    for tensor in (*args, *kwargs.values()):
        if isinstance(tensor, torch.Tensor) and (
            tensor.dtype != torch.float32 or tensor.device.type != "cpu"
        ):
            raise UnsupportedError(str(tensor.dtype).removeprefix("torch."))
