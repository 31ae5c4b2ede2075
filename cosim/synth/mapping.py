"""Verilog mapped to cells of an FPGA, and to gates; what each module takes of them."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from cosim.errors import CheckFailedError
from cosim.synth.source import Source, named_in
from cosim.vector.netlist import yosys_version
from cosim.yosys import run_yosys
from pysim.native import cached

LUTS_OF_CARRY = 2
"""A carry cell of an ECP5 takes the place of two LUTs."""

LUTS_OF_RAM = 6
"""A memory of 16 words of 4 bits takes four LUTs of an ECP5, and the two beside its write port."""

NAND2 = {
    "$_NOT_": 2 / 3,
    "$_NAND_": 1.0,
    "$_NOR_": 1.0,
    "$_AND_": 4 / 3,
    "$_OR_": 4 / 3,
    "$_AOI3_": 4 / 3,
    "$_OAI3_": 4 / 3,
    "$_AOI4_": 5 / 3,
    "$_OAI4_": 5 / 3,
    "$_XOR_": 2.0,
    "$_XNOR_": 2.0,
    "$_MUX_": 7 / 3,
    "$_DFF_P_": 17 / 3,
}
"""Area of a cell in that of NAND2, as in the NanGate 45 nm Open Cell Library at drive strength 1.

There an inverter is 2 sites wide, NAND2 and NOR2 3, AND2, OR2, AOI21, and OAI21 4, AOI22 and OAI22
5, XOR2 and XNOR2 6, MUX2 7, and the flip-flop DFF 17.
"""

_ECP5 = {
    "LUT4": "lut4",
    "CCU2C": "carries",
    "TRELLIS_FF": "flip_flops",
    "MULT18X18D": "dsps",
    "DP16KD": "block_rams",
    "TRELLIS_DPR16X4": "lut_rams",
}
_FREE = {"PFUMX", "L6MUX21"}
"""Multiplexers that every slice has beside its LUTs."""

_SCRIPT = (
    "design -save verilog",
    "synth_ecp5 -noflatten -top {top} -json netlist.json",
    "tee -q -o ecp5.json stat -json",
    "design -load verilog",
    "synth -run begin:check -top {top}",
    # Enables and resets become gates: the flip-flop that is weighed has none.
    "dfflegalize -cell $_DFF_P_ x",
    "opt -nodffe -nosdff",
    "techmap",
    "opt -nodffe -nosdff",
    # To the least area: what abc does without being told seeks depth, and area varies with it.
    "abc -g cmos,-NMUX -script +strash;ifraig;scorr;dc2;dc2;dch,-f;map,-a",
    "opt_clean -purge",
    "tee -q -o gates.json stat -json",
)


@dataclass(frozen=True)
class Area:
    """What a module takes.

    Attributes
    ----------
    lut4, carries, flip_flops, dsps, block_rams, lut_rams : int
        Cells of an ECP5.
    gates : int
        Cells after the generic mapping, flip-flops included.
    nand2 : float
        Their area in that of NAND2.
    """

    lut4: int = 0
    carries: int = 0
    flip_flops: int = 0
    dsps: int = 0
    block_rams: int = 0
    lut_rams: int = 0
    gates: int = 0
    nand2: float = 0.0

    @property
    def luts(self) -> int:
        """LUTs taken, those under carry cells and in memories included."""
        return self.lut4 + LUTS_OF_CARRY * self.carries + LUTS_OF_RAM * self.lut_rams

    def __add__(self, other: "Area") -> "Area":
        return Area(**{name: value + vars(other)[name] for name, value in vars(self).items()})

    def __mul__(self, times: int) -> "Area":
        return Area(**{name: value * times for name, value in vars(self).items()})

    def to_dict(self) -> dict:
        """Return it for JSON."""
        return {**vars(self), "nand2": round(self.nand2, 1), "luts": self.luts}


@dataclass(frozen=True)
class ModuleArea:
    """A module of an array.

    Attributes
    ----------
    name : str
    instances : int
        How many there are below the uppermost module, over all levels.
    own, total : Area
        Of one instance, without and with the modules in it.
    children : dict of str to int
        Modules in it, and how many of each.
    """

    name: str
    instances: int
    own: Area
    total: Area
    children: dict[str, int]


def script(dsp: bool) -> list[str]:
    """Return the commands of Yosys that map a module, with multipliers in DSPs or in LUTs."""
    tool = "synth_ecp5" if dsp else "synth_ecp5 -nodsp"
    return [command.replace("synth_ecp5", tool) for command in _SCRIPT]


def map_module(source: Source, name: str, dsp: bool = True) -> Path:
    """Map one module, those in it being black boxes; return its folder in the cache.

    Each is mapped on its own, so that it is known once for all arrays that have it, and so that
    every cell belongs to a module. The folder has ``netlist.json`` for place and route.

    Raises
    ------
    CheckFailedError
        If Yosys refuses the Verilog.
    MissingToolError
        If Yosys is missing.
    """
    text = source.modules[name]
    children = [child for child in named_in(text, source.modules) if child != name]

    def make(folder: Path) -> None:
        (folder / f"{name}.v").write_text(text)
        read = []
        for child in children:
            (folder / f"{child}.v").write_text(source.modules[child])
            read.append(f"read_verilog {child}.v")
        if children:
            read.append("blackbox")
        commands = [command.format(top=name) for command in script(dsp)]
        run_yosys(folder, *read, f"read_verilog {name}.v", *commands)
        for file in folder.glob("*.v"):
            file.unlink()

    inside = [part for child in children for part in (child, source.modules[child])]
    return cached("synth", [yosys_version(), *script(dsp), name, text, *inside], make)


def areas(
    source: Source, dsp: bool = True, progress: Callable[[str], None] = lambda module: None
) -> dict[str, ModuleArea]:
    """Return what each module takes, every one before those in it.

    Raises
    ------
    CheckFailedError
        If Yosys refuses the Verilog, or if it holds what has no place in the mapping, as latches.
    MissingToolError
        If Yosys is missing.
    """
    own, children = {}, {}
    for name in source.modules:
        progress(name)
        folder = map_module(source, name, dsp)
        own[name] = _own_area(name, _cells(folder / "ecp5.json", name), source) + _own_gates(
            name, _cells(folder / "gates.json", name), source
        )
        children[name] = {
            kind: number
            for kind, number in _cells(folder / "ecp5.json", name).items()
            if kind in source.modules
        }
    order = _parents_first(source.top, children)
    instances = dict.fromkeys(order, 0)
    instances[source.top] = 1
    for name in order:
        for child, number in children[name].items():
            instances[child] += instances[name] * number
    total = dict(own)
    for name in reversed(order):
        for child, number in children[name].items():
            total[name] += total[child] * number
    return {
        name: ModuleArea(name, instances[name], own[name], total[name], children[name])
        for name in order
    }


def _own_area(module: str, cells: Mapping[str, int], source: Source) -> Area:
    counts = {}
    for kind, number in cells.items():
        if kind in _ECP5:
            counts[_ECP5[kind]] = number
        elif kind not in _FREE and kind not in source.modules:
            raise _unknown(module, kind)
    return Area(**counts)


def _own_gates(module: str, cells: Mapping[str, int], source: Source) -> Area:
    gates = {kind: number for kind, number in cells.items() if kind not in source.modules}
    for kind in gates:
        if kind not in NAND2:
            raise _unknown(module, kind)
    return Area(
        gates=sum(gates.values()),
        nand2=sum(NAND2[kind] * number for kind, number in gates.items()),
    )


def _cells(file: Path, module: str) -> dict[str, int]:
    """Return the number of cells of each kind in a module."""
    cells = json.loads(file.read_text())["modules"][f"\\{module}"]["num_cells_by_type"]
    return {kind.removeprefix("\\"): number for kind, number in cells.items()}


def _parents_first(top: str, children: Mapping[str, Mapping[str, int]]) -> list[str]:
    order: list[str] = []

    def visit(module: str) -> None:
        for child in children[module]:
            if child not in order:
                visit(child)
        order.append(module)

    visit(top)
    return order[::-1]


def _unknown(module: str, kind: str) -> CheckFailedError:
    return CheckFailedError(f"module {module} becomes a cell {kind}, of which no area is known")
