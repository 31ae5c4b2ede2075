"""Signals in RTLIL text: from their notation to single bits, and back."""

import re
from itertools import groupby

Bit = tuple[str, int]
"""A bit of a wire: its name and its index. A constant bit has no name, and is its own index."""

_CHUNK = re.compile(r"(\d+)'([01x-]+)|([\\$]\S+)(?: \[(\d+)(?::(\d+))?\])?|(-?\d+)")

INTEGER_BITS = 32
"""Width of a constant that is written as a decimal number."""


def parse(text: str, wire_widths: dict[str, int]) -> list[Bit]:
    """Return the bits of a signal, lowest first."""
    bits: list[Bit] = []
    for match in _CHUNK.finditer(text):
        width, constant, wire, high, low, integer = match.groups()
        if integer is not None:
            chunk = [("", int(integer) >> i & 1) for i in range(INTEGER_BITS)]
        elif constant is not None:
            digits = constant.rjust(int(width), "0")
            chunk = [("", int(digit == "1")) for digit in reversed(digits)]
        elif high is None:
            chunk = [(wire, i) for i in range(wire_widths[wire])]
        else:
            chunk = [(wire, i) for i in range(int(low or high), int(high) + 1)]
        bits = chunk + bits
    return bits


def write(bits: list[Bit]) -> str:
    """Return the notation of a signal of these bits, lowest first."""
    chunks = []
    for (wire, _), run in groupby(enumerate(bits), key=lambda item: _run_key(*item)):
        indices = [bit[1] for _, bit in run]
        if wire:
            chunks.append(f"{wire} [{indices[-1]}:{indices[0]}]")
        else:
            chunks.append(f"{len(indices)}'{''.join(map(str, reversed(indices)))}")
    return chunks[0] if len(chunks) == 1 else f"{{ {' '.join(reversed(chunks))} }}"


def _run_key(position: int, bit: Bit) -> tuple[str, int]:
    """Equal for neighbouring bits of one wire, and for neighbouring constants."""
    wire, index = bit
    return wire, index - position if wire else 0
