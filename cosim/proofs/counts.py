"""Counts of what has passed, as terms: wide enough for every length, and for sums of two."""

from cosim.proofs import smt

BITS = 26
"""Two more than those of a length, so that sums do not wrap around."""


def number(value: int) -> str:
    """A constant among counts."""
    return smt.const(value, BITS)


def add(*terms: str) -> str:
    """The sum of counts."""
    total = terms[0]
    for term in terms[1:]:
        total = f"(bvadd {total} {term})"
    return total


def less(left: str, right: str) -> str:
    """Whether a count is less than another."""
    return f"(bvult {left} {right})"
