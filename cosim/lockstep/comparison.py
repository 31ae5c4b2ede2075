"""The vector simulator and Verilator on the same inputs, every register compared at every clock."""

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from cosim.files import make_folder, replacing
from cosim.lockstep.verilated import VerilatorModel
from cosim.vector import Netlist, compile_netlist, load_model, read_verilog
from pysim import InputError

FORMAT_VERSION = 1

_WORDS_AT_ONCE = 1 << 22
"""Words of a trace that are compared at once; a run is cut so that memory stays small."""


@dataclass(frozen=True)
class Difference:
    """The first place at which the simulators differ.

    Attributes
    ----------
    clock : int
        From 0 on; values are those before the clock's edge.
    name : str
        A register by its instance path, or an output.
    vector, verilator : int
    """

    clock: int
    name: str
    vector: int
    verilator: int

    def __str__(self) -> str:
        return (
            f"{self.name} is {self.vector:#x} under vector and {self.verilator:#x} under Verilator "
            f"at clock {self.clock}"
        )


class Lockstep:
    """A circuit in both simulators.

    Parameters
    ----------
    modules : mapping of str to str
        Verilog texts by a name for messages.
    top : str
    netlist : Netlist, optional
        What `read_verilog` made of the texts; read from them without it.

    Raises
    ------
    UnsupportedError
        If the vector simulator does not support the Verilog.
    CheckFailedError
        If either refuses the Verilog.
    MissingToolError
        If a tool is missing.
    """

    def __init__(
        self, modules: Mapping[str, str], top: str, *, netlist: Netlist | None = None
    ) -> None:
        self.modules, self.top = dict(modules), top
        netlist = netlist or read_verilog(modules, top)
        self.source = compile_netlist(netlist)
        self.vector = load_model(self.source)
        self.verilator = VerilatorModel(modules, netlist, self.source)

    @property
    def registers(self) -> int:
        """Number of registers and words of memories compared."""
        return len(self.source.registers)

    def run(
        self, stimulus: np.ndarray, progress: Callable[[int], None] = lambda clocks: None
    ) -> Difference | None:
        """Clock both from where they are, up to the first difference.

        Parameters
        ----------
        stimulus : uint64, shape [clocks, words of all inputs]
        progress : callable
            Called with the number of clocks done.
        """
        layout = self.vector.trace
        at_once = max(1, _WORDS_AT_ONCE // max(1, layout.words))
        for start in range(0, len(stimulus), at_once):
            part = stimulus[start : start + at_once]
            vector, verilator = self.vector.run(part), self.verilator.run(part)
            unequal = (vector != verilator).any(axis=1)
            if unequal.any():
                row = int(np.argmax(unequal))
                for port in layout.ports:
                    values = (
                        layout.read(vector[row], port.name),
                        layout.read(verilator[row], port.name),
                    )
                    if values[0] != values[1]:
                        return Difference(start + row, port.name, *values)
            progress(min(len(stimulus), start + at_once))
        return None


@dataclass(frozen=True)
class Reproducer:
    """A difference and what leads to it, as a file holds it.

    Attributes
    ----------
    modules : dict of str to str
        The Verilog.
    top : str
    stimulus : numpy.ndarray
        Inputs up to the clock of the difference.
    difference : Difference
    """

    modules: dict[str, str]
    top: str
    stimulus: np.ndarray
    difference: Difference

    def save(self, path: Path) -> None:
        """Write the file (NumPy's .npz); it appears whole or not at all."""
        header: dict[str, Any] = {
            "version": FORMAT_VERSION,
            "modules": self.modules,
            "top": self.top,
            "difference": vars(self.difference),
        }
        make_folder(path.parent)
        with replacing(path) as file:
            np.savez_compressed(file, header=np.array(json.dumps(header)), stimulus=self.stimulus)

    @classmethod
    def load(cls, path: Path) -> "Reproducer":
        """Read such a file; InputError if it is none."""
        try:
            with np.load(path, allow_pickle=False) as file:
                header, stimulus = json.loads(str(file["header"])), file["stimulus"]
            if header["version"] != FORMAT_VERSION:
                raise InputError(f"{str(path)!r} is of version {header['version']}")
            difference = Difference(**header["difference"])
            return cls(header["modules"], header["top"], stimulus, difference)
        except InputError:
            raise
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise InputError(f"{str(path)!r} is not a file of lockstep: {error}") from error


def modules_below(netlist: Netlist) -> Iterator[str]:
    """Yield the modules of a netlist, each after those that it instantiates."""
    seen: set[str] = set()

    def visit(name: str) -> Iterator[str]:
        if name not in seen:
            seen.add(name)
            for cell in netlist.modules[name].cells.values():
                if cell.kind in netlist.modules:
                    yield from visit(cell.kind)
            yield name

    yield from visit(netlist.top)
