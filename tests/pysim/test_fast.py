"""The fast engine equals golden: every instruction set, any number of threads, every layout."""

import itertools
import os
import threading

import numpy as np
import pytest

from pysim import ArrayConfig, Flags, GoldenEngine, InputError, decode
from pysim.convert import ROUNDINGS
from pysim.engine import NARROW_FORMATS
from pysim.fast import FastEngine
from pysim.fast.library import INSTRUCTIONS, load
from pysim.formats import E4M3, E5M2
from pysim.lfsr import TAPS

AVAILABLE = INSTRUCTIONS[: load().fast_best_instructions() + 1]

every_instruction_set = pytest.mark.parametrize("instructions", AVAILABLE)


def assert_same(result, expected, engine, golden):
    assert result.values.dtype == expected.values.dtype
    assert result.values.tobytes() == expected.values.tobytes()
    assert result.flags == expected.flags
    assert result.cycles == expected.cycles
    assert np.array_equal(engine.random_state, golden.random_state)


@every_instruction_set
@pytest.mark.parametrize("formats", list(itertools.product(("e5m2", "e4m3"), repeat=2)))
def test_every_product(instructions, formats):
    codes = np.arange(256, dtype=np.uint8)
    arguments = {"a_format": formats[0], "b_format": formats[1]}
    engine = FastEngine(ArrayConfig(), instructions=instructions)
    golden = GoldenEngine(ArrayConfig())
    result = engine.gemm(codes[:, None], codes[None, :], **arguments)
    assert_same(result, golden.gemm(codes[:, None], codes[None, :], **arguments), engine, golden)
    with np.errstate(invalid="ignore"):
        products = np.multiply.outer(
            decode(codes, {"e5m2": E5M2, "e4m3": E4M3}[formats[0]]).astype(np.float64),
            decode(codes, {"e5m2": E5M2, "e4m3": E4M3}[formats[1]]).astype(np.float64),
        )
    assert np.array_equal(result.values, products + 0.0, equal_nan=True)


def telling_numbers(rng, fmt):
    """Numbers of a format, midpoints, their FP32 neighbours, and subnormal FP32 numbers."""
    codes = rng.integers(1 << fmt.width, size=300).astype(f"u{fmt.width // 8}")
    bits = decode(codes, fmt).view(np.uint32).astype(np.int64)
    half = 1 << (22 - fmt.fraction_bits)
    bits = bits[:, None] + np.array([-1, 0, 1, half - 1, half, half + 1])
    subnormals = rng.integers(1 << 23, size=200)
    return np.concatenate([bits.ravel(), subnormals]).astype(np.uint32).view(np.float32)


@every_instruction_set
@pytest.mark.parametrize("fmt", [fmt.name for fmt in NARROW_FORMATS])
def test_every_code_and_neighbours_convert(instructions, fmt):
    """Each representable number, each midpoint, and the FP32 numbers next to both."""
    target = next(f for f in NARROW_FORMATS if f.name == fmt)
    codes = np.arange(1 << target.width).astype(f"u{target.width // 8}")
    bits = decode(codes, target).view(np.uint32).astype(np.int64)
    half = 1 << (22 - target.fraction_bits)
    offsets = np.array([-1, 0, 1, half - 1, half, half + 1])
    x = (bits[:, None] + offsets).astype(np.uint32).view(np.float32)
    config = ArrayConfig(cols=5, random_bits=9)
    engine, golden = FastEngine(config, instructions=instructions), GoldenEngine(config)
    for rounding, saturate in itertools.product(ROUNDINGS, (False, True)):
        arguments = {"rounding": rounding.value, "saturate": saturate}
        got = engine.quantize(x, fmt, **arguments)
        assert np.array_equal(got, golden.quantize(x, fmt, **arguments))
        assert engine.flags == golden.flags
        assert np.array_equal(engine.random_state, golden.random_state)


@every_instruction_set
@pytest.mark.parametrize("random_bits", [1, 9, 24])
@pytest.mark.parametrize("fmt", NARROW_FORMATS, ids=str)
def test_scaled_numbers_convert(instructions, fmt, random_bits):
    rng = np.random.default_rng(random_bits)
    config = ArrayConfig(cols=5, lfsr_width=24, random_bits=random_bits)
    engine, golden = FastEngine(config, instructions=instructions), GoldenEngine(config)
    for scale, rounding in itertools.product((-128, -40, -1, 1, 14, 127), ROUNDINGS):
        with np.errstate(all="ignore"):
            x = np.ldexp(telling_numbers(rng, fmt), -scale).astype(np.float32)
        x = np.concatenate([x, rng.integers(1 << 32, size=500, dtype=np.uint32).view(np.float32)])
        for numbers in (x, *x[:8, None]):
            arguments = {"rounding": rounding.value, "saturate": bool(scale & 1), "scale": scale}
            got = engine.quantize(numbers, fmt, **arguments)
            assert np.array_equal(got, golden.quantize(numbers, fmt, **arguments))
            assert engine.flags == golden.flags
            assert np.array_equal(engine.random_state, golden.random_state)


@every_instruction_set
def test_scaled_products_convert(instructions):
    rng = np.random.default_rng(0)
    config = ArrayConfig(3, 4)
    engine, golden = FastEngine(config, instructions=instructions), GoldenEngine(config)
    a = rng.integers(124, size=(7, 5), dtype=np.uint8)
    for fmt, rounding in itertools.product(NARROW_FORMATS, ROUNDINGS):
        how = {"a_format": "e5m2", "b_format": "e4m3", "out_format": fmt, "rounding": rounding}
        how["scale"] = int(rng.integers(-40, 40))
        assert_same(engine.gemm(a, a.T, **how), golden.gemm(a, a.T, **how), engine, golden)


@every_instruction_set
def test_flags_of_each_number_alone(instructions):
    """One number a call, so that no flag hides behind another's."""
    specials = np.array([0, 1, 0x7FFFFF, 0x800000, 0x7F7FFFFF, 0x7F800000, 0x7F800001, 0x7FC00000])
    random = np.random.default_rng(1).integers(1 << 31, size=200)
    engine, golden = (
        FastEngine(ArrayConfig(), instructions=instructions),
        GoldenEngine(ArrayConfig()),
    )
    for bits in (*specials, *random):
        x = np.array([bits], dtype=np.uint32).view(np.float32)
        for fmt, saturate in itertools.product(("e5m2", "e4m3", "bf16"), (False, True)):
            engine.quantize(x, fmt, saturate=saturate)
            golden.quantize(x, fmt, saturate=saturate)
            assert engine.flags == golden.flags, (hex(bits), fmt, saturate)


@pytest.mark.parametrize("width", TAPS)
def test_every_register_and_draw(width):
    rng = np.random.default_rng(width)
    x = rng.standard_normal(500).astype(np.float32)
    for bits in range(1, min(24, width) + 1):
        cols = (1, 3, 8, 13, 64)[bits % 5]
        config = ArrayConfig(cols=cols, lfsr_width=width, random_bits=bits)
        engine, golden = FastEngine(config), GoldenEngine(config)
        for fmt in ("e4m3", "fp16", "bf16"):
            got = engine.quantize(x, fmt, rounding="stochastic")
            assert np.array_equal(got, golden.quantize(x, fmt, rounding="stochastic"))
        assert np.array_equal(engine.random_state, golden.random_state)


def test_threads_change_nothing():
    rng = np.random.default_rng(3)
    a = rng.integers(256, size=(150, 300), dtype=np.uint8) & 0xBF
    b = rng.integers(256, size=(300, 170), dtype=np.uint8) & 0xBF
    x = rng.standard_normal((333, 911)).astype(np.float32)
    config = ArrayConfig(rows=7, cols=11)
    outcomes = []
    for threads in (1, 2, 3, 8):
        engine = FastEngine(config, threads=threads)
        result = engine.gemm(
            a, b, a_format="e5m2", b_format="e4m3", out_format="e5m2", rounding="stochastic"
        )
        codes = engine.quantize(x, "e4m3", rounding="stochastic")
        outcomes.append(
            (result.values.tobytes(), result.flags, codes.tobytes(), engine.random_state.tobytes())
        )
    assert len(set(outcomes)) == 1


def test_threads_equal_golden_where_the_work_is_shared_out():
    """Large enough that every thread takes a part, of the draws too."""
    rng = np.random.default_rng(4)
    a = rng.integers(256, size=(257, 65), dtype=np.uint8)
    b = rng.integers(256, size=(65, 301), dtype=np.uint8)
    config = ArrayConfig(rows=8, cols=8, lfsr_width=24)
    engine, golden = FastEngine(config, threads=4), GoldenEngine(config)
    arguments = {
        "a_format": "e4m3",
        "b_format": "e4m3",
        "out_format": "fp16",
        "rounding": "stochastic",
    }
    assert_same(engine.gemm(a, b, **arguments), golden.gemm(a, b, **arguments), engine, golden)


def test_engines_in_several_threads_at_once():
    rng = np.random.default_rng(5)
    a = rng.integers(128, size=(256, 256), dtype=np.uint8) & 0x3F
    expected = FastEngine(ArrayConfig(), threads=1).gemm(a, a, a_format="e4m3", b_format="e4m3")
    same = []

    def work():
        with FastEngine(ArrayConfig(), threads=2) as engine:
            for _ in range(20):
                result = engine.gemm(a, a, a_format="e4m3", b_format="e4m3")
                same.append(np.array_equal(result.values, expected.values))

    workers = [threading.Thread(target=work) for _ in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert same == [True] * 80


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_forked_process_has_threads_of_its_own():
    a = np.full((256, 256), 0x38, dtype=np.uint8)
    engine = FastEngine(ArrayConfig(), threads=2)
    expected = engine.gemm(a, a, a_format="e4m3", b_format="e4m3").values
    child = os.fork()
    if child == 0:
        got = engine.gemm(a, a, a_format="e4m3", b_format="e4m3").values
        os._exit(0 if np.array_equal(got, expected) else 1)
    assert os.waitpid(child, 0)[1] == 0


@every_instruction_set
@pytest.mark.parametrize(
    "layout", ["transposed", "rows apart", "both apart", "reversed", "read-only"]
)
def test_layouts(instructions, layout):
    rng = np.random.default_rng(6)
    a = rng.integers(256, size=(37, 275), dtype=np.uint8)
    b = rng.integers(256, size=(275, 45), dtype=np.uint8)
    views = {
        "transposed": np.asfortranarray,
        "rows apart": lambda x: np.repeat(x, 2, axis=0)[::2],
        "both apart": lambda x: np.repeat(np.repeat(x, 2, axis=0), 3, axis=1)[::2, ::3],
        "reversed": lambda x: np.ascontiguousarray(x[::-1, ::-1])[::-1, ::-1],
        "read-only": lambda x: np.frombuffer(x.tobytes(), dtype=np.uint8).reshape(x.shape),
    }
    engine = FastEngine(ArrayConfig(), instructions=instructions)
    golden = GoldenEngine(ArrayConfig())
    arguments = {"a_format": "e5m2", "b_format": "e4m3"}
    expected = golden.gemm(a, b, **arguments)
    view = views[layout]
    assert_same(engine.gemm(view(a), view(b), **arguments), expected, engine, golden)


@every_instruction_set
def test_padding_is_silent(instructions):
    """Infinities next to every partial tile: a padding of zeros would make infinity times zero."""
    engine = FastEngine(ArrayConfig(), instructions=instructions)
    for m, n in itertools.product((1, 5, 13, 15), (1, 7, 17, 31, 33)):
        a = np.full((m, 3), 0x7C, dtype=np.uint8)
        b = np.full((3, n), 0x3C, dtype=np.uint8)
        result = engine.gemm(a, b, a_format="e5m2", b_format="e5m2")
        assert np.all(np.isposinf(result.values))
        assert result.flags == Flags()


@every_instruction_set
def test_nan_operands_are_quiet(instructions):
    """Neither signalling NaNs in C nor infinity times zero beside a NaN raise `invalid`."""
    engine = FastEngine(ArrayConfig(), instructions=instructions)
    a, b = np.array([[0x7C]], dtype=np.uint8), np.array([[0]], dtype=np.uint8)
    arguments = {"a_format": "e5m2", "b_format": "e5m2"}
    signalling = np.array([[0x7F800001]], dtype=np.uint32).view(np.float32)
    result = engine.gemm(a, b, c=signalling, **arguments)
    assert result.values.view(np.uint32) == 0x7FC00000
    assert result.flags == Flags()
    assert engine.gemm(a, b, **arguments).flags == Flags(invalid=True)


def test_callers_environment_does_not_matter():
    """A library that flushes subnormals to zero must not change a bit, and keeps its setting."""
    torch = pytest.importorskip("torch")
    c = np.array([[1e-42]], dtype=np.float32)
    subnormal = np.array([1e-40], dtype=np.float32)
    zero = np.zeros((1, 1), dtype=np.uint8)
    if not torch.set_flush_denormal(True):
        pytest.skip("this processor cannot flush subnormals")
    try:
        for instructions in AVAILABLE:
            engine = FastEngine(ArrayConfig(), instructions=instructions)
            result = engine.gemm(zero, zero, c=c, a_format="e5m2", b_format="e5m2")
            assert result.values.tobytes() == c.tobytes()
            codes = engine.quantize(subnormal, "bf16", rounding="nearest")
            assert codes[0] == 0x0001
        assert (torch.tensor([1e-42]) * 1.0).item() == 0.0
    finally:
        torch.set_flush_denormal(False)


@pytest.mark.parametrize("threads", [0, -1, 1.5, True, "2"])
def test_bad_threads(threads):
    with pytest.raises(InputError, match="threads"):
        FastEngine(ArrayConfig(), threads=threads)


def test_unknown_instructions():
    with pytest.raises(InputError, match="'mmx'"):
        FastEngine(ArrayConfig(), instructions="mmx")


@pytest.mark.parametrize("instructions", ["portable", None])
@pytest.mark.parametrize("shape", [(1, 1, 1), (5, 37, 3), (33, 70, 300), (40, 600, 2)])
def test_a_repeated_start_equals_its_copy(instructions, shape):
    m, n, k = shape
    rng = np.random.default_rng(shape)
    a, b = (rng.integers(0, 256, size, dtype=np.uint8) for size in ((m, k), (k, n)))
    numbers = rng.integers(0, 1 << 32, (m, n), dtype=np.uint32).view(np.float32)
    row, column = numbers[:1], numbers[:, :1]
    starts = [np.broadcast_to(row, (m, n)), np.broadcast_to(column, (m, n)), numbers[::-1, ::-1]]
    starts.append(np.asfortranarray(numbers))
    with FastEngine(ArrayConfig(), instructions=instructions) as engine:
        for c in starts:
            results = [
                engine.gemm(a, b, a_format="e5m2", b_format="e4m3", c=start)
                for start in (c, np.ascontiguousarray(c))
            ]
            patterns = [result.values.view(np.uint32) for result in results]
            np.testing.assert_array_equal(*patterns)
            assert results[0].flags == results[1].flags


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("seed", range(8))
def test_batches_equal_calls_one_by_one(seed, threads):
    rng = np.random.default_rng(seed)
    count, m, n, k = rng.integers(1, (40, 60, 70, 80))
    a = rng.integers(0, 256, (count, m, k), dtype=np.uint8)
    b = rng.integers(0, 256, (count, k, n), dtype=np.uint8)
    c = rng.standard_normal((count, m, n), dtype=np.float32) if seed % 2 else None
    if seed % 3 == 1:
        a, b = (x.swapaxes(1, 2).copy().swapaxes(1, 2) for x in (a, b))
    if seed % 3 == 2:
        a, c = a[:, ::-1], None if c is None else c[::-1]
    formats = {"a_format": "e5m2", "b_format": "e4m3"}
    fast, golden = FastEngine(ArrayConfig(), threads=threads), GoldenEngine(ArrayConfig())
    products, cycles = fast.gemm_batch(a, b, c=c, **formats)
    expected, expected_cycles = golden.gemm_batch(a, b, c=c, **formats)
    np.testing.assert_array_equal(np.asarray(products).view("u4"), np.stack(expected).view("u4"))
    assert cycles == expected_cycles == fast.cycles == golden.cycles
    assert fast.macs == golden.macs
    assert fast.flags == golden.flags


def test_empty_batch():
    nothing = np.zeros((0, 2, 3), np.uint8)
    products, cycles = FastEngine(ArrayConfig()).gemm_batch(
        nothing, nothing.swapaxes(1, 2), a_format="e5m2", b_format="e5m2"
    )
    assert len(products) == cycles == 0


def test_bad_batch():
    a = np.zeros((2, 2, 3), np.uint8)
    with pytest.raises(InputError, match="of a and b do not match"):
        FastEngine(ArrayConfig()).gemm_batch(a, a, a_format="e5m2", b_format="e5m2")
