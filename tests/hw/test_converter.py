"""The converter against pysim's: every format and mode, all draws, every boundary."""

from itertools import product

import numpy as np
import pytest

from hw.converter import ConversionMode, Converter
from pysim import Rounding, convert, decode
from pysim.convert import CANONICAL_NAN, ROUNDINGS, code_dtype
from pysim.formats import FP32, OUTPUT_FORMATS

NARROW = [fmt for fmt in OUTPUT_FORMATS if fmt is not FP32]


def mode(fmt, rounding, saturate):
    layout = ConversionMode.as_shape()
    return (
        OUTPUT_FORMATS.index(fmt) << layout["target"].offset
        | ROUNDINGS.index(rounding) << layout["rounding"].offset
        | saturate << layout["saturate"].offset
    )


def check(evaluate, random_bits, fmt, rounding, saturate, bits, draws):
    inputs = [
        {"value": value, "draw": draw, "mode": mode(fmt, rounding, saturate)}
        for value, draw in zip(bits.tolist(), draws.tolist(), strict=True)
    ]
    found = evaluate(Converter(random_bits), inputs, ["code", "flags"])
    for i, (code, flags) in enumerate(found):
        one = slice(i, i + 1)
        expected, raised = convert(
            bits[one].view(np.float32), fmt, rounding, saturate, draws[one], random_bits
        )
        assert (code, flags) == (expected[0], raised.to_bits()), (hex(bits[i]), draws[i])


@pytest.mark.parametrize("random_bits", [1, 8, 24])
@pytest.mark.parametrize("fmt", NARROW, ids=str)
def test_modes(evaluate, fmt, random_bits):
    rng = np.random.default_rng(random_bits)
    codes = rng.integers(1 << fmt.width, size=40).astype(code_dtype(fmt))
    half = 1 << (22 - fmt.fraction_bits)
    around = decode(codes, fmt).view(np.uint32).astype(np.int64)[:, None]
    around = (around + np.array([-1, 0, half - 1, half, half + 1])).astype(np.uint32).reshape(-1)
    bits = np.concatenate([around, rng.integers(1 << 32, size=40, dtype=np.uint32)])
    draws = rng.integers(1 << random_bits, size=bits.size, dtype=np.uint32)
    for rounding, saturate in product(Rounding, (False, True)):
        check(evaluate, random_bits, fmt, rounding, saturate, bits, draws)


@pytest.mark.parametrize("fmt", NARROW[:2], ids=str)
def test_all_draws(evaluate, fmt):
    draws = np.tile(np.arange(64, dtype=np.uint32), 4)
    numbers = np.float32([1.1, 1.6 * fmt.min_subnormal, fmt.max_value * 1.03, 3.3])
    bits = np.repeat(numbers.view(np.uint32), 64)
    check(evaluate, 6, fmt, Rounding.STOCHASTIC, False, bits, draws)


def test_fp32_passes_through(evaluate):
    rng = np.random.default_rng(0)
    bits = [0, 1, 0x80000000, 0x7F800000, 0x7F800001, 0xFFC12345, *rng.integers(1 << 32, size=50)]
    word = mode(FP32, Rounding.STOCHASTIC, True)
    inputs = [{"value": value, "draw": 255, "mode": word} for value in bits]
    found = evaluate(Converter(8), inputs, ["code", "flags"])
    for value, (code, flags) in zip(bits, found, strict=True):
        is_nan = value & 0x7FFFFFFF > 0x7F800000
        assert (code, flags) == (CANONICAL_NAN if is_nan else value, 0)
