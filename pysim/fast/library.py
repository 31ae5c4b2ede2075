"""The compiled kernels: built at first use, loaded once, and their C interface."""

import ctypes
import struct
from functools import cache
from pathlib import Path

from pysim.convert import ROUNDINGS, Rounding
from pysim.formats import OPERAND_FORMATS, FloatFormat
from pysim.lfsr import TAPS
from pysim.native import build_library

INSTRUCTIONS = ("portable", "avx2", "avx512")
"""Instruction sets by their index in the library, narrowest first."""

# No contraction: a product and a sum must not become a fused step, nor the other way round.
FLAGS = ("-O3", "-std=c++17", "-ffp-contract=off", "-Wall", "-Wno-psabi", "-pthread")

GEMM = struct.Struct("17q")
"""`fast::Call`: one argument costs a small GEMM less than many do."""

BATCH = struct.Struct("4q")
"""`fast::Batch`."""

_NEVER = 0xFFFFFFFF


class Format(ctypes.Structure):
    """`fast::Format`."""

    _fields_ = [
        ("width", ctypes.c_int32),
        ("fraction_bits", ctypes.c_int32),
        ("min_field", ctypes.c_int32),
        ("max_code", ctypes.c_uint32),
        ("infinity_code", ctypes.c_uint32),
        ("nan_code", ctypes.c_uint32),
    ]


class Lfsr(ctypes.Structure):
    """`fast::Lfsr`."""

    _fields_ = [
        ("width", ctypes.c_int32),
        ("taps", ctypes.c_int32 * 3),
        ("random_bits", ctypes.c_int32),
    ]


class Conversion(ctypes.Structure):
    """`fast::Conversion`."""

    _fields_ = [
        ("format", ctypes.POINTER(Format)),
        ("rounding", ctypes.c_int32),
        ("limit", ctypes.c_uint32),
        ("random_bits", ctypes.c_int32),
        ("scale", ctypes.c_int32),
    ]


@cache
def load() -> ctypes.CDLL:
    """Return the library, compiled first if need be; its calls release the interpreter lock.

    Raises
    ------
    MissingToolError
        If it must be compiled and there is no compiler.
    """
    folder = Path(__file__).parent
    path = build_library(
        "fp8fast", sorted(folder.glob("*.cpp")), headers=sorted(folder.glob("*.h")), flags=FLAGS
    )
    library = ctypes.CDLL(str(path))
    number, pointer, length = ctypes.c_int, ctypes.c_void_p, ctypes.c_int64
    library.fast_gemm.argtypes = [ctypes.c_char_p, ctypes.c_char_p]
    library.fast_convert.argtypes = [
        *(number, number, pointer, pointer, pointer, length, length),
        *(pointer, pointer, length, length),
    ]
    library.fast_gather.argtypes = [number, pointer, pointer, pointer]
    library.fast_scatter.argtypes = [number, pointer, pointer, pointer]
    library.fast_tally.argtypes = [number, pointer, length, ctypes.c_uint32, pointer]
    library.fast_decode.argtypes = [number, number, pointer, pointer, pointer, length]
    library.fast_exponents.argtypes = [pointer, length, pointer]
    library.fast_zeros.argtypes = [pointer, length]
    library.fast_zeros.restype = length
    for nothing in ("gather", "scatter", "tally", "decode", "exponents"):
        getattr(library, f"fast_{nothing}").restype = None
    library.fast_gemm.restype = library.fast_convert.restype = ctypes.c_uint
    return library


@cache
def format_structure(fmt: FloatFormat) -> Format:
    """Return a format as the kernels want it."""
    return Format(
        fmt.width,
        fmt.fraction_bits,
        127 + fmt.min_exponent,
        fmt.max_code,
        _NEVER if fmt.infinity_code is None else fmt.infinity_code,
        fmt.nan_code,
    )


@cache
def conversion_structure(
    fmt: FloatFormat, rounding: Rounding, saturate: bool, scale: int, random_bits: int
) -> Conversion:
    """Return a way to convert as the kernels want it."""
    if saturate:
        limit = fmt.max_code
    elif fmt.infinity_code is not None:
        limit = fmt.infinity_code
    else:
        limit = fmt.nan_code
    pointer = ctypes.pointer(format_structure(fmt))
    return Conversion(pointer, ROUNDINGS.index(rounding), limit, random_bits, scale)


@cache
def lfsr_structure(width: int, random_bits: int) -> Lfsr:
    """Return a register as the kernels want it: its highest tap first."""
    taps = sorted(TAPS[width], reverse=True)
    return Lfsr(width, (ctypes.c_int32 * 3)(*taps), random_bits)


OPERANDS = {fmt.name: ctypes.addressof(format_structure(fmt)) for fmt in OPERAND_FORMATS}
"""Addresses of the operand formats, by name; the cache keeps the structures alive."""
