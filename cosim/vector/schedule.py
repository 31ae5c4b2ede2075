"""The order of computation: what runs in which loop, and which values must be kept in memory.

Work is cut into steps: scalar statements and moves between lanes, or one loop over the lanes of a
group. `settle` holds what outputs depend on, `tick` the rest and the updates of registers; nothing
is computed twice in a clock.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from cosim.vector.elaborate import Circuit
from cosim.vector.graph import Node, Register
from cosim.vector.signal import Signal


class LaneLoopError(Exception):
    """A combinational path runs from lane to lane within these groups."""

    def __init__(self, groups: set[int]) -> None:
        super().__init__()
        self.groups = groups


@dataclass
class Step:
    """One stretch of code.

    Attributes
    ----------
    group : int
        0 for scalar statements and moves, else the lanes that it loops over.
    nodes : list of Node
        In an order in which each finds its operands.
    commits : bool
        The loop ends with the registers of its group taking their next values.
    idle : Idle or None
        What is left to do in lanes that have nothing else to do.
    """

    group: int
    nodes: list[Node] = field(default_factory=list)
    commits: bool = False
    idle: "Idle | None" = None


@dataclass
class Idle:
    """What is left of a loop's iteration while `guards` are false.

    Attributes
    ----------
    guards : list of Signal
        Truths; `first` are the nodes that they need.
    first : list of Node
    nodes : list of Node
        Those that are left to compute.
    nexts : list of Signal
        What the registers take, in their order.
    values : dict of Node to Signal
        What nodes are that are kept in memory.
    """

    guards: list[Signal]
    first: list[Node]
    nodes: list[Node]
    nexts: list[Signal]
    values: dict[Node, Signal]


@dataclass
class Schedule:
    """Steps of both halves of a clock, and the nodes whose values outlive their step.

    Attributes
    ----------
    settle, tick : list of Step
    kept : set of Node
        Nodes of lanes that are read outside of their loop, and scalars that `tick` takes over
        from `settle`.
    """

    settle: list[Step]
    tick: list[Step]
    kept: set[Node]


def registers_of(circuit: Circuit, step: Step) -> list[Register]:
    """Return the registers that take their next values in a step."""
    registers = circuit.graph.registers
    return [
        register for register in registers if step.commits and register.node.group == step.group
    ]


def sources_of(signal: Signal) -> Iterator[Node]:
    """Yield the nodes that a signal takes bits from."""
    for seg in signal:
        if seg.source is not None:
            yield seg.source


def operands_of(node: Node) -> Iterator[Node]:
    """Yield the nodes that a node reads; a move reads lanes without a scalar in between."""
    for operand in node.operands:
        for source in sources_of(operand):
            yield lane_source(source) if node.kind == "gather" else source


def lane_source(node: Node) -> Node:
    """Return the node of lanes that an extract reads, and any other node as it is."""
    return node.operands[0][0].source if node.kind == "extract" else node


def schedule(circuit: Circuit) -> Schedule:
    """Order all computations of a circuit.

    Raises
    ------
    LaneLoopError
        If a combinational path runs from lane to lane of one group.
    """
    outputs = [node for signal in circuit.outputs.values() for node in sources_of(signal)]
    registers = circuit.graph.registers
    outputs += [node for register in registers for node in sources_of(register.shown)]
    nexts = [node for register in registers for node in sources_of(register.next)]
    writes = [
        node
        for memory in circuit.graph.memories
        for write in memory.writes
        for signal in write
        for node in sources_of(signal)
    ]
    settled = _cone(outputs, set())
    ticked = _cone([*nexts, *writes], settled)
    settle = _order(settled, {}, set())
    commits: dict[int, set[Node]] = {}
    for register in registers:
        if register.node.group:
            commits.setdefault(register.node.group, set()).update(sources_of(register.next))
    tick = _order(ticked, commits, settled)
    return Schedule(settle, tick, _kept(circuit, settle, tick, settled))


def _is_state(node: Node) -> bool:
    return node.kind in ("register", "input")


def _cone(start: Iterable[Node], known: set[Node]) -> set[Node]:
    """Return the nodes that some depend on, themselves included, without those known."""
    found: set[Node] = set()
    waiting = list(start)
    while waiting:
        node = waiting.pop()
        if node not in found and node not in known and not _is_state(node):
            found.add(node)
            waiting += operands_of(node)
    return found


def _step_group(node: Node) -> int:
    # Moves run outside of the loops.
    return 0 if node.kind == "gather" else node.group


def _order(needed: set[Node], commits: dict[int, set[Node]], done: set[Node]) -> list[Step]:
    users: dict[Node, list[Node]] = {}
    waits: dict[Node, int] = {}
    readers: dict[int, set[Node]] = {group: set() for group in commits}
    for node in needed:
        operands = set(operands_of(node))
        for operand in operands:
            # A register may change once all that read it from elsewhere have done so.
            if operand.kind == "register" and operand.group in readers:
                readers[operand.group].add(node)
        operands &= needed
        waits[node] = len(operands)
        for operand in operands:
            users.setdefault(operand, []).append(node)
    ready: dict[int, list[Node]] = {}
    for node in needed:
        if waits[node] == 0:
            ready.setdefault(_step_group(node), []).append(node)
    remaining: dict[int, int] = {}
    for node in needed:
        group = _step_group(node)
        remaining[group] = remaining.get(group, 0) + 1
    finished = set(done)
    uncommitted = set(commits)
    steps: list[Step] = []

    def closure(group: int) -> list[Node]:
        """Nodes of one group that can run in one go."""
        order, counts, waiting = [], {}, list(ready.get(group, ()))
        while waiting:
            node = waiting.pop()
            order.append(node)
            for user in users.get(node, ()):
                if _step_group(user) == group:
                    counts[user] = counts.get(user, waits[user]) - 1
                    if counts[user] == 0:
                        waiting.append(user)
        return order

    def run(group: int, nodes: list[Node]) -> None:
        turns = _turns(nodes)
        nodes.sort(key=lambda node: (turns[node], node.kind == "gather", node.number))
        steps.append(Step(group, nodes))
        ready.pop(group, None)
        inside = set(nodes)
        finished.update(inside)
        remaining[group] = remaining.get(group, 0) - len(nodes)
        for node in nodes:
            for user in users.get(node, ()):
                waits[user] -= 1
                if waits[user] == 0 and user not in inside:
                    ready.setdefault(_step_group(user), []).append(user)
        if group in uncommitted and _may_commit(group):
            uncommitted.discard(group)
            steps[-1].commits = True

    def _may_commit(group: int) -> bool:
        if remaining.get(group, 0) or not readers[group] <= finished:
            return False
        return all(node in finished or _is_state(node) for node in commits[group])

    while any(ready.values()):
        if ready.get(0):
            run(0, closure(0))
            continue
        choices = {group: closure(group) for group in ready if ready[group]}
        # Of equals the first, so that the same netlist makes the same text.
        group = min(choices, key=lambda group: (remaining[group] - len(choices[group]), group))
        run(group, choices[group])
    stuck = needed - finished
    if stuck:
        raise LaneLoopError({node.group for node in stuck if node.group})
    steps += [Step(group, [], commits=True) for group in sorted(uncommitted)]
    _postpone(steps, users, commits)
    return steps


def _postpone(
    steps: list[Step], users: dict[Node, list[Node]], commits: dict[int, set[Node]]
) -> None:
    """Move nodes of lanes to the last loop that is early enough, so that fewer are kept."""
    loops: dict[int, list[int]] = {}
    committed: dict[int, int] = {}
    for number, step in enumerate(steps):
        if step.group:
            loops.setdefault(step.group, []).append(number)
        if step.commits:
            committed[step.group] = number
    place = {node: number for number, step in enumerate(steps) for node in step.nodes}
    for number in reversed(range(len(steps))):
        group = steps[number].group
        if not group:
            continue
        for node in reversed(steps[number].nodes):
            limits = [
                place[user] if _step_group(user) == group else place[user] - 1
                for user in users.get(node, ())
            ]
            if node in commits.get(group, ()):
                limits.append(committed[group])
            if limits:
                limit = min(limits)
                place[node] = max(loop for loop in loops[group] if number <= loop <= limit)
    for numbers in loops.values():
        for number in numbers:
            steps[number].nodes = []
    for node in sorted(place, key=lambda node: node.number):
        if (step := steps[place[node]]).group:
            step.nodes.append(node)


def _turns(nodes: list[Node]) -> dict[Node, int]:
    """Say for nodes in order how many moves, one after another, each has to wait for."""
    turns: dict[Node, int] = {}
    for node in nodes:
        turns[node] = max(
            (
                turns[operand] + (operand.kind == "gather")
                for operand in operands_of(node)
                if operand in turns
            ),
            default=0,
        )
    return turns


def _kept(circuit: Circuit, settle: list[Step], tick: list[Step], settled: set[Node]) -> set[Node]:
    kept: set[Node] = set()
    made_in: dict[Node, int] = {}
    for number, step in enumerate([*settle, *tick]):
        for node in step.nodes:
            made_in[node] = number

    def read(node: Node, number: int, in_tick: bool) -> None:
        made = made_in.get(node)
        if made is None or node.kind == "gather":
            return
        if made != number if node.group else in_tick and node in settled:
            kept.add(node)

    for number, step in enumerate([*settle, *tick]):
        in_tick = number >= len(settle)
        for node in step.nodes:
            for operand in operands_of(node):
                read(operand, number, in_tick)
        if step.commits:
            for register in circuit.graph.registers:
                if register.node.group == step.group:
                    for node in sources_of(register.next):
                        read(node, number, True)
    end = len(settle) + len(tick)
    for register in circuit.graph.registers:
        if not register.node.group:
            for node in sources_of(register.next):
                read(node, end, True)
    for memory in circuit.graph.memories:
        for write in memory.writes:
            for signal in write:
                for node in sources_of(signal):
                    read(node, end, True)
    return kept
