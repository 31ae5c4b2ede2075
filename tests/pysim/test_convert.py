"""The converter against ml_dtypes, NumPy, and gfloat: none of them ours."""

import gfloat
import gfloat.formats as gf
import ml_dtypes
import numpy as np
import pytest

from pysim import Rounding, convert, decode
from pysim.convert import CANONICAL_NAN, code_dtype
from pysim.formats import BF16, E4M3, E5M2, FP16

NARROW = [E5M2, E4M3, FP16, BF16]
NATIVE = {
    E5M2: ml_dtypes.float8_e5m2,
    E4M3: ml_dtypes.float8_e4m3fn,
    FP16: np.float16,
    BF16: ml_dtypes.bfloat16,
}
GFLOAT = {
    E5M2: gf.format_info_ocp_e5m2,
    E4M3: gf.format_info_ocp_e4m3,
    FP16: gf.format_info_binary16,
    BF16: gf.format_info_bfloat16,
}
GFLOAT_ROUNDING = {
    Rounding.NEAREST: gfloat.RoundMode.TiesToEven,
    Rounding.TOWARD_ZERO: gfloat.RoundMode.TowardZero,
    Rounding.STOCHASTIC: gfloat.RoundMode.StochasticFastest,
}


def telling_numbers(fmt):
    """Every FP16 number; numbers and midpoints of the format with their neighbours; anything."""
    rng = np.random.default_rng(0)
    every_half = np.arange(1 << 16, dtype=np.uint16).view(np.float16).astype(np.float32)
    codes = np.arange(1 << fmt.width).astype(code_dtype(fmt))
    bits = decode(codes, fmt).view(np.uint32).astype(np.int64)
    half = 1 << (22 - fmt.fraction_bits)
    around = bits[:, None] + np.array([-1, 0, 1, half - 1, half, half + 1])
    beyond = rng.integers(1 << 32, size=200_000, dtype=np.uint32)
    parts = [around.astype(np.uint32).reshape(-1), beyond]
    return np.concatenate([every_half, *(part.view(np.float32) for part in parts)])


def next_number(fmt):
    """Return the number after the largest one, had the exponent no upper bound."""
    exponent = int(np.frexp(fmt.max_value)[1]) - 1
    return fmt.max_value + 2.0 ** (exponent - fmt.fraction_bits)


def same_numbers(a, b):
    return np.array_equal(a, b, equal_nan=True) and np.array_equal(np.signbit(a), np.signbit(b))


@pytest.mark.parametrize("fmt", NARROW, ids=str)
def test_decode_every_code(fmt):
    codes = np.arange(1 << fmt.width).astype(code_dtype(fmt))
    expected = codes.view(NATIVE[fmt]).astype(np.float32)
    values = decode(codes, fmt)
    is_nan = np.isnan(expected)
    assert np.array_equal(values[~is_nan].view(np.uint32), expected[~is_nan].view(np.uint32))
    assert set(values[is_nan].view(np.uint32).tolist()) == {CANONICAL_NAN}


@pytest.mark.parametrize("fmt", NARROW, ids=str)
def test_nearest_is_native_cast(fmt):
    x = telling_numbers(fmt)
    codes, _ = convert(x, fmt, Rounding.NEAREST, saturate=False)
    with np.errstate(all="ignore"):
        expected = x.astype(NATIVE[fmt]).view(code_dtype(fmt))
    is_nan = np.isnan(decode(expected, fmt))
    assert np.array_equal(codes[~is_nan], expected[~is_nan])
    assert set(codes[is_nan].tolist()) == {fmt.nan_code}


@pytest.mark.parametrize("saturate", [False, True])
@pytest.mark.parametrize("rounding", list(Rounding))
@pytest.mark.parametrize("fmt", NARROW, ids=str)
def test_every_mode_is_that_of_gfloat(fmt, rounding, saturate):
    x = telling_numbers(fmt)
    for bits in (1, 5, 8, 16, 24) if rounding is Rounding.STOCHASTIC else (16,):
        draws = np.random.default_rng(bits).integers(1 << bits, size=x.size, dtype=np.uint32)
        codes, _ = convert(x, fmt, rounding, saturate, draws, bits)
        with np.errstate(all="ignore"):
            expected = gfloat.round_ndarray(
                GFLOAT[fmt],
                x.astype(np.float64),
                GFLOAT_ROUNDING[rounding],
                sat=saturate,
                srbits=draws.astype(np.int64),
                srnumbits=bits,
            )
        is_nan = np.isnan(expected)
        assert same_numbers(decode(codes, fmt)[~is_nan].astype(np.float64), expected[~is_nan])
        assert (codes[is_nan] == fmt.nan_code).all()


@pytest.mark.parametrize("scale", [-128, -24, -1, 1, 30, 127])
@pytest.mark.parametrize("rounding", list(Rounding))
@pytest.mark.parametrize("fmt", NARROW, ids=str)
def test_scaled_numbers_are_rounded_once(fmt, rounding, scale):
    """Products that FP32 holds, rounds, or has no room for; float64 holds them all."""
    rng = np.random.default_rng(scale + 128)
    with np.errstate(over="ignore", under="ignore", invalid="ignore"):
        brought = np.ldexp(rng.permutation(telling_numbers(fmt))[:30_000], -scale)
    subnormals = rng.integers(1 << 23, size=10_000, dtype=np.uint32)
    x = np.concatenate([brought, subnormals.view(np.float32), telling_numbers(E5M2)[-10_000:]])
    bits = int(rng.integers(1, 25))
    draws = rng.integers(1 << bits, size=x.size, dtype=np.uint32)
    codes, _ = convert(x, fmt, rounding, False, draws, bits, scale)
    with np.errstate(all="ignore"):
        exact = x.astype(np.float64) * 2.0**scale
        expected = gfloat.round_ndarray(
            GFLOAT[fmt],
            exact,
            GFLOAT_ROUNDING[rounding],
            srbits=draws.astype(np.int64),
            srnumbits=bits,
        )
    is_nan = np.isnan(expected)
    assert same_numbers(decode(codes, fmt)[~is_nan].astype(np.float64), expected[~is_nan])
    assert (codes[is_nan] == fmt.nan_code).all()
    for i in rng.integers(x.size, size=200):
        # One number a call, so that no flag hides behind another's.
        one = slice(i, i + 1)
        _, flags = convert(x[one], fmt, rounding, False, draws[one], bits, scale)
        number, magnitude = abs(exact[i]), abs(expected[i])
        finite, differs = np.isfinite(number), number != magnitude
        if rounding is Rounding.TOWARD_ZERO and finite:
            overflow = number >= next_number(fmt)
        else:
            overflow = differs and not np.isfinite(magnitude) and not np.isnan(number)
        assert flags.overflow == overflow
        assert flags.inexact == ((finite and differs) or overflow)
        assert flags.underflow == (finite and differs and number < 2.0**fmt.min_exponent)


@pytest.mark.parametrize("fmt", NARROW, ids=str)
def test_representable_numbers_never_move(fmt):
    codes = np.arange(1 << fmt.width).astype(code_dtype(fmt))
    finite = codes[np.isfinite(decode(codes, fmt))]
    for rounding in Rounding:
        draws = np.full(finite.shape, (1 << 16) - 1, dtype=np.uint32)
        again, flags = convert(decode(finite, fmt), fmt, rounding, False, draws, 16)
        assert np.array_equal(again, finite)
        assert flags.to_bits() == 0


@pytest.mark.parametrize("fmt", [E5M2, E4M3], ids=str)
def test_stochastic_over_all_draws(fmt):
    """Of all draws of eight bits, as many round up as the fraction has 256ths."""
    lows = np.array([fmt.min_subnormal, 1.0, 3.0, fmt.max_value / 2], dtype=np.float32)
    draws = np.arange(256, dtype=np.uint32)
    for low in lows:
        code = int(convert(low[None], fmt, Rounding.NEAREST, False)[0][0])
        high = decode(np.array([code + 1], dtype=np.uint8), fmt)[0]
        for part in (0, 1, 100, 255):
            x = np.float32(low + (high - low) * np.float32(part / 256))
            codes, _ = convert(np.full(256, x), fmt, Rounding.STOCHASTIC, False, draws, 8)
            assert np.count_nonzero(codes == code + 1) == part
            assert np.count_nonzero(codes == code) == 256 - part


@pytest.mark.parametrize(
    ("x", "fmt", "rounding", "saturate", "raised"),
    [
        (1.0, E5M2, "nearest", False, ""),
        (1.1, E5M2, "nearest", False, "inexact"),
        (61440.0, E5M2, "nearest", False, "overflow inexact"),
        (61439.0, E5M2, "nearest", False, "inexact"),
        (1e9, E5M2, "toward_zero", False, "overflow inexact"),
        (449.0, E4M3, "nearest", False, "inexact"),
        (np.inf, E5M2, "nearest", False, ""),
        (np.inf, E5M2, "nearest", True, "overflow inexact"),
        (np.inf, E4M3, "nearest", False, "overflow inexact"),
        (np.nan, E4M3, "nearest", True, ""),
        (2.0**-16, E5M2, "nearest", False, ""),
        (1.5 * 2.0**-16, E5M2, "nearest", False, "underflow inexact"),
        (1e-30, E5M2, "nearest", False, "underflow inexact"),
        # Tiny before rounding, though it rounds to the least normal number.
        (2.0**-14 * (1 - 2.0**-10), E5M2, "nearest", False, "underflow inexact"),
        (1e-40, BF16, "nearest", False, "underflow inexact"),
    ],
)
def test_flags(x, fmt, rounding, saturate, raised):
    _, flags = convert(np.float32([x]), fmt, Rounding.named(rounding), saturate)
    names = [
        name for name in ("invalid", "overflow", "underflow", "inexact") if getattr(flags, name)
    ]
    assert " ".join(names) == raised
