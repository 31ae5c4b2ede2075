"""Random comparison of one engine with another: every bit, flag, cycle, and random state.

Work is grouped by configuration, because opening an engine may mean to build it. GEMM number i of
a seed is the same whatever the engines, so a campaign can be repeated on others.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from cosim.calls import Call, Mismatch
from cosim.errors import CheckFailedError
from pysim import ArrayConfig, Engine, FloatFormat, convert, decode
from pysim.convert import ROUNDINGS, SCALES, Rounding
from pysim.engine import NARROW_FORMATS
from pysim.formats import FP32, OUTPUT_FORMATS

RANDOM_SETTINGS = ((64, 16), (32, 8), (16, 16), (8, 5), (24, 24), (48, 13), (64, 1), (8, 8))
"""Pairs of LFSR width and bits of a draw, dealt out to the configurations in turn."""

GEMMS_PER_CONVERSION = 4

Kinds = dict[str, str]
"""What distinguishes a call, by question: ``{"shape": "several tiles", ...}``."""

Shape = tuple[str, tuple[int, int, int]]
Shapes = dict[Callable[[np.random.Generator, ArrayConfig], Shape], int]
"""Functions that choose what a shape is called, M, N, and K, with how often each is asked."""


@dataclass
class Tally:
    """What a campaign has checked so far.

    Attributes
    ----------
    gemms, conversions : int
    macs : int
        Multiply-accumulate steps compared.
    kinds : dict of str to Counter
        Calls by what distinguishes them.
    """

    gemms: int
    conversions: int
    macs: int
    kinds: dict[str, Counter[str]]

    def add(self, kinds: Kinds) -> None:
        """Count one call."""
        for question, answer in kinds.items():
            self.kinds.setdefault(question, Counter())[answer] += 1


def configurations(
    arrays: Sequence[tuple[int, int]], variants: int = 1, latency: int = 0
) -> list[ArrayConfig]:
    """Return `variants` configurations for each array, with random settings dealt out in turn."""
    configs = []
    for rows, cols in arrays:
        for _ in range(variants):
            width, bits = RANDOM_SETTINGS[len(configs) % len(RANDOM_SETTINGS)]
            configs.append(ArrayConfig(rows, cols, width, bits, latency=latency))
    return configs


def run_campaign(
    open_subject: Callable[[ArrayConfig], Engine],
    open_reference: Callable[[ArrayConfig], Engine],
    configs: Sequence[ArrayConfig],
    *,
    count: int,
    large: int = 0,
    seed: int,
    folder: Path,
    progress: Callable[[ArrayConfig, Tally], None] = lambda config, tally: None,
) -> Tally:
    """Make the same random calls on two engines and compare everything that they leave.

    Parameters
    ----------
    open_subject, open_reference : callable
        Open the engine under test, and the one that is right.
    configs : sequence of ArrayConfig
        The calls are shared out to them evenly.
    count : int
        GEMMs in all; conversions come on top, one for every four.
    large : int
        GEMMs of some hundreds each way, on top.
    seed : int
    folder : Path
        Where a replay file is written to if the engines differ.
    progress : callable
        Called before the first GEMM of a configuration and after every GEMM.

    Raises
    ------
    CheckFailedError
        At the first difference; it names the replay file.
    """
    tally = Tally(0, 0, 0, {})
    for i, config in enumerate(configs):
        numbers = [
            *((SHAPES, number) for number in _share(count, i, len(configs))),
            *((LARGE_SHAPES, count + number) for number in _share(large, i, len(configs))),
        ]
        if not numbers:
            continue
        progress(config, tally)
        with open_subject(config) as subject, open_reference(config) as reference:
            pair = _Pair(subject, reference, folder, {"campaign_seed": seed})
            state = reference.random_state
            for shapes, number in numbers:
                rng = np.random.default_rng([seed, number])
                # Mostly a call goes on from the state that the one before it left.
                if rng.random() < 0.2:
                    state = _random_state(rng, config)
                call, kinds = random_gemm(rng, config, state, shapes)
                state = pair.compare(call)
                tally.add(kinds)
                if number % GEMMS_PER_CONVERSION == 0 and number < count:
                    call, kinds = random_conversion(rng, config, state)
                    state = pair.compare(call)
                    tally.add(kinds)
                    tally.conversions += 1
                tally.gemms += 1
                progress(config, tally)
            tally.macs += reference.macs
    return tally


def _share(count: int, i: int, parts: int) -> range:
    """Return which of `count` numbers are the share of part `i`."""
    return range(count * i // parts, count * (i + 1) // parts)


@dataclass
class _Pair:
    """Two engines that must agree."""

    subject: Engine
    reference: Engine
    folder: Path
    notes: dict

    def compare(self, call: Call) -> np.ndarray:
        """Make a call on both; return the random state that it leaves."""
        expected = call.run(self.reference)
        got = call.run(self.subject)
        if differences := expected.differences(got):
            names = (self.reference.name, self.subject.name)
            mismatch = Mismatch(call, expected, got, *names, self.notes)
            path = self.folder / f"mismatch-{'-'.join(reversed(names))}.npz"
            mismatch.save(path)
            raise CheckFailedError(
                f"{call.describe()}: {names[0]} and {names[1]} differ in "
                f"{'; '.join(differences)}; the call is recorded in {path}"
            )
        return expected.random_state


def _random_state(rng: np.random.Generator, config: ArrayConfig) -> np.ndarray:
    high = (1 << config.lfsr_width) - 1
    return rng.integers(1, high, config.cols, dtype=np.uint64, endpoint=True)


def random_gemm(
    rng: np.random.Generator,
    config: ArrayConfig,
    state: np.ndarray,
    shapes: Shapes | None = None,
) -> tuple[Call, Kinds]:
    """Return a random GEMM and what distinguishes it."""
    formats = config.multiplied
    a_format, b_format = (formats[i] for i in rng.integers(len(formats), size=2))
    out_format = OUTPUT_FORMATS[rng.integers(len(OUTPUT_FORMATS))]
    rounding = ROUNDINGS[rng.integers(len(ROUNDINGS))]
    saturate = bool(rng.integers(2))
    shape, (m, n, k) = _pick(rng, shapes or SHAPES)(rng, config)
    data = str(rng.choice(list(OPERANDS)))
    operands = {
        "a": _laid_out(rng, OPERANDS[data](rng, (m, k), a_format)),
        "b": _laid_out(rng, OPERANDS[data](rng, (k, n), b_format)),
    }
    start = str(rng.choice(list(STARTS))) if config.load_c else "none"
    c = STARTS[start](rng, (m, n))
    if c is not None:
        operands["c"] = c
    arguments = {
        "a_format": a_format.name,
        "b_format": b_format.name,
        "out_format": out_format.name,
        "rounding": rounding.value,
        "saturate": saturate,
        "scale": 0 if out_format is FP32 else _scale(rng),
    }
    kinds = {
        "operand formats": f"{a_format} x {b_format}",
        "conversion": _describe_conversion(out_format, rounding, saturate),
        "scale": _describe_scale(arguments["scale"]),
        "shape": shape,
        "operands": data,
        "C": start,
    }
    return Call(config, "gemm", operands, arguments, state), kinds


def random_conversion(
    rng: np.random.Generator, config: ArrayConfig, state: np.ndarray
) -> tuple[Call, Kinds]:
    """Return a random call of `Engine.quantize` and what distinguishes it."""
    fmt = NARROW_FORMATS[rng.integers(len(NARROW_FORMATS))]
    rounding = ROUNDINGS[rng.integers(len(ROUNDINGS))]
    saturate = bool(rng.integers(2))
    size = int(rng.integers([1, 2, 4 * config.cols + 2, 1000])[rng.integers(4)])
    numbers = str(rng.choice(list(NUMBERS)))
    x, scale = NUMBERS[numbers](rng, size, fmt), _scale(rng)
    with np.errstate(all="ignore"):
        x = np.ldexp(x, -scale)
    arguments = {"fmt": fmt.name, "rounding": rounding.value, "saturate": saturate, "scale": scale}
    kinds = {
        "quantize": _describe_conversion(fmt, rounding, saturate),
        "scale": _describe_scale(scale),
        "numbers": numbers,
    }
    return Call(config, "quantize", {"x": x}, arguments, state), kinds


def _scale(rng: np.random.Generator) -> int:
    """Return the exponent of a scale: often none, or one that leaves most numbers in range."""
    near, far = rng.integers(-12, 12), rng.integers(SCALES.start, SCALES.stop)
    return int(rng.choice(np.array([0, 0, near, far])))


def _describe_scale(scale: int) -> str:
    if scale == 0:
        return "none"
    return f"{'down' if scale < 0 else 'up'} by {'more' if abs(scale) > 12 else 'at most 12'}"


def _describe_conversion(fmt: FloatFormat, rounding: Rounding, saturate: bool) -> str:
    if fmt is FP32:
        return "fp32"
    return f"{fmt} {rounding.value}{' saturating' if saturate else ''}"


def _pick(rng: np.random.Generator, weights: dict) -> Callable:
    total = sum(weights.values())
    return list(weights)[rng.choice(len(weights), p=[w / total for w in weights.values()])]


# Shapes: what the tiles make of them depends on the array.


def _one(rng: np.random.Generator, config: ArrayConfig) -> Shape:
    return "1 x 1 x 1", (1, 1, 1)


def _one_tile(rng: np.random.Generator, config: ArrayConfig) -> Shape:
    m, n, k = rng.integers(1, (config.rows + 1, config.cols + 1, 9))
    return "within one tile, K to 8", (m, n, k)


def _several_tiles(rng: np.random.Generator, config: ArrayConfig) -> Shape:
    m, n, k = rng.integers(1, (3 * config.rows + 2, 3 * config.cols + 2, 41))
    return "several tiles, partial ones too", (m, n, k)


def _full_tiles(rng: np.random.Generator, config: ArrayConfig) -> Shape:
    down, across, k = rng.integers(1, (4, 4, 41))
    return "full tiles", (down * config.rows, across * config.cols, k)


def _odd(rng: np.random.Generator, config: ArrayConfig) -> Shape:
    m, n, k = rng.integers(0, (20, 24, 30)) * 2 + 1
    return "odd each way", (m, n, k)


def _deep(rng: np.random.Generator, config: ArrayConfig) -> Shape:
    m, n, k = rng.integers((1, 1, 200), (config.rows + 2, config.cols + 2, 600))
    return "K of 200 to 600", (m, n, k)


def _wide(rng: np.random.Generator, config: ArrayConfig) -> Shape:
    m, n, k = rng.integers((1, 400, 1), (3, 700, 6))
    return "N of 400 to 700", (m, n, k)


def _empty(rng: np.random.Generator, config: ArrayConfig) -> Shape:
    shape = rng.integers(1, 12, size=3)
    shape[rng.integers(3)] = 0
    m, n, k = shape
    return "empty one way", (m, n, k)


def _large(rng: np.random.Generator, config: ArrayConfig) -> Shape:
    m, n, k = rng.integers(100, 400, size=3)
    return "100 to 400 each way", (m, n, k)


SHAPES: Shapes = {
    _one: 3,
    _one_tile: 25,
    _several_tiles: 35,
    _full_tiles: 10,
    _odd: 15,
    _deep: 6,
    _wide: 2,
    _empty: 4,
}
"""Kinds of shapes and how often each comes, in parts of a hundred."""

LARGE_SHAPES: Shapes = {_large: 1}


# Operands.


def _uniform(rng: np.random.Generator, shape: tuple[int, int], fmt: FloatFormat) -> np.ndarray:
    return rng.integers(256, size=shape, dtype=np.uint8)


def _finite(rng: np.random.Generator, shape: tuple[int, int], fmt: FloatFormat) -> np.ndarray:
    sign = rng.integers(2, size=shape, dtype=np.uint8) << 7
    return sign | rng.integers(fmt.max_code + 1, size=shape, dtype=np.uint8)


def _normal(rng: np.random.Generator, shape: tuple[int, int], fmt: FloatFormat) -> np.ndarray:
    scale = 2.0 ** rng.integers(-10, 8)
    values = (rng.standard_normal(shape) * scale).astype(np.float32)
    return convert(values, fmt, Rounding.NEAREST, True)[0]


def _small(rng: np.random.Generator, shape: tuple[int, int], fmt: FloatFormat) -> np.ndarray:
    sign = rng.integers(2, size=shape, dtype=np.uint8) << 7
    return sign | rng.integers(2 << fmt.fraction_bits, size=shape, dtype=np.uint8)


def _sparse(rng: np.random.Generator, shape: tuple[int, int], fmt: FloatFormat) -> np.ndarray:
    """Few specials among zeros and ordinary numbers: infinity times zero, infinity less itself."""
    codes = _normal(rng, shape, fmt)
    specials = [0, fmt.sign_code, fmt.nan_code]
    if fmt.infinity_code is not None:
        specials += [fmt.infinity_code, fmt.infinity_code | fmt.sign_code]
    chosen = rng.choice(np.array(specials, dtype=np.uint8), size=shape)
    return np.where(rng.random(shape) < 0.05, chosen, codes)


OPERANDS = {
    "uniform codes": _uniform,
    "uniform finite codes": _finite,
    "quantised normals": _normal,
    "subnormals and least normals": _small,
    "normals and few specials": _sparse,
}


def _laid_out(rng: np.random.Generator, codes: np.ndarray) -> np.ndarray:
    """Give the same matrix another layout in memory: of a transpose, or with gaps."""
    layout = rng.integers(4)
    if layout == 0:
        return np.asfortranarray(codes)
    if layout == 1:
        return np.repeat(np.repeat(codes, 2, axis=0), 3, axis=1)[::2, ::3]
    return codes


# Starts of the accumulators.


def _no_start(rng: np.random.Generator, shape: tuple[int, int]) -> None:
    return None


def _any_start(rng: np.random.Generator, shape: tuple[int, int]) -> np.ndarray:
    return rng.integers(1 << 32, size=shape, dtype=np.uint32).view(np.float32)


def _subnormal_start(rng: np.random.Generator, shape: tuple[int, int]) -> np.ndarray:
    bits = rng.integers(1 << 24, size=shape, dtype=np.uint32)
    return (bits | rng.integers(2, size=shape, dtype=np.uint32) << 31).view(np.float32)


def _near_start(rng: np.random.Generator, shape: tuple[int, int]) -> np.ndarray:
    """Numbers of the size of products: sums cancel, and zeros of either sign occur."""
    values = rng.standard_normal(shape) * 2.0 ** rng.integers(-30, 30)
    kept = 2.0 ** rng.integers(0, 8)
    values = np.where(rng.random(shape) < 0.2, np.copysign(0.0, values), values)
    return np.where(rng.random(shape) < 0.3, np.round(values * kept) / kept, values).astype("f4")


def _huge_start(rng: np.random.Generator, shape: tuple[int, int]) -> np.ndarray:
    """At the end of FP32's range: the largest product is still too small to overflow."""
    bits = 0x7F7FFFFF - rng.integers(1 << 12, size=shape, dtype=np.uint32)
    return (bits | rng.integers(2, size=shape, dtype=np.uint32) << 31).view(np.float32)


STARTS: dict[str, Callable[[np.random.Generator, tuple[int, int]], np.ndarray | None]] = {
    "none": _no_start,
    "any FP32 pattern": _any_start,
    "subnormals and least normals": _subnormal_start,
    "of the size of products": _near_start,
    "largest finite": _huge_start,
}


# Numbers to convert.


def _any_numbers(rng: np.random.Generator, size: int, fmt: FloatFormat) -> np.ndarray:
    return rng.integers(1 << 32, size=size, dtype=np.uint32).view(np.float32)


def _boundaries(rng: np.random.Generator, size: int, fmt: FloatFormat) -> np.ndarray:
    """Representable numbers, midpoints between two, and the FP32 neighbours of both."""
    codes = rng.integers(1 << fmt.width, size=size).astype(f"u{fmt.width // 8}")
    bits = decode(codes, fmt).view(np.uint32)
    half = np.uint32(1) << np.uint32(22 - fmt.fraction_bits)
    offset = rng.choice(np.array([0, 1, half - 1, half, half + 1, -1], dtype=np.int64), size)
    return (bits + offset).astype(np.uint32).view(np.float32)


def _in_range(rng: np.random.Generator, size: int, fmt: FloatFormat) -> np.ndarray:
    """From far below the least subnormal to beyond the largest number, spread evenly by size."""
    low, high = np.log2(fmt.min_subnormal) - 3, np.log2(fmt.max_value) + 1
    sign = rng.choice([-1.0, 1.0], size)
    with np.errstate(over="ignore", under="ignore"):
        return (sign * 2.0 ** rng.uniform(low, high, size)).astype(np.float32)


NUMBERS = {
    "any FP32 pattern": _any_numbers,
    "boundaries of rounding": _boundaries,
    "the range of the format": _in_range,
}
