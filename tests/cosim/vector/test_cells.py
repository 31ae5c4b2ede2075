"""Every cell that the vector simulator supports, against Yosys' own evaluation of it.

Combinational cells: all inputs of small widths, random ones of large widths, each sign, operands
narrower and wider than the result; as scalars, and in lanes. Registers and memories: against
Verilator on the Verilog that Yosys writes for them.
"""

import re
from dataclasses import dataclass, field
from functools import partial

import numpy as np
import pytest

from cosim.lockstep import Lockstep, random_stimulus
from cosim.vector import Layout, compile_netlist, load_model
from cosim.vector.cells import MEANINGS, REGISTERS
from cosim.vector.lanes import FEWEST
from cosim.vector.netlist import read_rtlil
from cosim.yosys import run_yosys

UNARY = ("$not", "$pos", "$neg")
REDUCTIONS = ("$reduce_and", "$reduce_or", "$reduce_xor", "$reduce_xnor", "$reduce_bool")
BINARY = ("$and", "$or", "$xor", "$xnor", "$add", "$sub", "$mul")
COMPARISONS = ("$lt", "$le", "$eq", "$ne", "$eqx", "$nex", "$ge", "$gt")
LOGIC = ("$logic_and", "$logic_or")
SHIFTS = ("$shl", "$shr", "$sshl", "$sshr")
TWO_OPERANDS = (*BINARY, *COMPARISONS, *LOGIC, *SHIFTS, "$shift", "$shiftx")


@dataclass
class Cells:
    """A module of many cells on the same inputs, in RTLIL."""

    inputs: dict[str, int]
    lines: list[str] = field(default_factory=list)
    outputs: dict[str, tuple[int, str]] = field(default_factory=dict)

    def add(self, kind, parameters, inputs, width, output="Y"):
        """Add a cell; `inputs` are widths, taken from the low bits of the input named."""
        name = f"y{len(self.outputs)}"
        self.outputs[name] = width, f"{kind} {parameters}"
        self.lines.append(f"  cell {kind} $c{len(self.outputs)}")
        for key, value in parameters.items():
            self.lines.append(f"    parameter \\{key} {value}")
        for port, (source, bits) in inputs.items():
            self.lines.append(f"    connect \\{port} \\{source} [{bits - 1}:0]")
        self.lines += [f"    connect \\{output} \\{name}", "  end"]

    def rtlil(self):
        ports = [(name, width, "input") for name, width in self.inputs.items()]
        ports += [(name, width, "output") for name, (width, _) in self.outputs.items()]
        wires = [
            f"  wire width {width} {direction} {number} \\{name}"
            for number, (name, width, direction) in enumerate(ports, 1)
        ]
        return "\n".join(["module \\cells", *wires, *self.lines, "end", ""])


def add_operators(cells, a, b, y, kinds=None):
    """Add each unary and binary operator of these widths, in each sign it may have."""

    def wanted(kind):
        return kinds is None or kind in kinds

    for sign in (0, 1):
        one = {"A_SIGNED": sign, "A_WIDTH": a, "Y_WIDTH": y}
        for kind in (*UNARY, *REDUCTIONS, "$logic_not"):
            if wanted(kind):
                cells.add(kind, one, {"A": ("a", a)}, y)
        for kind in (*BINARY, *COMPARISONS, *LOGIC):
            if wanted(kind):
                two = {**one, "B_SIGNED": sign, "B_WIDTH": b}
                cells.add(kind, two, {"A": ("a", a), "B": ("b", b)}, y)
        for kind in SHIFTS:
            if wanted(kind):
                two = {**one, "B_SIGNED": 0, "B_WIDTH": b}
                cells.add(kind, two, {"A": ("a", a), "B": ("b", b)}, y)
        for kind, a_sign in (("$shift", 0), ("$shift", 1), ("$shiftx", 0)):
            if wanted(kind):
                two = {**one, "A_SIGNED": a_sign, "B_SIGNED": sign, "B_WIDTH": b}
                cells.add(kind, two, {"A": ("a", a), "B": ("b", b)}, y)


def add_selections(cells, width, select):
    """Add each cell that selects among words of this width."""
    words = {"WIDTH": width, "S_WIDTH": select}
    a, b, s = ("a", width), ("b", width * select), ("s", select)
    cells.add("$buf", {"WIDTH": width}, {"A": a}, width)
    cells.add("$mux", {"WIDTH": width}, {"A": a, "B": ("b", width), "S": ("s", 1)}, width)
    cells.add("$bwmux", {"WIDTH": width}, {"A": a, "B": ("b", width), "S": ("s", width)}, width)
    cells.add("$pmux", words, {"A": a, "B": b, "S": s}, width)
    cells.add("$bmux", words, {"A": ("b", width << select), "S": s}, width)
    cells.add("$demux", words, {"A": a, "S": s}, width << select)


def small_operators(a):
    cells = Cells({"a": 3, "b": 3})
    for b in (1, 2, 3):
        for y in (1, 2, 4):
            # Unary cells do not care for b.
            add_operators(cells, a, b, y, None if b == 1 else {*TWO_OPERANDS})
    return cells


def small_selections():
    cells = Cells({"a": 2, "b": 4, "s": 2})
    for width, select in ((1, 1), (1, 2), (2, 1)):
        add_selections(cells, width, select)
    return cells


def large_operators():
    rng = np.random.default_rng(0)
    cells = Cells({"a": 150, "b": 150})
    for _ in range(8):
        a, b, y = (int(width) for width in rng.choice((5, 8, 17, 31, 32, 33, 64, 65, 100, 150), 3))
        add_operators(cells, a, b, y, {*MEANINGS} - {*SHIFTS, "$shift", "$shiftx"})
        # Amounts wider than this would shift everything out nearly always.
        add_operators(cells, a, min(b, 8), y, {*SHIFTS, "$shift", "$shiftx"})
    return cells


def large_selections():
    cells = Cells({"a": 90, "b": 280, "s": 90})
    for width, select in ((7, 3), (33, 3), (40, 2), (90, 1), (16, 4)):
        add_selections(cells, width, select)
    return cells


def all_values(cells):
    grids = np.meshgrid(*(np.arange(1 << width) for width in cells.inputs.values()))
    return [[int(value) for value in row] for row in np.stack([g.ravel() for g in grids], 1)]


def random_values(cells, count=96):
    """Uniform, small, and nearly all-ones values: what shifts, compares, and carries go by."""
    rng = np.random.default_rng(1)

    def value(width):
        form, ones = rng.integers(5), (1 << width) - 1
        digits = int("".join(map(str, rng.integers(2, size=width))), 2)
        if form == 0:
            return digits >> int(rng.integers(width))
        if form == 1:
            return ones ^ digits >> int(rng.integers(width))
        if form == 2:
            return int(rng.choice([0, 1, ones, 1 << width - 1, ones >> 1])) if width < 62 else ones
        return digits

    rows = [[value(width) for width in cells.inputs.values()] for _ in range(count)]
    for row in rows[: count // 6]:
        row[1] = row[0] & (1 << list(cells.inputs.values())[1]) - 1
    return rows


def yosys_values(cells, rows, folder):
    """Evaluate in Yosys: for each row a value of each output, and which of its bits are defined."""
    (folder / "cells.il").write_text(cells.rtlil())
    commands = ["read_rtlil cells.il"]
    for row in rows:
        sets = " ".join(
            f"-set {name} {width}'b{value:0{width}b}"
            for (name, width), value in zip(cells.inputs.items(), row, strict=True)
        )
        commands.append(f"tee -q -a evaluated eval {sets}")
    (folder / "script.ys").write_text("\n".join(commands) + "\n")
    run_yosys(folder, "script script.ys")
    results = re.findall(
        r"Eval result: \\y(\d+) = (\d+'[01x]+|\d+)\.", (folder / "evaluated").read_text()
    )
    size = len(cells.outputs)
    assert len(results) == len(rows) * size
    evaluated = [[(0, 0)] * size for _ in rows]
    for i, (number, text) in enumerate(results):
        _, quote, digits = text.partition("'")
        if not quote:  # a word of 32 bits
            digits = f"{int(text):032b}"
        defined = re.sub("[01]", "1", digits).replace("x", "0")
        evaluated[i // size][int(number)] = int(digits.replace("x", "0"), 2), int(defined, 2)
    return evaluated


def in_lanes(cells):
    """Put the module into lanes, each with inputs of its own."""
    lines, number = [], 0
    for lane in range(FEWEST):
        ports = [(name, width, "input") for name, width in cells.inputs.items()]
        ports += [(name, width, "output") for name, (width, _) in cells.outputs.items()]
        for name, width, direction in ports:
            number += 1
            lines.append(f"  wire width {width} {direction} {number} \\{name}_{lane}")
        lines.append(f"  cell \\cells \\lane_{lane}")
        lines += [f"    connect \\{name} \\{name}_{lane}" for name, _, _ in ports]
        lines.append("  end")
    return cells.rtlil() + "\n".join(["module \\lanes", *lines, "end", ""])


def vector_values(cells, rows, lanes):
    """Evaluate in the vector simulator; several rows at once if in lanes."""
    text, top = (in_lanes(cells), "lanes") if lanes else (cells.rtlil(), "cells")
    source = compile_netlist(read_rtlil(text, top))
    assert source.lanes == ({"cells": FEWEST} if lanes else {})
    model = load_model(source)
    at_once = FEWEST if lanes else 1
    rows = rows + rows[: -len(rows) % at_once]
    layout = Layout(source.inputs)
    stimulus = np.zeros((len(rows) // at_once, layout.words), dtype=np.uint64)
    for i, row in enumerate(rows):
        suffix = f"_{i % at_once}" if lanes else ""
        for name, value in zip(cells.inputs, row, strict=True):
            layout.write(stimulus[i // at_once], name + suffix, value)
    trace = model.run(stimulus)
    return [
        [
            model.trace.read(trace[i // at_once], f"{name}_{i % at_once}" if lanes else name)
            for name in cells.outputs
        ]
        for i in range(len(rows))
    ]


SETS = {
    "operators, 1 bit": (partial(small_operators, 1), all_values),
    "operators, 2 bits": (partial(small_operators, 2), all_values),
    "operators, 3 bits": (partial(small_operators, 3), all_values),
    "small selections": (small_selections, all_values),
    "large operators": (large_operators, random_values),
    "large selections": (large_selections, random_values),
}


@pytest.mark.parametrize("name", SETS)
def test_combinational_cells(name, tmp_path):
    make, choose = SETS[name]
    cells = make()
    rows = choose(cells)
    expected = yosys_values(cells, rows, tmp_path)
    defined = 0
    for lanes in (False, True):
        got = vector_values(cells, rows, lanes)
        for row, wanted, values in zip(rows, expected, got, strict=False):
            for (_, about), (value, mask), found in zip(
                cells.outputs.values(), wanted, values, strict=True
            ):
                defined += mask != 0
                assert found & mask == value, (about, row, "in lanes" if lanes else "alone")
    # Undefined is what an index beyond the end selects, and two choices at once.
    assert defined > 0.8 * 2 * len(rows) * len(cells.outputs)


def test_every_combinational_cell_is_checked():
    checked = {
        about.split()[0] for make, _ in SETS.values() for _, about in make().outputs.values()
    }
    assert checked == set(MEANINGS)


REGISTER_PORTS = {"EN": "en", "SRST": "srst", "ARST": "arst"}


def registers_of(kind):
    """Ports that a type of register has beside clock, data, and output."""
    return [
        port
        for port, letters in (("EN", "e"), ("SRST", "sd"), ("ARST", "ad"))
        if (port == "EN" and kind.rstrip("c").endswith("e"))
        or (port == "EN" and kind == "$sdffce")
        or (port == "SRST" and kind.startswith("$sdff"))
        or (port == "ARST" and kind.startswith("$adff"))
    ]


def register_cells():
    """One register of each type, polarity, and several widths."""
    lines, wires, number = [], [], 0
    for kind in REGISTERS:
        for width in (1, 7, 40, 70):
            for polarity in (0, 1):
                number += 1
                wires.append(f"  wire width {width} \\{kind[1:]}_{width}_{polarity}")
                lines.append(f"  cell {kind} $r{number}")
                lines += [f"    parameter \\WIDTH {width}", "    parameter \\CLK_POLARITY 1'1"]
                lines += ["    connect \\CLK \\clk", f"    connect \\D \\d [{width + 2}:3]"]
                for port in registers_of(kind):
                    lines.append(f"    parameter \\{port}_POLARITY 1'{polarity}")
                    lines.append(f"    connect \\{port} \\{port.lower()}{polarity}")
                    if port != "EN":
                        reset = f"{number * 0x9E3779B97F4A7C15 % (1 << width):0{width}b}"
                        lines.append(f"    parameter \\{port}_VALUE {width}'{reset}")
                lines += [f"    connect \\Q \\{kind[1:]}_{width}_{polarity}", "  end"]
    return wires, lines


def test_registers(tmp_path):
    wires, lines = register_cells()
    inputs = ["clk 1", "d 80", "en0 1", "en1 1", "srst0 1", "srst1 1", "rst_n 1", "arst 1"]
    ports = [
        f"  wire width {text.split()[1]} input {i} \\{text.split()[0]}"
        for i, text in enumerate(inputs, 1)
    ]
    body = (
        "\n".join([*ports, *wires, *lines])
        .replace("\\arst0", "\\rst_n")
        .replace("\\arst1", "\\arst")
    )
    text = f"module \\registers\n{body}\nend\n"
    (tmp_path / "registers.il").write_text(text)
    run_yosys(tmp_path, "read_rtlil registers.il", "write_verilog registers.v")
    verilog = {"registers": (tmp_path / "registers.v").read_text()}
    netlist = read_rtlil(text, "registers")
    kinds = {cell.kind for cell in netlist.modules["registers"].cells.values()}
    assert kinds == set(REGISTERS)
    circuit = Lockstep(verilog, "registers", netlist=netlist)
    assert circuit.registers == len(wires)
    assert circuit.run(random_stimulus(circuit.source.inputs, 5000, 0)) is None
