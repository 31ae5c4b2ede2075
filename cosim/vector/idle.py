"""Lanes that have nothing to do: what a loop may skip while some truths are false in all of them.

Much of a circuit matters only while an enable is set: a register keeps its value, or a result is
zero, without it. For every loop, truths that select are looked for, such that little is left to
compute while they are false. The loop tests them for the lanes of an iteration, and does the rest
only if one is true.
"""

from collections.abc import Iterable

from cosim.vector.elaborate import Circuit
from cosim.vector.graph import Graph, Node, Register
from cosim.vector.schedule import Idle, Schedule, Step, registers_of
from cosim.vector.signal import Seg, Signal, concat, constant, part

MOST_GUARDS = 3

FEWEST_SKIPPED = 16
"""Operations that a test is worth."""


def find_idle(circuit: Circuit, plan: Schedule) -> None:
    """Give every loop of a plan what is left of it when idle, if a test is worth it."""
    for step in (*plan.settle, *plan.tick):
        if step.group:
            step.idle = _find(circuit.graph, plan, step, registers_of(circuit, step))


def _find(graph: Graph, plan: Schedule, step: Step, registers: list[Register]) -> Idle | None:
    candidates = list(
        dict.fromkeys(
            node.operands[0]
            for node in step.nodes
            if node.kind == "mux" and node.operands[0][0].source.group
        )
    )
    best, least = None, len(step.nodes)
    for _ in range(MOST_GUARDS):
        guards = best.guards if best else []
        found = [
            idle
            for guard in candidates
            if guard not in guards
            and (idle := _with_guards(graph, plan, step, registers, [*guards, guard]))
        ]
        if not found:
            break
        idle = min(found, key=_work)
        if _work(idle) + FEWEST_SKIPPED > least:
            break
        best, least = idle, _work(idle)
    return best


def _work(idle: Idle) -> int:
    return len(idle.first) + len(idle.nodes)


def _with_guards(
    graph: Graph, plan: Schedule, step: Step, registers: list[Register], guards: list[Signal]
) -> Idle | None:
    inside = set(step.nodes)
    nexts = [register.next for register in registers]
    read = {node for signal in nexts for node in _sources([signal])}
    read |= {source for node in inside for source in _sources(node.operands)}
    read |= {register.node for register in registers}
    first = _cone(guards, read - inside)
    if first is None:
        return None
    assumed = _Assumed(graph, step.nodes, guards)
    nexts = [assumed.signal(signal) for signal in nexts]
    values = {
        node: assumed.signal((Seg(node, 0, node.width),))
        for node in step.nodes
        if node in plan.kept and node not in first
    }
    nodes = _cone([*nexts, *values.values()], (read - inside) | set(first))
    return None if nodes is None else Idle(guards, first, nodes, nexts, values)


def _sources(signals: Iterable[Signal]) -> Iterable[Node]:
    return (source for signal in signals for source, _, _ in signal if source is not None)


def _cone(signals: Iterable[Signal], known: set[Node]) -> list[Node] | None:
    """Return the nodes that signals need, in order; None if they need what a loop cannot make."""
    found: set[Node] = set()
    waiting = list(_sources(signals))
    while waiting:
        node = waiting.pop()
        if node in found or node in known:
            continue
        if not node.group or node.kind in ("register", "gather"):
            return None
        found.add(node)
        waiting += _sources(node.operands)
    return sorted(found, key=lambda node: node.number)


class _Assumed:
    """Signals as they are while some truths are false; `nodes` are those of a step, in order."""

    def __init__(self, graph: Graph, nodes: list[Node], false: list[Signal]) -> None:
        self._false: dict[Node, list[int]] = {}
        for ((source, offset, _),) in false:
            self._false.setdefault(source, []).append(offset)
        self._known: dict[Node, Signal] = {}
        for node in nodes:
            operands = tuple(self.signal(operand) for operand in node.operands)
            if operands != node.operands:
                self._known[node] = graph.same_operation(node, operands)

    def signal(self, signal: Signal) -> Signal:
        """Return a signal under the assumption."""
        return concat(*(self._seg(seg) for seg in signal))

    def _seg(self, seg: Seg) -> Signal:
        result = part(self._known[seg.source], *seg[1:]) if seg.source in self._known else (seg,)
        for bit in self._false.get(seg.source, ()):
            if 0 <= (low := bit - seg.offset) < seg.width:
                above = part(result, low + 1, seg.width - low - 1)
                result = concat(part(result, 0, low), constant(0, 1), above)
        return result
