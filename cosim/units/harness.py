"""A Verilog module in a shared library: arrays of inputs in, arrays of outputs out."""

import ctypes
import re
from collections.abc import Mapping
from ctypes import c_size_t, c_void_p
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

import numpy as np
from amaranth.lib import wiring

from cosim.errors import CheckFailedError
from cosim.rtl.verilator import build_library
from hw.hierarchy import Block
from rtl_gen import Design
from rtl_gen.emitter import block_ports

WRAPPER = "fp8_unit_wrapper"
WORD = 64
_HOST = Path(__file__).with_name("vectors.cpp")


_PORT = re.compile(r"\b(?:input|output)\s+(?:(?:wire|reg|logic)\s+)?(?:\[[^\]]*\]\s*)?\\?(\w+)")


def declared_ports(text: str) -> set[str]:
    """Return the names of the ports that the Verilog of a module declares."""
    return set(_PORT.findall(text))


class ChangedPortsError(CheckFailedError):
    """A module has not the ports that it was generated with, so nobody knows how to drive it."""

    def __init__(self, unit: str, ports: list[str]) -> None:
        self.unit = unit
        self.complaint = (
            f"its ports were changed ({', '.join(ports)}), so it cannot be tried by itself"
        )
        super().__init__(f"{unit}: {self.complaint}")


@dataclass(frozen=True)
class Place:
    """Where a port lies in the words of a vector."""

    word: int
    shift: int
    width: int


class Unit:
    """A module of a design, compiled by Verilator, fed with one vector a clock.

    Parameters
    ----------
    modules : mapping of str to str
        Verilog text by module name.
    name : str
        The module.
    inputs, outputs : mapping of str to int
        Width of each port in bits, at most 64 each; clock apart, reset included.
    clocked : bool
        Whether the module has a port ``clk``.

    Raises
    ------
    MissingToolError
        If Verilator or the C++ compiler is missing.
    CheckFailedError
        If Verilator refuses the Verilog.

    Attributes
    ----------
    inputs : tuple of str
    """

    def __init__(
        self,
        modules: Mapping[str, str],
        name: str,
        inputs: Mapping[str, int],
        outputs: Mapping[str, int],
        clocked: bool,
    ) -> None:
        self.name = name
        self.inputs = tuple(inputs)
        self._inputs, self._input_words = _places(inputs)
        self._outputs, self._output_words = _places(outputs)
        layout = (
            "#pragma once\n"
            f"#define CLOCKED {int(clocked)}\n"
            f"constexpr int INPUT_WORDS = {self._input_words};\n"
            f"constexpr int OUTPUT_WORDS = {self._output_words};\n"
        )
        text = {**_needed(modules, name), WRAPPER: self._wrapper(clocked)}
        self._path = build_library("unit", text, WRAPPER, _HOST, layout, small=True)
        self._library = ctypes.CDLL(str(self._path))
        self._library.unit_open.restype = c_void_p
        self._library.unit_close.argtypes = [c_void_p]
        self._library.unit_run.argtypes = [c_void_p, c_void_p, c_void_p, c_size_t]
        self._unit: int | None = self._library.unit_open()

    @classmethod
    def of_block(cls, design: Design, block: Block) -> "Unit":
        """Take the module of a block from a design; ChangedPortsError if it no longer fits."""
        ports = block_ports(block)
        # Amaranth warns of blocks that nothing elaborates; this one only names its ports.
        block._MustUse__used = True  # pyright: ignore[reportAttributeAccessIssue]
        sides = {
            side: {name: len(value) for name, flow, value in ports if flow is side}
            for side in (wiring.In, wiring.Out)
        }
        declared = declared_ports(design.modules[block.module_name])
        clocked = "clk" in declared
        known = {name for name, _, _ in ports}
        if changed := declared - {"clk", "rst"} ^ known:
            raise ChangedPortsError(block.module_name, sorted(changed))
        inputs = {**sides[wiring.In], **({"rst": 1} if clocked else {})}
        return cls(design.modules, block.module_name, inputs, sides[wiring.Out], clocked)

    def run(self, **inputs: np.ndarray | int) -> dict[str, np.ndarray]:
        """Apply one vector after another; inputs not named are zero.

        Parameters
        ----------
        **inputs : array of integers, shape [n], or int
            By port; an integer stands for an array of it.

        Returns
        -------
        dict of str to numpy.ndarray of uint64, shape [n]
            What each output is in the clock of its vector.
        """
        count = max(np.size(value) for value in inputs.values())
        words = np.zeros((count, self._input_words), dtype=np.uint64)
        for name, value in inputs.items():
            place = self._inputs[name]
            words[:, place.word] |= np.asarray(value).astype(np.uint64) << np.uint64(place.shift)
        found = np.empty((count, self._output_words), dtype=np.uint64)
        if self._unit is None:
            raise RuntimeError("this unit is closed")
        self._library.unit_run(self._unit, words.ctypes.data, found.ctypes.data, count)
        return {
            name: found[:, place.word] >> np.uint64(place.shift) & np.uint64((1 << place.width) - 1)
            for name, place in self._outputs.items()
        }

    def close(self) -> None:
        """Release the simulated module."""
        if self._unit is not None:
            self._library.unit_close(self._unit)
            self._unit = None

    def __enter__(self) -> "Unit":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _wrapper(self, clocked: bool) -> str:
        connections = [
            # Escaped, since a port may be called as a keyword is.
            f".\\{name} ({port}[{WORD * place.word + place.shift} +: {place.width}])"
            for port, places in (("x", self._inputs), ("y", self._outputs))
            for name, place in places.items()
        ]
        clock = "input clk, " if clocked else ""
        if clocked:
            connections.append(".clk(clk)")
        return (
            f"module {WRAPPER}({clock}input [{WORD * self._input_words - 1}:0] x, "
            f"output [{WORD * self._output_words - 1}:0] y);\n"
            f"  {self.name} unit({', '.join(connections)});\n"
            "endmodule\n"
        )


def _places(ports: Mapping[str, int]) -> tuple[dict[str, Place], int]:
    """Lay ports into words, none across the end of one; return the places and the words."""
    places: dict[str, Place] = {}
    word = shift = 0
    for name, width in ports.items():
        if shift + width > WORD:
            word, shift = word + 1, 0
        places[name] = Place(word, shift, width)
        shift += width
    return places, word + 1


def _needed(modules: Mapping[str, str], top: str) -> dict[str, str]:
    """Return a module and all that it instantiates."""
    found: dict[str, str] = {}
    waiting = [top]
    while waiting:
        name = waiting.pop()
        if name in found:
            continue
        found[name] = modules[name]
        words = set(re.findall(r"\w+", modules[name]))
        waiting += [other for other in modules if other in words]
    return found
