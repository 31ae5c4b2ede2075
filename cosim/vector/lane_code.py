"""A loop over lanes as C++: words in vectors, truths in masks.

A node of one bit is a truth where an operation makes it, and a bit of a word where it comes from
memory; either is turned into the other where it is needed, once in an iteration.

Operations of one vector wait for each other most of the time. Where there are lanes enough, an
iteration therefore computes two vectors, in turns of some statements.
"""

from collections import ChainMap
from collections.abc import Iterator
from functools import reduce

from cosim.vector.graph import LANE_BITS, Node, Register
from cosim.vector.masks import loose_nodes
from cosim.vector.scalar_code import ScalarCode
from cosim.vector.schedule import Step
from cosim.vector.signal import Seg, Signal, constant_value, part, width_of

WIDEST = 16
"""Lanes of the widest vector."""

_INFIX = {"and": "&", "or": "|", "xor": "^", "add": "+", "sub": "-", "mul": "*"}
_TURN = 24
"""Statements on one vector before the other one's turn. The more, the fewer values are alive at a
time; the fewer, the sooner the processor finds work."""

_VECTOR = "@"
"""Stands in names for the vector that is computed."""

_TRUTHS = {"and": "both", "or": "either", "xor": "differ"}


def vectors_at_once(count: int) -> int:
    """Return how many vectors an iteration computes of so many lanes."""
    return 2 if count > WIDEST else 1


def padded(count: int) -> int:
    """Return how many lanes an array holds so that no iteration leaves it.

    One vector lies between arrays: an iteration takes the same lanes of very many, which would
    otherwise meet in few sets of the cache, being powers of two apart.
    """
    step = WIDEST * vectors_at_once(count)
    return -(-count // step) * step + WIDEST


def storage(width: int) -> str:
    """Return the type of one lane in memory."""
    return next(f"lanes::Lane{bits}" for bits in (8, 16, 32) if width <= bits)


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
    constants : dict of int to int
        Constants of the model and where they lie; new ones are added. They are operands from
        memory, for there are more of them than registers.
    count : int
        Lanes.
    """

    def __init__(
        self, scalars: ScalarCode, kept: set[Node], constants: dict[int, int], count: int
    ) -> None:
        self._constants = constants
        self._scalars = scalars
        self._kept = kept
        self._count = count
        self._vectors = ["", "b"][: vectors_at_once(count)]
        self._before: list[str] = []
        self._body: list[str] = []
        self._uniform: dict[tuple, str] = {}
        self._names: ChainMap[tuple, str] = ChainMap({}, self._uniform)
        self._named = 0
        self._made: set[Node] = set()
        self._loose: set[Node] = set()
        self._dirty: set[Node] = set()

    def lines(self, step: Step, registers: list[Register]) -> list[str]:
        """Return the loop that computes a step's nodes and then updates registers."""
        idle = step.idle
        nexts = [register.next for register in registers]
        if idle is None:
            body = self._branch(step.nodes, {}, registers, nexts)
        else:
            first = self._nodes(idle.first)
            guards = [self.truth(guard) for guard in idle.guards]
            rest = [node for node in step.nodes if node not in idle.first]
            body = [
                *self._turns(first + self._taken()),
                f"if (lanes::some({self._any_vector(guards)})) {{",
                *(f"    {line}" for line in self._branch(rest, {}, registers, nexts)),
                "} else {",
                *(
                    f"    {line}"
                    for line in self._branch(idle.nodes, idle.values, registers, idle.nexts)
                ),
                "}",
            ]
        return [
            "{",
            *(f"    {line}" for line in self._before),
            *(f"    {line}" for line in self._loop(body)),
            "}",
        ]

    def _branch(
        self,
        nodes: list[Node],
        values: dict[Node, Signal],
        registers: list[Register],
        nexts: list[Signal],
    ) -> list[str]:
        """Return statements of a block, whose names end with it."""
        names, made = self._names, self._made
        self._names, self._made = names.new_child(), made.copy()
        self._dirty = set()
        self._loose = loose_nodes(nodes, [*values.values(), *nexts], self._kept)
        body = self._nodes(nodes)
        stores = [self._store(node, self.word(value)) for node, value in values.items()]
        body += self._taken() + stores + self._stores(registers, nexts)
        self._names, self._made, self._loose = names, made, set()
        return list(self._turns(body))

    def _nodes(self, nodes: list[Node]) -> list[str]:
        for node in nodes:
            self._made.add(node)
            self._compute(node)
        return self._taken()

    def _stores(self, registers: list[Register], nexts: list[Signal]) -> list[str]:
        stores = [
            self._store(register.node, self.word(following))
            for register, following in zip(registers, nexts, strict=True)
            if following != ((register.node, 0, register.node.width),)
        ]
        return self._taken() + stores

    def _taken(self) -> list[str]:
        """Return the statements so far, and begin anew."""
        body, self._body = self._body, []
        return body

    def _store(self, node: Node, word: str) -> str:
        return f"lanes::store(&a{node.number}[lane@], {word});"

    def _loop(self, body: list[str]) -> Iterator[str]:
        step = " + ".join(["lanes::WIDTH"] * len(self._vectors))
        yield f"for (int lane = 0; lane < {self._count}; lane += {step}) {{"
        if len(self._vectors) > 1:
            yield "    const int laneb = lane + lanes::WIDTH;"
        yield from (f"    {line}" for line in body)
        yield "}"

    def _turns(self, body: list[str]) -> Iterator[str]:
        for start in range(0, len(body), _TURN):
            for vector in self._vectors:
                for line in body[start : start + _TURN]:
                    yield line.replace(_VECTOR, vector)

    def _any_vector(self, truths: list[str]) -> str:
        """Return whether any truth is true in any vector."""
        terms = [truth.replace(_VECTOR, vector) for vector in self._vectors for truth in truths]
        return reduce(lambda a, b: f"lanes::either({a}, {b})", terms)

    def _compute(self, node: Node) -> None:
        if node.width == 1 and node.kind != "cat":
            name = self._define(("truth", node), "lanes::Truth", self._truth_operation(node))
            if node in self._kept:
                bit = f"lanes::bits({name}, {self._constant(1)})"
                self._body.append(self._store(node, bit))
        else:
            name = self._define(("word", node), "lanes::Word", self._word_operation(node))
            if node in self._kept:
                self._body.append(self._store(node, name))

    def _constant(self, value: int) -> str:
        return f"k[{self._constants.setdefault(value, len(self._constants))}]"

    def _ones(self, width: int) -> str:
        return self._constant((1 << width) - 1)

    def _define(self, key: tuple, kind: str, value: str, *, before: bool = False) -> str:
        if key not in self._names:
            prefix = "w" if kind == "lanes::Word" else "t"
            name = f"{prefix}{self._named}{'' if before else _VECTOR}"
            self._named += 1
            (self._uniform if before else self._names)[key] = name
            (self._before if before else self._body).append(f"const {kind} {name} = {value};")
        return self._names[key]

    # Operations

    def _word_operation(self, node: Node) -> str:
        kind, operands = node.kind, node.operands
        if kind == "cat":
            return self.word(operands[0])
        if kind == "mux":
            if self._reads_dirty(node):
                self._dirty.add(node)
            return self._mux(*operands)
        if kind == "not":
            return f"{self.word(operands[0])} ^ {self._ones(node.width)}"
        if kind == "leading":
            return self._leading_zeros(operands[0], node.width)
        if kind == "add" and (carry := _single_bit(operands[1])):
            return self._masked(node, f"lanes::plus({self.word(operands[0])}, {self.truth(carry)})")
        values = [self.word(operand) for operand in operands]
        if kind in _INFIX:
            result = f"{values[0]} {_INFIX[kind]} {values[1]}"
            return self._masked(node, result) if kind in ("add", "sub", "mul") else result
        if kind == "normalise":
            # Only zeros are shifted out.
            result = f"{values[0]} << {values[1]}"
            return self._masked(node, result, fits=node.width == width_of(operands[0]))
        if kind == "shl":
            return self._masked(node, f"{values[0]} << {values[1]}")
        assert kind == "shr", kind
        return f"{values[0]} >> {values[1]}"

    def _leading_zeros(self, signal: Signal, width: int) -> str:
        # A bit set below ends the count where it may go no further.
        end = self._constant(1 << (LANE_BITS - (1 << width)))
        top = LANE_BITS - width_of(signal)
        word = f"{self.word(signal)} << {top}" if top else self.word(signal)
        return f"lanes::leading_zeros(({word}) | {end})"

    def _mux(self, select: Signal, low: Signal, high: Signal) -> str:
        if constant_value(low) == 0:
            return f"lanes::keep({self.truth(select)}, {self.word(high)})"
        if constant_value(high) == 0:
            return f"lanes::keep({self._inverse(select)}, {self.word(low)})"
        zeros = _zeros_unless(select)
        if shift := self._as_shift(low, high, zeros):
            return f"lanes::{shift[0]}<{shift[1]}>({self._inverse(select)}, {self.word(high)})"
        if shift := self._as_shift(high, low, {}):
            return f"lanes::{shift[0]}<{shift[1]}>({self.truth(select)}, {self.word(low)})"
        return f"lanes::choose({self.truth(select)}, {self.word(low)}, {self.word(high)})"

    def _as_shift(
        self, moved: Signal, whole: Signal, zeros: dict[Node, int]
    ) -> tuple[str, int] | None:
        """Tell by how much `moved` is shifted against `whole`, if that is all they differ in.

        `zeros` are bits of nodes known to be zero.
        """
        filled = [seg for seg in moved if seg.source is not None or seg.offset]
        if len(filled) != 1 or filled[0].source is None or constant_value(whole) is not None:
            return None
        source, offset, width = filled[0]
        position = width_of(moved[: moved.index(filled[0])])
        if not source.group or self._is_truth(source):
            return None
        # All of the node takes part, or all but what falls out on the right, or zeros.
        beyond = (1 << source.width) - (1 << (offset + width))
        outside = zeros.get(source, 0)
        if beyond & ~outside:
            return None
        starts = [(seg, width_of(whole[:i])) for i, seg in enumerate(whole)]
        held = [(seg, start) for seg, start in starts if seg.source is not None or seg.offset]
        if len(held) != 1 or held[0][0].source is not source:
            return None
        (_, first, size), start = held[0]
        if first or size != source.width:
            return None
        distance = (position - offset) - start
        if distance < 0:
            # Bits below `start` must have been shifted out of the word, not kept.
            kept_low = start == 0 and position == 0 and offset == -distance
            return ("shift_right_if", -distance) if kept_low else None
        fits = distance + start + (offset + width) <= LANE_BITS and offset == 0
        return ("shift_left_if", distance) if fits and distance else None

    def _masked(self, node: Node, value: str, *, fits: bool | None = None) -> str:
        """Return a value cut to its node's width, unless it fits if its operands do."""
        if fits is None:
            fits = node.bound < (1 << node.width) - 1
        if node.width == LANE_BITS or (fits and not self._reads_dirty(node)):
            return value
        if node in self._loose:
            self._dirty.add(node)
            return value
        return f"({value}) & {self._ones(node.width)}"

    def _reads_dirty(self, node: Node) -> bool:
        return any(seg.source in self._dirty for operand in node.operands for seg in operand)

    def _truth_operation(self, node: Node) -> str:
        kind, operands = node.kind, node.operands
        if kind == "and":
            # One of them may come for nothing as an inverse.
            for one, other in (operands, operands[::-1]):
                if (inverted := _inverted(other)) is not None and not self._is_free(inverted):
                    return f"lanes::without({self.truth(one)}, {self.truth(inverted)})"
        if kind in _TRUTHS:
            return f"lanes::{_TRUTHS[kind]}({self.truth(operands[0])}, {self.truth(operands[1])})"
        if kind == "not":
            return self._inverse(operands[0])
        if kind in ("add", "sub"):
            return f"lanes::differ({self.truth(operands[0])}, {self.truth(operands[1])})"
        if kind == "mul":
            return f"lanes::both({self.truth(operands[0])}, {self.truth(operands[1])})"
        if kind == "any":
            return self._any(operands[0])
        if kind == "all":
            ones = (1 << width_of(operands[0])) - 1
            return f"lanes::equal({self.word(operands[0])}, {self._uniform_word(f'0x{ones:x}u')})"
        if kind == "lt":
            return f"lanes::less({self.word(operands[0])}, {self.word(operands[1])})"
        if kind == "eq":
            return f"lanes::equal({self.word(operands[0])}, {self.word(operands[1])})"
        if kind == "lost":
            return f"lanes::lost({self.word(operands[0])}, {self.word(operands[1])})"
        if kind == "parity":
            return f"lanes::parity({self.word(operands[0])})"
        if kind == "mux":
            select, low, high = (self.truth(operand) for operand in operands)
            return f"lanes::either(lanes::both({select}, {high}), lanes::without({low}, {select}))"
        # A shift of a single bit.
        return f"lanes::without({self.truth(operands[0])}, {self.truth(operands[1])})"

    def _inverse(self, signal: Signal) -> str:
        """Return the inverse of a truth."""
        if (inverted := _inverted(signal)) is not None:
            return self.truth(inverted)
        seg = signal[0]
        if self._is_free(signal):
            tested = seg if seg.source.kind != "any" else seg.source.operands[0][0]
            ones = ((1 << tested.width) - 1) << tested.offset
            word = self._node_word(tested.source)
            value = f"lanes::none({word}, {self._constant(ones)})"
        else:
            value = f"lanes::inverse({self.truth(signal)})"
        uniform = seg.source is None or not seg.source.group
        return self._define(("inverse", signal), "lanes::Truth", value, before=uniform)

    def _is_free(self, signal: Signal) -> bool:
        """Tell whether the inverse of a truth costs no more than itself: it tests one word."""
        seg = signal[0]
        if seg.source is None or not seg.source.group:
            return False
        if seg.source.kind == "any":
            tested = seg.source.operands[0]
            source = tested[0].source
            return len(tested) == 1 and source.group > 0 and not self._is_truth(source)
        return not self._is_truth(seg.source)

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
                terms.append(f"lanes::test({self._node_word(source)}, {self._constant(ones)})")
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
            ("bit", source, offset),
            "lanes::Truth",
            f"lanes::test({word}, {self._constant(1 << offset)})",
        )

    def word(self, signal: Signal) -> str:
        """Return a signal as words; nothing but its bits is set."""
        value = constant_value(signal)
        if value is not None:
            return self._uniform_word(f"0x{value:x}u" if value == 0 else self._constant(value))
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
        flipped = fixed = position = 0
        words: list[str] = []
        truths: dict[tuple[str, bool], int] = {}
        for seg in signal:
            source = seg.source
            if source is None:
                fixed |= seg.offset << position
            elif not source.group:
                words.append(self._uniform_word(self._shifted_scalar(seg, position)))
            elif self._is_truth(source) or (seg.width == 1 and signal.count(seg) > 1):
                inverted = _inverted((seg,))
                if ("inverse", inverted) in self._names:
                    inverted = None
                name = self.truth((seg,) if inverted is None else inverted)
                if inverted is not None:
                    flipped |= 1 << position
                key = (name, inverted is not None)
                truths[key] = truths.get(key, 0) | 1 << position
            else:
                words.append(self._slice(seg, position))
            position += seg.width
        # An inverted bit starts set, and its truth clears it.
        if fixed | flipped:
            words.append(self._uniform_word(self._constant(fixed | flipped)))
        if words:
            result = words[0] if len(words) == 1 else f"({' | '.join(words)})"
        else:
            (name, _), bits = truths.popitem()
            result = f"lanes::bits({name}, {self._constant(bits)})"
        for (name, clears), bits in truths.items():
            function = "without_bits" if clears else "with"
            result = f"lanes::{function}({result}, {name}, {self._constant(bits)})"
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
        return f"({shifted} & {self._constant(((1 << width) - 1) << position)})"

    def _node_word(self, node: Node) -> str:
        if ("word", node) in self._names:
            return self._names["word", node]
        if self._is_truth(node):
            value = f"lanes::bits({self._names['truth', node]}, {self._constant(1)})"
            return self._define(("word", node), "lanes::Word", value)
        assert node not in self._made, node
        load = f"lanes::load(&a{node.number}[lane@])"
        return self._define(("word", node), "lanes::Word", load)

    def _uniform_word(self, value: str) -> str:
        key = ("uniform", value)
        return self._define(key, "lanes::Word", f"lanes::splat({value})", before=True)

    def _uniform_truth(self, value: str) -> str:
        key = ("uniform truth", value)
        return self._define(key, "lanes::Truth", f"lanes::truth({value})", before=True)


def _is_name(value: str) -> bool:
    """Tell whether an expression is a name already."""
    return value.removesuffix(_VECTOR).isalnum()


def _single_bit(signal: Signal) -> Signal | None:
    """Return the one bit that a number consists of, if it has no more."""
    if signal[0].width != 1 or signal[0].source is None:
        return None
    rest = part(signal, 1, width_of(signal) - 1)
    return signal[:1] if constant_value(rest) == 0 else None


def _inverted(signal: Signal) -> Signal | None:
    """Return what a truth is the inverse of, if an operation says so."""
    source = signal[0].source
    if source is None or not source.group or source.kind != "not" or source.width > 1:
        return None
    return source.operands[0]


def _zeros_unless(select: Signal) -> dict[Node, int]:
    """Return the bits of nodes that are zero where a truth is false."""
    source = select[0].source
    if source is None or source.kind != "any":
        return {}
    return {
        seg.source: ((1 << seg.width) - 1) << seg.offset
        for seg in source.operands[0]
        if seg.source is not None
    }
