"""Status flags, as IEEE 754 names them."""

from dataclasses import dataclass

BITS = ("invalid", "overflow", "underflow", "inexact")
"""The flags in the hardware's order, bit 0 first."""


@dataclass(frozen=True)
class Flags:
    """Sticky status flags of one call: what happened at least once.

    Attributes
    ----------
    invalid : bool
        Infinity times zero, or infinity minus infinity. NaN operands are quiet and raise nothing.
    overflow : bool
        A rounded result lay beyond the largest finite number of its format, or an infinity was
        converted to something else.
    underflow : bool
        An inexact conversion of a number below the least normal number of the target format.
    inexact : bool
        A result differs from the exact one.
    """

    invalid: bool = False
    overflow: bool = False
    underflow: bool = False
    inexact: bool = False

    def __or__(self, other: "Flags") -> "Flags":
        return Flags.from_bits(self.to_bits() | other.to_bits())

    def to_bits(self) -> int:
        """Pack into four bits, `invalid` in bit 0."""
        return sum(getattr(self, name) << i for i, name in enumerate(BITS))

    @classmethod
    def from_bits(cls, bits: int) -> "Flags":
        """Unpack what `to_bits` packed."""
        return cls(*(bool(bits >> i & 1) for i in range(len(BITS))))
