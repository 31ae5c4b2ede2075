"""Tidying of a netlist, in RTLIL text, so that its Verilog passes linters without a waiver.

Yosys leaves it to Verilog's rules to extend the narrower operand of an operator. Those rules are a
known source of bugs, so linters complain wherever they are used; here the extension is written
down. An assignment of constants among signals becomes several, for linters take each bit that is
assigned to depend on each that is read. A selection among many becomes a chain of two-way
selections, for Yosys would write it as a case statement whose cases overlap. Bits that nothing
reads are gathered in a wire named `unused`.
"""

import re
from collections.abc import Container, Iterator
from itertools import groupby

from rtl_gen import sigspec
from rtl_gen.sigspec import Bit

_MODULE = re.compile(r"^module (\S+)\n.*?^end$", re.MULTILINE | re.DOTALL)
_WIRE = re.compile(r"^  wire (?:width (\d+) )?(?:(input|output) \d+ )?(\S+)$", re.MULTILINE)
_CELL = re.compile(r"^  cell (\S+) (\S+)\n(.*?)^  end$", re.MULTILINE | re.DOTALL)
_PORT = re.compile(r"^    connect (\S+) (.*)$", re.MULTILINE)
_ASSIGNMENT = re.compile(r"^  connect (.*)$", re.MULTILINE)

_OPERATOR_OUTPUTS = {r"\Y", r"\Q"}
_TO_OUTPUT = {"$add", "$sub", "$mul", "$and", "$or", "$xor", "$xnor", "$not", "$neg"}
_TO_EACH_OTHER = {"$lt", "$le", "$gt", "$ge", "$eq", "$ne"}


def tidy(rtlil: str) -> str:
    """Return RTLIL text of the same hardware, ready to be written as Verilog.

    Raises
    ------
    ValueError
        If an operator is signed; the chip has none.
    """
    outputs = {
        module[1]: {
            name for _, direction, name in _WIRE.findall(module[0]) if direction == "output"
        }
        for module in _MODULE.finditer(rtlil)
    }
    return _MODULE.sub(lambda module: _tidy_module(module[0], outputs), rtlil)


def _tidy_module(module: str, outputs: dict[str, set[str]]) -> str:
    widths = {name: int(width or 1) for width, _, name in _WIRE.findall(module)}
    module = _CELL.sub(lambda cell: _tidy_cell(cell, widths), module)
    widths = {name: int(width or 1) for width, _, name in _WIRE.findall(module)}
    driven, used = _driven_and_used(module, widths, outputs)
    live = driven.keys() | used
    module = _ASSIGNMENT.sub(lambda assignment: _parted(assignment[0], widths), module)
    module = _WIRE.sub(lambda wire: _trim(wire, live), module)
    unused = [bit for bit in driven if bit not in used]
    if unused:
        # The constant keeps simulators from evaluating it.
        signal = sigspec.write([*unused, ("", 0)])
        sink = _cell("$reduce_and", "$unused", {"A": len(unused) + 1, "Y": 1}, [signal, r"\unused"])
        module = module.removesuffix("end") + f"  wire \\unused\n{sink}\nend"
    return module


def _driven_and_used(
    module: str, widths: dict[str, int], outputs: dict[str, set[str]]
) -> tuple[dict[Bit, None], set[Bit]]:
    """Bits that something drives, in order, and bits that something reads."""
    driven: dict[Bit, None] = {}
    used: set[Bit] = set()
    for width, direction, name in _WIRE.findall(module):
        bits = [(name, i) for i in range(int(width or 1))]
        if direction == "input":
            driven.update(dict.fromkeys(bits))
        if direction == "output":
            used.update(bits)
    for kind, _, body in _CELL.findall(module):
        for port, signal in _PORT.findall(body):
            bits = sigspec.parse(signal, widths)
            if port in outputs.get(kind, _OPERATOR_OUTPUTS):
                driven.update(dict.fromkeys(bits))
            else:
                used.update(bits)
    for target, source in _assignments(module, widths):
        driven.update(dict.fromkeys(target))
        used.update(source)
    return driven, used


def _assignments(module: str, widths: dict[str, int]) -> Iterator[tuple[list[Bit], list[Bit]]]:
    for assignment in _ASSIGNMENT.findall(module):
        bits = sigspec.parse(assignment, widths)
        half = len(bits) // 2
        yield bits[half:], bits[:half]


def _parted(assignment: str, widths: dict[str, int]) -> str:
    """Part an assignment where constants and signals meet."""
    bits = sigspec.parse(assignment.removeprefix("  connect "), widths)
    half = len(bits) // 2
    pairs = list(zip(bits[half:], bits[:half], strict=True))
    if len({wire == "" for _, (wire, _) in pairs}) == 1:
        return assignment
    parts = [list(run) for _, run in groupby(pairs, key=lambda pair: (pair[0][0], pair[1][0]))]
    return "\n".join(
        f"  connect {' '.join(sigspec.write(list(side)) for side in zip(*part, strict=True))}"
        for part in parts
    )


def _trim(wire: re.Match, live: Container[Bit]) -> str:
    """Cut off high bits that nothing drives or reads, left behind by narrowed operators."""
    width, direction, name = int(wire[1] or 1), wire[2], wire[3]
    while not direction and width > 1 and (name, width - 1) not in live:
        width -= 1
    return wire[0] if direction else f"  wire width {width} {name}"


def _tidy_cell(cell: re.Match, widths: dict[str, int]) -> str:
    kind, name, body = cell.groups()
    ports = {port[1:]: sigspec.parse(signal, widths) for port, signal in _PORT.findall(body)}
    if kind == "$pmux":
        return _chain_of_muxes(name, ports, widths)
    if kind == "$logic_not":
        ports["B"] = [("", 0)] * len(ports["A"])
        return _operator("$eq", name, ports)
    if kind in _TO_OUTPUT | _TO_EACH_OTHER:
        if re.search(r"\\[AB]_SIGNED 1", body):
            raise ValueError(f"signed operator in the netlist:\n{cell[0]}")
        operands = [port for port in "AB" if port in ports]
        width = max(len(ports[port]) for port in ("Y" if kind in _TO_OUTPUT else operands))
        for port in operands:
            ports[port] += [("", 0)] * (width - len(ports[port]))
        return _operator(kind, name, ports)
    return cell[0]


def _operator(kind: str, name: str, ports: dict[str, list[Bit]]) -> str:
    order = [port for port in "ABY" if port in ports]
    widths = {port: len(ports[port]) for port in order}
    return _cell(kind, name, widths, [sigspec.write(ports[port]) for port in order])


def _cell(kind: str, name: str, widths: dict[str, int], signals: list[str]) -> str:
    lines = [f"  cell {kind} {name}"]
    for port, width in widths.items():
        if port != "Y":
            lines.append(f"    parameter \\{port}_SIGNED 0")
        lines.append(f"    parameter \\{port}_WIDTH {width}")
    lines += [
        f"    connect \\{port} {signal}" for port, signal in zip(widths, signals, strict=True)
    ]
    return "\n".join([*lines, "  end"])


def _chain_of_muxes(name: str, ports: dict[str, list[Bit]], widths: dict[str, int]) -> str:
    width, select, words = len(ports["Y"]), ports["S"], ports["B"]
    lines = []
    otherwise = ports["A"]
    for choice, condition in enumerate(select):
        chosen = ports["Y"]
        if choice < len(select) - 1:
            wire = f"{name}$chosen{choice}"
            widths[wire] = width
            lines.append(f"  wire width {width} {wire}")
            chosen = [(wire, i) for i in range(width)]
        lines.append(f"""  cell $mux {name}$mux{choice}
    parameter \\WIDTH {width}
    connect \\A {sigspec.write(otherwise)}
    connect \\B {sigspec.write(words[width * choice : width * (choice + 1)])}
    connect \\S {sigspec.write([condition])}
    connect \\Y {sigspec.write(chosen)}
  end""")
        otherwise = chosen
    return "\n".join(lines)
