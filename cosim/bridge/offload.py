"""The context in which a model's GEMMs run on an engine."""

import inspect
import threading
import types
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from functools import cache
from typing import Any

import torch
from torch import nn
from torch.overrides import TorchFunctionMode, resolve_name

from cosim.bridge.array import Array
from cosim.bridge.exempt import exempt_layers, run_exempt
from cosim.bridge.functions import COMPOSITE, ELEMENTWISE, NOT_OFFLOADED, OFFLOADED
from cosim.bridge.recipe import DEFAULT_RECIPE, Recipe
from cosim.bridge.scales import Scales
from cosim.bridge.statistics import Statistics
from cosim.bridge.unseen import unseen
from cosim.bridge.unsupported import UnsupportedError
from cosim.bridge.watch import Watch
from cosim.bridge.weights import Weights
from pysim import Engine, InputError

_active = threading.local()


class NotOffloadedWarning(UserWarning):
    """A GEMM ran in PyTorch, not on the array; once for each name in a session."""


class Session:
    """What happened within one `offload` context.

    Attributes
    ----------
    engine : Engine
    recipe : Recipe
    statistics : Statistics
        Conversions by role and GEMMs by kind, by layer.
    not_offloaded : dict of str to int
        What ran in PyTorch, not on the array: names in the order of their first calls, and how
        often each was called. A name is the torch function's, the layer whose parameters it got in
        parentheses, and the reason if the function is offloaded as a rule; or that of a kernel of
        PyTorch (``"aten.mm"``) that ran unseen by any function or in a backward pass.
    exempt : dict of str to int
        Layers that ran in PyTorch because the recipe says so, and how many products of each.
    """

    def __init__(self, engine: Engine, recipe: Recipe, array: Array) -> None:
        self.engine = engine
        self.recipe = recipe
        self.not_offloaded: dict[str, int] = {}
        self.exempt: dict[str, int] = {}
        self._array = array

    @property
    def statistics(self) -> Statistics:
        """Counts so far."""
        return self._array.statistics

    def report(self) -> str:
        """Say in words what ran on the array and what did not."""
        kinds = self.statistics.kinds
        total = sum(counts.gemms for counts in kinds.values())
        each = ", ".join(f"{counts.gemms} {kind}" for kind, counts in kinds.items())
        lines = [f"{total} GEMMs on the {self.engine.name} engine: {each}"]
        for name, count in self.exempt.items():
            times = "once" if count == 1 else f"{count} times"
            lines.append(f"exempt, in {self.recipe.exempt_format}: {name}, called {times}")
        if not self.not_offloaded:
            lines.append("nothing that multiplies matrices ran elsewhere")
        for name, count in self.not_offloaded.items():
            times = "once" if count == 1 else f"{count} times"
            lines.append(f"not offloaded: {name}, called {times}")
        return "\n".join(lines)

    def _list(self, name: str) -> None:
        first = name not in self.not_offloaded
        self.not_offloaded[name] = self.not_offloaded.get(name, 0) + 1
        if first:
            message = f"not offloaded: {name} runs in PyTorch, not on the array"
            warnings.warn(message, NotOffloadedWarning, stacklevel=3)


@contextmanager
def offload(
    model: nn.Module,
    engine: Engine,
    recipe: Recipe | None = None,
    *,
    watch: bool = True,
    scales: Scales | None = None,
) -> Iterator[Session]:
    """Send the GEMMs of an unmodified model, forward and backward, to an engine.

    Every function of torch that multiplies matrices, called by this thread within the context,
    runs on the array: the model's and any other, such as a criterion's, because a functional call
    does not tell whose it is. (Keep the step of an optimiser that multiplies matrices, such as
    LBFGS, outside.) The backward pass may run within the context or after it; only what
    it computes anew, as under a checkpoint, needs the context.

    In the forward pass operands have the roles weight (parameters and their views, and whatever
    takes a weight's place in a linear layer or a convolution) and activation; in the backward
    pass, error. Products leave the accumulators as FP32, but gradients of weights through the
    output converters, in the format of the role gradient. A bias, or the summand of an ``addmm``,
    is where the accumulators start.

    What cannot be offloaded runs in PyTorch, is listed in ``session.not_offloaded``, and is warned
    of once by name.

    Parameters
    ----------
    model : torch.nn.Module
        Names the layers, and owns the weights whose codes are kept until they change. On the CPU,
        float32.
    engine : Engine
        Serves this session alone while the context is open.
    recipe : Recipe, optional
        Formats and roundings by role; `e5m2-sr` by default.
    watch : bool
        Look at every kernel that PyTorch runs, so that no product goes unlisted, not even one from
        C++ or in a backward pass. Costs some microseconds a kernel.
    scales : Scales, optional
        What delayed scales follow from; hand over the same to go on where a session ended.

    Yields
    ------
    Session

    Raises
    ------
    InputError
        If an argument is of another type, the array draws another number of random bits than
        the recipe wants, or the thread is in such a context already.
    """
    recipe = Recipe.named(DEFAULT_RECIPE) if recipe is None else recipe
    scales = Scales() if scales is None else scales
    for name, value, wanted in (
        ("model", model, nn.Module),
        ("engine", engine, Engine),
        ("recipe", recipe, Recipe),
        ("scales", scales, Scales),
    ):
        if not isinstance(value, wanted):
            raise InputError(f"{name} must be a {wanted.__name__}, not {value!r}")
    if recipe.random_bits not in (None, engine.config.random_bits):
        raise InputError(
            f"recipe {recipe.name!r} wants {recipe.random_bits} random bits a draw: "
            f"the array has {engine.config.random_bits}"
        )
    if getattr(_active, "value", False):
        raise InputError("offload contexts do not nest: leave the first before entering another")

    array = Array(engine, recipe, Weights(model), scales)
    session = Session(engine, recipe, array)
    mode = _FunctionMode(session, array, exempt_layers(model, recipe.exempt))
    _active.value = True
    try:
        with Watch(mode.saw_kernel) if watch else nullcontext(), mode:
            yield session
    finally:
        _active.value = False


class _FunctionMode(TorchFunctionMode):
    """Sends the functions of torch where they belong."""

    def __init__(self, session: Session, array: Array, exempt: Callable[[str], bool]) -> None:
        super().__init__()
        self._exempt = exempt
        self._session = session
        self._array = array
        self._inside_listed = False
        self._recipe_exempts = bool(session.recipe.exempt)

    def __torch_function__(
        self, func: Callable, types: Any, args: tuple = (), kwargs: dict | None = None
    ) -> Any:
        """Run `func` on the array, in PyTorch, or by its parts; called by PyTorch."""
        kwargs = kwargs or {}
        name = getattr(func, "__name__", "")
        if name in OFFLOADED:
            try:
                return self._offload(func, name, args, kwargs)
            except UnsupportedError as error:
                reason = str(error)
            # Outside of the handler, so that PyTorch's own error is not shown as a second one.
            return self._run_listed(func, args, kwargs, reason)
        if name in NOT_OFFLOADED:
            return self._run_listed(func, args, kwargs)
        if name in COMPOSITE:
            with self:
                return _without_dispatch(func)(*args, **kwargs)
        if name in ELEMENTWISE and _is_plain(args):
            with unseen():
                return func(*args, **kwargs)
        return func(*args, **kwargs)

    def saw_kernel(self, name: str) -> None:
        """List a kernel, unless it is part of a function that is listed itself."""
        if not self._inside_listed:
            self._session._list(name)

    def _offload(self, func: Callable, name: str, args: tuple, kwargs: dict) -> Any:
        handler = OFFLOADED[name]
        if kwargs.get("out", self) is None:
            # Python functions of torch pass it on like that when the caller gave none.
            kwargs = {key: value for key, value in kwargs.items() if key != "out"}
        try:
            bound = _signature(handler).bind(self._array, name, *args, **kwargs)
        except TypeError:
            raise UnsupportedError("arguments of another form") from None
        tensors = []
        for argument, value in bound.arguments.items():
            for tensor in _tensors(value):
                _check(tensor, self._array.device, mask=argument == "attn_mask")
                tensors.append(tensor)
        if self._recipe_exempts and self._exempt(layer := self._array.layer(name, *tensors)):
            exempt = self._session.exempt
            exempt[layer] = exempt.get(layer, 0) + 1
            fmt, is_weight = self._session.recipe.exempt_format, self._array.weights.is_weight
            with unseen():
                return run_exempt(func, args, kwargs, fmt, is_weight)
        with unseen():
            return handler(*bound.args, **bound.kwargs)

    def _run_listed(self, func: Callable, args: tuple, kwargs: dict, reason: str = "") -> Any:
        self._inside_listed = True
        try:
            result = func(*args, **kwargs)
        finally:
            self._inside_listed = False
        tensors = [t for value in (*args, *kwargs.values()) for t in _tensors(value)]
        details = [detail for detail in (self._array.layer("", *tensors), reason) if detail]
        name = _full_name(func)
        self._session._list(f"{name} ({', '.join(details)})" if details else name)
        return result


@cache
def _signature(handler: Callable) -> inspect.Signature:
    return inspect.signature(handler)


def _full_name(func: Callable) -> str:
    bare = getattr(func, "__name__", repr(func))
    name = resolve_name(func) or ""
    # One function can have several names, and the first found is not always its own.
    return name if name.rpartition(".")[2] in bare and name else f"torch.{bare}"


def _tensors(value: object) -> list[torch.Tensor]:
    if isinstance(value, torch.Tensor):
        return [value]
    if isinstance(value, (list, tuple)):
        return [tensor for item in value for tensor in _tensors(item)]
    return []


def _is_plain(args: tuple) -> bool:
    """Whether no tensor among arguments is of a class that may hide a product in a function."""
    return all(
        type(arg) in (torch.Tensor, nn.Parameter) or not isinstance(arg, torch.Tensor)
        for arg in args
    )


def _check(tensor: torch.Tensor, device: torch.device, *, mask: bool) -> None:
    """Raise UnsupportedError unless the array can take a tensor's numbers."""
    if tensor.device != device:
        raise UnsupportedError(f"on {tensor.device.type}")
    if tensor.layout != torch.strided:
        raise UnsupportedError(str(tensor.layout).removeprefix("torch."))
    if type(tensor) not in (torch.Tensor, nn.Parameter):
        raise UnsupportedError(type(tensor).__name__)
    if tensor.dtype != torch.float32 and not (mask and tensor.dtype == torch.bool):
        raise UnsupportedError(str(tensor.dtype).removeprefix("torch."))


@cache
def _without_dispatch(func: Callable) -> Callable:
    """Copy a Python function of torch so that it runs its body even under a function mode.

    Such a function hands itself to the mode before anything else, so calling it under the mode
    would never end, and calling it without would hide its parts.
    """
    checks = [name for name in func.__globals__ if name.startswith("has_torch_function")]
    names = {**func.__globals__, **dict.fromkeys(checks, lambda *_: False)}
    copy = types.FunctionType(
        func.__code__, names, func.__name__, func.__defaults__, func.__closure__
    )
    copy.__kwdefaults__ = func.__kwdefaults__
    return copy
