"""Recipes: which format and rounding each role of a tensor has. Data, not code."""

import tomllib
from dataclasses import dataclass, fields
from importlib import resources
from pathlib import Path

from cosim.bridge.exempt import EXEMPT_FORMATS
from cosim.bridge.loss_scale import LossScale
from cosim.bridge.scales import SCALINGS
from pysim import InputError, Rounding, get_format
from pysim.config import MAX_RANDOM_BITS
from pysim.formats import OPERAND_FORMATS, OUTPUT_FORMATS, FloatFormat

ROLES = ("weight", "activation", "error", "gradient")
"""What a tensor is to a training step: parameter, forward result, backward result, update."""

DEFAULT_RECIPE = "e5m2-sr"

DEFAULT_LOSS_SCALE = LossScale("static", 1024.0)
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
    scaling : str
        ``"none"``, or by a power of two that brings a tensor into range: ``"current"``, by its own
        greatest magnitude, or ``"delayed"``, by that of the tensors of the layer and role before.

    Raises
    ------
    InputError
        If the format, the rounding, or the scaling is unknown, or `saturate` is not a boolean.
    """

    format: str
    rounding: str = "nearest"
    saturate: bool = True
    scaling: str = "none"

    def __post_init__(self) -> None:
        get_format(self.format, OUTPUT_FORMATS)
        Rounding.named(self.rounding)
        if not isinstance(self.saturate, bool):
            raise InputError(f"saturate {self.saturate!r} is not true or false")
        if self.scaling not in SCALINGS:
            allowed = ", ".join(SCALINGS)
            raise InputError(f"unknown scaling {self.scaling!r}: allowed are {allowed}")

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


MASTER_FORMATS = ("fp32", "fp16", "bf16")


@dataclass(frozen=True)
class MasterSpec:
    """How master weights, which updates add up in, are kept between steps.

    Parameters
    ----------
    format : str
        ``"fp32"``, ``"fp16"``, or ``"bf16"``.
    rounding : str
        After an update in FP32: ``"nearest"``, ``"stochastic"``, or ``"toward_zero"``.

    Raises
    ------
    InputError
        If the format or the rounding is unknown.
    """

    format: str = "fp32"
    rounding: str = "nearest"

    def __post_init__(self) -> None:
        if self.format not in MASTER_FORMATS:
            allowed = ", ".join(MASTER_FORMATS)
            raise InputError(f"unknown format {self.format!r} of masters: allowed are {allowed}")
        Rounding.named(self.rounding)

    @classmethod
    def from_dict(cls, values: dict) -> "MasterSpec":
        """Build from a dictionary; InputError names an unknown key."""
        _check_table("master", values, fields(cls))
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
    loss_scale : LossScale, or a number for a static one
        What the training loop multiplies the loss by before the backward pass, and divides the
        gradients by before the update. The bridge itself does not read it, nor `master`.
    master : MasterSpec
    exempt : tuple of str
        Layers whose products stay in PyTorch: names, in which ``*`` stands for anything, or
        ``"first-convolution"`` and ``"last-linear"``.
    exempt_format : str
        What their operands, errors, and gradients are rounded to: ``"fp32"``, ``"fp16"``,
        ``"bf16"``.
    random_bits : int, optional
        Bits of a draw that the array must have; any without it. All roles share the array's
        lanes, so that it is one number for all of them.
    name, description : str

    Raises
    ------
    InputError
        If an operand's format is not one that the array multiplies, a gradient is scaled or
        narrow although an operand is scaled, or another value is out of range.
    """

    weight: RoleSpec
    activation: RoleSpec
    error: RoleSpec
    gradient: RoleSpec
    loss_scale: LossScale = DEFAULT_LOSS_SCALE
    master: MasterSpec = MasterSpec()
    exempt: tuple[str, ...] = ()
    exempt_format: str = "fp16"
    random_bits: int | None = None
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
        object.__setattr__(self, "loss_scale", LossScale.of(self.loss_scale))
        # Only what is infinite tells that a scale is too great.
        tell = not self.error.saturate and (
            self.gradient.format == "fp32" or not self.gradient.saturate
        )
        if self.loss_scale.kind != "static" and not tell:
            raise InputError(
                f"a loss_scale of kind {self.loss_scale.kind!r} needs 'saturate = false' in the "
                "roles error and gradient: no overflow would be noticed"
            )
        scaled = any(self.role(role).scaling != "none" for role in ROLES)
        if scaled and (self.gradient.format != "fp32" or self.gradient.scaling != "none"):
            raise InputError(
                f"role 'gradient': format {self.gradient.format!r} with scaling "
                f"{self.gradient.scaling!r}: where a role is scaled, it must be 'fp32' with 'none'"
            )
        if not isinstance(self.master, MasterSpec):
            raise InputError(f"master must be a MasterSpec, not {self.master!r}")
        names = self.exempt
        if not isinstance(names, (list, tuple)) or not all(isinstance(n, str) for n in names):
            raise InputError(f"exempt {names!r} must be a list of names of layers")
        object.__setattr__(self, "exempt", tuple(names))
        if self.exempt_format not in EXEMPT_FORMATS:
            allowed = ", ".join(EXEMPT_FORMATS)
            raise InputError(f"unknown exempt_format {self.exempt_format!r}: allowed are {allowed}")
        bits = self.random_bits
        if bits is not None and (
            isinstance(bits, bool) or not isinstance(bits, int) or not 1 <= bits <= MAX_RANDOM_BITS
        ):
            raise InputError(f"random_bits {bits!r} is out of range: 1 to {MAX_RANDOM_BITS}")
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
        others["loss_scale"] = self.loss_scale.to_dict()
        others["master"] = vars(self.master).copy()
        others["exempt"] = list(self.exempt)
        present = {key: value for key, value in others.items() if value is not None}
        return {**present, "roles": roles}

    @classmethod
    def from_dict(cls, values: dict) -> "Recipe":
        """Build from a dictionary.

        Parameters
        ----------
        values : dict
            ``{"roles": {"weight": {"format": ..., "rounding": ..., "saturate": ...}, ...}}`` with
            all four roles, and optionally the other fields; ``"loss_scale"`` is a number or a
            table.

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
        others = {key: value for key, value in values.items() if key != "roles"}
        if "master" in others:
            others["master"] = MasterSpec.from_dict(others["master"])
        return cls(**specs, **others)

    @classmethod
    def from_toml(cls, path: str | Path) -> "Recipe":
        """Read a recipe from a TOML file; its name is the file's unless the file says otherwise.

        A file with a key ``based_on`` says only what it has otherwise than the recipe of that name,
        which ships with the project. Keys of a role or of the masters are taken one by one,
        everything else as a whole.

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
            values = {"name": path.stem, **tomllib.loads(text)}
            if "based_on" in values:
                values = cls._completed(values)
            return cls.from_dict(values)
        except tomllib.TOMLDecodeError as error:
            raise InputError(f"recipe {str(path)!r} is not TOML: {error}") from error
        except InputError as error:
            raise InputError(f"recipe {str(path)!r}: {error}") from error

    @classmethod
    def _completed(cls, values: dict) -> dict:
        """Fill in what a recipe has from the one that it is based on."""
        rest = dict(values)
        base = cls.named(rest.pop("based_on")).to_dict()
        for key in ("roles", "master"):
            if isinstance(rest.get(key), dict):
                rest[key] = _merged(base[key], rest[key])
        return {**base, "description": "", **rest}

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


def _merged(base: dict, changes: dict) -> dict:
    """Return a table with some of its keys changed, tables within it likewise."""
    merged = dict(base)
    for key, value in changes.items():
        both = isinstance(value, dict) and isinstance(base.get(key), dict)
        merged[key] = _merged(base[key], value) if both else value
    return merged


def _check_table(what: str, values: object, known: tuple | list, *more: str) -> None:
    if not isinstance(values, dict):
        raise InputError(f"{what} must be a table, not {values!r}")
    allowed = [field.name for field in known] + list(more)
    for key in values:
        if key not in allowed:
            raise InputError(f"unknown key {key!r} of {what}: allowed are {', '.join(allowed)}")
