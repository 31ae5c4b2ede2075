"""Amaranth blocks in, one Verilog module for each kind of block out."""

import re

from amaranth._toolchain.yosys import find_yosys
from amaranth.back import rtlil
from amaranth.hdl import ClockSignal, Instance, ResetSignal, Value
from amaranth.hdl._ir import PortDirection
from amaranth.lib import wiring

from hw.hierarchy import Block
from rtl_gen.tidy import tidy

_MODULE = re.compile(r"^(module (\w+)\(.*?^endmodule)$", re.MULTILINE | re.DOTALL)
_ATTRIBUTES = (
    "generator",
    "top",
    "src",
    "init",
    "unused_bits",
    "full_case",
    "amaranth.hierarchy",
    "amaranth.decoding",
)
_STRIP_ATTRIBUTES = [
    f"attrmap {scope} {' '.join(f'-remove {name}' for name in _ATTRIBUTES)}"
    for scope in ("", "-modattr")
]


_DIRECTIONS = {wiring.In: PortDirection.Input, wiring.Out: PortDirection.Output}


def block_ports(block: Block) -> list[tuple[str, wiring.Flow, Value]]:
    """Return name, direction, and value of each port of a block's module, clock and reset apart.

    The parts of a name are joined by one underscore: simulators keep two for themselves.
    """
    return [
        ("_".join(map(str, path)), member.flow, Value.cast(value))
        for path, member, value in block.signature.flatten(block)
    ]


class Emitter:
    """A platform for `hw.hierarchy.place` that emits each kind of block once."""

    def __init__(self) -> None:
        self._rtlil: dict[str, str] = {}
        self._clocked: dict[str, bool] = {}

    def instantiate(self, block: Block, reset: Value | None = None) -> Instance:
        """Emit the block's module if it is new, and return an instance of it."""
        self.emit(block)
        # Amaranth warns of components that nothing elaborates; this one is represented.
        block._MustUse__used = True  # pyright: ignore[reportAttributeAccessIssue]
        ports = [
            ("i" if flow is wiring.In else "o", name, value)
            for name, flow, value in block_ports(block)
        ]
        if self._clocked[block.module_name]:
            rst = ResetSignal() if reset is None else ResetSignal() | reset
            ports += [("i", "clk", ClockSignal()), ("i", "rst", rst)]
        return Instance(block.module_name, *ports)

    def emit(self, block: Block) -> None:
        """Emit the block's module and, through `instantiate`, those of all blocks in it."""
        name = block.module_name
        if name not in self._rtlil:
            ports = {port: (value, _DIRECTIONS[flow]) for port, flow, value in block_ports(block)}
            text = rtlil.convert(block, name=name, platform=self, ports=ports, emit_src=False)
            self._rtlil[name] = text
            self._clocked[name] = "wire width 1 input" in text and " \\clk\n" in text

    def verilog(self) -> dict[str, str]:
        """Return the Verilog text of each module emitted, by module name."""
        sources = [_read_rtlil(text) for text in self._rtlil.values()]
        netlist = _yosys(
            *sources,
            # Memories are not reset, and start from anything.
            "delete t:$meminit_v2",
            "proc",
            "opt_expr",
            "opt_merge",
            "opt_dff",
            "wreduce",
            "opt_clean -purge",
            "write_rtlil",
        )
        netlist = tidy(netlist)
        text = _yosys(_read_rtlil(netlist), *_STRIP_ATTRIBUTES, "write_verilog")
        return {name: module + "\n" for module, name in _MODULE.findall(text)}


def _read_rtlil(text: str) -> str:
    return f"read_rtlil <<rtlil\n{text}\nrtlil"


def _yosys(*commands: str) -> str:
    yosys = find_yosys(lambda version: version >= (0, 40))
    return yosys.run(["-q", "-"], "\n".join(commands), ignore_warnings=True)


def yosys_version() -> str:
    """Return the version of the Yosys that writes the Verilog."""
    version = find_yosys(lambda version: version >= (0, 40)).version()
    return ".".join(map(str, version))
