"""Random Verilog: word-level operators, registers, memories, and modules used many times.

A circuit is a tree of three: elements with logic and registers, rows of elements wired up at
random, and a top with rows, a memory, and logic of its own. Elements are used so often that they
become lanes; how they are wired decides whether moves between lanes are regular, and whether a
combinational path runs from lane to lane, which must dissolve them.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

BATCH = "batch"
"""Name of the module that `random_batch` puts its circuits in."""

_INPUTS = (("a", 17), ("b", 8), ("c", 70), ("d", 1))
_SHARED = ("clk", "rst", "arst")

_UNARY = ("~", "-", "+", "&", "|", "^", "~&", "~|", "~^", "!")
_BINARY = (
    *("+", "-", "*", "&", "|", "^", "~^", "&&", "||"),
    *("<", "<=", ">", ">=", "==", "!=", "===", "!=="),
)
_SHIFTS = ("<<", ">>", "<<<", ">>>")


@dataclass(frozen=True)
class _Wire:
    name: str
    width: int


@dataclass
class _Body:
    """A module under construction: its text, and the signals that its logic can use."""

    rng: np.random.Generator
    lines: list[str] = field(default_factory=list)
    wires: list[_Wire] = field(default_factory=list)
    count: int = 0

    def chance(self, probability: float) -> bool:
        return bool(self.rng.random() < probability)

    def number(self, low: int, high: int) -> int:
        return int(self.rng.integers(low, high, endpoint=True))

    def choice(self, options: Sequence):
        return options[int(self.rng.integers(len(options)))]

    def width(self) -> int:
        if self.chance(0.1):
            return self.number(33, 150)
        return self.choice((1, 1, 2, 3, 4, 7, 8, 8, 13, 16, 24, 31, 32))

    def pick(self) -> _Wire:
        # Recent signals more often: logic becomes deep.
        if self.chance(0.5):
            return self.choice(self.wires[-6:])
        return self.choice(self.wires)

    def declare(self, kind: str, width: int, start: str = "", signs: bool = True) -> _Wire:
        wire = _Wire(f"w{self.count}", width)
        self.count += 1
        signed = " signed" if signs and self.chance(0.3) else ""
        self.lines.append(f"  {kind}{signed} [{width - 1}:0] {wire.name}{start};")
        return wire

    def constant(self) -> str:
        width = self.width()
        digits = "".join(map(str, self.rng.integers(2, size=width)))
        return f"{width}'{'s' if self.chance(0.3) else ''}b{digits}"

    def term(self) -> str:
        """Return an operand: a signal, a part of one, or a constant."""
        wire = self.pick()
        name = wire.name
        form = self.number(0, 11)
        if form == 0:
            return self.constant()
        if form == 1 and wire.width > 1:
            low = self.number(0, wire.width - 1)
            return f"{name}[{self.number(low, wire.width - 1)}:{low}]"
        if form in (2, 3) and wire.width > 1:
            # Within the range always: beyond it bits are undefined, and simulators may differ.
            size = self.number(1, wire.width // 2)
            last = (1 << (wire.width - size + 1).bit_length() - 1) - 1
            index = f"{self.pick().name} & {last}"
            return f"{name}[{index}]" if size == 1 else f"{name}[{index} +: {size}]"
        if form == 4:
            return f"{{{self.pick().name}, {{{self.number(1, 4)}{{{name}}}}}}}"
        if form == 5:
            return f"$signed({name})"
        if form == 6:
            return f"$unsigned({name})"
        return name

    def expression(self) -> str:
        """Return one operator on terms, or two."""
        form = self.number(0, 9)
        if form == 0:
            return f"{self.choice(_UNARY)} {self.term()}"
        if form == 1:
            return f"{self.term()} {self.choice(_SHIFTS)} {self.pick().name}"
        if form == 2:
            return f"{self.term()} {self.choice(_SHIFTS)} {self.number(0, 40)}"
        if form in (3, 4):
            return f"{self.term()} ? {self.term()} : {self.term()}"
        if form == 5:
            first, second = self.choice(_BINARY), self.choice(_BINARY)
            return f"({self.term()} {first} {self.term()}) {second} {self.term()}"
        return f"{self.term()} {self.choice(_BINARY)} {self.term()}"

    def logic(self, statements: int) -> None:
        for _ in range(statements):
            if self.chance(0.12):
                self.wires.append(self.selection())
                continue
            expression = self.expression()
            wire = self.declare("wire", self.width())
            self.lines.append(f"  assign {wire.name} = {expression};")
            self.wires.append(wire)

    def selection(self) -> _Wire:
        """Add a case statement."""
        select, default = self.pick(), self.term()
        bits = min(select.width, 3)
        values = self.rng.permutation(1 << bits)[: self.number(1, 1 << bits)]
        terms = [self.term() for _ in values]
        wire = self.declare("reg", self.width())
        self.lines.append(f"  always @* case ({select.name}[{bits - 1}:0])")
        for value, term in zip(values, terms, strict=True):
            self.lines.append(f"    {bits}'d{value}: {wire.name} = {term};")
        self.lines += [f"    default: {wire.name} = {default};", "  endcase"]
        return wire

    def registers(self, number: int) -> list[_Wire]:
        """Declare registers, for logic to read before it is known what they take."""
        found = []
        for _ in range(number):
            width = self.width()
            start = f" = {self.number(0, (1 << min(width, 30)) - 1)}" if self.chance(0.3) else ""
            found.append(self.declare("reg", width, start))
        self.wires += found
        return found

    def clocked(self, registers: Sequence[_Wire]) -> None:
        """Say what registers take at the clock."""
        for register in registers:
            name, value = register.name, self.number(0, (1 << min(register.width, 30)) - 1)
            take = f"{name} <= {self.expression()};"
            if self.chance(0.4):
                take = f"if ({self.pick().name}) {take}"
            if self.chance(0.2) and register.width > 1:
                low = self.number(0, register.width - 1)
                part = f"{name}[{register.width - 1}:{low}] <= {self.term()};"
                take = f"begin {take} if ({self.pick().name}) {part} end"
            form = self.number(0, 4)
            if form == 0:
                take = f"if (rst) {name} <= {value}; else {take}"
            elif form == 1:
                take = f"begin {take} if ({self.pick().name}) {name} <= {value}; end"
            edges = "posedge clk"
            if form == 2:
                edges += " or posedge arst"
                take = f"if (arst) {name} <= {value}; else {take}"
            self.lines.append(f"  always @({edges}) {take}")

    def memory(self) -> None:
        width, bits = self.number(1, 70), self.number(1, 4)
        size = 1 << bits
        name = f"m{self.count}"
        self.lines.append(f"  reg [{width - 1}:0] {name} [0:{size - 1}];")
        writes = []
        for _ in range(self.number(1, 2)):
            address = self.padded(bits)
            writes.append(f"if ({self.pick().name}) {name}[{address}] <= {self.term()};")
        self.lines.append(f"  always @(posedge clk) begin {' '.join(writes)} end")
        for _ in range(self.number(1, 2)):
            address = self.padded(bits)
            wire = self.declare("wire", width)
            self.lines.append(f"  assign {wire.name} = {name}[{address}];")
            self.wires.append(wire)

    def padded(self, width: int) -> str:
        """Return an expression of just this width."""
        wire = self.pick()
        return f"{wire.name}[{min(wire.width, width) - 1}:0]"

    def module(self, name: str, inputs: Sequence[_Wire], outputs: dict[str, _Wire]) -> str:
        ports = [*_SHARED, *(wire.name for wire in inputs), *outputs]
        lines = [
            f"module {name}({', '.join(ports)});",
            f"  input {', '.join(_SHARED)};",
            *(f"  input [{wire.width - 1}:0] {wire.name};" for wire in inputs),
            *(f"  output [{wire.width - 1}:0] {port};" for port, wire in outputs.items()),
            *self.lines,
            *(f"  assign {port} = {wire.name};" for port, wire in outputs.items()),
            "endmodule",
        ]
        return "\n".join(lines) + "\n"


@dataclass(frozen=True)
class _Unit:
    """A finished module; `registered` outputs depend on no input within a clock."""

    name: str
    text: str
    inputs: list[_Wire]
    outputs: dict[str, _Wire]
    registered: set[str]


def random_circuit(seed: int) -> dict[str, str]:
    """Return the Verilog of a random circuit.

    Parameters
    ----------
    seed : int

    Returns
    -------
    dict of str to str
        Texts by module; the top is ``n<seed>``, with inputs ``clk``, ``rst``, ``arst``, ``a``,
        ``b``, ``c``, ``d`` and one output ``y`` of 64 bits.
    """
    rng = np.random.default_rng(seed)
    units = []
    element = _element(rng, f"n{seed}_element")
    units.append(element)
    if rng.random() < 0.7:
        row = _composite(rng, f"n{seed}_row", [element], int(rng.integers(1, 6)))
        units.append(row)
    if rng.random() < 0.3:
        units.append(_element(rng, f"n{seed}_other"))
    top = _composite(rng, f"n{seed}", units, int(rng.integers(1, 7)), is_top=True)
    return {unit.name: unit.text for unit in (*units, top)}


def random_batch(seeds: Sequence[int]) -> tuple[dict[str, str], str]:
    """Return the Verilog of many random circuits side by side, and the name of its top.

    Compiling one large circuit takes far less time than compiling many small ones.
    """
    texts: dict[str, str] = {}
    lines = [
        f"module {BATCH}({', '.join([*_SHARED, *(name for name, _ in _INPUTS)])}"
        + "".join(f", y{seed}" for seed in seeds)
        + ");",
        f"  input {', '.join(_SHARED)};",
        *(f"  input [{width - 1}:0] {name};" for name, width in _INPUTS),
    ]
    shared = ", ".join(f".{name}({name})" for name in (*_SHARED, *(name for name, _ in _INPUTS)))
    for seed in seeds:
        texts |= random_circuit(seed)
        lines.append(f"  output [63:0] y{seed};")
        lines.append(f"  n{seed} circuit_{seed} ({shared}, .y(y{seed}));")
    texts[BATCH] = "\n".join([*lines, "endmodule", ""])
    return texts, BATCH


def _element(rng: np.random.Generator, name: str) -> _Unit:
    body = _Body(rng)
    inputs = [_Wire(f"i{i}", body.width()) for i in range(body.number(1, 4))]
    body.wires += inputs
    registers = body.registers(body.number(1, 4))
    body.logic(body.number(2, 14))
    if body.chance(0.25):
        body.memory()
    body.clocked(registers)
    outputs = {f"o{i}": register for i, register in enumerate(registers[:3])}
    registered = set(outputs)
    if body.chance(0.5):
        outputs["o9"] = body.pick()
    return _Unit(name, body.module(name, inputs, outputs), inputs, outputs, registered)


def _composite(
    rng: np.random.Generator, name: str, units: Sequence[_Unit], uses: int, *, is_top: bool = False
) -> _Unit:
    """Return a module that uses others, and has a little logic of its own."""
    body = _Body(rng)
    if is_top:
        inputs = [_Wire(input_name, width) for input_name, width in _INPUTS]
    else:
        inputs = [_Wire(f"i{i}", body.width()) for i in range(body.number(1, 3))]
    body.wires += inputs
    registers = body.registers(body.number(0, 2))
    instances = []
    for use in range(uses):
        unit = body.choice(units)
        wires = {
            port: body.declare("wire", wire.width, signs=False)
            for port, wire in unit.outputs.items()
        }
        instances.append((f"u{use}", unit, wires))
    if body.chance(0.7):
        # What is registered may go anywhere, back to where it came from included.
        body.wires += [
            wire
            for _, unit, wires in instances
            for port, wire in wires.items()
            if port in unit.registered
        ]
    regular = body.choice((True, False))
    before: dict[str, _Wire] = {}
    for instance, unit, wires in instances:
        connections = [f".{shared}({shared})" for shared in _SHARED]
        for i, wire in enumerate(unit.inputs):
            chained = list(before.values())
            if regular and i < len(chained):
                source = chained[i]
            else:
                source = body.declare("wire", wire.width, signs=False)
                body.lines.append(f"  assign {source.name} = {body.term()};")
            connections.append(f".{wire.name}({source.name})")
        connections += [f".{port}({wire.name})" for port, wire in wires.items()]
        body.lines.append(f"  {unit.name} {instance} ({', '.join(connections)});")
        before = wires
        body.wires += wires.values()
        if body.chance(0.3):
            body.logic(1)
    if body.chance(0.5 if is_top else 0.1):
        body.memory()
    body.logic(body.number(1, 6))
    body.clocked(registers)
    if is_top:
        total = body.declare("wire", 64)
        parts = [wire.name for _, _, wires in instances for wire in wires.values()]
        parts += [wire.name for wire in body.wires[-4:]]
        body.lines.append(f"  assign {total.name} = {' ^ '.join(parts)};")
        outputs = {"y": total}
    else:
        outputs = {f"o{i}": body.pick() for i in range(body.number(1, 3))}
    return _Unit(name, body.module(name, inputs, outputs), inputs, outputs, set())
