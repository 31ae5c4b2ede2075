"""The loss scale of a run under way, with the interface of `torch.amp.GradScaler`."""

import torch

from cosim.bridge import LossScale
from cosim.bridge.loss_scale import MAX_SCALE, MIN_SCALE
from pysim import InputError


class LossScaler:
    """Scales the loss, and leaves out the updates whose gradients are not finite.

    `torch.amp.GradScaler` has no floor under its scale, hence this class; it is used like that::

        scaler.scale(loss).backward()
        scaler.step(optimiser)
        scaler.update()

    Parameters
    ----------
    spec : LossScale
    steps : int
        Of the whole run, which a schedule may be meant for a share of.

    Attributes
    ----------
    step_number : int
        Calls of `update` so far.
    skipped : int
        Updates left out.
    growths, backoffs : int
        How many times the scale grew, and fell.
    floored : int
        Overflows after which the floor kept the scale from falling as far as it would have.
    """

    def __init__(self, spec: LossScale, steps: int) -> None:
        self._spec = spec
        self._steps = steps
        self._scale = max(spec.initial, spec.floor(0, steps))
        self._good_steps = 0
        # Whether the gradients are finite, by optimiser, between `unscale_` and `update`.
        self._finite: dict[int, bool] = {}
        self.step_number = self.skipped = self.growths = self.backoffs = self.floored = 0

    def get_scale(self) -> float:
        """Return the scale of this step."""
        return self._scale

    def get_floor(self) -> float:
        """Return the least scale of this step; 0 if there is none."""
        return self._spec.floor(self.step_number, self._steps)

    def scale(self, loss: torch.Tensor) -> torch.Tensor:
        """Multiply a loss."""
        return loss * self._scale

    def unscale_(self, optimizer: torch.optim.Optimizer) -> None:
        """Divide the gradients, for one who wants to look at them or clip them before `step`.

        Raises
        ------
        RuntimeError
            If those of this optimiser were divided since the last `update`.
        """
        if id(optimizer) in self._finite:
            raise RuntimeError("unscale_ was called for this optimiser since the last update")
        groups = optimizer.param_groups
        found = [p.grad for group in groups for p in group["params"] if p.grad is not None]
        finite = True
        if found:
            device = found[0].device
            not_finite = torch.zeros(1, device=device)
            inverse = torch.tensor(1 / self._scale, dtype=torch.float32, device=device)
            # What torch.amp.GradScaler itself calls: one pass over all gradients.
            unscale = torch._amp_foreach_non_finite_check_and_unscale_  # pyright: ignore
            unscale(found, not_finite, inverse)
            finite = not_finite.item() == 0
        self._finite[id(optimizer)] = finite

    def step(self, optimizer: torch.optim.Optimizer) -> bool:
        """Update the weights, unless a gradient is infinite or NaN; return whether it did."""
        if id(optimizer) not in self._finite:
            self.unscale_(optimizer)
        finite = self._finite[id(optimizer)]
        if finite:
            optimizer.step()
        else:
            self.skipped += 1
        return finite

    def update(self) -> None:
        """End a step: choose the scale of the next."""
        if self._spec.kind != "static":
            self._adapt()
        self._finite.clear()
        self.step_number += 1
        self._scale = max(self._scale, self.get_floor())

    def _adapt(self) -> None:
        spec = self._spec
        if not all(self._finite.values()):
            wanted = max(self._scale * spec.backoff, MIN_SCALE)
            lowered = max(wanted, self.get_floor())
            self.backoffs += lowered < self._scale
            self.floored += lowered > wanted
            self._scale = lowered
            self._good_steps = 0
            return
        self._good_steps += 1
        if self._good_steps >= spec.interval:
            self._good_steps = 0
            grown = min(self._scale * spec.growth, MAX_SCALE)
            self.growths += grown > self._scale
            self._scale = grown

    def state_dict(self) -> dict:
        """Return everything that changes, in types that torch saves without code."""
        return {name: value for name, value in vars(self).items() if name not in _FIXED}

    def load_state_dict(self, state: dict) -> None:
        """Go back to where `state` was taken; InputError if it is not a state of a scaler."""
        if state.keys() != self.state_dict().keys():
            raise InputError(f"not the state of a loss scaler: it has {', '.join(state)}")
        if not MIN_SCALE <= state["_scale"] <= MAX_SCALE:
            raise InputError(f"scale {state['_scale']} is out of range")
        vars(self).update(state)


_FIXED = ("_spec", "_steps", "_finite")
