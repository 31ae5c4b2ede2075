"""Shifters found in the graph: what the Verilog does in binary stages, in one operation each.

Three shapes are looked for among lanes. A chain of stages, each of which shifts by a power of two
if a bit of the amount is set, is one shift. Whether a set bit has fallen out of such a chain is
one operation too. And a chain whose every stage shifts left if the bits that would fall out are
all zero counts leading zeros, and shifts by their number.
"""

from dataclasses import dataclass

from cosim.vector.elaborate import Circuit
from cosim.vector.graph import LANE_BITS, Graph, Node, shifted
from cosim.vector.signal import Seg, Signal, concat, constant, part, width_of


@dataclass(frozen=True)
class _Stage:
    """A node that is `source`, or that shifted by `distance` if `select` is set; its low bits."""

    node: Node
    kind: str
    source: Signal
    select: Signal
    distance: int


def merge_shifters(circuit: Circuit) -> None:
    """Replace chains of stages by whole shifts; every value stays what it is."""
    graph = circuit.graph
    present = set(graph.nodes)
    stages: dict[Node, _Stage] = {}
    for node in list(graph.nodes):
        if node.kind == "mux" and node.group and (stage := _as_stage(graph, node)):
            stages[node] = stage
    followed = {last.node for stage in stages.values() if (last := _before(stage, stages))}
    replaced: dict[Node, Signal] = {}
    for node in stages:
        if node not in followed:
            chain = [stages[node]]
            while previous := _before(chain[0], stages):
                chain.insert(0, previous)
            if not _count_zeros(graph, chain, replaced):
                _shift_at_once(graph, chain, present)
    circuit.replace(replaced)
    graph.sort()


def _as_stage(graph: Graph, node: Node) -> _Stage | None:
    select, *choices = node.operands
    for still, moved in (choices, choices[::-1]):
        source = _whole(still)
        for exponent in range((width_of(source) - 1).bit_length()):
            for kind in ("shl", "shr"):
                result = shifted(kind, source, 1 << exponent, constant(0, 1))
                if moved == part(result, 0, node.width):
                    selects = select if moved is choices[1] else graph.invert(select)
                    return _Stage(node, kind, source, selects, 1 << exponent)
    return None


def _whole(signal: Signal) -> Signal:
    """Return all bits of a node if a signal is some of the lowest."""
    source, offset, _ = signal[0]
    if len(signal) > 1 or source is None or offset:
        return signal
    return (Seg(source, 0, source.width),)


def _before(stage: _Stage, stages: dict[Node, _Stage]) -> _Stage | None:
    """Return the stage whose every bit another one shifts further."""
    found = stages.get(stage.source[0].source)
    if found is None or found.kind != stage.kind or found.node.width < width_of(found.source):
        return None
    return found if stage.source == ((found.node, 0, found.node.width),) else None


def _count_zeros(graph: Graph, chain: list[_Stage], replaced: dict[Node, Signal]) -> bool:
    """Make a chain that shifts out all zeros at the top, or as many as it can, a count of them."""
    node, source = chain[-1].node, chain[0].source
    width = width_of(source)
    if [stage.distance for stage in chain] != [1 << i for i in reversed(range(len(chain)))]:
        return False
    for stage in chain:
        top = part(stage.source, width - stage.distance, stage.distance)
        if stage.kind != "shl" or stage.select != graph.invert(graph.any(top)):
            return False
    count = graph.count_leading_zeros(source, len(chain))
    for i, stage in enumerate(reversed(chain)):
        empty = stage.select[0].source
        if empty.kind == "not":
            replaced[empty] = part(count, i, 1)
    node.kind, node.operands = "normalise", (source, count)
    return True


def _shift_at_once(graph: Graph, chain: list[_Stage], present: set[Node]) -> None:
    amount = _amount(chain)
    if len(chain) < 2 or amount is None:
        return
    source, zero = chain[0].source, constant(0, 1)
    lost = zero
    for stage in chain:
        out = graph.any(part(stage.source, 0, stage.distance))
        lost = graph.bitwise("or", lost, graph.bitwise("and", stage.select, out))
    node = chain[-1].node
    node.kind, node.operands = chain[-1].kind, (source, amount)
    node.bound = (1 << node.width) - 1
    found = lost[0].source
    if node.kind == "shr" and found in present and found.kind == "or":
        found.kind, found.operands = "lost", (source, amount)


def _amount(chain: list[_Stage]) -> Signal | None:
    """Return the sum of the distances of the stages that are selected, if it lies in one word."""
    selects = {stage.distance: stage.select for stage in chain}
    if len(selects) < len(chain):
        return None
    bits = range(max(selects).bit_length())
    amount = concat(*(selects.get(1 << i, constant(0, 1)) for i in bits))
    varying = [seg for seg in amount if seg.source is not None]
    in_one_word = len(varying) == 1 and varying[0].width == len(chain)
    return amount if in_one_word and width_of(amount) <= (LANE_BITS - 1).bit_length() else None
