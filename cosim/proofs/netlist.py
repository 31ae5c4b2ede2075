"""Verilog in, SMT-LIB out: a module as Yosys reads it, and successive clocks of it."""

import json
import re
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from cosim.errors import CheckFailedError
from cosim.proofs import smt
from cosim.yosys import run_yosys
from rtl_gen import Design

_WIRE = re.compile(r"^; yosys-smt2-wire (\S+) (\d+)$", re.MULTILINE)
_INSTANCE = re.compile(r"^\s*(\w+)\s+\\?\S+\s*\(", re.MULTILINE)


@dataclass(frozen=True)
class Netlist:
    """What a module does in a clock, all that it instantiates included.

    Attributes
    ----------
    module : str
    text : str
        SMT-LIB, as Yosys wrote it: functions of a state, which holds registers and inputs.
    unclocked : tuple of str
        Registers of its own, and instances, that do not take the rising edge of the port ``clk``.
        SMT-LIB takes for granted that all do.
    """

    module: str
    text: str
    unclocked: tuple[str, ...] = ()

    @cached_property
    def widths(self) -> dict[str, int]:
        """Bits of each wire; wires of an instance are named ``instance.wire``."""
        return {name: int(width) for name, width in _WIRE.findall(self.text)}


@dataclass(frozen=True)
class Trace:
    """A module in successive clocks, whatever its registers held first and its inputs are.

    Parameters
    ----------
    netlist : Netlist
    name : str
        Tells traces in one problem apart.
    clocks : int
        Clock edges between the first state and the last.
    """

    netlist: Netlist
    name: str = "unit"
    clocks: int = 0

    @property
    def text(self) -> str:
        """Declarations of the states, and that each follows from the one before."""
        module = self.netlist.module
        states = [f"(declare-const {self._state(t)} |{module}_s|)" for t in range(self.clocks + 1)]
        edges = [
            smt.assume(f"(|{module}_t| {self._state(t)} {self._state(t + 1)})")
            for t in range(self.clocks)
        ]
        return "\n".join(states + edges)

    def wire(self, name: str, clock: int = 0) -> str:
        """A wire in a clock: a truth value if it has one bit, else a bit-vector.

        Raises
        ------
        CheckFailedError
            If the module has no such wire.
        """
        if name not in self.netlist.widths:
            raise CheckFailedError(
                f"{self.netlist.module} has no signal {name}, which a statement is about"
            )
        return f"(|{self.netlist.module}_n {name}| {self._state(clock)})"

    def vector(self, name: str, clock: int = 0) -> str:
        """A wire in a clock, as a bit-vector even if it has one bit."""
        term = self.wire(name, clock)
        return smt.as_bit(term) if self.netlist.widths[name] == 1 else term

    def _state(self, clock: int) -> str:
        return f"|{self.name}@{clock}|"


class Reader:
    """Reads modules of a design; each once.

    Parameters
    ----------
    design : rtl_gen.Design
        Generated, and perhaps edited since.
    """

    def __init__(self, design: Design) -> None:
        self.design = design
        self._netlists: dict[tuple[str, tuple[str, ...]], Netlist] = {}

    def read(self, module: str, open_modules: Iterable[str] = ()) -> Netlist:
        """Return a module, flattened.

        Parameters
        ----------
        module : str
        open_modules : iterable of str
            Modules whose insides do not matter: their outputs may be anything in every clock.

        Raises
        ------
        CheckFailedError
            If the design has no such module, or Yosys refuses the Verilog.
        """
        key = (module, tuple(sorted(open_modules)))
        if key not in self._netlists:
            self._netlists[key] = self._translate(*key)
        return self._netlists[key]

    def _translate(self, module: str, open_modules: tuple[str, ...]) -> Netlist:
        for name in (module, *open_modules):
            if name not in self.design.modules:
                raise CheckFailedError(
                    f"the Verilog has no module {name}, which a statement is about"
                )
        with tempfile.TemporaryDirectory() as temporary:
            folder = Path(temporary)
            needed = instantiated(self.design, module) | set(open_modules)
            for name in needed:
                (folder / f"{name}.v").write_text(self.design.modules[name])
            run_yosys(
                folder,
                *(f"read_verilog {name}.v" for name in sorted(needed)),
                f"hierarchy -check -top {module}",
                "proc",
                # A memory becomes registers, a word each: memory[0], memory[1], ...
                "memory_map",
                "write_json hierarchy.json",
                *(f"cutpoint {name}" for name in open_modules),
                "flatten",
                # What nobody named need not be there by name.
                "rename -hide w:_*_ w:*._*_",
                "dffunmap",
                # An undefined bit may be anything.
                "setundef -undriven -anyseq",
                f"write_smt2 -wires {module}.smt2",
            )
            text = (folder / f"{module}.smt2").read_text()
            hierarchy = json.loads((folder / "hierarchy.json").read_text())["modules"]
        return Netlist(module, text, tuple(_unclocked(hierarchy, module)))


def _unclocked(hierarchy: dict, module: str) -> Iterator[str]:
    """Name what does not take the rising edge of the clock, of Yosys' JSON of a design."""
    clock = hierarchy[module]["ports"].get("clk", {}).get("bits")
    for name, cell in hierarchy[module]["cells"].items():
        wires = cell["connections"]
        if "CLK" in wires:
            rising = int(cell["parameters"].get("CLK_POLARITY", "1"), 2) == 1
            if wires["CLK"] != clock or not rising:
                yield cell["attributes"].get("src", name)
        elif "clk" in hierarchy.get(cell["type"], {"ports": {}})["ports"] and (
            wires.get("clk") != clock
        ):
            yield name


def children(design: Design, module: str) -> set[str]:
    """Return the modules of a design that a module instantiates itself."""
    return set(_INSTANCE.findall(design.modules[module])) & design.modules.keys()


def instantiated(design: Design, module: str, open_modules: Iterable[str] = ()) -> set[str]:
    """Return a module and all that it instantiates, and these in turn, but not open modules."""
    found: set[str] = set()
    pending = {module}
    while pending:
        name = pending.pop()
        found.add(name)
        pending |= children(design, name) - found - set(open_modules)
    return found
