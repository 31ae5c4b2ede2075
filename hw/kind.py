"""The kinds of engines: what can be multiplied, and what sums may start from."""

from dataclasses import dataclass

from amaranth.hdl import Cat, Value
from amaranth.lib import data

from hw.accumulator import MacFlags
from hw.multiplier import product_bits
from hw.operand import Operand, operand_bits
from pysim.config import ArrayConfig
from pysim.formats import E5M2, OPERAND_FORMATS, FloatFormat


@dataclass(frozen=True)
class Kind:
    """What the elements of an engine can do; it decides which bits they have.

    Attributes
    ----------
    formats : tuple of FloatFormat
        What can be multiplied, in the order of their encoding.
    load_c : bool
        Whether sums may start from C; without it they start from +0.
    """

    formats: tuple[FloatFormat, ...] = OPERAND_FORMATS
    load_c: bool = True

    def __str__(self) -> str:
        names = " and ".join(fmt.name.upper() for fmt in self.formats)
        return f"{names} {'with' if self.load_c else 'without'} C"

    @classmethod
    def of(cls, config: ArrayConfig) -> "Kind":
        """Return the kind of a configuration."""
        return cls(config.multiplied, config.load_c)

    def bits_of(self, lane: type[data.Struct]) -> int:
        """Return a mask of the bits that vary in a lane that begins with an operand."""
        width = lane.as_shape().size
        return operand_bits(self.formats) | (1 << width) - (1 << Operand.as_shape().size)

    @property
    def product_bits(self) -> int:
        """Mask of the bits that vary in a product; the others are 0."""
        return product_bits(self.formats)

    @property
    def flag_bits(self) -> int:
        """Mask of the bits that vary in `MacFlags`: without infinities no sum is invalid."""
        invalid = MacFlags.as_shape()["invalid"].offset
        constant = 0 if E5M2 in self.formats else 1 << invalid
        return ~constant & (1 << MacFlags.as_shape().size) - 1

    @property
    def exponent_width(self) -> int:
        """Bits of an accumulator's exponent field.

        Without C, sums are zero or between 2**-32 and 2**57, for which 7 bits with a bias of 63 are
        enough; zero, infinity, and NaN are encoded as in FP32.
        """
        return 8 if self.load_c else 7

    @property
    def accumulator(self) -> data.Layout:
        """What is kept of a sum: fraction, exponent field, and sign, and its flags."""
        return data.StructLayout({"value": 24 + self.exponent_width, "flags": MacFlags})

    def to_fp32(self, value: Value) -> Value:
        """Return the FP32 number of an accumulator's value."""
        if self.load_c:
            return value
        fraction, field, sign = value[0:23], value[23:30], value[30]
        # The biases differ by 64; zero has a field of zeros, and what is no number one of ones.
        number = field.any() & ~field.all()
        return Cat(fraction, field[0:6], field[6] ^ number, field[6], sign)


FULL = Kind()
"""Both formats, and C."""

KINDS = tuple(
    Kind(formats, load_c)
    for formats in (*((fmt,) for fmt in OPERAND_FORMATS), OPERAND_FORMATS)
    for load_c in (True, False)
)
"""All that there are."""
