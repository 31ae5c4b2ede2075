"""How a recipe scales the loss: data, which a training loop follows."""

import math
from dataclasses import dataclass, fields

from pysim import InputError

KINDS = ("static", "dynamic", "enhanced")

MAX_SCALE, MIN_SCALE = 2.0**60, 2.0**-60
"""Far beyond any use, and far from where FP32 ends, for its inverse, too."""


@dataclass(frozen=True)
class LossScale:
    """What the loss is multiplied by before the backward pass, and how that changes.

    A static scale stays. A dynamic one is multiplied by `backoff` after a step whose gradients were
    not finite, and by `growth` after `interval` good steps in a row. An enhanced one never falls
    below a floor, which a schedule raises as training goes on (Mellempudi et al., arXiv 1905.12334,
    section 3.2).

    Parameters
    ----------
    kind : str
        ``"static"``, ``"dynamic"``, or ``"enhanced"``.
    initial : float
        The scale of the first step.
    growth, backoff : float
    interval : int
        Steps.
    floors : tuple of (step, scale)
        From a step on, the least scale; steps ascend.
    schedule_length : int
        Steps of the whole run that the floors' steps are meant for; in a run of another length
        they keep their share of it. With 0 they count as they are.

    Raises
    ------
    InputError
        If a number is out of range, a schedule goes backwards, or something is set that the kind
        does not use.
    """

    kind: str = "static"
    initial: float = 1024.0
    growth: float = 2.0
    backoff: float = 0.5
    interval: int = 2000
    floors: tuple[tuple[int, float], ...] = ()
    schedule_length: int = 0

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise InputError(
                f"unknown kind {self.kind!r} of loss_scale: allowed are {', '.join(KINDS)}"
            )
        _check_number("initial", self.initial, above=0, most=MAX_SCALE)
        _check_number("growth", self.growth, above=1, most=MAX_SCALE)
        _check_number("backoff", self.backoff, above=0, most=1)
        _check_whole("interval", self.interval, least=1)
        _check_whole("schedule_length", self.schedule_length, least=0)
        object.__setattr__(self, "floors", _floors(self.floors))
        if self.kind == "enhanced" and not self.floors:
            raise InputError(
                "an enhanced loss scale needs floors: a schedule of [step, least scale]"
            )
        if self.kind != "enhanced" and self.floors:
            raise InputError(f"a {self.kind} loss scale has no floors: only an enhanced one has")

    def floor(self, step: int, steps: int) -> float:
        """Return the least scale at a step, counted from 0, of a run of `steps`; 0 without any."""
        reached = [scale for at, scale in self.floors if step >= self._share(at, steps)]
        return reached[-1] if reached else 0.0

    def _share(self, count: int, steps: int) -> int:
        return round(count * steps / self.schedule_length) if self.schedule_length else count

    def to_dict(self) -> dict | float:
        """Return what `of` reads: a number, if the scale is static."""
        if self.kind == "static":
            return self.initial
        return {**vars(self), "floors": [list(floor) for floor in self.floors]}

    @classmethod
    def of(cls, value: "LossScale | float | dict") -> "LossScale":
        """Build from a number, which is static, or a table; InputError names what is wrong."""
        if isinstance(value, LossScale):
            return value
        if isinstance(value, dict):
            allowed = [field.name for field in fields(cls)]
            for key in value:
                if key not in allowed:
                    raise InputError(
                        f"unknown key {key!r} of loss_scale: allowed are {', '.join(allowed)}"
                    )
            return cls(**value)
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise InputError(f"loss_scale {value!r} is not a number, nor a table")
        _check_number("loss_scale", value, above=0, most=MAX_SCALE)
        return cls(initial=float(value))


def _floors(values: object) -> tuple[tuple[int, float], ...]:
    if not isinstance(values, (list, tuple)):
        raise InputError(f"floors {values!r} must be a list of [step, least scale]")
    floors = []
    for value in values:
        if not isinstance(value, (list, tuple)) or len(value) != 2:
            raise InputError(f"floor {value!r} must be [step, least scale]")
        step, scale = value
        _check_whole("the step of a floor", step, least=0)
        _check_number("the scale of a floor", scale, above=0, most=MAX_SCALE)
        if floors and step <= floors[-1][0]:
            raise InputError(f"floors go backwards: step {step} follows step {floors[-1][0]}")
        floors.append((step, float(scale)))
    return tuple(floors)


def _check_number(name: str, value: object, *, above: float, most: float) -> None:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise InputError(f"{name} {value!r} is not a number")
    if not (math.isfinite(value) and above < value <= most):
        raise InputError(f"{name} {value} is out of range: above {above:g}, at most {most:g}")


def _check_whole(name: str, value: object, *, least: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise InputError(f"{name} {value!r} is out of range: a whole number of at least {least}")
