"""The floating-point formats of the contract: OCP OFP8 E5M2 and E4M3, FP16, BF16, FP32."""

from dataclasses import dataclass

from pysim.errors import InputError


@dataclass(frozen=True)
class FloatFormat:
    """A binary floating-point format: one sign bit, an exponent field, a fraction field.

    Parameters
    ----------
    name : str
        The name users give, such as ``"e5m2"``.
    exponent_bits, fraction_bits : int
        Widths of the two fields in bits.
    bias : int
        What the exponent field exceeds the exponent by.
    max_code : int
        Magnitude code (sign removed) of the largest finite number.
    infinity_code : int or None
        Magnitude code of infinity; None where the format has none (E4M3).
    nan_code : int
        The canonical NaN: the one NaN code that a conversion produces, sign bit clear.
    """

    name: str
    exponent_bits: int
    fraction_bits: int
    bias: int
    max_code: int
    infinity_code: int | None
    nan_code: int

    @property
    def width(self) -> int:
        """Bits of a code."""
        return 1 + self.exponent_bits + self.fraction_bits

    @property
    def sign_code(self) -> int:
        """Code of the sign bit alone, which is that of minus zero."""
        return 1 << (self.width - 1)

    @property
    def min_exponent(self) -> int:
        """Exponent of the least normal number, which the subnormals share."""
        return 1 - self.bias

    @property
    def max_value(self) -> float:
        """The largest finite number."""
        field = self.max_code >> self.fraction_bits
        fraction = self.max_code & ((1 << self.fraction_bits) - 1)
        significand = 1 + fraction / (1 << self.fraction_bits)
        return significand * 2.0 ** (field - self.bias)

    @property
    def min_subnormal(self) -> float:
        """The least number above zero."""
        return 2.0 ** (self.min_exponent - self.fraction_bits)

    def __str__(self) -> str:
        return self.name


def _ieee(name: str, exponent_bits: int, fraction_bits: int) -> FloatFormat:
    infinity = ((1 << exponent_bits) - 1) << fraction_bits
    return FloatFormat(
        name=name,
        exponent_bits=exponent_bits,
        fraction_bits=fraction_bits,
        bias=(1 << (exponent_bits - 1)) - 1,
        max_code=infinity - 1,
        infinity_code=infinity,
        nan_code=infinity | (1 << (fraction_bits - 1)),
    )


E5M2 = _ieee("e5m2", 5, 2)
E4M3 = FloatFormat("e4m3", 4, 3, bias=7, max_code=0x7E, infinity_code=None, nan_code=0x7F)
FP16 = _ieee("fp16", 5, 10)
BF16 = _ieee("bf16", 8, 7)
FP32 = _ieee("fp32", 8, 23)

FORMATS = {f.name: f for f in (E5M2, E4M3, FP16, BF16, FP32)}
"""Every format, by name."""

OPERAND_FORMATS = (E5M2, E4M3)
"""What the array multiplies; the position is the hardware's encoding of the choice."""

OUTPUT_FORMATS = (FP32, E5M2, E4M3, FP16, BF16)
"""What the array's converters produce; the position is the hardware's encoding of the choice."""


def get_format(name: str | FloatFormat, allowed: tuple[FloatFormat, ...]) -> FloatFormat:
    """Look a format up by name among those allowed.

    Raises
    ------
    InputError
        If `name` is none of them; the sentence names it and what is allowed.
    """
    for candidate in allowed:
        if name in (candidate, candidate.name):
            return candidate
    names = ", ".join(f.name for f in allowed)
    raise InputError(f"unknown format {str(name)!r}: allowed are {names}")
