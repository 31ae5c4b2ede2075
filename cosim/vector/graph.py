"""The graph of word operations: what is computed, on scalars or on lanes.

A node is one operation on words of at most `CHUNK` bits. Group 0 holds scalars, each other group
the lanes of one module; a node of lanes stands for as many computations. Nodes are folded and
shared while they are made, and an operation whose operands are all scalars is a scalar itself,
also where the Verilog has it in every lane.
"""

from collections.abc import Callable
from dataclasses import dataclass

from cosim.vector.signal import (
    Seg,
    Signal,
    concat,
    constant,
    constant_value,
    extend,
    part,
    width_of,
)

SCALAR_BITS = 64
LANE_BITS = 32
"""Widest words of scalars and of lanes."""


@dataclass(eq=False, slots=True)
class Node:
    """One operation.

    Attributes
    ----------
    number : int
        Position in the order of making; operands come first.
    group : int
    kind : str
        An operation, or a source: ``"input"``, ``"register"``, ``"gather"``, ``"extract"``,
        ``"read"``.
    width : int
    operands : tuple of Signal
    detail : object
        What the kind needs besides.
    bound : int
        No value is larger.
    """

    number: int
    group: int
    kind: str
    width: int
    operands: tuple
    detail: object
    bound: int


@dataclass(eq=False)
class Register:
    """A word of state: `node` shows it, `next` is what it takes at the clock.

    With an asynchronous reset, `shown` is what it takes before that, as soon as inputs settle.
    """

    node: Node
    initial: int
    next: Signal = ()
    shown: Signal = ()


@dataclass(eq=False)
class Memory:
    """Words of `width` bits, in pieces of scalars; writes in order, later ones win.

    Attributes
    ----------
    writes : list of (address, enable a bit, data)
    """

    number: int
    name: str
    width: int
    size: int
    initial: list[int]
    writes: list[tuple[Signal, Signal, Signal]]


def pieces(width: int, chunk: int) -> list[tuple[int, int]]:
    """Cut a width into words: offset and width of each."""
    return [(low, min(chunk, width - low)) for low in range(0, width, chunk)]


def group_of(*signals: Signal) -> int:
    """Return the group that an operation on these signals belongs to."""
    for signal in signals:
        for source, _, _ in signal:
            if source is not None and source.group:
                return source.group
    return 0


class Graph:
    """All nodes of a circuit, and the operations that make them."""

    def __init__(self) -> None:
        self.nodes: list[Node] = []
        self.registers: list[Register] = []
        self.memories: list[Memory] = []
        self._known: dict[tuple, Node] = {}

    # Sources

    def source(self, kind: str, group: int, width: int, detail: object = None) -> Node:
        """Add a node without operands; each is a new one."""
        return self._add(group, kind, width, (), detail, (1 << width) - 1)

    def register(self, group: int, width: int, initial: int) -> tuple[Signal, list[Register]]:
        """Add the words of a register."""
        words = []
        for low, size in pieces(width, LANE_BITS if group else SCALAR_BITS):
            node = self.source("register", group, size)
            words.append(Register(node, initial >> low & ((1 << size) - 1)))
            node.detail = words[-1]
        self.registers += words
        return concat(*((Seg(word.node, 0, word.node.width),) for word in words)), words

    def extract(self, node: Node, lane: int) -> Signal:
        """Return one lane of a node, as a scalar."""
        whole = self._shared(0, "extract", node.width, ((Seg(node, 0, node.width),),), lane)
        return (Seg(whole, 0, node.width),)

    def read(self, memory: Memory, address: Signal) -> Signal:
        """Return a word of a memory; zero beyond its end."""
        address = self.word(self._narrow_address(address, memory))
        result = []
        for low, size in pieces(memory.width, SCALAR_BITS):
            node = self._shared(0, "read", size, (address,), (memory, low // SCALAR_BITS))
            result.append((Seg(node, 0, size),))
        return concat(*result)

    def _narrow_address(self, address: Signal, memory: Memory) -> Signal:
        if width_of(address) <= SCALAR_BITS:
            return address
        beyond = self.any(part(address, SCALAR_BITS - 1, width_of(address) - SCALAR_BITS + 1))
        return concat(part(address, 0, SCALAR_BITS - 1), beyond)

    # Bit by bit

    def bitwise(self, kind: str, a: Signal, b: Signal) -> Signal:
        """``"and"``, ``"or"``, or ``"xor"`` of two signals of one width."""
        return self._in_words(self._bitwise_word, kind, a, b)

    def invert(self, a: Signal) -> Signal:
        """Every bit inverted."""
        return self._in_words(self._invert_word, None, a)

    def mux(self, select: Signal, a: Signal, b: Signal) -> Signal:
        """`b` if the bit `select` is set, else `a`."""
        chosen = constant_value(select)
        if chosen is not None:
            return b if chosen else a
        if a == b:
            return a
        inverted = self._inverted(select)
        if inverted is not None:
            return self.mux(inverted, b, a)

        def mux_word(_: None, low: Signal, high: Signal) -> Signal:
            if low == high:
                return low
            if width_of(low) == 1:
                zero, one = constant_value(low), constant_value(high)
                if (zero, one) == (0, 1):
                    return select
                if (zero, one) == (1, 0):
                    return self.invert(select)
                if zero == 0:
                    return self.bitwise("and", select, high)
                if one == 1:
                    return self.bitwise("or", select, low)
                if one == 0:
                    return self.bitwise("and", self.invert(select), low)
                if zero == 1:
                    return self.bitwise("or", self.invert(select), high)
            bound = max(self.bound(low), self.bound(high))
            return self._operation("mux", width_of(low), (select, low, high), bound)

        return self._in_words(mux_word, None, a, b, also=select)

    # Arithmetic, without sign; operands of one width, the result of the same

    def add(self, a: Signal, b: Signal, carry: Signal = ()) -> Signal:
        """Sum, and a carry bit on top if one is given; modulo the width."""
        width, chunk = width_of(a), self._chunk(a, b, carry)
        if width <= chunk:
            total = self._add_word(a, b)
            if carry and constant_value(carry) != 0:
                total = self._add_word(total, extend(carry, width, False))
            return total
        # One bit of each word is left for the carry.
        result, step = [], chunk - 1
        carry = carry or constant(0, 1)
        for low in range(0, width, step):
            size = min(step, width - low)
            word = [extend(part(x, low, size), size + 1, False) for x in (a, b)]
            total = self.add(word[0], word[1], carry)
            result.append(part(total, 0, size))
            carry = part(total, size, 1)
        return concat(*result)

    def subtract(self, a: Signal, b: Signal) -> Signal:
        """Difference, modulo the width."""
        width = width_of(a)
        if width > self._chunk(a, b):
            return self.add(a, self.invert(b), constant(1, 1))
        x, y = constant_value(a), constant_value(b)
        if y == 0:
            return a
        if x is not None and y is not None:
            return constant(x - y, width)
        return self._operation("sub", width, (a, b))

    def multiply(self, a: Signal, b: Signal) -> Signal:
        """Product, modulo the width."""
        width, chunk = width_of(a), self._chunk(a, b)
        a, b = self._shorter(a), self._shorter(b)
        if width <= chunk:
            a, b = extend(a, width, False), extend(b, width, False)
            x, y = constant_value(a), constant_value(b)
            if x is not None and y is not None:
                return constant(x * y, width)
            bound = min(self.bound(a) * self.bound(b), (1 << width) - 1)
            return self._operation("mul", width, (a, b), bound)
        # By halves of a word, so that the product of two fits one.
        half = chunk // 2
        total = constant(0, width)
        for i in range(0, width_of(a), half):
            for j in range(0, width_of(b), half):
                if i + j < width:
                    factors = [
                        extend(part(x, low, min(half, width_of(x) - low)), chunk, False)
                        for x, low in ((a, i), (b, j))
                    ]
                    product = self.multiply(factors[0], factors[1])
                    product = concat(constant(0, i + j), product)
                    total = self.add(total, extend(product, width, False))
        return total

    def less(self, a: Signal, b: Signal) -> Signal:
        """Whether `a` is less than `b`."""
        width, chunk = width_of(a), self._chunk(a, b)
        x, y = constant_value(a), constant_value(b)
        if x is not None and y is not None:
            return constant(x < y, 1)
        if width <= chunk:
            return self._operation("lt", 1, (a, b))
        result = constant(0, 1)
        for low, size in pieces(width, chunk):
            words = part(a, low, size), part(b, low, size)
            below = self.bitwise("and", self.equal(*words), result)
            result = self.bitwise("or", self.less(*words), below)
        return result

    def equal(self, a: Signal, b: Signal) -> Signal:
        """Whether all bits are equal."""
        result = constant(1, 1)
        for low, size in pieces(width_of(a), self._chunk(a, b)):
            words = part(a, low, size), part(b, low, size)
            result = self.bitwise("and", result, self._equal_word(*words))
        return result

    # All bits of one

    def any(self, a: Signal) -> Signal:
        """Whether a bit is set."""
        result = constant(0, 1)
        for low, size in pieces(width_of(a), self._chunk(a)):
            word = _without_constants(part(a, low, size), 0)
            if word is None:
                return constant(1, 1)
            if width_of(word) > 1:
                word = self._operation("any", 1, (word,))
            if word:
                result = self.bitwise("or", result, word)
        return result

    def all(self, a: Signal) -> Signal:
        """Whether all bits are set."""
        result = constant(1, 1)
        for low, size in pieces(width_of(a), self._chunk(a)):
            word = _without_constants(part(a, low, size), 1)
            if word is None:
                return constant(0, 1)
            if width_of(word) > 1:
                word = self._operation("all", 1, (word,))
            if word:
                result = self.bitwise("and", result, word)
        return result

    def parity(self, a: Signal) -> Signal:
        """Whether an odd number of bits is set."""
        result = constant(0, 1)
        for low, size in pieces(width_of(a), self._chunk(a)):
            word = part(a, low, size)
            value = constant_value(word)
            if value is not None:
                word = constant(value.bit_count() & 1, 1)
            elif size > 1:
                word = self._operation("parity", 1, (word,))
            result = self.bitwise("xor", result, word)
        return result

    # Shifts by a variable amount

    def shift(self, kind: str, a: Signal, amount: Signal, fill: Signal) -> Signal:
        """Shift left (``"shl"``) or right (``"shr"``) by any amount; `fill` moves in."""
        width = width_of(a)
        fixed = constant_value(amount)
        if fixed is not None:
            return shifted(kind, a, min(fixed, width), fill)
        amount = self._shorter(amount)
        stages = min(width_of(amount), max(1, (width - 1).bit_length()))
        native = constant_value(fill) == 0 and width <= self._chunk(a, amount)
        low = part(amount, 0, stages)
        if native and 1 << stages <= (LANE_BITS if group_of(a, amount) else SCALAR_BITS):
            result = self._operation(
                kind, width, (a, low), self.bound(a) if kind == "shr" else None
            )
        else:
            result = a
            for stage in range(stages):
                moved = shifted(kind, result, min(1 << stage, width), fill)
                result = self.mux(part(amount, stage, 1), result, moved)
        beyond = self.any(part(amount, stages, width_of(amount) - stages))
        return self.mux(beyond, result, concat(*[fill] * width))

    def count_leading_zeros(self, a: Signal, width: int) -> Signal:
        """Count them in a word of lanes; more than a number of `width` bits holds are not told."""
        return self._operation("leading", width, (a,))

    # Helpers

    def same_operation(self, node: Node, operands: tuple[Signal, ...]) -> Signal:
        """Return what a node's operation makes of other operands."""
        if node.kind in ("and", "or", "xor"):
            return self.bitwise(node.kind, *operands)
        if node.kind in ("shl", "shr"):
            return self.shift(node.kind, operands[0], operands[1], constant(0, 1))
        if node.kind == "cat":
            return operands[0]
        known = {
            "not": self.invert,
            "mux": self.mux,
            "add": self.add,
            "sub": self.subtract,
            "mul": self.multiply,
            "lt": self.less,
            "eq": self.equal,
            "any": self.any,
            "all": self.all,
            "parity": self.parity,
        }
        if node.kind in known:
            return known[node.kind](*operands)
        return self._operation(node.kind, node.width, operands)

    def sort(self) -> None:
        """Number all nodes anew, so that operands come first again; gathers have theirs later."""
        order: list[Node] = []
        placed: set[Node] = set()
        waiting = self.nodes[::-1]
        while waiting:
            node = waiting[-1]
            if node in placed:
                waiting.pop()
                continue
            operands = () if node.kind == "gather" else node.operands
            missing = [
                seg.source
                for operand in operands
                for seg in operand
                if seg.source is not None and seg.source not in placed
            ]
            if missing:
                waiting += missing
                continue
            waiting.pop()
            placed.add(node)
            node.number = len(order)
            order.append(node)
        self.nodes = order

    def word(self, signal: Signal) -> Signal:
        """Return the same bits as the whole of one node, where they are not constant."""
        if constant_value(signal) is not None:
            return signal
        seg = signal[0]
        if len(signal) == 1 and seg.width == seg.source.width:
            return signal
        return self._operation("cat", width_of(signal), (signal,), self.bound(signal))

    def bound(self, signal: Signal) -> int:
        """Return a number that the signal never exceeds."""
        total = shift = 0
        for source, offset, width in signal:
            value = offset if source is None else min((1 << width) - 1, source.bound >> offset)
            total |= value << shift
            shift += width
        return total

    def _chunk(self, *signals: Signal) -> int:
        return LANE_BITS if group_of(*signals) else SCALAR_BITS

    def _in_words(
        self, operation: Callable, kind: str | None, *operands: Signal, also: Signal = ()
    ) -> Signal:
        chunk = self._chunk(*operands, also)
        return concat(
            *(
                operation(kind, *(part(operand, low, size) for operand in operands))
                for low, size in pieces(width_of(operands[0]), chunk)
            )
        )

    def _bitwise_word(self, kind: str, a: Signal, b: Signal) -> Signal:
        if a == b:
            return constant(0, width_of(a)) if kind == "xor" else a
        folded = self._fold_bits(kind, a, b)
        if folded is not None:
            return folded
        width = width_of(a)
        both = self.bound(a), self.bound(b)
        # A bound stands for all numbers of its length.
        full = [(1 << bound.bit_length()) - 1 for bound in both]
        bound = min(both) if kind == "and" else max(full)
        a, b = _in_order(a, b)
        return self._operation(kind, width, (a, b), bound)

    def _fold_bits(self, kind: str, a: Signal, b: Signal) -> Signal | None:
        """Return wires and constants that do as well, if all bits allow it."""
        result = []
        low = 0
        for seg in _common_cuts(a, b):
            x, y = part(a, low, seg), part(b, low, seg)
            low += seg
            ones = (1 << seg) - 1
            if constant_value(x) is None:
                x, y = y, x
            value = constant_value(x)
            if value is None or (value not in (0, ones) and constant_value(y) is None):
                return None
            other = constant_value(y)
            if other is not None:
                fold = {"and": value & other, "or": value | other, "xor": value ^ other}
                result.append(constant(fold[kind], seg))
            elif kind == "and":
                result.append(y if value else constant(0, seg))
            elif kind == "or":
                result.append(constant(ones, seg) if value else y)
            elif value:
                return self.invert(y) if seg == width_of(a) else None
            else:
                result.append(y)
        return concat(*result)

    def _invert_word(self, _: None, a: Signal) -> Signal:
        value = constant_value(a)
        width = width_of(a)
        if value is not None:
            return constant(~value, width)
        inverted = self._inverted(a)
        return inverted if inverted is not None else self._operation("not", width, (a,))

    def _inverted(self, a: Signal) -> Signal | None:
        """Return what a signal is the inverse of, if it is one."""
        if len(a) == 1:
            source, offset, width = a[0]
            if source is not None and source.kind == "not" and (offset, width) == (0, source.width):
                return source.operands[0]
        return None

    def _add_word(self, a: Signal, b: Signal) -> Signal:
        x, y = constant_value(a), constant_value(b)
        width = width_of(a)
        if x is not None and y is not None:
            return constant(x + y, width)
        if x is not None:
            a, b, y = b, a, x
        if y == 0:
            return a
        bound = self.bound(a) + self.bound(b)
        return self._operation("add", width, (a, b), bound if bound < 1 << width else None)

    def _equal_word(self, a: Signal, b: Signal) -> Signal:
        x, y = constant_value(a), constant_value(b)
        if x is not None:
            a, b, x, y = b, a, y, x
        if a == b:
            return constant(1, 1)
        if y is not None and x is not None:
            return constant(x == y, 1)
        if width_of(a) == 1:
            return self.invert(self.bitwise("xor", a, b))
        if y == 0:
            return self.invert(self.any(a))
        if y == (1 << width_of(a)) - 1:
            return self.all(a)
        return self._operation("eq", 1, (a, b))

    def _shorter(self, a: Signal) -> Signal:
        """Cut off zeros at the top."""
        return part(a, 0, max(1, self.bound(a).bit_length()))

    def _operation(
        self, kind: str, width: int, operands: tuple, bound: int | None = None
    ) -> Signal:
        node = self._shared(group_of(*operands), kind, width, operands, None, bound)
        return (Seg(node, 0, width),)

    def _shared(
        self,
        group: int,
        kind: str,
        width: int,
        operands: tuple,
        detail: object,
        bound: int | None = None,
    ) -> Node:
        key = (kind, width, operands, detail)
        node = self._known.get(key)
        if node is None:
            if bound is None:
                bound = (1 << width) - 1
            node = self._known[key] = self._add(group, kind, width, operands, detail, bound)
        return node

    def _add(
        self, group: int, kind: str, width: int, operands: tuple, detail: object, bound: int
    ) -> Node:
        node = Node(len(self.nodes), group, kind, width, operands, detail, bound)
        self.nodes.append(node)
        return node


def _without_constants(signal: Signal, neutral: int) -> Signal | None:
    """Return the bits that are not constant, or None if a constant decides the result."""
    rest = []
    for seg in signal:
        if seg.source is None:
            if seg.offset != (0 if neutral == 0 else (1 << seg.width) - 1):
                return None
        else:
            rest.append((seg,))
    return concat(*rest)


def _in_order(a: Signal, b: Signal) -> tuple[Signal, Signal]:
    """Return the operands of a commutative operation such that equal ones are found equal."""

    def rank(signal: Signal) -> tuple[bool, list[tuple[int, int, int]]]:
        return constant_value(signal) is not None, [
            (-1 if source is None else source.number, offset, width)
            for source, offset, width in signal
        ]

    return (b, a) if rank(b) < rank(a) else (a, b)


def _common_cuts(a: Signal, b: Signal) -> list[int]:
    """Widths of the parts between all ends of runs of either signal."""
    ends = set()
    for signal in (a, b):
        position = 0
        for seg in signal:
            if seg.source is None:
                ends |= {position + end for end in _ends_of_runs(seg.offset, seg.width)}
            position += seg.width
            ends.add(position)
    cuts = sorted(ends)
    return [end - start for start, end in zip([0, *cuts], cuts, strict=False)]


def _ends_of_runs(value: int, width: int) -> list[int]:
    changes = (value ^ value >> 1) & ((1 << (width - 1)) - 1)
    return [i + 1 for i in range(width) if changes >> i & 1] if changes.bit_count() <= 3 else []


def shifted(kind: str, a: Signal, amount: int, fill: Signal) -> Signal:
    """Shift by a fixed amount, no larger than the width."""
    width = width_of(a)
    filled = concat(*[fill] * amount)
    if kind == "shl":
        return concat(filled, part(a, 0, width - amount))
    return concat(part(a, amount, width - amount), filled)
