"""Master weights in 16 bits: updated in FP32, rounded after every update."""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from cosim.bridge import MasterSpec
from cosim.training.lanes import start_lanes
from pysim import Engine

MASTER_RANK = 1 << 20
"""Masters draw as if they were a process of a distributed run, one that there is not."""

_DTYPES = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}


class MasterWeights(torch.optim.Optimizer):
    """An optimiser whose parameters are numbers of a narrow format whenever it is not at work.

    The optimiser within sees FP32: momentum and an L2 term are FP32 throughout the update (as in
    Mellempudi et al., arXiv 1905.12334, section 3). Its result goes through the converters of the
    engine, which round it to the master format. Stochastic rounding draws from lanes of its own, so
    that the processes of a distributed run, whose engines draw differently, round alike. A result
    beyond the format becomes its largest finite number.

    The parameters keep their float32 tensors, which hold exactly the masters: PyTorch computes on
    these. What an accelerator would store is what `memory` tells.

    Parameters
    ----------
    optimizer : torch.optim.Optimizer
        Its parameters are rounded at once.
    engine : Engine
    spec : MasterSpec
    seed : int
        Of the lanes.
    """

    def __init__(
        self, optimizer: torch.optim.Optimizer, engine: Engine, spec: MasterSpec, seed: int = 0
    ) -> None:
        # Not initialised as an optimiser: all that one has is that of the one within.
        self._within = optimizer
        self._engine = engine
        self._spec = spec
        self._lanes = start_lanes(engine.config, seed, MASTER_RANK)
        self._round()

    def __getattr__(self, name: str) -> Any:
        """Return an attribute of the optimiser within, such as its hooks."""
        return getattr(self._within, name)

    @property
    def param_groups(self) -> list[dict]:  # pyright: ignore[reportIncompatibleVariableOverride]
        """Groups of the optimiser within, so that schedules and scalers reach them."""
        return self._within.param_groups

    @property
    def state(self) -> Any:  # pyright: ignore[reportIncompatibleVariableOverride]
        """State of the optimiser within."""
        return self._within.state

    @property
    def defaults(self) -> dict:  # pyright: ignore[reportIncompatibleVariableOverride]
        """Defaults of the optimiser within."""
        return self._within.defaults

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget the gradients."""
        self._within.zero_grad(set_to_none)

    def step(self, closure: Callable | None = None) -> Any:  # pyright: ignore
        """Update in FP32, and round."""
        result = self._within.step(closure) if closure else self._within.step()
        self._round()
        return result

    def state_dict(self) -> dict:
        """Return the state of the optimiser within, and the lanes.

        The masters themselves are the model's parameters.
        """
        return {**self._within.state_dict(), "master_lanes": self._lanes.tolist()}

    def load_state_dict(self, state_dict: dict) -> None:
        """Go back to where a state was taken."""
        rest = dict(state_dict)
        self._lanes = np.array(rest.pop("master_lanes"), dtype=np.uint64)
        self._within.load_state_dict(rest)

    def memory(self) -> dict[str, int]:
        """Return the bytes of the masters, and of the same in FP32."""
        count = sum(parameter.numel() for parameter in self._parameters())
        return {"masters": count * _DTYPES[self._spec.format].itemsize, "fp32": 4 * count}

    def _parameters(self) -> list[torch.Tensor]:
        return [p for group in self.param_groups for p in group["params"]]

    def _round(self) -> None:
        if self._spec.format == "fp32":
            return
        stochastic = self._spec.rounding == "stochastic"
        if stochastic:
            of_the_engine, self._engine.random_state = self._engine.random_state, self._lanes
        for parameter in self._parameters():
            on_device = hasattr(self._engine, "device")
            values = parameter.detach() if on_device else parameter.detach().numpy()
            codes: Any = self._engine.quantize(
                values, self._spec.format, rounding=self._spec.rounding
            )
            if not on_device:
                codes = torch.from_numpy(codes.view(np.int16))
            halves = codes.view(_DTYPES[self._spec.format])
            with torch.no_grad():
                parameter.copy_(halves)
        if stochastic:
            self._lanes, self._engine.random_state = self._engine.random_state, of_the_engine
