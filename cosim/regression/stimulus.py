"""Calls that put hardware in every situation of its operands; what tests of each bench begin with.

A test here makes calls and compares them with the golden engine. How a call reaches the hardware,
and what may stall, is the bench's.
"""

from collections.abc import Awaitable, Callable, Iterator
from dataclasses import replace
from itertools import product
from typing import Protocol

import numpy as np

from cosim.calls import Call, Outcome
from cosim.campaign import random_conversion, random_gemm
from cosim.units.boundaries import accumulators_near, around
from cosim.units.sums import Sums
from pysim import ArrayConfig, FloatFormat, GoldenEngine, Rounding, convert, decode
from pysim.formats import BF16, FP32, OUTPUT_FORMATS

NARROW = [fmt for fmt in OUTPUT_FORMATS if fmt is not FP32]
Operands = dict[str, np.ndarray]

SUMS = 1024
"""Sums around a product, where accumulators cannot start from C."""

LONGEST = 1500
"""Most commands, rows, and columns together of a random call: longer ones say no more."""


class CallBench(Protocol):
    """What makes calls at the ports of the hardware.

    Attributes
    ----------
    config : ArrayConfig
    golden : GoldenEngine
        That calls are compared with.
    rng : numpy.random.Generator
    least_size : int
        Least side of a GEMM that the hardware takes: 0 or 1.
    """

    config: ArrayConfig
    golden: GoldenEngine
    rng: np.random.Generator
    least_size: int

    def stall(self, share: float) -> None:
        """Stall every stream at random, in up to this share of the clocks; 0 for none."""

    def disturb(self) -> None:
        """Put X, or noise, on whatever is idle, from now on."""

    async def check(self, call: Call) -> Outcome:
        """Make a call, and compare what it leaves with the golden engine."""
        ...


STIMULI: list[Callable[[CallBench], Awaitable[None]]] = []
"""The tests, in order."""


def _stimulus(function: Callable[[CallBench], Awaitable[None]]):
    STIMULI.append(function)
    return function


@_stimulus
async def random_gemms(bench: CallBench) -> None:
    """GEMMs of any shape, format, and operands, at full speed: every bit and every cycle."""
    for _ in range(40):
        await bench.check(moderate_gemm(bench))


@_stimulus
async def stalled_gemms(bench: CallBench) -> None:
    """The same with every stream stalling at random."""
    for _ in range(25):
        bench.stall(bench.rng.choice([0.1, 0.5, 0.9]))
        await bench.check(moderate_gemm(bench))


@_stimulus
async def every_format_and_mode(bench: CallBench) -> None:
    """Each pair of operand formats with each output format, rounding, and saturation."""
    rng, config = bench.rng, bench.config
    choices = product(pairs_of(config), OUTPUT_FORMATS, Rounding, (False, True))
    for formats, out_format, rounding, saturate in choices:
        m, n = rng.integers(1, (config.rows + 1, config.cols + 1)).tolist()
        k = rng.integers(bench.least_size, 4)
        # Of the size of the output format's numbers, so that every mode matters.
        c = _numbers_around(rng, (m, n), out_format)
        operands: Operands = {
            "a": rng.integers(256, size=(m, k), dtype=np.uint8),
            "b": rng.integers(256, size=(k, n), dtype=np.uint8),
        }
        if config.load_c:
            operands["c"] = c
        await bench.check(gemm(bench, operands, *formats, out_format, rounding, saturate))


@_stimulus
async def random_conversions(bench: CallBench) -> None:
    """Numbers through the converters alone."""
    for i in range(60):
        bench.stall(0 if i % 2 else 0.5)
        call, _ = random_conversion(bench.rng, bench.config, bench.golden.random_state)
        await bench.check(call)


@_stimulus
async def boundaries_of_conversion(bench: CallBench) -> None:
    """Around numbers of each format and around their midpoints, and what is no number."""
    special = np.array([0, 1, 0x7FFFFF, 0x7F7FFFFF, 0x7F800000, 0x7F800001, 0x7FC00000], np.uint32)
    special = np.concatenate([special, special | np.uint32(1 << 31)]).view(np.float32)
    for fmt, rounding, saturate in product(NARROW, Rounding, (False, True)):
        codes = np.arange(fmt.max_code + 1)
        if len(codes) > 32:
            telling = _telling_codes(fmt)
            telling = telling[telling <= fmt.max_code]
            codes = np.union1d(telling, bench.rng.choice(codes, size=16, replace=False))
        numbers = np.concatenate([around(str(fmt), codes), special])
        await bench.check(conversion(bench, numbers, fmt, rounding, saturate))


@_stimulus
async def extremes_of_scale(bench: CallBench) -> None:
    """Numbers at the ends of FP32, scaled back and beyond, as such and as sums."""
    rng, config = bench.rng, bench.config
    a_format, b_format = mixed(config)
    ends = np.array([1, 0x1234, 0x7FFFFF, 0x800000, 0x3F800001, 0x7F7FFFFF], dtype=np.uint32)
    for fmt, scale in product(NARROW, (-128, -30, 30, 127)):
        rounding, saturate = list(Rounding)[rng.integers(3)], bool(rng.integers(2))
        x = rng.permutation(np.concatenate([ends, ends | np.uint32(1 << 31)])).view(np.float32)
        call = conversion(bench, x, fmt, rounding, saturate)
        call.arguments["scale"] = scale
        await bench.check(call)
        if config.load_c:
            operands = {
                "a": np.zeros((config.rows, 1), dtype=np.uint8),
                "b": np.zeros((1, config.cols), dtype=np.uint8),
                "c": np.resize(x, (config.rows, config.cols)),
            }
        else:
            # Numbers from 1/8 to 8 times as many.
            operands = {
                "a": rng.choice(_codes_between(0.125, 8, a_format), size=(config.rows, 1)),
                "b": rng.choice(_codes_between(0.125, 8, b_format), size=(1, config.cols)),
            }
        call = gemm(bench, operands, a_format, b_format, fmt, rounding, saturate)
        call.arguments["scale"] = scale
        await bench.check(call)
    # Only so can a number be that much too large for BF16.
    for rounding, saturate in product(Rounding, (False, True)):
        call = conversion(bench, ends.view(np.float32), BF16, rounding, saturate)
        call.arguments["scale"] = 127
        await bench.check(call)


@_stimulus
async def draws_at_the_threshold(bench: CallBench) -> None:
    """Numbers that a draw only just rounds up, or only just not; draws of zero and of all ones."""
    rng, config = bench.rng, bench.config
    bits, width = config.random_bits, config.lfsr_width
    ones = (1 << bits) - 1
    for fmt in NARROW:
        place = 2.0**-fmt.fraction_bits
        # FP32 has room for so many bits of the discarded fraction of a number around 1.
        room = min(bits, FP32.fraction_bits - fmt.fraction_bits)
        fractions = rng.integers(1, 1 << room, size=(2, config.cols)) << bits - room
        for draws, numbers in (
            (ones + 1 - fractions[0], 1 + fractions[0] / (ones + 1) * place),
            (ones - fractions[1], 1 + fractions[1] / (ones + 1) * place),
            (np.zeros(config.cols, np.int64), 1 + fractions[0] / (ones + 1) * place),
            (np.full(config.cols, ones), 1 + fractions[0] * 0 * place),
        ):
            # Zero is no state; where a draw takes the whole register, it never draws zero.
            high = (
                rng.integers(1, 1 << min(width - bits, 32), size=config.cols) if width > bits else 0
            )
            states = high.astype(np.uint64) << np.uint64(bits) if width > bits else np.uint64(0)
            states = states | np.maximum(draws, width == bits).astype(np.uint64)
            call = conversion(
                bench, numbers.astype(np.float32), fmt, Rounding.STOCHASTIC, saturate=False
            )
            await bench.check(replace(call, random_state=states))


@_stimulus
async def changes_between_calls(bench: CallBench) -> None:
    """Each pair of formats, target, and rounding after each."""
    pairs = list(product(pairs_of(bench.config), repeat=2))
    targets = list(product(OUTPUT_FORMATS, repeat=2))
    roundings = list(product(Rounding, repeat=2))
    for i in range(max(len(pairs), len(targets), len(roundings))):
        settings = zip(
            pairs[i % len(pairs)],
            targets[i % len(targets)],
            roundings[i % len(roundings)],
            strict=True,
        )
        for (a_format, b_format), target, rounding in settings:
            call = one_tile(bench, k=2, out_format=target, rounding=rounding)
            call.arguments.update(a_format=a_format.name, b_format=b_format.name)
            await bench.check(call)


@_stimulus
async def special_operands(bench: CallBench) -> None:
    """Each kind of number times each, added to each kind of accumulator."""
    of_c = [0.0, -0.0, 1e-45, -1e-40, 1.5, 3e38, -np.inf, np.inf, np.nan]
    for a_format, b_format in pairs_of(bench.config):
        a, b = (np.array(_telling_codes(fmt), dtype=np.uint8) for fmt in (a_format, b_format))
        sums = Sums(a_format.name, b_format.name)
        of_sums = [1.5, -1.5, *([-np.inf, np.inf] if sums.infinite else []), np.nan]
        for start in (None, *(of_c if bench.config.load_c else of_sums)):
            operands: Operands = {"a": a[:, None], "b": b[None, :]}
            if start is not None and bench.config.load_c:
                operands["c"] = np.full((len(a), len(b)), start, dtype=np.float32)
            elif start is not None:
                first_a, first_b = sums.addends(np.array([start], dtype=np.float32))
                operands["a"] = np.hstack([np.repeat(first_a, len(a), axis=0), a[:, None]])
                operands["b"] = np.vstack([np.repeat(first_b.T, len(b), axis=1), b])
            await bench.check(gemm(bench, operands, a_format, b_format, FP32))


@_stimulus
async def payloads_of_nan(bench: CallBench) -> None:
    """Whatever a NaN carries, the canonical one comes out, also where no step is made."""
    rng, config = bench.rng, bench.config
    formats = mixed(config)
    for fmt, k in product(OUTPUT_FORMATS, (bench.least_size, 2)):
        payloads = rng.integers(1, 1 << 23, (config.rows, config.cols), dtype=np.uint32)
        signs = rng.integers(2, size=payloads.shape, dtype=np.uint32) << 31
        operands: Operands = {
            "a": rng.integers(256, size=(config.rows, k), dtype=np.uint8),
            "b": rng.integers(256, size=(k, config.cols), dtype=np.uint8),
        }
        if config.load_c:
            operands["c"] = (signs | 0x7F800000 | payloads).view(np.float32)
        else:
            codes = np.arange(256, dtype=np.uint8)
            nans = codes[np.isnan(decode(codes, formats[0]))]
            operands["a"][:, 0] = rng.choice(nans, size=config.rows)
        await bench.check(gemm(bench, operands, *formats, fmt))


@_stimulus
async def boundaries_of_addition(bench: CallBench) -> None:
    """Accumulators around products: at every distance, at every depth of cancellation, at ties."""
    rng, rows = bench.rng, bench.config.rows
    for a_format, b_format in pairs_of(bench.config):
        if not bench.config.load_c:
            for call in _from_sums_to_products(bench, a_format, b_format):
                await bench.check(call)
            continue
        # Factors of moderate size: an accumulator on every side of their product can be had.
        a = rng.choice(_codes_between(0.125, 8, a_format), size=(rows, 1))
        b = rng.choice(_codes_between(0.125, 8, b_format), size=(1, 1))
        products = decode(a, a_format) * decode(b, b_format)
        near = accumulators_near(products.reshape(-1))
        # The rows share the accumulators out, each around its own product.
        width = -(-near.shape[1] // rows)
        starts = np.stack([np.resize(near[i, i::rows], width) for i in range(rows)])
        operands = {"a": a, "b": np.repeat(b, width, axis=1), "c": starts}
        await bench.check(gemm(bench, operands, a_format, b_format, FP32))


def _from_sums_to_products(
    bench: CallBench, a_format: FloatFormat, b_format: FloatFormat
) -> Iterator[Call]:
    """Yield GEMMs whose rows add up to the boundaries of a last product, then take it.

    The second column takes it with the other sign. Products are of every size, so that sums lie on
    every side of some, and powers of two among them, below which numbers lie closer.
    """
    rng, sums = bench.rng, Sums(a_format.name, b_format.name)
    for exponent in (-8, 0, 7):
        power = np.full(1, 2.0**exponent, dtype=np.float32)
        a, b = (convert(power, fmt, Rounding.NEAREST, True)[0] for fmt in (a_format, b_format))
        if exponent == 0:
            a = rng.choice(_codes_between(0.5, 2, a_format), size=1)
        near = np.unique(sums.near(decode(a, a_format) * decode(b, b_format), SUMS))
        digits, powers = sums.addends(near[np.isfinite(near)])
        operands = {
            "a": np.hstack([digits, np.broadcast_to(a, (len(digits), 1))]),
            "b": np.stack([np.append(powers[0], last) for last in (b, b ^ 0x80)], axis=1),
        }
        yield gemm(bench, operands, a_format, b_format, FP32)


@_stimulus
async def unused_inputs(bench: CallBench) -> None:
    """Nothing depends on idle inputs, nor on lanes outside a tile: a simulator with X puts X there.

    A simulator without X takes some number instead, as it does in every other test.
    """
    bench.disturb()
    for i in range(12):
        bench.stall(0.5 if i % 2 else 0)
        await bench.check(one_tile(bench, k=int(bench.rng.integers(bench.least_size, 6))))
        numbers = bench.rng.standard_normal(bench.config.cols + 1).astype(np.float32)
        call = conversion(bench, numbers, NARROW[i % 2], Rounding.STOCHASTIC, True)
        await bench.check(call)


def moderate_gemm(bench: CallBench) -> Call:
    """Return a random GEMM of moderate size."""
    while True:
        call, _ = random_gemm(bench.rng, bench.config, bench.golden.random_state)
        (m, k), n = call.operands["a"].shape, call.operands["b"].shape[1]
        if min(m, n, k) < bench.least_size:
            continue
        tiles = -(-m // bench.config.rows) * -(-n // bench.config.cols)
        if tiles * (k + 2 * bench.config.rows + bench.config.cols) <= LONGEST:
            return call


def one_tile(
    bench: CallBench,
    k: int,
    out_format: FloatFormat = OUTPUT_FORMATS[1],
    rounding: Rounding = Rounding.STOCHASTIC,
    m: int | None = None,
) -> Call:
    """Return a GEMM of one tile that starts from a C, if there is C, of random size."""
    rng, config = bench.rng, bench.config
    m = m or int(rng.integers(1, config.rows + 1))
    n = int(rng.integers(1, config.cols + 1))
    operands: Operands = {
        "a": rng.integers(256, size=(m, k), dtype=np.uint8),
        "b": rng.integers(256, size=(k, n), dtype=np.uint8),
    }
    if config.load_c:
        operands["c"] = rng.standard_normal((m, n)).astype(np.float32)
    return gemm(bench, operands, *mixed(config), out_format, rounding)


def pairs_of(config: ArrayConfig) -> list[tuple[FloatFormat, FloatFormat]]:
    """Return every pair of formats that can be multiplied."""
    return [(a, b) for a, b in product(config.multiplied, repeat=2)]


def mixed(config: ArrayConfig) -> tuple[FloatFormat, FloatFormat]:
    """Return a pair of formats that can be multiplied, of two if there are two."""
    return config.multiplied[0], config.multiplied[-1]


def gemm(
    bench: CallBench,
    operands: Operands,
    a_format: FloatFormat,
    b_format: FloatFormat,
    out_format: FloatFormat,
    rounding: Rounding = Rounding.NEAREST,
    saturate: bool = True,
) -> Call:
    """Return a GEMM of the lanes as they are."""
    arguments = {
        "a_format": a_format.name,
        "b_format": b_format.name,
        "out_format": out_format.name,
        "rounding": rounding.value,
        "saturate": saturate,
    }
    return Call(bench.config, "gemm", operands, arguments, bench.golden.random_state)


def conversion(
    bench: CallBench, x: np.ndarray, fmt: FloatFormat, rounding: Rounding, saturate: bool
) -> Call:
    """Return a conversion by the lanes as they are."""
    arguments = {"fmt": fmt.name, "rounding": rounding.value, "saturate": saturate}
    return Call(bench.config, "quantize", {"x": x}, arguments, bench.golden.random_state)


def _telling_codes(fmt: FloatFormat) -> np.ndarray:
    """Both zeros, the ends of the subnormals and of the normals, one, infinities, and NaN."""
    one = int(convert(np.ones(1, dtype=np.float32), fmt, Rounding.NEAREST, True)[0][0])
    least_normal = 1 << fmt.fraction_bits
    codes = [0, 1, least_normal - 1, least_normal, one, one + 1, fmt.max_code, fmt.nan_code]
    if fmt.infinity_code is not None:
        codes.append(fmt.infinity_code)
    return np.array([*codes, *(code | fmt.sign_code for code in codes)])


def _codes_between(low: float, high: float, fmt: FloatFormat) -> np.ndarray:
    """Codes of numbers of a size, both signs."""
    codes = np.arange(1 << fmt.width, dtype=np.uint8)
    magnitude = np.abs(decode(codes, fmt))
    return codes[(magnitude >= low) & (magnitude <= high)]


def _numbers_around(
    rng: np.random.Generator, shape: tuple[int, int], fmt: FloatFormat
) -> np.ndarray:
    """FP32 numbers from below a format's least to beyond its largest."""
    low, high = np.log2(fmt.min_subnormal) - 2, min(np.log2(fmt.max_value) + 1, 127)
    sizes = 2.0 ** rng.uniform(max(low, -140), high, shape)
    return (rng.choice([-1.0, 1.0], shape) * sizes).astype(np.float32)
