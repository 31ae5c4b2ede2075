"""Recipes: which format and rounding each role of a tensor has. Data, not code."""

import math
import tomllib
from dataclasses import dataclass, fields
from importlib import resources
from pathlib import Path

from pysim import InputError, Rounding, get_format
from pysim.formats import OPERAND_FORMATS, OUTPUT_FORMATS, FloatFormat

ROLES = ("weight", "activation", "error", "gradient")
"""What a tensor is to a training step: parameter, forward result, backward result, update."""

DEFAULT_RECIPE = "e5m2-sr"

DEFAULT_LOSS_SCALE = 1024.0
"""Errors of a mean loss start near one over the batch size and shrink from layer to layer, while
E5M2 ends at 2**-16. Ten binades up, numbers down to 2**-26 survive, and those above 1 / batch
still have more than ten binades to the top. A power of two, so that scaling never rounds."""


@dataclass(frozen=True)
class RoleSpec:
    """How the tensors of one role are converted.

    Parameters
    ----------
    format : str
        ``"e5m2"`` or ``"e4m3"``; for gradients, which no GEMM reads, also ``"fp32"``, ``"fp16"``,
        or ``"bf16"``.
    rounding : str
        ``"nearest"``, ``"stochastic"``, or ``"toward_zero"``.
    saturate : bool
        Whether numbers out of range become the largest finite one.

    Raises
    ------
    InputError
        If the format or the rounding is unknown, or `saturate` is not a boolean.
    """

    format: str
    rounding: str = "nearest"
    saturate: bool = True

    def __post_init__(self) -> None:
        get_format(self.format, OUTPUT_FORMATS)
        Rounding.named(self.rounding)
        if not isinstance(self.saturate, bool):
            raise InputError(f"saturate {self.saturate!r} is not true or false")

    @property
    def float_format(self) -> FloatFormat:
        """The format itself."""
        return get_format(self.format, OUTPUT_FORMATS)

    @classmethod
    def from_dict(cls, values: dict) -> "RoleSpec":
        """Build from a dictionary; InputError names an unknown or missing key."""
        _check_table("a role", values, fields(cls))
        if "format" not in values:
            raise InputError("a role needs a key 'format'")
        return cls(**values)


@dataclass(frozen=True)
class Recipe:
    """The numbers of a training run.

    Parameters
    ----------
    weight, activation, error : RoleSpec
        What the operands of the GEMMs are converted to: the parameters, the results of the forward
        pass, and the derivatives by them. ``"e5m2"`` or ``"e4m3"``.
    gradient : RoleSpec
        What the array's output converters make of the derivatives by the weights.
    loss_scale : float
        What the training loop multiplies the loss by before the backward pass, and divides the
        gradients by before the update. The bridge itself does not read it.
    name, description : str

    Raises
    ------
    InputError
        If an operand's format is not one that the array multiplies, or the loss scale is not a
        positive number.
    """

    weight: RoleSpec
    activation: RoleSpec
    error: RoleSpec
    gradient: RoleSpec
    loss_scale: float = DEFAULT_LOSS_SCALE
    name: str = "custom"
    description: str = ""

    def __post_init__(self) -> None:
        for role in ROLES:
            spec = self.role(role)
            if not isinstance(spec, RoleSpec):
                raise InputError(f"role {role!r} must be a RoleSpec, not {spec!r}")
        for role in ("weight", "activation", "error"):
            try:
                get_format(self.role(role).format, OPERAND_FORMATS)
            except InputError as error:
                raise InputError(f"role {role!r}: {error}") from None
        scale = self.loss_scale
        if isinstance(scale, bool) or not isinstance(scale, (int, float)):
            raise InputError(f"loss_scale {scale!r} is not a number")
        if not (math.isfinite(scale) and scale > 0):
            raise InputError(f"loss_scale {scale} is out of range: it must be positive and finite")
        for field in ("name", "description"):
            if not isinstance(getattr(self, field), str):
                raise InputError(f"{field} {getattr(self, field)!r} is not a text")

    def role(self, name: str) -> RoleSpec:
        """Return how tensors of a role are converted."""
        return getattr(self, name)

    def to_dict(self) -> dict:
        """Return what `from_dict` reads, ready for JSON or TOML."""
        roles = {role: vars(self.role(role)).copy() for role in ROLES}
        others = {f.name: getattr(self, f.name) for f in fields(self) if f.name not in ROLES}
        return {**others, "roles": roles}

    @classmethod
    def from_dict(cls, values: dict) -> "Recipe":
        """Build from a dictionary.

        Parameters
        ----------
        values : dict
            ``{"roles": {"weight": {"format": ..., "rounding": ..., "saturate": ...}, ...}}`` with
            all four roles, and optionally ``"loss_scale"``, ``"name"``, and ``"description"``.

        Raises
        ------
        InputError
            If a role, key, format, or rounding is unknown or missing; it is named.
        """
        others = [field for field in fields(cls) if field.name not in ROLES]
        _check_table("a recipe", values, others, "roles")
        roles = values.get("roles", {})
        if not isinstance(roles, dict):
            raise InputError(f"roles must be a table, not {roles!r}")
        for role in roles:
            if role not in ROLES:
                raise InputError(f"unknown role {role!r}: allowed are {', '.join(ROLES)}")
        specs = {}
        for role in ROLES:
            if role not in roles:
                raise InputError(f"role {role!r} is missing: a recipe has {', '.join(ROLES)}")
            try:
                specs[role] = RoleSpec.from_dict(roles[role])
            except InputError as error:
                raise InputError(f"role {role!r}: {error}") from None
        return cls(**specs, **{key: value for key, value in values.items() if key != "roles"})

    @classmethod
    def from_toml(cls, path: str | Path) -> "Recipe":
        """Read a recipe from a TOML file; its name is the file's unless the file says otherwise.

        Raises
        ------
        InputError
            If the file cannot be read, is not TOML, or is not a recipe.
        """
        path = Path(path)
        try:
            text = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise InputError(f"recipe {str(path)!r} cannot be read: {error}") from error
        try:
            return cls.from_dict({"name": path.stem, **tomllib.loads(text)})
        except tomllib.TOMLDecodeError as error:
            raise InputError(f"recipe {str(path)!r} is not TOML: {error}") from error
        except InputError as error:
            raise InputError(f"recipe {str(path)!r}: {error}") from error

    @classmethod
    def named(cls, name: str) -> "Recipe":
        """Return a recipe that ships with the project; InputError lists them."""
        if name not in cls.names():
            raise InputError(f"unknown recipe {name!r}: allowed are {', '.join(cls.names())}")
        with resources.as_file(_SHIPPED / f"{name}.toml") as path:
            return cls.from_toml(path)

    @classmethod
    def names(cls) -> list[str]:
        """Names of the recipes that ship with the project."""
        files = (file.name for file in _SHIPPED.iterdir())
        return sorted(name.removesuffix(".toml") for name in files if name.endswith(".toml"))


_SHIPPED = resources.files("cosim.bridge") / "recipes"


def _check_table(what: str, values: object, known: tuple | list, *more: str) -> None:
    if not isinstance(values, dict):
        raise InputError(f"{what} must be a table, not {values!r}")
    allowed = [field.name for field in known] + list(more)
    for key in values:
        if key not in allowed:
            raise InputError(f"unknown key {key!r} of {what}: allowed are {', '.join(allowed)}")
