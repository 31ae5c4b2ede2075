"""The converter against pysim's: every format, mode, and scale, all draws, every boundary."""

from itertools import product

import numpy as np
import pytest

from hw.converter import PARTS, ConversionMode, Converter
from pysim import Rounding, convert, decode
from pysim.convert import CANONICAL_NAN, ROUNDINGS, code_dtype
from pysim.formats import FP32, OUTPUT_FORMATS

NARROW = [fmt for fmt in OUTPUT_FORMATS if fmt is not FP32]


def mode(fmt, rounding, saturate, scale=0):
    layout = ConversionMode.as_shape()
    return (
        OUTPUT_FORMATS.index(fmt) << layout["target"].offset
        | ROUNDINGS.index(rounding) << layout["rounding"].offset
        | saturate << layout["saturate"].offset
        | (scale & 0xFF) << layout["scale"].offset
    )


def check(evaluate, random_bits, fmt, rounding, saturate, bits, draws, scale=0):
    inputs = [
        {"value": value, "draw": draw, "mode": mode(fmt, rounding, saturate, scale)}
        for value, draw in zip(bits.tolist(), draws.tolist(), strict=True)
    ]
    found = evaluate(Converter(random_bits), inputs, ["code", "flags"])
    for i, (code, flags) in enumerate(found):
        one = slice(i, i + 1)
        expected, raised = convert(
            bits[one].view(np.float32), fmt, rounding, saturate, draws[one], random_bits, scale
        )
        assert (code, flags) == (expected[0], raised.to_bits()), (hex(bits[i]), draws[i])


def around(rng, fmt, count):
    """Numbers of a format, midpoints, and their neighbours in FP32."""
    codes = rng.integers(1 << fmt.width, size=count).astype(code_dtype(fmt))
    half = 1 << (22 - fmt.fraction_bits)
    bits = decode(codes, fmt).view(np.uint32).astype(np.int64)[:, None]
    return (bits + np.array([-1, 0, half - 1, half, half + 1])).astype(np.uint32).reshape(-1)


@pytest.mark.parametrize("random_bits", [1, 8, 24])
@pytest.mark.parametrize("fmt", NARROW, ids=str)
def test_modes(evaluate, fmt, random_bits):
    rng = np.random.default_rng(random_bits)
    bits = np.concatenate([around(rng, fmt, 40), rng.integers(1 << 32, size=40, dtype=np.uint32)])
    draws = rng.integers(1 << random_bits, size=bits.size, dtype=np.uint32)
    for rounding, saturate in product(Rounding, (False, True)):
        check(evaluate, random_bits, fmt, rounding, saturate, bits, draws)


@pytest.mark.parametrize("scale", [-128, -20, 3, 127])
@pytest.mark.parametrize("fmt", NARROW, ids=str)
def test_scales(evaluate, fmt, scale):
    rng = np.random.default_rng(scale + 128)
    with np.errstate(all="ignore"):
        brought = np.ldexp(around(rng, fmt, 12).view(np.float32), -scale).view(np.uint32)
    subnormals = np.concatenate([[0, 1, 1 << 22], rng.integers(1 << 23, size=20)])
    bits = np.concatenate([brought, subnormals]).astype(np.uint32)
    draws = rng.integers(1 << 24, size=bits.size, dtype=np.uint32)
    for rounding in Rounding:
        check(evaluate, 24, fmt, rounding, bool(scale & 1), bits, draws, scale)


@pytest.mark.parametrize("fmt", NARROW[:2], ids=str)
def test_all_draws(evaluate, fmt):
    draws = np.tile(np.arange(64, dtype=np.uint32), 4)
    numbers = np.float32([1.1, 1.6 * fmt.min_subnormal, fmt.max_value * 1.03, 3.3])
    bits = np.repeat(numbers.view(np.uint32), 64)
    check(evaluate, 6, fmt, Rounding.STOCHASTIC, False, bits, draws)


def test_fp32_passes_through(evaluate):
    rng = np.random.default_rng(0)
    bits = [0, 1, 0x80000000, 0x7F800000, 0x7F800001, 0xFFC12345, 0x807FFFFF, 0x7F7FFFFF]
    bits += rng.integers(1 << 32, size=50).tolist() + rng.integers(1 << 23, size=20).tolist()
    for rounding in Rounding:
        word = mode(FP32, rounding, True)
        inputs = [{"value": value, "draw": 255, "mode": word} for value in bits]
        found = evaluate(Converter(8), inputs, ["code", "flags", "draws"])
        for value, outcome in zip(bits, found, strict=True):
            is_nan = value & 0x7FFFFFFF > 0x7F800000
            assert outcome == (CANONICAL_NAN if is_nan else value, 0, 0)


def test_pipeline(clocked):
    """Numbers follow one another, with gaps and stops; each meets the draw of its own."""
    rng = np.random.default_rng(3)
    fmt = OUTPUT_FORMATS[1]
    bits = around(rng, fmt, 20)
    draws = rng.integers(1 << 8, size=bits.size, dtype=np.uint32)
    block = Converter(8, pipelined=True)
    expected, _ = convert(bits.view(np.float32), fmt, Rounding.STOCHASTIC, True, draws, 8)
    left = []

    async def bench(context):
        context.set(block.mode, {"target": 1, "rounding": 1, "saturate": 1})
        inside = [None] * len(PARTS)
        waiting = list(range(bits.size))
        while waiting or any(number is not None for number in inside):
            advance = rng.random() < 0.8
            number = waiting[0] if waiting and rng.random() < 0.8 else None
            if number is not None:
                context.set(block.value, int(bits[number]))
            if inside[-2] is not None:
                context.set(block.draw, int(draws[inside[-2]]))
            if inside[-1] is not None and advance:
                left.append(context.get(block.code))
            move = [entering is not None for entering in [number, *inside[:-1]]]
            context.set(block.move, sum(b << i for i, b in enumerate(move)) if advance else 0)
            await context.tick()
            if advance:
                inside = [number, *inside[:-1]]
                waiting = waiting[number is not None :]

    clocked(block, bench)
    assert left == expected.tolist()
