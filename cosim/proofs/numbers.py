"""Numbers in the solver's floating-point theory, and back for people to read.

The theory is IEEE 754's, of any width. FP32, FP16, BF16, and E5M2 are formats of it, each with its
subnormals, infinities, and NaNs. E4M3 is not: it has a number where IEEE 754 has infinities. But
with one more bit of exponent it becomes one. A format whose exponent field is a bit wider has a
bias that is larger by some d, so that a code with a zero put above its exponent field is the code
of ``value * 2**-d``, subnormals included. That view also rounds as if there were no upper bound,
for what a format holds lies in the lower half of its wider kin.
"""

import struct
from collections.abc import Callable
from dataclasses import dataclass

from cosim.proofs import smt

FP32_SORT = "(_ FloatingPoint 8 24)"
FP64_SORT = "(_ FloatingPoint 11 53)"
CANONICAL_NAN = smt.const(0x7FC00000, 32)

LEAST, MOST = -32, 56
"""Exponents of the least magnitude but zero, and of the largest, of a sum without C."""

RANGE = (
    f"without C, and with finite operands, an accumulator is zero or between 2^{LEAST} and "
    f"2^{MOST} in magnitude, and a multiple of 2^{LEAST}, by induction over k: it is never "
    "subnormal and never infinite, however large K is"
)
"""What is stated of the bare array and of the engine."""


@dataclass(frozen=True)
class Format:
    """A format, as docs/contract.md has it; written down here once more, to be independent.

    Attributes
    ----------
    exponent, fraction : int
        Bits of the fields.
    largest : int
        Magnitude code of the largest finite number.
    infinity : int or None
        Magnitude code of infinity.
    nan : int
        Canonical NaN.
    """

    name: str
    exponent: int
    fraction: int
    largest: int
    infinity: int | None
    nan: int

    def __str__(self) -> str:
        return self.name

    @property
    def width(self) -> int:
        """Bits of a code."""
        return 1 + self.exponent + self.fraction

    @property
    def bias_gain(self) -> int:
        """What one more bit of exponent adds to the bias."""
        return 1 << (self.exponent - 1)

    @property
    def wider(self) -> str:
        """Indices, in SMT-LIB, of the format with one more bit of exponent."""
        return f"{self.exponent + 1} {self.fraction + 1}"

    @property
    def wider_width(self) -> int:
        """Bits of a code of the format with one more bit of exponent."""
        return self.width + 1


E5M2 = Format("e5m2", 5, 2, 0x7B, 0x7C, 0x7E)
E4M3 = Format("e4m3", 4, 3, 0x7E, None, 0x7F)
FP16 = Format("fp16", 5, 10, 0x7BFF, 0x7C00, 0x7E00)
BF16 = Format("bf16", 8, 7, 0x7F7F, 0x7F80, 0x7FC0)

OPERANDS = (E5M2, E4M3)
"""In the hardware's order."""

NARROW = {1: E5M2, 2: E4M3, 3: FP16, 4: BF16}
"""Formats of results that are narrower than FP32, by the hardware's number."""


def fp32(code: str) -> str:
    """The number of an FP32 code."""
    return f"((_ to_fp 8 24) {code})"


def fp64(number: str) -> str:
    """A number of a narrower format in FP64, which holds all of ours."""
    return f"((_ to_fp 11 53) RNE {number})"


def power_of_two(exponent: int, exponent_bits: int = 11, fraction_bits: int = 52) -> str:
    """A power of two; in FP64 unless told otherwise."""
    field = smt.const((1 << (exponent_bits - 1)) - 1 + exponent, exponent_bits)
    return f"(fp #b0 {field} {smt.const(0, fraction_bits)})"


def operand(code: str, fmt: Format) -> str:
    """The number of an FP8 code, in FP32, which holds every one of them."""
    if fmt.infinity is not None:
        return f"((_ to_fp 8 24) RNE ((_ to_fp {fmt.exponent} {fmt.fraction + 1}) {code}))"
    sign, magnitude = smt.bits(code, fmt.width - 1, 1), smt.bits(code, 0, fmt.width - 1)
    scaled = f"((_ to_fp 8 24) RNE ((_ to_fp {fmt.wider}) {smt.concat(sign, '#b0', magnitude)}))"
    number = f"(fp.mul RNE {scaled} {power_of_two(fmt.bias_gain, 8, 23)})"
    is_nan = smt.equal(magnitude, smt.const(fmt.nan, fmt.width - 1))
    return smt.choose(is_nan, "(_ NaN 8 24)", number)


def same_fp32(code: str, number: str) -> str:
    """Whether an FP32 code is that of a number, NaN being the canonical one."""
    return smt.choose(
        f"(fp.isNaN {number})", smt.equal(code, CANONICAL_NAN), smt.equal(fp32(code), number)
    )


def is_finite(number: str) -> str:
    """Whether a number is neither infinite nor NaN."""
    return f"(not (or (fp.isNaN {number}) (fp.isInfinite {number})))"


def is_multiple(number: str) -> str:
    """Whether a finite FP32 number is a multiple of the least magnitude, as products are."""
    multiple = f"(fp.mul RNE {number} {power_of_two(-LEAST, 8, 23)})"
    return f"(fp.eq (fp.roundToIntegral RTZ {multiple}) {multiple})"


def in_range(code: str) -> str:
    """Whether an FP32 code is zero, or a multiple of the least magnitude within the bounds."""
    number = fp32(code)
    size = f"(fp.abs {number})"
    least, most = (power_of_two(e, 8, 23) for e in (LEAST, MOST))
    return smt.disjunction(
        [
            f"(fp.isZero {number})",
            smt.conjunction(
                [
                    f"(fp.leq {least} {size})",
                    f"(fp.leq {size} {most})",
                    is_multiple(size),
                ]
            ),
        ]
    )


def inexact(x: str, y: str) -> str:
    """Return whether a sum is rounded: then rounding up and rounding down differ."""
    up, down = f"(fp.add RTP {x} {y})", f"(fp.add RTN {x} {y})"
    return smt.conjunction([is_finite(x), is_finite(y), f"(not (fp.eq {up} {down}))"])


def _print_bits(value: str) -> str:
    if value in ("true", "false"):
        return value
    digits = value.removeprefix("#b")
    return f"{int(digits, 2):#0{2 + -(-len(digits) // 4)}x}" if len(digits) > 1 else digits


def _print_fp32(value: str) -> str:
    code = int(value.removeprefix("#b"), 2)
    (number,) = struct.unpack("<f", struct.pack("<I", code))
    return f"{code:#010x} ({number!r})" if number == number else f"{code:#010x} (NaN)"


def _print_number(value: str) -> str:
    """A term of the floating-point theory, such as ``(fp #b0 #b01111111 #b00...0)``."""
    sign, exponent, fraction = value.strip("()").replace("#b", "").split()[1:]
    largest = (1 << len(exponent)) - 2
    infinity = (largest + 1) << len(fraction)
    fmt = Format("", len(exponent), len(fraction), infinity - 1, infinity, infinity + 1)
    return repr(decode(int(sign + exponent + fraction, 2), fmt))


def _printer(fmt: Format) -> Callable[[str], str]:
    def show(value: str) -> str:
        code = int(value.removeprefix("#b"), 2)
        return f"{code:#0{2 + fmt.width // 4}x} ({decode(code, fmt)!r})"

    return show


def decode(code: int, fmt: Format) -> float:
    """The number of a code."""
    magnitude = code & ((1 << (fmt.width - 1)) - 1)
    sign = -1.0 if code >> (fmt.width - 1) & 1 else 1.0
    if magnitude == fmt.infinity:
        return sign * float("inf")
    if magnitude > fmt.largest:
        return float("nan")
    field, fraction = magnitude >> fmt.fraction, magnitude & ((1 << fmt.fraction) - 1)
    significand = fraction / (1 << fmt.fraction) + (field != 0)
    return sign * significand * 2.0 ** (max(field, 1) - (1 << (fmt.exponent - 1)) + 1)


PRINTERS: dict[str, Callable[[str], str]] = {
    "bits": _print_bits,
    "count": lambda value: str(int(value.removeprefix("#b"), 2)),
    "fp32": _print_fp32,
    "number": _print_number,
    **{fmt.name: _printer(fmt) for fmt in (E5M2, E4M3, FP16, BF16)},
}
"""What people read of a value, by the kind of the term."""
