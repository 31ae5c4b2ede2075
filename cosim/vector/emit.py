"""The graph as C++: a `Model` with a member for each port, `settle`, and `tick`."""

from collections.abc import Iterable
from itertools import groupby

from cosim.vector.elaborate import Circuit
from cosim.vector.graph import SCALAR_BITS, Node, pieces
from cosim.vector.lane_code import LaneLoop, element, padded, storage
from cosim.vector.scalar_code import ScalarCode, identifier
from cosim.vector.schedule import Schedule, Step, lane_source, registers_of
from cosim.vector.signal import Seg, Signal, part, width_of


def emit(circuit: Circuit, plan: Schedule) -> str:
    """Return the text of a header that defines `struct Model`."""
    return _Emission(circuit, plan).text()


def port_type(width: int) -> str:
    """Return the C++ type of a port, or of its words."""
    return next(f"uint{bits}_t" for bits in (8, 16, 32, 64) if width <= bits or bits == 64)


class _Emission:
    def __init__(self, circuit: Circuit, plan: Schedule) -> None:
        self.circuit = circuit
        self.plan = plan
        self.counts = {lanes.number: len(lanes.instances) for lanes in circuit.lanes}
        self.scalars = ScalarCode(plan.kept)
        self.constants: dict[int, int] = {}

    def text(self) -> str:
        settle = self._steps(self.plan.settle) + self._show_outputs()
        tick = self._steps(self.plan.tick) + self._commit_scalars()
        body = "\n".join(
            [
                *self._ports(),
                *self._state(),
                *self._constants(),
                *self._function("settle", settle),
                *self._function("tick", tick),
                *self._reader(),
            ]
        )
        return (
            '#pragma once\n\n#include "lanes.h"\n\nstruct alignas(64) Model {\n' + body + "\n};\n"
        )

    # Members

    def _ports(self) -> list[str]:
        widths = dict(self.circuit.inputs)
        widths |= {name: width_of(signal) for name, signal in self.circuit.outputs.items()}
        return [
            f"    {port_type(width)} {identifier(name)}"
            + (f"[{-(-width // SCALAR_BITS)}] = {{}};" if width > SCALAR_BITS else " = 0;")
            for name, width in widths.items()
        ]

    def _state(self) -> list[str]:
        lines = []
        for register in self.circuit.graph.registers:
            node = register.node
            if not node.group:
                lines.append(f"    uint64_t r{node.number} = {register.initial}u;")
        arrays = [register.node for register in self.circuit.graph.registers]
        arrays += [node for step in (*self.plan.settle, *self.plan.tick) for node in step.nodes]
        for node in arrays:
            if node.group and (node.kind in ("register", "gather") or node in self.plan.kept):
                size = padded(self.counts[node.group])
                lines.append(
                    f"    alignas(64) {storage(node.width)} a{node.number}[{size}] = {{}};"
                )
            elif not node.group and node in self.plan.kept:
                lines.append(f"    uint64_t n{node.number} = 0;")
        for memory in self.circuit.graph.memories:
            words = -(-memory.width // SCALAR_BITS)
            lines.append(f"    uint64_t m{memory.number}[{memory.size}][{words}] = {{}};")
        starts = self._starts()
        if starts:
            lines += ["    Model() {", *(f"        {line}" for line in starts), "    }"]
        return lines

    def _starts(self) -> list[str]:
        lines = []
        for register in self.circuit.graph.registers:
            node = register.node
            if node.group and register.initial:
                lines += [
                    f"for (int lane = 0; lane < {self.counts[node.group]}; ++lane)",
                    f"    a{node.number}[lane] = {register.initial}u;",
                ]
        for memory in self.circuit.graph.memories:
            for i, value in enumerate(memory.initial):
                for word, (low, size) in enumerate(pieces(memory.width, SCALAR_BITS)):
                    if bits := value >> low & ((1 << size) - 1):
                        lines.append(f"m{memory.number}[{i}][{word}] = {bits}u;")
        return lines

    def _constants(self) -> list[str]:
        if not self.constants:
            return []
        values = ", ".join(f"0x{value:x}u" for value in self.constants)
        return [f"    uint32_t k[{len(self.constants)}] = {{{values}}};"]

    # Functions

    def _function(self, name: str, lines: Iterable[str]) -> list[str]:
        return [f"    void {name}() {{", *(f"        {line}" for line in lines), "    }"]

    def _steps(self, steps: list[Step]) -> list[str]:
        lines = []
        for step in steps:
            if step.group:
                loop = LaneLoop(
                    self.scalars, self.plan.kept, self.constants, self.counts[step.group]
                )
                lines += loop.lines(step, registers_of(self.circuit, step))
                continue
            for node in step.nodes:
                if node.kind == "gather":
                    lines += self._move(node)
                else:
                    lines.append(self.scalars.statement(node))
        return lines

    def _show_outputs(self) -> list[str]:
        lines = []
        for name, signal in self.circuit.outputs.items():
            width = width_of(signal)
            for i, (low, size) in enumerate(pieces(width, SCALAR_BITS)):
                index = f"[{i}]" if width > SCALAR_BITS else ""
                value = self.scalars.expression(part(signal, low, size))
                lines.append(f"{identifier(name)}{index} = {value};")
        for register in self.circuit.graph.registers:
            if register.shown:
                value = self.scalars.expression(register.shown)
                lines.append(f"r{register.node.number} = {value};")
        return lines

    def _commit_scalars(self) -> list[str]:
        lines, takes = [], []
        for register in self.circuit.graph.registers:
            node = register.node
            if not node.group:
                value = self.scalars.expression(register.next)
                if value != f"r{node.number}":
                    lines.append(f"const uint64_t next{node.number} = {value};")
                    takes.append(f"r{node.number} = next{node.number};")
        for memory in self.circuit.graph.memories:
            for i, (address, enable, data) in enumerate(memory.writes):
                name = f"m{memory.number}_{i}"
                index = self.scalars.expression(address)
                lines.append(f"const uint64_t {name} = {index};")
                for word, (low, size) in enumerate(pieces(memory.width, SCALAR_BITS)):
                    bits = self.scalars.expression(part(enable, low, size))
                    value = self.scalars.expression(part(data, low, size))
                    lines.append(f"const uint64_t {name}e{word} = {bits};")
                    lines.append(f"const uint64_t {name}d{word} = {value};")
                    target = f"m{memory.number}[{name}][{word}]"
                    takes.append(
                        f"if ({name} < {memory.size}u) {target} = "
                        f"({target} & ~{name}e{word}) | ({name}d{word} & {name}e{word});"
                    )
        return lines + takes

    # Moves

    def _move(self, node: Node) -> list[str]:
        """Fill the lanes of a gather: runs from successive lanes at once, the rest one by one."""
        lines = []
        target = f"a{node.number}"
        sources = [_whole_lane(signal, node.width) for signal in node.operands]
        numbered = list(enumerate(sources))
        for key, some in groupby(numbered, lambda item: _run_key(*item)):
            lanes = [lane for lane, _ in some]
            if key is None:
                lines += [
                    f"{target}[{lane}] = {self.scalars.moved(node.operands[lane])};"
                    for lane in lanes
                ]
                continue
            source, distance = key
            first = lanes[0]
            if len(lanes) == 1:
                lines.append(f"{target}[{first}] = {element(source, first + distance)};")
            else:
                lines.append(
                    f"std::memcpy(&{target}[{first}], &{element(source, first + distance)}, "
                    f"{len(lanes)} * sizeof {target}[0]);"
                )
        return lines

    # State by name

    def _reader(self) -> list[str]:
        """Write registers, each in words of 64 bits, in the order of `states`, lane by lane."""
        lines = ["    void read_registers(uint64_t* word) const {"]
        for state in self.circuit.states:
            words = pieces(state.width, SCALAR_BITS)
            if state.group:
                values = [
                    self.scalars.lane_expression(part(state.signal, low, size), "lane")
                    for low, size in words
                ]
                lines.append(f"        for (int lane = 0; lane < {len(state.paths)}; ++lane) {{")
                lines += [f"            *word++ = {value};" for value in values]
                lines.append("        }")
            else:
                lines += [
                    f"        *word++ = {self.scalars.expression(part(state.signal, low, size))};"
                    for low, size in words
                ]
        for memory in self.circuit.graph.memories:
            count = memory.size * -(-memory.width // SCALAR_BITS)
            lines.append(f"        std::memcpy(word, m{memory.number}, {count} * sizeof *word);")
            lines.append(f"        word += {count};")
        return [*lines, "    }"]


def _whole_lane(signal: Signal, width: int) -> tuple[Node, int] | None:
    """Return node and lane if a signal is the whole of one lane of a node."""
    if len(signal) == 1 and signal[0].source is not None:
        seg: Seg = signal[0]
        source = seg.source
        if source.kind == "extract" and (seg.offset, source.width) == (0, width):
            return lane_source(source), source.detail
    return None


def _run_key(lane: int, source: tuple[Node, int] | None) -> tuple[Node, int] | None:
    return None if source is None else (source[0], source[1] - lane)
