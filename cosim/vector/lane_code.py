"""A loop over lanes as C++: words in vectors, truths in masks.

A node of one bit is a truth where an operation makes it, and a bit of a word where it comes from
memory; either is turned into the other where it is needed, once in an iteration.
"""

from cosim.vector.graph import LANE_BITS, Node, Register
from cosim.vector.scalar_code import ScalarCode, mask
from cosim.vector.signal import Seg, Signal, constant_value, part, width_of

_INFIX = {"and": "&", "or": "|", "xor": "^", "add": "+", "sub": "-", "mul": "*"}
_TRUTHS = {"and": "both", "or": "either", "xor": "differ"}


def storage(width: int) -> str:
    """Return the type of one lane in memory."""
    return next(f"uint{bits}_t" for bits in (8, 16, 32) if width <= bits)


def element(node: Node, lane: int) -> str:
    """Return one lane of a node in memory."""
    return f"a{node.number}[{lane}]"


class LaneLoop:
    """The code of one loop.

    Parameters
    ----------
    scalars : ScalarCode
    kept : set of Node
        Those that are kept in memory.
    count : int
        Lanes.
    """

    def __init__(self, scalars: ScalarCode, kept: set[Node], count: int) -> None:
        self._scalars = scalars
        self._kept = kept
        self._count = count
        self._before: list[str] = []
        self._body: list[str] = []
        self._names: dict[tuple, str] = {}
        self._made: set[Node] = set()

    def lines(self, nodes: list[Node], registers: list[Register]) -> list[str]:
        """Return the loop that computes nodes and then updates registers."""
        for node in nodes:
            self._made.add(node)
            self._compute(node)
        stores = []
        for register in registers:
            node = register.node
            if register.next != ((node, 0, node.width),):
                stores.append(f"lanes::store(&a{node.number}[lane], {self.word(register.next)});")
        return [
            "{",
            *(f"    {line}" for line in self._before),
            f"    for (int lane = 0; lane < {self._count}; lane += lanes::WIDTH) {{",
            *(f"        {line}" for line in [*self._body, *stores]),
            "    }",
            "}",
        ]

    def _compute(self, node: Node) -> None:
        if node.width == 1 and node.kind != "cat":
            name = self._define(("truth", node), "lanes::Truth", self._truth_operation(node))
            if node in self._kept:
                self._body.append(f"lanes::store(&a{node.number}[lane], lanes::bits({name}, 1));")
        else:
            name = self._define(("word", node), "lanes::Word", self._word_operation(node))
            if node in self._kept:
                self._body.append(f"lanes::store(&a{node.number}[lane], {name});")

    def _define(self, key: tuple, kind: str, value: str, *, before: bool = False) -> str:
        if key not in self._names:
            prefix = "w" if kind == "lanes::Word" else "t"
            name = f"{prefix}{len(self._names)}"
            self._names[key] = name
            (self._before if before else self._body).append(f"const {kind} {name} = {value};")
        return self._names[key]

    # Operations

    def _word_operation(self, node: Node) -> str:
        kind, operands = node.kind, node.operands
        if kind == "cat":
            return self.word(operands[0])
        if kind == "mux":
            select, low, high = operands
            truth = self.truth(select)
            if constant_value(low) == 0:
                return f"lanes::keep({truth}, {self.word(high)})"
            return f"lanes::choose({truth}, {self.word(low)}, {self.word(high)})"
        if kind == "not":
            return f"{self.word(operands[0])} ^ {mask(node.width)}"
        if kind == "add" and (carry := _single_bit(operands[1])):
            return self._masked(node, f"lanes::plus({self.word(operands[0])}, {self.truth(carry)})")
        values = [self.word(operand) for operand in operands]
        if kind in _INFIX:
            result = f"{values[0]} {_INFIX[kind]} {values[1]}"
            return self._masked(node, result) if kind in ("add", "sub", "mul") else result
        if kind == "shl":
            return self._masked(node, f"{values[0]} << {values[1]}")
        assert kind == "shr", kind
        return f"{values[0]} >> {values[1]}"

    def _masked(self, node: Node, value: str) -> str:
        if node.width == LANE_BITS or node.bound < (1 << node.width) - 1:
            return value
        return f"({value}) & {mask(node.width)}"

    def _truth_operation(self, node: Node) -> str:
        kind, operands = node.kind, node.operands
        if kind in _TRUTHS:
            return f"lanes::{_TRUTHS[kind]}({self.truth(operands[0])}, {self.truth(operands[1])})"
        if kind == "not":
            return f"lanes::inverse({self.truth(operands[0])})"
        if kind in ("add", "sub"):
            return f"lanes::differ({self.truth(operands[0])}, {self.truth(operands[1])})"
        if kind == "mul":
            return f"lanes::both({self.truth(operands[0])}, {self.truth(operands[1])})"
        if kind == "any":
            return self._any(operands[0])
        if kind == "all":
            ones = (1 << width_of(operands[0])) - 1
            return f"lanes::equal({self.word(operands[0])}, lanes::splat({ones}u))"
        if kind == "lt":
            return f"lanes::less({self.word(operands[0])}, {self.word(operands[1])})"
        if kind == "eq":
            return f"lanes::equal({self.word(operands[0])}, {self.word(operands[1])})"
        if kind == "parity":
            return f"lanes::parity({self.word(operands[0])})"
        if kind == "mux":
            select, low, high = (self.truth(operand) for operand in operands)
            return (
                f"lanes::either(lanes::both({select}, {high}), "
                f"lanes::both(lanes::inverse({select}), {low}))"
            )
        # A shift of a single bit.
        return f"lanes::both({self.truth(operands[0])}, lanes::inverse({self.truth(operands[1])}))"

    def _any(self, signal: Signal) -> str:
        tests: dict[Node, int] = {}
        terms = []
        for seg in signal:
            if seg.source is None:
                continue
            if seg.width == 1 and self._is_truth(seg.source):
                terms.append(self.truth((seg,)))
            else:
                ones = ((1 << seg.width) - 1) << seg.offset
                tests[seg.source] = tests.get(seg.source, 0) | ones
        for source, ones in tests.items():
            if source.group:
                terms.append(f"lanes::test({self._node_word(source)}, 0x{ones:x}u)")
            else:
                bits = tuple(seg for seg in signal if seg.source is source)
                terms.append(self._uniform_truth(f"({self._scalars.expression(bits)}) != 0"))
        result = terms[0]
        for term in terms[1:]:
            result = f"lanes::either({result}, {term})"
        return result

    # Values

    def _is_truth(self, node: Node) -> bool:
        return ("truth", node) in self._names

    def truth(self, signal: Signal) -> str:
        """Return a signal of one bit as a truth."""
        ((source, offset, width),) = signal
        assert width == 1, width
        if source is None:
            return f"lanes::truth({offset})"
        if not source.group:
            return self._uniform_truth(self._scalars.expression(signal))
        if self._is_truth(source):
            return self._names["truth", source]
        word = self._node_word(source)
        return self._define(
            ("bit", source, offset), "lanes::Truth", f"lanes::test({word}, 0x{1 << offset:x}u)"
        )

    def word(self, signal: Signal) -> str:
        """Return a signal as words; nothing but its bits is set."""
        value = constant_value(signal)
        if value is not None:
            return self._uniform_word(f"0x{value:x}u")
        if all(seg.source is None or not seg.source.group for seg in signal):
            return self._uniform_word(self._scalars.expression(signal))
        key = ("join", signal)
        if key not in self._names:
            value = self._join(signal)
            if _is_name(value):
                return value
            return self._define(key, "lanes::Word", value)
        return self._names[key]

    def _join(self, signal: Signal) -> str:
        fixed = position = 0
        words: list[str] = []
        truths: list[tuple[str, int]] = []
        for seg in signal:
            source = seg.source
            if source is None:
                fixed |= seg.offset << position
            elif not source.group:
                words.append(self._uniform_word(self._shifted_scalar(seg, position)))
            elif self._is_truth(source) or (seg.width == 1 and signal.count(seg) > 1):
                truths.append((self.truth((seg,)), 1 << position))
            else:
                words.append(self._slice(seg, position))
            position += seg.width
        if fixed:
            words.append(self._uniform_word(f"0x{fixed:x}u"))
        merged: dict[str, int] = {}
        for name, bit in truths:
            merged[name] = merged.get(name, 0) | bit
        if words:
            result = words[0] if len(words) == 1 else f"({' | '.join(words)})"
        else:
            name, bits = merged.popitem()
            result = f"lanes::bits({name}, 0x{bits:x}u)"
        for name, bits in merged.items():
            result = f"lanes::with({result}, {name}, 0x{bits:x}u)"
        return result

    def _shifted_scalar(self, seg: Seg, position: int) -> str:
        return f"({self._scalars.expression((seg,))}) << {position}"

    def _slice(self, seg: Seg, position: int) -> str:
        source, offset, width = seg
        name = self._node_word(source)
        shifted = name
        if offset > position:
            shifted = f"({name} >> {offset - position})"
        elif offset < position:
            shifted = f"({name} << {position - offset})"
        low_bits = position > 0 and offset > 0
        high_bits = offset + width < source.width and position + width < LANE_BITS
        if not low_bits and not high_bits:
            return shifted
        return f"({shifted} & 0x{((1 << width) - 1) << position:x}u)"

    def _node_word(self, node: Node) -> str:
        if ("word", node) in self._names:
            return self._names["word", node]
        if self._is_truth(node):
            value = f"lanes::bits({self._names['truth', node]}, 1)"
            return self._define(("word", node), "lanes::Word", value)
        assert node not in self._made, node
        load = f"lanes::load(&a{node.number}[lane])"
        return self._define(("word", node), "lanes::Word", load)

    def _uniform_word(self, value: str) -> str:
        key = ("uniform", value)
        return self._define(key, "lanes::Word", f"lanes::splat({value})", before=True)

    def _uniform_truth(self, value: str) -> str:
        key = ("uniform truth", value)
        return self._define(key, "lanes::Truth", f"lanes::truth({value})", before=True)


def _is_name(value: str) -> bool:
    """Tell whether an expression is a name already."""
    return value.isalnum()


def _single_bit(signal: Signal) -> Signal | None:
    """Return the one bit that a number consists of, if it has no more."""
    if signal[0].width != 1 or signal[0].source is None:
        return None
    rest = part(signal, 1, width_of(signal) - 1)
    return signal[:1] if constant_value(rest) == 0 else None
