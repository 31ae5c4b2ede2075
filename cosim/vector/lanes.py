"""Which modules become lanes."""

from cosim.vector.lane_memory import MOST_WORDS
from cosim.vector.netlist import Cell, Netlist

FEWEST = 4
"""Instances from which on a module is worth lanes."""

_WITHOUT_LANES = ("$adff", "$adffe")


def lane_modules(netlist: Netlist, excluded: frozenset[str] = frozenset()) -> set[str]:
    """Return the modules whose instances become SIMD lanes.

    A module becomes lanes if it is instantiated often, over the whole tree, and holds nothing
    that it instantiates often itself: a row of elements dissolves, an element with its multiplier
    inside does not. A module within one that becomes lanes is part of it. A module with a
    memory of more than a few words, or with an asynchronous reset, does not become lanes.

    Parameters
    ----------
    netlist : Netlist
    excluded : frozenset of str
        Modules that must not become lanes.
    """
    order = _parents_first(netlist)
    counts = dict.fromkeys(netlist.modules, 0)
    counts[netlist.top] = 1
    for name in order:
        for child in _children(netlist, name):
            counts[child] += counts[name]
    result = set()
    for name in order:
        inside, scalar_only = _inside(netlist, name)
        if (
            name != netlist.top
            and name not in excluded
            and counts[name] >= FEWEST
            and not scalar_only
            and all(count < FEWEST for count in inside.values())
        ):
            result.add(name)
    return result


def _has_no_lanes(cell: Cell) -> bool:
    if cell.kind == "$mem_v2":
        return cell.parameters["SIZE"] > MOST_WORDS
    return cell.kind in _WITHOUT_LANES


def _children(netlist: Netlist, name: str) -> list[str]:
    cells = netlist.modules[name].cells.values()
    return [cell.kind for cell in cells if cell.kind in netlist.modules]


def _parents_first(netlist: Netlist) -> list[str]:
    order: list[str] = []
    seen: set[str] = set()

    def visit(name: str) -> None:
        if name not in seen:
            seen.add(name)
            for child in _children(netlist, name):
                visit(child)
            order.append(name)

    visit(netlist.top)
    return order[::-1]


def _inside(netlist: Netlist, name: str) -> tuple[dict[str, int], bool]:
    """Count the modules in one instance; tell whether there is a cell that has no lanes."""
    counts: dict[str, int] = {}
    scalar_only = any(_has_no_lanes(cell) for cell in netlist.modules[name].cells.values())
    for child in _children(netlist, name):
        below, scalar_only_below = _inside(netlist, child)
        scalar_only |= scalar_only_below
        for module, count in (*below.items(), (child, 1)):
            counts[module] = counts.get(module, 0) + count
    return counts, scalar_only
