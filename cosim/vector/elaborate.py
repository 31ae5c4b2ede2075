"""A netlist in, the graph of its operations out: the tree of instances, unrolled.

The inside of a module that becomes lanes is elaborated once. What its instances differ in is what
their input ports are connected to; for each port this becomes a gather, which lists the source of
every lane.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from cosim.vector.cells import MEANINGS, REGISTERS, register_next, register_output
from cosim.vector.errors import UnsupportedError
from cosim.vector.graph import (
    LANE_BITS,
    SCALAR_BITS,
    Graph,
    Memory,
    Node,
    Register,
    pieces,
)
from cosim.vector.lane_memory import read_word, written
from cosim.vector.netlist import Bits, Cell, Module, Netlist
from cosim.vector.signal import Seg, Signal, concat, constant, extend, part, width_of


@dataclass(eq=False)
class Instance:
    """An instance of a module in the tree; in a lane, of the first lane only.

    `group` is 0 outside of lanes; the root of a lane has its position in `lane`.
    """

    module: Module
    path: str
    parent: "Instance | None" = None
    cell: str = ""
    group: int = 0
    lane: int | None = None
    children: dict[str, "Instance"] = field(default_factory=dict)


@dataclass(eq=False)
class CellOutput:
    """An output of a primitive cell, before it is lowered to operations.

    The port of a memory is the number of a read port.
    """

    instance: Instance
    cell: Cell
    port: str


@dataclass(eq=False)
class TopInput:
    """An input of the circuit."""

    name: str
    width: int


@dataclass(eq=False)
class LaneInput:
    """An input port of a module that has become lanes, seen from inside."""

    group: int
    port: str
    width: int


@dataclass(eq=False)
class LaneOutput:
    """An output port of such a module, in all lanes."""

    group: int
    port: str
    width: int


@dataclass(eq=False, frozen=True)
class LaneOutputOf:
    """An output port of one lane, seen from outside."""

    output: LaneOutput
    lane: int


@dataclass(eq=False)
class Lanes:
    """A module that has become lanes: its instances in the order of lanes."""

    number: int
    module: str
    instances: list[Instance]


@dataclass(frozen=True)
class StateName:
    """A register by name: bits of state, for each lane or once.

    `paths` holds the instance paths, one a lane.
    """

    net: str
    width: int
    signal: Signal
    group: int
    paths: list[str]


@dataclass
class Circuit:
    """An elaborated netlist.

    Attributes
    ----------
    graph : Graph
    lanes : list of Lanes
        In the order of groups, from 1 on.
    inputs, outputs : dict of str to int, dict of str to Signal
    states : list of StateName
    clock : str or None
        The clock's port; None if there is no register.
    """

    graph: Graph
    lanes: list[Lanes]
    inputs: dict[str, int]
    outputs: dict[str, Signal]
    states: list[StateName]
    clock: str | None

    def replace(self, nodes: dict[Node, Signal]) -> None:
        """Let signals stand for nodes everywhere."""

        def replaced(signal: Signal) -> Signal:
            if all(source not in nodes for source, _, _ in signal):
                return signal
            return concat(
                *(
                    part(nodes[seg.source], seg.offset, seg.width)
                    if seg.source in nodes
                    else (seg,)
                    for seg in signal
                )
            )

        for node in self.graph.nodes:
            node.operands = tuple(replaced(operand) for operand in node.operands)
        for register in self.graph.registers:
            register.next, register.shown = replaced(register.next), replaced(register.shown)
        for memory in self.graph.memories:
            memory.writes = [tuple(map(replaced, write)) for write in memory.writes]
        self.outputs = {name: replaced(signal) for name, signal in self.outputs.items()}


def elaborate(netlist: Netlist, lane_modules: set[str]) -> Circuit:
    """Unroll a netlist.

    Raises
    ------
    UnsupportedError
        If a cell is not supported, clocks differ, or there is a combinational loop.
    """
    return _Elaboration(netlist, lane_modules).run()


class _Elaboration:
    def __init__(self, netlist: Netlist, lane_modules: set[str]) -> None:
        self.netlist = netlist
        self.graph = Graph()
        self.lanes: list[Lanes] = []
        self._lane_modules = lane_modules
        self._groups: dict[str, Lanes] = {}
        self._outputs: dict[tuple[Instance, str, str], CellOutput] = {}
        self._lane_ports: dict[tuple[int, str], LaneInput | LaneOutput] = {}
        self._lane_outputs: dict[tuple[LaneOutput, int], LaneOutputOf] = {}
        self._of_lanes: dict[LaneInput, list[Signal]] = {}
        self._lowered: dict[object, Signal] = {}
        self._state: dict[tuple[Instance, str], tuple[Signal, list[Register]]] = {}
        self._memories: dict[tuple[Instance, str], Memory] = {}
        self._words: dict[tuple[Instance, str], list[tuple[Signal, list[Register]]]] = {}
        self._gathers: list[tuple[Node, list[Signal]]] = []
        self.clock: TopInput | None = None
        top = netlist.modules[netlist.top]
        self.inputs = {name: TopInput(name, width) for name, width in top.inputs.items()}
        self.root = Instance(top, "")
        self._scalar_instances = list(self._unroll(self.root))
        self._lane_instances = [list(self._unroll(group.instances[0])) for group in self.lanes]

    def run(self) -> Circuit:
        """Elaborate registers and outputs, and what they depend on."""
        instances = [*self._scalar_instances, *(i for some in self._lane_instances for i in some)]
        with_state = [
            (instance, cell)
            for instance in instances
            for cell in instance.module.cells.values()
            if cell.kind in REGISTERS or cell.kind == "$mem_v2"
        ]
        for instance, cell in with_state:
            self._add_state(instance, cell)
        for instance, cell in with_state:
            self._connect_state(instance, cell)
        outputs = {
            name: self._resolve_all(self.root, connection.runs)
            for name, connection in self.root.module.outputs.items()
        }
        outputs = {name: self._lower(signal) for name, signal in outputs.items()}
        for node, sources in self._gathers:
            # More gathers may be found while these are lowered.
            node.operands = tuple(self._lower(source) for source in sources)
        return Circuit(
            self.graph,
            self.lanes,
            {name: port.width for name, port in self.inputs.items() if port is not self.clock},
            outputs,
            list(self._names()),
            self.clock.name if self.clock else None,
        )

    # The tree

    def _unroll(self, instance: Instance) -> Iterator[Instance]:
        """Yield an instance and all below it that are not lanes of another group."""
        yield instance
        for cell in sorted(instance.module.cells.values(), key=lambda cell: _natural(cell.name)):
            module = self.netlist.modules.get(cell.kind)
            if module is None:
                continue
            path = f"{instance.path}.{cell.name}" if instance.path else cell.name
            child = Instance(module, path, instance, cell.name, instance.group)
            instance.children[cell.name] = child
            if instance.group == 0 and module.name in self._lane_modules:
                lanes = self._groups.get(module.name)
                if lanes is None:
                    lanes = Lanes(len(self.lanes) + 1, module.name, [])
                    self._groups[module.name] = lanes
                    self.lanes.append(lanes)
                child.group, child.lane = lanes.number, len(lanes.instances)
                lanes.instances.append(child)
            else:
                yield from self._unroll(child)

    # Where bits come from

    def _resolve_all(self, instance: Instance, runs: Iterable[Bits]) -> Signal:
        return concat(*(self._resolve(instance, run) for run in runs))

    def _resolve(self, instance: Instance, run: Bits) -> Signal:
        driver, port, offset, width = run
        if driver is None:
            if not port:
                return constant(offset, width)
            if instance.lane is not None:
                return (Seg(self._lane_input(instance, port), offset, width),)
            if instance.parent is None:
                return (Seg(self.inputs[port], offset, width),)
            return self._resolve_input(instance, port, offset, width)
        child = instance.children.get(driver)
        if child is None:
            cell = instance.module.cells[driver]
            if cell.kind == "$mem_v2":
                return self._resolve_reads(instance, cell, offset, width)
            output = self._outputs.setdefault(
                (instance, driver, port), CellOutput(instance, cell, port)
            )
            return (Seg(output, offset, width),)
        if child.lane is not None:
            output = self._lane_output(child, port)
            source = self._lane_outputs.setdefault(
                (output, child.lane), LaneOutputOf(output, child.lane)
            )
            return (Seg(source, offset, width),)
        inside = child.module.outputs[port].part(offset, width)
        return self._resolve_all(child, inside)

    def _resolve_reads(self, instance: Instance, cell: Cell, offset: int, width: int) -> Signal:
        """Resolve bits that a memory is read to; each of its ports depends on its own address."""
        result = []
        while width:
            number, low = divmod(offset, cell.parameters["WIDTH"])
            taken = min(width, cell.parameters["WIDTH"] - low)
            port = str(number)
            output = self._outputs.setdefault(
                (instance, cell.name, port), CellOutput(instance, cell, port)
            )
            result.append((Seg(output, low, taken),))
            offset, width = offset + taken, width - taken
        return concat(*result)

    def _read_address(self, output: CellOutput) -> Signal:
        bits = output.cell.parameters["ABITS"]
        runs = output.cell.inputs["RD_ADDR"].part(int(output.port) * bits, bits)
        return self._resolve_all(output.instance, runs)

    def _resolve_input(self, instance: Instance, port: str, offset: int, width: int) -> Signal:
        """Resolve an input port from outside; one that is left open is zero."""
        assert instance.parent is not None
        connection = instance.parent.module.cells[instance.cell].inputs.get(port)
        if connection is None:
            return constant(0, width)
        have = max(0, min(width, connection.width - offset))
        connected = self._resolve_all(instance.parent, connection.part(offset, have))
        return extend(connected, width, False)

    def _lane_input(self, instance: Instance, port: str) -> LaneInput:
        key = (instance.group, port)
        if key not in self._lane_ports:
            self._lane_ports[key] = LaneInput(*key, instance.module.inputs[port])
        found = self._lane_ports[key]
        assert isinstance(found, LaneInput)
        return found

    def _lane_output(self, instance: Instance, port: str) -> LaneOutput:
        key = (instance.group, port)
        if key not in self._lane_ports:
            self._lane_ports[key] = LaneOutput(*key, instance.module.outputs[port].width)
        found = self._lane_ports[key]
        assert isinstance(found, LaneOutput)
        return found

    def _sources_of_lanes(self, port: LaneInput) -> list[Signal]:
        """What each lane's port is connected to."""
        if port not in self._of_lanes:
            self._of_lanes[port] = [
                self._resolve_input(instance, port.port, 0, port.width)
                for instance in self.lanes[port.group - 1].instances
            ]
        return self._of_lanes[port]

    # State

    def _add_state(self, instance: Instance, cell: Cell) -> None:
        where = f"{instance.path}.{cell.name}" if instance.path else cell.name
        if cell.kind == "$mem_v2":
            self._add_memory(instance, cell)
            return
        if not cell.parameters.get("CLK_POLARITY", 1):
            raise UnsupportedError(f"the falling clock edge of register {where!r}")
        self._check_clock(instance, cell.inputs["CLK"].runs, where)
        bits = cell.outputs["Q"]
        known = instance.module.initial
        initial = sum(known.get(bit, 0) << i for i, bit in enumerate(bits))
        self._state[instance, cell.name] = self.graph.register(instance.group, len(bits), initial)

    def _check_clock(self, instance: Instance, runs: list[Bits], where: str) -> None:
        for signal in self._clocks(self._resolve_all(instance, runs)):
            source = signal[0].source
            if len(signal) != 1 or not isinstance(source, TopInput) or source.width != 1:
                raise UnsupportedError(f"the clock of register {where!r}, which is not an input")
            if self.clock not in (None, source):
                raise UnsupportedError(f"more than one clock, as at register {where!r}")
            self.clock = source

    def _clocks(self, signal: Signal) -> list[Signal]:
        source = signal[0].source
        if len(signal) == 1 and isinstance(source, LaneInput):
            return [
                part(outside, signal[0].offset, 1) for outside in self._sources_of_lanes(source)
            ]
        return [signal]

    def _connect_state(self, instance: Instance, cell: Cell) -> None:
        inputs = {
            port: self._lower(self._resolve_all(instance, connection.runs))
            for port, connection in cell.inputs.items()
            if port not in ("CLK", "WR_CLK", "RD_CLK")
        }
        if cell.kind == "$mem_v2":
            self._connect_memory(instance, cell, inputs)
            return
        signal, words = self._state[instance, cell.name]
        following = register_next(self.graph, cell.kind, cell.parameters, inputs, signal)
        for word, bits in _in_words(words, following):
            word.next = bits
        shown = register_output(self.graph, cell.parameters, inputs, signal)
        if shown != signal:
            for word, bits in _in_words(words, shown):
                word.shown = bits

    def _add_memory(self, instance: Instance, cell: Cell) -> None:
        parameters = cell.parameters
        name = f"{parameters['MEMID']} of module {instance.module.name!r}"
        if parameters["RD_PORTS"] and parameters["RD_CLK_ENABLE"]:
            raise UnsupportedError(f"the clocked read port of memory {name}")
        ports = parameters["WR_PORTS"]
        everywhere = (1 << ports) - 1
        if parameters["WR_CLK_ENABLE"] & everywhere != everywhere:
            raise UnsupportedError(f"the latched write port of memory {name}")
        if parameters["WR_CLK_POLARITY"] & everywhere != everywhere:
            raise UnsupportedError(f"the falling clock edge of memory {name}")
        if parameters["OFFSET"]:
            raise UnsupportedError(f"the addresses of memory {name}, which do not start at 0")
        for i in range(ports):
            self._check_clock(instance, cell.inputs["WR_CLK"].part(i, 1), name)
        width, size = parameters["WIDTH"], parameters["SIZE"]
        start = parameters["INIT"] if isinstance(parameters["INIT"], int) else 0
        initial = [start >> i * width & ((1 << width) - 1) for i in range(size)]
        if instance.group:
            registers = [self.graph.register(instance.group, width, word) for word in initial]
            self._words[instance, cell.name] = registers
            return
        name = _memory_name(cell)
        path = f"{instance.path}.{name}" if instance.path else name
        memory = Memory(len(self.graph.memories), path, width, size, initial, [])
        self.graph.memories.append(memory)
        self._memories[instance, cell.name] = memory

    def _connect_memory(self, instance: Instance, cell: Cell, inputs: dict[str, Signal]) -> None:
        width, bits = cell.parameters["WIDTH"], cell.parameters["ABITS"]
        writes = [
            (
                part(inputs["WR_ADDR"], i * bits, bits),
                part(inputs["WR_EN"], i * width, width),
                part(inputs["WR_DATA"], i * width, width),
            )
            for i in range(cell.parameters["WR_PORTS"])
        ]
        if instance.group:
            words = self._words[instance, cell.name]
            following = [signal for signal, _ in words]
            for write in writes:
                following = written(self.graph, following, *write)
            for (_, registers), signal in zip(words, following, strict=True):
                for register, taken in _in_words(registers, signal):
                    register.next = taken
            return
        memory = self._memories[instance, cell.name]
        memory.writes = [
            (self.graph.word(address), enable, data) for address, enable, data in writes
        ]

    # Lowering: cells in topological order

    def _lower(self, signal: Signal) -> Signal:
        """Return a signal over nodes of the graph; lower what it depends on first."""
        stack: list[tuple[object, Iterator]] = [(None, iter(signal))]
        under_way: dict[object, None] = {}
        while stack:
            owner, pending = stack[-1]
            for seg in pending:
                source = seg.source
                if source is None or isinstance(source, Node) or source in self._lowered:
                    continue
                if source in under_way:
                    self._fail_on_loop(list(under_way), source)
                under_way[source] = None
                stack.append((source, iter(self._needs(source))))
                break
            else:
                stack.pop()
                if owner is not None:
                    self._lowered[owner] = self._make(owner)
                    del under_way[owner]
        return self._replace(signal)

    def _replace(self, signal: Signal) -> Signal:
        result = []
        for seg in signal:
            if seg.source is None or isinstance(seg.source, Node):
                result.append((seg,))
            else:
                result.append(part(self._lowered[seg.source], seg.offset, seg.width))
        return concat(*result)

    def _needs(self, source: object) -> list[Seg]:
        """Return what must be lowered before a source can be."""
        if isinstance(source, CellOutput):
            if source.cell.kind == "$mem_v2":
                return list(self._read_address(source))
            if source.cell.kind in REGISTERS:
                ports = [port for port in source.cell.inputs if port == "ARST"]
            else:
                ports = list(source.cell.inputs)
            return [
                seg
                for port in ports
                for seg in self._resolve_all(source.instance, source.cell.inputs[port].runs)
            ]
        if isinstance(source, LaneInput):
            sources = self._sources_of_lanes(source)
            return list(sources[0]) if _all_equal(sources) else []
        if isinstance(source, LaneOutputOf):
            return [Seg(source.output, 0, source.output.width)]
        if isinstance(source, LaneOutput):
            return list(self._inside(source))
        return []

    def _inside(self, output: LaneOutput) -> Signal:
        first = self.lanes[output.group - 1].instances[0]
        return self._resolve_all(first, first.module.outputs[output.port].runs)

    def _make(self, source: object) -> Signal:
        graph = self.graph
        if isinstance(source, TopInput):
            if source is self.clock:
                raise UnsupportedError(f"the clock {source.name!r} as data")
            words = pieces(source.width, SCALAR_BITS)
            nodes = [
                graph.source("input", 0, size, (source.name, f"[{i}]" if len(words) > 1 else ""))
                for i, (_, size) in enumerate(words)
            ]
            return concat(*((Seg(node, 0, node.width),) for node in nodes))
        if isinstance(source, CellOutput):
            return self._make_cell(source)
        if isinstance(source, LaneInput):
            sources = self._sources_of_lanes(source)
            return self._replace(sources[0]) if _all_equal(sources) else self._gather(source)
        if isinstance(source, LaneOutput):
            inside = self._replace(self._inside(source))
            words = pieces(source.width, LANE_BITS)
            return concat(*(self.graph.word(part(inside, low, size)) for low, size in words))
        assert isinstance(source, LaneOutputOf)
        result = []
        for seg in self._lowered[source.output]:
            if seg.source is None or not seg.source.group:
                result.append((seg,))
            else:
                whole = graph.extract(seg.source, source.lane)
                result.append(part(whole, seg.offset, seg.width))
        return concat(*result)

    def _gather(self, port: LaneInput) -> Signal:
        sources = self._sources_of_lanes(port)
        result = []
        for low, size in _cuts(sources, port.width):
            parts = [part(source, low, size) for source in sources]
            node = self.graph.source("gather", port.group, size)
            self._gathers.append((node, parts))
            result.append((Seg(node, 0, size),))
        return concat(*result)

    def _make_cell(self, output: CellOutput) -> Signal:
        instance, cell = output.instance, output.cell
        if cell.kind in REGISTERS:
            state, _ = self._state[instance, cell.name]
            inputs = self._inputs(output, [port for port in cell.inputs if port == "ARST"])
            return register_output(self.graph, cell.parameters, inputs, state)
        if cell.kind == "$mem_v2":
            address = self._replace(self._read_address(output))
            if instance.group:
                words = [signal for signal, _ in self._words[instance, cell.name]]
                return read_word(self.graph, words, address)
            return self.graph.read(self._memories[instance, cell.name], address)
        meaning = MEANINGS.get(cell.kind)
        if meaning is None:
            where = f"instance {instance.path!r} of " if instance.path else ""
            raise UnsupportedError(
                f"the cell type {cell.kind} ({cell.name!r} in {where}module "
                f"{instance.module.name!r})"
            )
        return meaning(self.graph, cell.parameters, self._inputs(output, list(cell.inputs)))

    def _inputs(self, output: CellOutput, ports: list[str]) -> dict[str, Signal]:
        return {
            port: self._replace(self._resolve_all(output.instance, output.cell.inputs[port].runs))
            for port in ports
        }

    def _fail_on_loop(self, chain: list, source: object) -> None:
        names = []
        for item in chain[chain.index(source) :]:
            if isinstance(item, CellOutput):
                path = item.instance.path
                names.append(f"{path}.{item.cell.name}" if path else item.cell.name)
        raise UnsupportedError(f"the combinational loop through {', '.join(names[:6])}")

    # Names of state

    def _names(self) -> Iterator[StateName]:
        for instance in self._scalar_instances:
            yield from self._names_in(instance, 0, [instance.path])
        for lanes, instances in zip(self.lanes, self._lane_instances, strict=True):
            for instance in instances:
                below = instance.path[len(lanes.instances[0].path) :]
                paths = [lane.path + below for lane in lanes.instances]
                yield from self._names_in(instance, lanes.number, paths)

    def _names_in(self, instance: Instance, group: int, paths: list[str]) -> Iterator[StateName]:
        """Name the registers of an instance by the nets that show them, and words of memories.

        Those without a net are Yosys' own, such as addresses of writes, and nothing reads them.
        """
        bits: dict[int, Signal] = {}
        for cell in instance.module.cells.values():
            if cell.kind in REGISTERS:
                signal, _ = self._state[instance, cell.name]
                for i, bit in enumerate(cell.outputs["Q"]):
                    bits[bit] = part(signal, i, 1)
        named: set[int] = set()
        for net, numbers in instance.module.nets.items():
            low = 0
            while low < len(numbers):
                high = low
                while high < len(numbers) and numbers[high] in bits and numbers[high] not in named:
                    high += 1
                if high > low:
                    whole = high - low == len(numbers)
                    name = net if whole else f"{net}[{high - 1}:{low}]"
                    signal = concat(*(bits[bit] for bit in numbers[low:high]))
                    named |= set(numbers[low:high])
                    yield StateName(name, high - low, signal, group, paths)
                low = max(high, low + 1)
        for cell in instance.module.cells.values():
            for i, (signal, _) in enumerate(self._words.get((instance, cell.name), ())):
                name = f"{_memory_name(cell)}[{i}]"
                yield StateName(name, width_of(signal), signal, group, paths)


def _in_words(registers: list[Register], signal: Signal) -> Iterator[tuple[Register, Signal]]:
    """Yield each word of a register, and what belongs to it of a signal as wide as all."""
    low = 0
    for register in registers:
        yield register, part(signal, low, register.node.width)
        low += register.node.width


def _memory_name(cell: Cell) -> str:
    return str(cell.parameters["MEMID"]).removeprefix("\\")


def _natural(name: str) -> list[tuple[int, str]]:
    """Order names with numbers by these, so that neighbours are neighbouring lanes."""
    parts = re.split(r"(\d+)", name)
    return [(int(text), "") if i % 2 else (0, text) for i, text in enumerate(parts)]


def _all_equal(signals: list[Signal]) -> bool:
    return all(signal == signals[0] for signal in signals)


def _cuts(sources: list[Signal], width: int) -> list[tuple[int, int]]:
    """Cut a port of lanes where the sources of most lanes are cut, and into words."""
    shapes: dict[tuple[int, ...], int] = {}
    for source in sources:
        shape = tuple(seg.width for seg in source)
        shapes[shape] = shapes.get(shape, 0) + 1
    shape = max(shapes, key=lambda key: (shapes[key], -len(key)))
    result, low = [], 0
    for size in shape:
        result += [(low + start, length) for start, length in pieces(size, LANE_BITS)]
        low += size
    return result
