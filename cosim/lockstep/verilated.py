"""The reference: Verilog under Verilator, with every register readable after every clock."""

import ctypes
import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np

from cosim.errors import CheckFailedError
from cosim.rtl.verilator import build_library
from cosim.vector import Layout, Netlist, Port, SimulationSource

HARNESS = Path(__file__).with_name("harness.cpp")

_SMALL = 200
"""Registers up to which a circuit is compiled at once."""

_NAME = re.compile(r"(?P<net>.*?)(\[(?P<high>\d+)(:(?P<low>\d+))?\])?$", re.DOTALL)


class Place(NamedTuple):
    """Where Verilator keeps a register.

    Attributes
    ----------
    module : str
        The module that declares it.
    path : str
        Its instance, from below the top; empty for the top.
    net : str
    word : int
        Which word of a memory; -1 for what is none.
    low, width : int
        Bits of the net.
    """

    module: str
    path: str
    net: str
    word: int
    low: int
    width: int


def places(netlist: Netlist, registers: tuple[Port, ...]) -> Iterator[Place]:
    """Yield the place of each register of the vector simulator."""
    modules = netlist.modules
    for register in registers:
        module, path, rest = modules[netlist.top], [], register.name
        while True:
            # Names may hold dots themselves.
            steps = [
                name
                for name, cell in module.cells.items()
                if cell.kind in modules and rest.startswith(f"{name}.")
            ]
            if not steps:
                break
            step = max(steps, key=len)
            module = modules[module.cells[step].kind]
            path.append(step)
            rest = rest.removeprefix(f"{step}.")
        match = _NAME.match(rest)
        assert match is not None
        net, high, low = match["net"], match["high"], match["low"]
        word = -1
        if rest in module.nets:
            net, first = rest, 0
        elif high is not None and low is None and net not in module.nets:
            word, first = int(high), 0
        else:
            first = int(low or high or 0)
        yield Place(_written_name(module.name), ".".join(path), net, word, first, register.width)


def _written_name(module: str) -> str:
    """Name of a module in the Verilog; Yosys gives one with parameters a name of its own."""
    return module.split("\\")[1] if module.startswith("$paramod") else module


class VerilatorModel:
    """A circuit under Verilator, with the interface of `cosim.vector.VectorModel`.

    Parameters
    ----------
    modules : mapping of str to str
        Verilog texts by a name for messages.
    netlist : Netlist
        What Yosys makes of the same texts.
    source : SimulationSource
        Says which inputs, outputs, and registers a trace holds.

    Raises
    ------
    CheckFailedError
        If Verilator refuses the Verilog, or does not show a register that Yosys found.
    MissingToolError
        If Verilator or the C++ compiler is missing.
    """

    def __init__(
        self, modules: Mapping[str, str], netlist: Netlist, source: SimulationSource
    ) -> None:
        self.trace = Layout([*source.outputs, *source.registers])
        found = list(places(netlist, source.registers))
        readable = sorted({(place.module, place.net) for place in found})
        controls = "\n".join(
            f'public_flat_rd -module "{module}" -var "{net}"' for module, net in readable
        )
        path = build_library(
            "lockstep",
            modules,
            netlist.top,
            HARNESS,
            _circuit_header(netlist, source, found),
            controls=controls,
            small=len(found) < _SMALL,
        )
        library = ctypes.CDLL(str(path))
        library.open_model.restype = ctypes.c_void_p
        library.close_model.argtypes = [ctypes.c_void_p]
        library.find_registers.argtypes = [ctypes.c_void_p]
        library.run.argtypes = [
            ctypes.c_void_p,
            ctypes.c_void_p,
            ctypes.c_size_t,
            ctypes.c_void_p,
        ]
        self._library = library
        self._model = library.open_model()
        missing = library.find_registers(self._model)
        if missing >= 0:
            name = source.registers[missing].name
            raise CheckFailedError(f"Verilator does not show the register {name!r}")

    def __del__(self) -> None:
        if getattr(self, "_model", None) is not None:
            self._library.close_model(self._model)
            self._model = None

    def run(self, stimulus: np.ndarray) -> np.ndarray:
        """Clock the model; see `cosim.vector.VectorModel.run`."""
        stimulus = np.ascontiguousarray(stimulus, dtype=np.uint64)
        trace = np.empty((len(stimulus), self.trace.words), dtype=np.uint64)
        self._library.run(self._model, stimulus.ctypes.data, len(stimulus), trace.ctypes.data)
        return trace


def _circuit_header(netlist: Netlist, source: SimulationSource, found: list[Place]) -> str:
    """C++ that names the ports and registers for `harness.cpp`."""
    inputs = netlist.modules[netlist.top].inputs
    clocks = inputs.keys() - {port.name for port in source.inputs}
    rows = [
        f"{_quoted('.'.join(filter(None, ('TOP', netlist.top, place.path))))}, "
        f"{_quoted(place.net)}, {place.word}, {place.low}, {place.width}"
        for place in found
    ]
    return "\n".join(
        [
            "const std::vector<Register> REGISTERS = {",
            *(f"    {{{row}}}," for row in rows),
            "};",
            "void take_inputs(Model& top, const uint64_t*& words) {",
            *(f"    take(top.{_member(port.name)}, words);" for port in source.inputs),
            "}",
            "void give_outputs(const Model& top, uint64_t*& words) {",
            *(f"    give(top.{_member(port.name)}, words);" for port in source.outputs),
            "}",
            "void set_clock(Model& top, int level) {",
            *(f"    top.{_member(clock)} = level;" for clock in clocks),
            "}",
            "",
        ]
    )


def _quoted(name: str) -> str:
    return json.dumps(name)


def _member(name: str) -> str:
    """Name of a port in Verilator's class."""
    coded = name.replace("__", "___05F")
    return re.sub(r"[^0-9A-Za-z_]", lambda match: f"__0{ord(match[0]):02x}", coded)
