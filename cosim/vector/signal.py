"""Signals: bits gathered from drivers, as runs of successive bits."""

from collections.abc import Iterable
from typing import Any, NamedTuple


class Seg(NamedTuple):
    """A run of bits of one source, or a constant.

    Attributes
    ----------
    source : object or None
        What drives the bits; None for a constant.
    offset : int
        The lowest bit taken; for a constant, its value.
    width : int
    """

    source: Any
    offset: int
    width: int

    def part(self, low: int, width: int) -> "Seg":
        """Return `width` bits from `low` on."""
        if self.source is None:
            return Seg(None, self.offset >> low & ((1 << width) - 1), width)
        return Seg(self.source, self.offset + low, width)


Signal = tuple[Seg, ...]
"""Runs of bits, the low ones first; successive ones are merged."""


def constant(value: int, width: int) -> Signal:
    """Return a constant; bits beyond `width` are dropped."""
    return (Seg(None, value & ((1 << width) - 1), width),) if width else ()


def width_of(signal: Signal) -> int:
    """Return the number of bits."""
    return sum(seg.width for seg in signal)


def concat(*signals: Iterable[Seg]) -> Signal:
    """Join signals, the low one first."""
    result: list[Seg] = []
    for signal in signals:
        for seg in signal:
            if result and result[-1].source is seg.source:
                last = result[-1]
                if seg.source is None:
                    value = last.offset | seg.offset << last.width
                    result[-1] = Seg(None, value, last.width + seg.width)
                    continue
                if last.offset + last.width == seg.offset:
                    result[-1] = Seg(seg.source, last.offset, last.width + seg.width)
                    continue
            result.append(seg)
    return tuple(result)


def part(signal: Signal, low: int, width: int) -> Signal:
    """Return `width` bits from `low` on."""
    result = []
    start, end = 0, low + width
    for seg in signal:
        first, last = max(low, start), min(end, start + seg.width)
        if first < last:
            result.append(seg.part(first - start, last - first))
        start += seg.width
        if start >= end:
            break
    return tuple(result)


def extend(signal: Signal, width: int, signed: bool) -> Signal:
    """Cut or extend to `width` bits, by the top bit if `signed`, else by zeros."""
    have = width_of(signal)
    if have >= width:
        return part(signal, 0, width)
    top = part(signal, have - 1, 1) if signed and have else constant(0, 1)
    return concat(signal, *[top] * (width - have))


def constant_value(signal: Signal) -> int | None:
    """Return the value of a constant signal, and None if it is not constant."""
    if not signal:
        return 0
    if len(signal) == 1 and signal[0].source is None:
        return signal[0].offset
    return None
