"""One call of an engine as a thing of its own: run it, save it, load it, compare outcomes."""

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from cosim.files import make_folder, replacing
from pysim import ArrayConfig, Engine, Flags, InputError

FORMAT_VERSION = 1


@dataclass(frozen=True)
class Call:
    """A call of `Engine.gemm` or `Engine.quantize`, and the state that it starts from.

    Attributes
    ----------
    config : ArrayConfig
    kind : str
        ``"gemm"`` or ``"quantize"``.
    operands : dict of str to numpy.ndarray
        ``a``, ``b``, and perhaps ``c``; or ``x``.
    arguments : dict
        The other arguments, by name.
    random_state : numpy.ndarray of uint64, shape [cols]
        LFSR states before the call.
    """

    config: ArrayConfig
    kind: str
    operands: dict[str, np.ndarray]
    arguments: dict
    random_state: np.ndarray

    def describe(self) -> str:
        """Say in a few words what is called."""
        shapes = ", ".join(f"{name} {list(array.shape)}" for name, array in self.operands.items())
        how = ", ".join(f"{name} {value}" for name, value in self.arguments.items())
        size = f"{self.config.rows} x {self.config.cols} array"
        return f"{self.kind} of {shapes} with {how} on a {size}"

    def run(self, engine: Engine) -> "Outcome":
        """Make the call from its random state, and note everything it leaves behind."""
        if not np.array_equal(engine.random_state, self.random_state):
            engine.random_state = self.random_state
        before = engine.cycles
        if self.kind == "gemm":
            values = engine.gemm(**self.operands, **self.arguments).values
        else:
            values = engine.quantize(**self.operands, **self.arguments)
        return Outcome(values, engine.flags, engine.cycles - before, engine.random_state)


@dataclass(frozen=True)
class Outcome:
    """All that a call determines.

    Attributes
    ----------
    values : numpy.ndarray
    flags : Flags
    cycles : int
    random_state : numpy.ndarray of uint64, shape [cols]
        LFSR states after the call.
    """

    values: np.ndarray
    flags: Flags
    cycles: int
    random_state: np.ndarray

    def differences(self, other: "Outcome") -> list[str]:
        """Name what differs, bit for bit; for values, the first place too."""
        found = []
        if (self.values.dtype, self.values.shape) != (other.values.dtype, other.values.shape):
            found.append("the dtype or shape of the values")
        elif (unequal := np.argwhere(_bits(self.values) != _bits(other.values))).size:
            place = tuple(unequal[0].tolist())
            mine, theirs = _bits(self.values)[place], _bits(other.values)[place]
            found.append(
                f"{len(unequal)} of {self.values.size} values "
                f"(first at {list(place)}: {mine:#x} and {theirs:#x})"
            )
        if self.flags != other.flags:
            found.append(f"flags ({self.flags} and {other.flags})")
        if self.cycles != other.cycles:
            found.append(f"cycles ({self.cycles} and {other.cycles})")
        if not np.array_equal(self.random_state, other.random_state):
            found.append("the random state")
        return found


@dataclass(frozen=True)
class Mismatch:
    """A call on which two engines differ, as a replay file holds it.

    Attributes
    ----------
    call : Call
    expected, got : Outcome
    expected_engine, got_engine : str
        Names of the engines.
    notes : dict
        Where the call came from, such as a campaign's seed.
    edited : dict of str to str
        Text of the modules that were not as generated, so that the file is all that a replay needs.
    """

    call: Call
    expected: Outcome
    got: Outcome
    expected_engine: str
    got_engine: str
    notes: dict = field(default_factory=dict)
    edited: dict[str, str] = field(default_factory=dict)

    def save(self, path: Path) -> None:
        """Write a replay file (NumPy's .npz); it appears whole or not at all."""
        header = {
            "version": FORMAT_VERSION,
            "config": self.call.config.to_dict(),
            "kind": self.call.kind,
            "arguments": self.call.arguments,
            "expected_engine": self.expected_engine,
            "got_engine": self.got_engine,
            "notes": self.notes,
            "edited": self.edited,
        }
        arrays: dict[str, Any] = {
            f"operand_{name}": array for name, array in self.call.operands.items()
        }
        arrays["random_state"] = self.call.random_state
        for side in ("expected", "got"):
            outcome = getattr(self, side)
            header[side] = {"flags": asdict(outcome.flags), "cycles": outcome.cycles}
            arrays[f"{side}_values"] = outcome.values
            arrays[f"{side}_random_state"] = outcome.random_state
        make_folder(path.parent)
        with replacing(path) as file:
            np.savez_compressed(file, header=np.array(json.dumps(header)), **arrays)

    @classmethod
    def load(cls, path: Path) -> "Mismatch":
        """Read a replay file; InputError if it is none."""
        try:
            with np.load(path, allow_pickle=False) as file:
                arrays = dict(file)
            header = json.loads(str(arrays["header"]))
            if header["version"] != FORMAT_VERSION:
                raise InputError(f"replay file {str(path)!r} is of version {header['version']}")
            prefix = "operand_"
            call = Call(
                ArrayConfig.from_dict(header["config"]),
                header["kind"],
                {k.removeprefix(prefix): v for k, v in arrays.items() if k.startswith(prefix)},
                header["arguments"],
                arrays["random_state"],
            )
            outcomes = {
                side: Outcome(
                    arrays[f"{side}_values"],
                    Flags(**header[side]["flags"]),
                    header[side]["cycles"],
                    arrays[f"{side}_random_state"],
                )
                for side in ("expected", "got")
            }
            engines = (header["expected_engine"], header["got_engine"])
            return cls(
                call,
                outcomes["expected"],
                outcomes["got"],
                *engines,
                header["notes"],
                header.get("edited", {}),
            )
        except InputError:
            raise
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise InputError(f"{str(path)!r} is not a replay file: {error}") from error


def _bits(values: np.ndarray) -> np.ndarray:
    return values.view(np.uint32) if values.dtype == np.float32 else values
