"""Scalars as C++: one statement a node, on words of 64 bits."""

import re
from collections.abc import Callable

from cosim.vector.graph import SCALAR_BITS, Node
from cosim.vector.signal import Seg, Signal, width_of

_INFIX = {"and": "&", "or": "|", "xor": "^", "add": "+", "sub": "-", "mul": "*"}


def mask(width: int) -> str:
    """Return a number with the low `width` bits set."""
    return f"0x{(1 << width) - 1:x}u" if width <= 32 else f"0x{(1 << width) - 1:x}ull"


def number(value: int) -> str:
    """Return an unsigned number of 64 bits."""
    return f"0x{value:x}ull" if value > 9 else f"{value}ull"


def identifier(name: str) -> str:
    """Return a name that C++ takes; names of that kind stay as they are."""
    plain = re.sub(r"\W", lambda match: f"_{ord(match[0]):x}_", name, flags=re.ASCII)
    return plain if re.match(r"[A-Za-z_]", plain) else f"_{plain}"


class ScalarCode:
    """Expressions and statements for scalars.

    Parameters
    ----------
    kept : set of Node
        Those that are members of the model, not local to a function.
    """

    def __init__(self, kept: set[Node]) -> None:
        self._kept = kept

    def statement(self, node: Node) -> str:
        """Return the statement that computes a node."""
        value = self._operation(node)
        declaration = "" if node in self._kept else "const uint64_t "
        return f"{declaration}n{node.number} = {value};"

    def expression(self, signal: Signal) -> str:
        """Return the value of a signal of at most 64 bits."""
        return self._join(signal, self._name)

    def moved(self, signal: Signal) -> str:
        """Return the value of a signal, lanes read where they are."""

        def name(node: Node) -> str:
            return self._operation(node) if node.kind == "extract" else self._name(node)

        return self._join(signal, name)

    def lane_expression(self, signal: Signal, lane: str) -> str:
        """Return the value of a signal of lanes, in one lane."""
        return self._join(
            signal,
            lambda node: f"uint64_t(a{node.number}[{lane}])" if node.group else self._name(node),
        )

    def _join(self, signal: Signal, name: Callable[[Node], str]) -> str:
        terms, position, fixed = [], 0, 0
        i = 0
        while i < len(signal):
            seg = signal[i]
            if seg.source is None:
                fixed |= seg.offset << position
            elif seg.width == 1 and i + 1 < len(signal) and signal[i + 1] == seg:
                # One bit many times over, as extension by sign makes it.
                count = 1
                while i + count < len(signal) and signal[i + count] == seg:
                    count += 1
                ones = number(((1 << count) - 1) << position)
                terms.append(f"(-{_slice(name(seg.source), seg, 0)} & {ones})")
                i += count
                position += count
                continue
            else:
                terms.append(_slice(name(seg.source), seg, position))
            position += seg.width
            i += 1
        if fixed or not terms:
            terms.append(number(fixed))
        return terms[0] if len(terms) == 1 else f"({' | '.join(terms)})"

    def _name(self, node: Node) -> str:
        if node.kind == "register":
            return f"r{node.number}"
        if node.kind == "input":
            name, word = node.detail  # pyright: ignore[reportGeneralTypeIssues]
            return f"uint64_t({identifier(name)}{word})"
        return f"n{node.number}"

    def _operation(self, node: Node) -> str:
        kind, operands = node.kind, node.operands
        if kind == "extract":
            source = operands[0][0].source
            return f"uint64_t(a{source.number}[{node.detail}])"
        if kind == "read":
            memory, word = node.detail  # pyright: ignore[reportGeneralTypeIssues]
            address = self.expression(operands[0])
            item = f"m{memory.number}[{address}][{word}]"
            return f"{address} < {memory.size}u ? {item} : 0"
        values = [self.expression(operand) for operand in operands]
        if kind in _INFIX:
            result = f"{values[0]} {_INFIX[kind]} {values[1]}"
            return self._masked(node, result) if kind in ("add", "sub", "mul") else result
        if kind == "not":
            return f"{values[0]} ^ {mask(node.width)}"
        if kind == "mux":
            return f"{values[0]} ? {values[2]} : {values[1]}"
        if kind == "lt":
            return f"{values[0]} < {values[1]}"
        if kind == "eq":
            return f"{values[0]} == {values[1]}"
        if kind == "any":
            return f"{values[0]} != 0"
        if kind == "all":
            return f"{values[0]} == {mask(width_of(operands[0]))}"
        if kind == "parity":
            return f"__builtin_parityll({values[0]})"
        if kind == "shl":
            return self._masked(node, f"{values[0]} << {values[1]}")
        if kind == "shr":
            return f"{values[0]} >> {values[1]}"
        assert kind == "cat", kind
        return values[0]

    def _masked(self, node: Node, value: str) -> str:
        if node.width == SCALAR_BITS or node.bound < (1 << node.width) - 1:
            return value
        return f"({value}) & {mask(node.width)}"


def _slice(name: str, seg: Seg, position: int) -> str:
    """Return bits of a word, moved to a position; all bits beside them zero."""
    source, offset, width = seg
    shifted = name
    if offset > position:
        shifted = f"({name} >> {offset - position})"
    elif offset < position:
        shifted = f"({name} << {position - offset})"
    low_bits = position > 0 and offset > 0
    high_bits = offset + width < source.width
    if not low_bits and not high_bits:
        return shifted
    ones = number(((1 << width) - 1) << position)
    return f"({shifted} & {ones})"
