"""The configuration of an array: everything that fixes its numbers and its hardware."""

import tomllib
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from pysim.errors import InputError
from pysim.formats import OPERAND_FORMATS, FloatFormat
from pysim.lfsr import TAPS, check_state

MAX_SIDE = 64
MAX_LATENCY = 6
MAX_RANDOM_BITS = 24
"""More bits than the widest discarded fraction of a normal number (21) buy nothing."""
DEFAULT_SEED = 0x0123456789ABCDEF


@dataclass(frozen=True)
class ArrayConfig:
    """An array of rows x cols processing elements and its random-number lanes.

    Parameters
    ----------
    rows, cols : int
        Processing elements each way, 1 to 64. One output tile is rows x cols.
    lfsr_width : int
        Bits of each lane's register, one of 8, 16, 24, 32, 48, 64.
    random_bits : int
        Bits r of one draw, 1 to 24 and at most `lfsr_width`.
    seed : int
        State of lane 0 after reset; the other lanes follow by jump-ahead. Never zero.
    latency : int
        0 for the bare array, which takes a step in a clock; 1 to 6 for the engine with overlap,
        which takes so many. It changes cycles, and no other number.
    operand_formats : tuple of str
        What can be multiplied: ``"e5m2"``, ``"e4m3"``, or both.
    load_c : bool
        Whether sums may start from a matrix C. Without it they start from +0, and their range is
        so small that hardware saves bits and cases.

    The bare array has both formats and C.

    Raises
    ------
    InputError
        If a field is out of range; the sentence names it, its value, and what is allowed.
    """

    rows: int = 8
    cols: int = 8
    lfsr_width: int = 64
    random_bits: int = 16
    seed: int = DEFAULT_SEED
    latency: int = 0
    operand_formats: tuple[str, ...] = tuple(fmt.name for fmt in OPERAND_FORMATS)
    load_c: bool = True

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if field.type is int and (not isinstance(value, int) or isinstance(value, bool)):
                raise InputError(f"{field.name} must be an integer, not {value!r}")
        _check_range("rows", self.rows, 1, MAX_SIDE)
        _check_range("cols", self.cols, 1, MAX_SIDE)
        if self.lfsr_width not in TAPS:
            raise InputError(f"lfsr_width {self.lfsr_width} is not one of {sorted(TAPS)}")
        _check_range("random_bits", self.random_bits, 1, min(MAX_RANDOM_BITS, self.lfsr_width))
        _check_range("latency", self.latency, 0, MAX_LATENCY)
        if self.seed == DEFAULT_SEED:
            # So that the default serves every width.
            object.__setattr__(self, "seed", DEFAULT_SEED & ((1 << self.lfsr_width) - 1))
        check_state(self.seed, self.lfsr_width)
        self._check_parts()

    def _check_parts(self) -> None:
        if not isinstance(self.load_c, bool):
            raise InputError(f"load_c must be true or false, not {self.load_c!r}")
        given, allowed = self.operand_formats, [fmt.name for fmt in OPERAND_FORMATS]
        if not isinstance(given, list | tuple) or not given or not set(given) <= set(allowed):
            raise InputError(f"operand_formats {given!r} must be a list of one or two of {allowed}")
        object.__setattr__(self, "operand_formats", tuple(f.name for f in self.multiplied))
        if self.latency == 0 and not (self.load_c and len(self.multiplied) == len(allowed)):
            raise InputError("the bare array, of latency 0, multiplies both formats and has C")

    @property
    def multiplied(self) -> tuple[FloatFormat, ...]:
        """The formats of `operand_formats`, in the order of their encoding."""
        return tuple(fmt for fmt in OPERAND_FORMATS if fmt.name in self.operand_formats)

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as a plain dictionary, ready for JSON or TOML."""
        return {**asdict(self), "operand_formats": list(self.operand_formats)}

    @classmethod
    def from_dict(cls, values: dict) -> "ArrayConfig":
        """Build from a dictionary; an unknown key raises InputError and is named."""
        known = [field.name for field in fields(cls)]
        for key in values:
            if key not in known:
                raise InputError(f"unknown configuration key {key!r}: allowed are {known}")
        return cls(**values)

    @classmethod
    def from_toml(cls, path: str | Path, **overrides: Any) -> "ArrayConfig":
        """Read a TOML file of the fields; `overrides` that are not None win over the file.

        Raises
        ------
        InputError
            If the file cannot be read, is not TOML, or holds an unknown key or bad value.
        """
        try:
            values = tomllib.loads(Path(path).read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError) as error:
            raise InputError(f"configuration file {str(path)!r} cannot be read: {error}") from error
        except tomllib.TOMLDecodeError as error:
            raise InputError(f"configuration file {str(path)!r} is not TOML: {error}") from error
        values.update({key: value for key, value in overrides.items() if value is not None})
        try:
            return cls.from_dict(values)
        except InputError as error:
            raise InputError(f"configuration file {str(path)!r}: {error}") from error


def _check_range(name: str, value: int, low: int, high: int) -> None:
    if not low <= value <= high:
        raise InputError(f"{name} {value} is out of range: it must lie between {low} and {high}")
