"""Memories inside lanes: a register for each word, since lanes do not address memory.

Reading is a choice among the words, so this is for memories of few words.
"""

from collections.abc import Sequence
from itertools import groupby

from cosim.vector.graph import Graph
from cosim.vector.signal import Signal, concat, constant, constant_value, part, width_of

MOST_WORDS = 16
"""A module with a larger memory does not become lanes."""


def read_word(graph: Graph, words: Sequence[Signal], address: Signal) -> Signal:
    """Return the word at an address; zero beyond the end."""
    bits = width_of(address)
    if not bits:
        return words[0]
    half, below = 1 << bits - 1, part(address, 0, bits - 1)
    low = read_word(graph, words[:half], below)
    high = read_word(graph, words[half:], below) if words[half:] else constant(0, width_of(low))
    return graph.mux(part(address, bits - 1, 1), low, high)


def written(
    graph: Graph, words: Sequence[Signal], address: Signal, enable: Signal, data: Signal
) -> list[Signal]:
    """Return the words after a write; `enable` has a bit for each of theirs.

    Enables are outermost, so that a loop may skip all words at once while none is set.
    """
    conditions = (_condition(part(enable, bit, 1)) for bit in range(width_of(enable)))
    runs = [(condition, len(list(run))) for condition, run in groupby(conditions)]

    def taken(word: Signal, here: Signal) -> Signal:
        low, parts = 0, []
        for enabled, size in runs:
            old, new = part(word, low, size), part(data, low, size)
            parts.append(graph.mux(enabled, old, graph.mux(here, old, new)))
            low += size
        return concat(*parts)

    bits = width_of(address)
    return [
        taken(word, graph.equal(address, constant(i, bits))) if i < 1 << bits else word
        for i, word in enumerate(words)
    ]


def _condition(bit: Signal) -> Signal:
    """Return what a bit of an enable says: Yosys chooses between zeros and ones for a word."""
    ((source, offset, _),) = bit
    if source is None or source.kind != "mux":
        return bit
    select, low, high = source.operands
    chosen = constant_value(part(low, offset, 1)), constant_value(part(high, offset, 1))
    return select if chosen == (0, 1) else bit
