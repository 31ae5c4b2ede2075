"""Terms of SMT-LIB 2, as text: what statements are written in."""

from collections.abc import Iterable


def const(value: int, width: int) -> str:
    """A bit-vector constant; negative values are two's complements."""
    return f"#b{value % (1 << width):0{width}b}"


def equal(left: str, right: str) -> str:
    """Equality; of floating-point numbers, that of data: NaN equals NaN, and -0 is not +0."""
    return f"(= {left} {right})"


def negation(term: str) -> str:
    """Logical not."""
    return f"(not {term})"


def conjunction(terms: Iterable[str]) -> str:
    """Logical and; true if there are no terms."""
    joined = " ".join(terms)
    return f"(and true {joined})" if joined else "true"


def disjunction(terms: Iterable[str]) -> str:
    """Logical or; false if there are no terms."""
    joined = " ".join(terms)
    return f"(or false {joined})" if joined else "false"


def implies(premise: str, conclusion: str) -> str:
    """Logical implication."""
    return f"(=> {premise} {conclusion})"


def choose(condition: str, then: str, otherwise: str) -> str:
    """One of two terms."""
    return f"(ite {condition} {then} {otherwise})"


def bits(term: str, low: int, width: int) -> str:
    """`width` bits of a bit-vector, from bit `low` on."""
    return f"((_ extract {low + width - 1} {low}) {term})"


def bit(term: str, index: int) -> str:
    """One bit of a bit-vector, as a truth value."""
    return equal(bits(term, index, 1), "#b1")


def as_bit(truth: str) -> str:
    """A truth value as a bit-vector of one bit."""
    return choose(truth, "#b1", "#b0")


def concat(*terms: str) -> str:
    """Bit-vectors side by side, the highest first."""
    joined = terms[0]
    for term in terms[1:]:
        joined = f"(concat {joined} {term})"
    return joined


def extend(term: str, width: int, to: int) -> str:
    """A bit-vector of `width` bits with zeros above, `to` bits in all."""
    return f"((_ zero_extend {to - width}) {term})" if to > width else term


def assume(term: str) -> str:
    """A command: the term holds."""
    return f"(assert {term})"


def define(name: str, sort: str, term: str) -> str:
    """A command: `name` stands for the term."""
    return f"(define-fun {name} () {sort} {term})"


def declare(name: str, sort: str) -> str:
    """A command: `name` may be anything of its sort."""
    return f"(declare-const {name} {sort})"


def bit_vector(width: int) -> str:
    """The sort of bit-vectors."""
    return f"(_ BitVec {width})"
