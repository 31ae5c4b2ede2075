"""The golden engine against loops that share no code with it."""

from fractions import Fraction

import gfloat
import gfloat.formats as gf
import ml_dtypes
import numpy as np
import pytest

from pysim import ArrayConfig, Flags, GoldenEngine, InputError
from pysim.convert import CANONICAL_NAN
from pysim.lfsr import Lfsr

NATIVE = {"e5m2": ml_dtypes.float8_e5m2, "e4m3": ml_dtypes.float8_e4m3fn}
PAIRS = [(a, b) for a in NATIVE for b in NATIVE]


def plain_loop(a, b, c, a_format, b_format):
    """Sum in scalar float32 arithmetic, one output at a time."""
    left = a.view(NATIVE[a_format]).astype(np.float32)
    right = b.view(NATIVE[b_format]).astype(np.float32)
    out = np.zeros((len(a), b.shape[1]), dtype=np.float32) if c is None else c.copy()
    with np.errstate(all="ignore"):
        for m, n in np.ndindex(out.shape):
            total = out[m, n]
            for k in range(a.shape[1]):
                total = np.float32(total + np.float32(left[m, k] * right[k, n]))
            out[m, n] = total
    bits = out.view(np.uint32)
    bits[np.isnan(out)] = CANONICAL_NAN
    return bits


@pytest.mark.parametrize(("a_format", "b_format"), PAIRS)
@pytest.mark.parametrize("with_c", [False, True])
def test_sums(a_format, b_format, with_c):
    rng = np.random.default_rng(1)
    engine = GoldenEngine(ArrayConfig(3, 4))
    for m, n, k in ((1, 1, 1), (4, 9, 17), (7, 5, 40), (2, 3, 0)):
        a = rng.integers(256, size=(m, k), dtype=np.uint8)
        b = rng.integers(256, size=(k, n), dtype=np.uint8)
        c = None
        if with_c:
            c = rng.integers(1 << 32, size=(m, n), dtype=np.uint32).view(np.float32)
        result = engine.gemm(a, b, a_format=a_format, b_format=b_format, c=c)
        expected = plain_loop(a, b, c, a_format, b_format)
        assert np.array_equal(result.values.view(np.uint32), expected)


@pytest.mark.parametrize(("a_format", "b_format"), PAIRS)
def test_every_product_is_exact(a_format, b_format):
    codes = np.arange(256, dtype=np.uint8)
    engine = GoldenEngine(ArrayConfig(8, 8))
    result = engine.gemm(codes[:, None], codes[None], a_format=a_format, b_format=b_format)
    a = codes.view(NATIVE[a_format]).astype(np.float64)
    b = codes.view(NATIVE[b_format]).astype(np.float64)
    with np.errstate(invalid="ignore"):
        # From +0, so that a product of minus zero sums to plus zero.
        exact = np.multiply.outer(a, b) + 0.0
    assert np.array_equal(result.values.astype(np.float64), exact, equal_nan=True)
    assert not np.signbit(result.values[exact == 0]).any()
    assert not result.flags.inexact
    assert result.flags.invalid == (a_format == "e5m2" or b_format == "e5m2")


def exactly(value):
    return Fraction(float(value))


def test_inexact_means_a_step_was_rounded():
    rng = np.random.default_rng(2)
    engine = GoldenEngine(ArrayConfig(1, 1))
    seen = set()
    for _ in range(400):
        k = int(rng.integers(1, 6))
        a, b = (rng.integers(0x7C, size=shape, dtype=np.uint8) for shape in ((1, k), (k, 1)))
        exponent = int(rng.integers(-30, 30))
        c = np.float32([[rng.integers(-(1 << 24), 1 << 24) * 2.0**exponent]])
        c = c if rng.random() < 0.5 else (c * np.float32(2.0**-100))
        flags = engine.gemm(a, b, a_format="e5m2", b_format="e5m2", c=c).flags
        total, rounded = c[0, 0], False
        for left, right in zip(
            a[0].view(NATIVE["e5m2"]), b[:, 0].view(NATIVE["e5m2"]), strict=True
        ):
            exact = exactly(total) + exactly(left) * exactly(right)
            total = np.float32(total + np.float32(left) * np.float32(right))
            rounded |= exactly(total) != exact
        assert flags == Flags(inexact=rounded)
        seen.add(rounded)
    assert seen == {False, True}


@pytest.mark.parametrize(
    ("a", "b", "c", "invalid"),
    [
        (0x7C, 0x00, 0.0, True),  # infinity times zero
        (0x7C, 0x00, np.nan, False),
        (0x7C, 0x3C, -np.inf, True),  # infinity less infinity
        (0x7C, 0x3C, np.inf, False),
        (0x7E, 0x00, 0.0, False),  # NaN operands are quiet
        (0x7D, 0x3C, 0.0, False),
        (0x3C, 0x3C, np.nan, False),
    ],
)
def test_invalid(a, b, c, invalid):
    engine = GoldenEngine(ArrayConfig(1, 1))
    codes = np.array([[[a]], [[b]]], dtype=np.uint8)
    start = np.array([[c]], dtype=np.float32)
    result = engine.gemm(codes[0], codes[1], a_format="e5m2", b_format="e5m2", c=start)
    assert result.flags.invalid == invalid
    if np.isnan(result.values[0, 0]):
        assert result.values.view(np.uint32)[0, 0] == CANONICAL_NAN


@pytest.mark.parametrize(("rows", "cols"), [(1, 1), (2, 3), (4, 4), (3, 5)])
def test_order_of_draws(rows, cols):
    """Tile by tile, row by row, each column from its lane; rounded by gfloat with these bits."""
    config = ArrayConfig(rows, cols, lfsr_width=32, random_bits=9)
    engine = GoldenEngine(config)
    rng = np.random.default_rng(3)
    m, n, k = 7, 8, 6
    a = rng.integers(0x7C, size=(m, k), dtype=np.uint8)
    b = rng.integers(0x7C, size=(k, n), dtype=np.uint8)
    lfsr = Lfsr(32)
    lanes = lfsr.lanes(config.seed, cols).tolist()
    draws = np.zeros((m, n), dtype=np.int64)
    for top in range(0, m, rows):
        for left in range(0, n, cols):
            for i in range(top, min(top + rows, m)):
                for j in range(left, min(left + cols, n)):
                    lane = j - left
                    draws[i, j] = lanes[lane] & 0x1FF
                    lanes[lane] = lfsr.advance(lanes[lane], 9)
    sums = plain_loop(a, b, None, "e5m2", "e5m2").view(np.float32).astype(np.float64)
    expected = gfloat.round_ndarray(
        gf.format_info_ocp_e4m3,
        sums,
        gfloat.RoundMode.StochasticFastest,
        sat=True,
        srbits=draws,
        srnumbits=9,
    )
    how = {"out_format": "e4m3", "rounding": "stochastic"}
    result = engine.gemm(a, b, a_format="e5m2", b_format="e5m2", **how)
    codes = result.values.view(ml_dtypes.float8_e4m3fn).astype(np.float64)
    assert np.array_equal(codes, expected)
    assert engine.random_state.tolist() == lanes


def test_quantize_draws_by_position():
    config = ArrayConfig(2, 3, random_bits=8)
    engine = GoldenEngine(config)
    x = np.full(7, 1.125, dtype=np.float32).reshape(7, 1)
    lfsr = Lfsr(64)
    lanes = lfsr.lanes(config.seed, 3).tolist()
    expected = []
    for i in range(7):
        # Half a unit in the last place: half of the draws round up.
        expected.append(0x3C + (lanes[i % 3] & 0xFF >= 0x80))
        lanes[i % 3] = lfsr.advance(lanes[i % 3], 8)
    codes = engine.quantize(x, "e5m2", rounding="stochastic")
    assert codes[:, 0].tolist() == expected
    assert engine.random_state.tolist() == lanes
    engine.quantize(x, "e5m2", rounding="nearest")
    assert engine.random_state.tolist() == lanes


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ({"a": np.zeros((2, 3), np.float32)}, "a has dtype float32: it must be uint8"),
        ({"b": np.zeros((3, 2), np.int8)}, "b has dtype int8"),
        ({"a": np.zeros(3, np.uint8)}, "a has shape .* 2 dimensions"),
        ({"a": np.zeros((2, 4), np.uint8)}, r"shapes \(2, 4\) and \(3, 2\)"),
        ({"c": np.zeros((2, 3), np.float32)}, r"c has shape \(2, 3\): it must be \(2, 2\)"),
        ({"c": np.zeros((2, 2))}, "c has dtype float64"),
        ({"a_format": "fp16"}, "'fp16': allowed are e5m2, e4m3"),
        ({"out_format": "fp8"}, "'fp8': allowed are"),
        ({"rounding": "up"}, "'up': allowed are nearest"),
        ({"out_format": "e5m2", "scale": 128}, "scale 128 is out of range"),
        ({"out_format": "e5m2", "scale": 0.5}, "scale must be an integer, not 0.5"),
        ({"scale": 1}, "scale 1 with the format fp32"),
    ],
)
def test_bad_arguments(arguments, complaint):
    engine = GoldenEngine(ArrayConfig(2, 2))
    good = {
        "a": np.zeros((2, 3), np.uint8),
        "b": np.zeros((3, 2), np.uint8),
        "a_format": "e5m2",
        "b_format": "e5m2",
    }
    engine.gemm(**good)
    with pytest.raises(InputError, match=complaint):
        engine.gemm(**{**good, **arguments})
    assert engine.macs == 12


def test_bad_numbers_to_convert():
    engine = GoldenEngine(ArrayConfig(2, 2))
    with pytest.raises(InputError, match="float64"):
        engine.quantize(np.zeros(3), "e5m2")
    with pytest.raises(InputError, match="'fp32'"):
        engine.quantize(np.zeros(3, np.float32), "fp32")
    with pytest.raises(InputError, match="scale -129 is out of range"):
        engine.quantize(np.zeros(3, np.float32), "e5m2", scale=-129)


def test_parts_that_are_not_built_in():
    codes = np.zeros((2, 2), dtype=np.uint8)
    engine = GoldenEngine(ArrayConfig(2, 2, latency=1, operand_formats=("e4m3",), load_c=False))
    engine.gemm(codes, codes, a_format="e4m3", b_format="e4m3")
    with pytest.raises(InputError, match="unknown format 'e5m2': allowed are e4m3"):
        engine.gemm(codes, codes, a_format="e4m3", b_format="e5m2")
    with pytest.raises(InputError, match="c is given, but the array is configured without C"):
        engine.gemm(codes, codes, a_format="e4m3", b_format="e4m3", c=np.zeros((2, 2), np.float32))
