"""Which words of a loop may hold anything above their width, for nothing looks there.

A sum or a shifted word can exceed its width, and is then masked, which costs an operation. Most
uses do not care: bits that are tested or cut out are masked anyway, and carries run upwards only.
"""

from collections.abc import Iterable

from cosim.vector.graph import LANE_BITS, Node
from cosim.vector.signal import Seg, Signal, constant_value, width_of

_UPWARDS = {
    *((kind, i) for kind in ("add", "sub", "mul") for i in (0, 1)),
    ("shl", 0),
    ("normalise", 0),
}
"""Operations, and which operands affect no lower bits of the result than their own."""

_LOOSE = {"mux", *(kind for kind, _ in _UPWARDS)}

_OF_TRUTHS = ("and", "or", "xor", "not", "mux", "add", "sub", "mul")


def loose_nodes(nodes: list[Node], results: Iterable[Signal], kept: set[Node]) -> set[Node]:
    """Return the nodes that need no mask.

    Parameters
    ----------
    nodes : list of Node
        Those of a block, operands first.
    results : iterable of Signal
        What is stored at its end.
    kept : set of Node
        Nodes that are stored as well.
    """
    clean = {source for signal in results for source, _, _ in signal} | kept
    loose = set()
    for node in reversed(nodes):
        may_be = node.kind in _LOOSE and node not in clean
        if may_be:
            loose.add(node)
        for i, operand in enumerate(node.operands):
            position = 0
            for seg in operand:
                if not _tolerates(node, i, seg, position, may_be):
                    clean.add(seg.source)
                position += seg.width
    return loose


def _tolerates(user: Node, i: int, seg: Seg, position: int, loose: bool) -> bool:
    """Tell whether an operand may have bits set above the width of the source of one run."""
    source, offset, width = seg
    operand = user.operands[i]
    if source is None or not source.group or user.kind == "any":
        return True
    if user.width == 1 and user.kind in _OF_TRUTHS:
        # Single bits are tested.
        return True
    if user.kind == "mux" and (i == 0 or (loose and operand == ((source, 0, source.width),))):
        return True
    if offset + width < source.width or position + width == LANE_BITS:
        # They are masked, or leave the word.
        return True
    if position + width < width_of(operand) or user.kind == "mux":
        return False
    if user.kind == "and":
        return constant_value(user.operands[1 - i]) is not None
    # A result that becomes too wide by that is masked, unless it may be loose.
    return (user.kind, i) in _UPWARDS or user.kind == "leading"
