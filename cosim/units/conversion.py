"""Converter, and the foot of a column around it."""

from collections.abc import Iterator
from itertools import product

import numpy as np

from cosim.calls import Call
from cosim.units import specification
from cosim.units.boundaries import boundaries
from cosim.units.check import Part, Progress, Result, Wrong, first, run_chunks
from cosim.units.datapath import pack
from cosim.units.harness import Unit
from cosim.units.specification import POLYNOMIALS, TARGETS, lfsr_step
from hw.column import ResultColumn
from hw.converter import PARTS, ConversionMode, Converter
from pysim import ArrayConfig
from pysim.convert import ROUNDINGS
from pysim.formats import OUTPUT_FORMATS
from pysim.lfsr import Lfsr
from rtl_gen import Design

ROUNDING_NAMES = tuple(rounding.value for rounding in ROUNDINGS)
_POSITION = {str(fmt): i for i, fmt in enumerate(OUTPUT_FORMATS)}
_CHUNK = 1 << 17

SCALES = (0, -128, -100, 1, 20, 127)
"""Scales at which boundaries are tried, all of them without one."""

SCALED = 8
"""With another scale, one of so many boundaries is tried."""

Mode = tuple[str, str, bool]
"""Target, rounding, saturating."""


def modes() -> Iterator[Mode]:
    """Every conversion that rounds."""
    yield from product(TARGETS, ROUNDING_NAMES, (False, True))


def mode_code(fmt: str, rounding: str, saturate: bool, scale: int = 0) -> int:
    """The converter's encoding of a mode."""
    fields = {
        "target": _POSITION[fmt],
        "rounding": ROUNDING_NAMES.index(rounding),
        "saturate": saturate,
        "scale": scale & 0xFF,
    }
    return int(pack(ConversionMode, {name: np.array(value) for name, value in fields.items()}))


def converter_of(design: Design) -> Converter:
    """Return the block that is the design's converter."""
    return Converter(design.config.random_bits, design.config.latency > 0)


def run_converter(
    unit: Unit, value: np.ndarray, mode: int, draw: np.ndarray | int = 0
) -> dict[str, np.ndarray]:
    """Convert FP32 codes, one after another if the unit is a pipeline; return what leaves it."""
    if "move" not in unit.inputs:
        return unit.run(value=value, draw=draw, mode=mode)
    late = len(PARTS)
    draws = np.zeros(value.size + late, dtype=np.uint64)
    # The part before the last looks at the draw.
    draws[late - 1 : -1] = draw
    values = np.append(value, np.zeros(late, dtype=value.dtype))
    found = unit.run(value=values, draw=draws, mode=mode, move=(1 << late) - 1)
    return {name: signal[late:] for name, signal in found.items()}


def telling_draws(x: np.ndarray, fmt: str, random_bits: int, scale: int = 0) -> np.ndarray:
    """Draws around the one from which on each number rounds up, and the ends of their range.

    Returns
    -------
    numpy.ndarray of int64, shape [8, *x.shape]
    """
    steps = specification.grid(fmt)
    magnitude = np.abs(np.where(np.isfinite(x), x, np.float32(0))).astype(np.float64) * 2.0**scale
    below = np.minimum(np.searchsorted(steps, magnitude, side="right") - 1, len(steps) - 2)
    fraction = (magnitude - steps[below]) / (steps[below + 1] - steps[below])
    least = (1 << random_bits) - np.floor(np.minimum(fraction, 1) * (1 << random_bits))
    high = (1 << random_bits) - 1
    around = [least - 2, least - 1, least, least + 1]
    ends = [np.full(x.shape, draw) for draw in (0, 1, high >> 1, high)]
    return np.clip(np.stack([*around, *ends]), 0, high).astype(np.int64)


def check_converter(
    design: Design, every: int = 1, progress: Progress = lambda done, total: None
) -> Result:
    """Convert each boundary in each mode; with `every`, one of so many of them.

    Some are tried with each of `SCALES`: there a number is one that the scale brings to a boundary,
    as far as FP32 has it.
    """
    config = design.config
    chunks: list[tuple[tuple[str, str, bool, int], np.ndarray, np.ndarray | int]] = []
    for fmt, scale in product(TARGETS, SCALES):
        numbers = boundaries(fmt)[:: every * (SCALED if scale else 1)]
        with np.errstate(all="ignore"):
            numbers = np.ldexp(numbers, -scale)
        for x in np.array_split(numbers, max(1, len(numbers) * 8 // _CHUNK)):
            draws = telling_draws(x, fmt, config.random_bits, scale)
            for rounding, saturate in product(ROUNDING_NAMES, (False, True)):
                mode = (fmt, rounding, saturate, scale)
                if rounding == "stochastic":
                    chunks.append((mode, np.tile(x, len(draws)), draws.reshape(-1)))
                else:
                    # Whatever is drawn, only stochastic rounding may look at it.
                    chunks.append((mode, x, draws[2]))
        chunks.append((("fp32", "nearest", True, 0), numbers, 0))

    def check(
        unit: Unit, chunk: tuple[tuple[str, str, bool, int], np.ndarray, np.ndarray | int]
    ) -> Part:
        (fmt, rounding, saturate, scale), x, draws = chunk
        got = run_converter(unit, x.view(np.uint32), mode_code(*chunk[0]), draws)
        if fmt == "fp32":
            codes, flags = specification.canonical_bits(x), np.zeros(x.shape, dtype=np.uint64)
        else:
            expected = specification.convert(
                x, fmt, rounding, saturate, draws, config.random_bits, scale
            )
            codes, flags = expected.codes, expected.flag_bits()
        i = first((got["code"] != codes) | (got["flags"] != flags))
        if i is None:
            return x.size, None
        draw = int(np.broadcast_to(draws, x.shape)[i])
        with_draw = f" with draw {draw:#x} of {config.random_bits} bits" * (
            rounding == "stochastic"
        )
        sentence = (
            f"{x[i]!s} ({x.view(np.uint32)[i]:#010x}) to {fmt.upper()}, {rounding}"
            f"{', saturating' * saturate}{f', times 2**{scale}' * (scale != 0)}{with_draw} gives "
            f"{got['code'][i]:#x}, flags {got['flags'][i]:04b}, instead of {codes[i]:#x}, "
            f"flags {flags[i]:04b}"
        )
        mode = (fmt, rounding, saturate)
        call = None if fmt == "fp32" else conversion_call(config, x[i], mode, draw, scale)
        return i + 1, Wrong(unit.name, sentence, call)

    cases, wrong = run_chunks(
        lambda: Unit.of_block(design, converter_of(design)), chunks, check, progress
    )
    return Result("converter", cases, wrong)


def check_nearest(
    design: Design, every: int = 1, progress: Progress = lambda done, total: None
) -> Result:
    """Round to nearest as `ml_dtypes` and NumPy cast."""
    config = design.config

    def check(unit: Unit, fmt: str) -> Part:
        x = boundaries(fmt)[::every]
        x = x[~np.isnan(x)]
        target = TARGETS[fmt]
        with np.errstate(all="ignore"):
            cast = x.astype(target.dtype).view(f"u{target.width // 8}").astype(np.uint64)
        if target.infinity is None:
            # Where the library keeps the sign of a NaN, the contract does not.
            cast[(cast & np.uint64(0x7F)) == target.nan] = target.nan
        got = run_converter(unit, x.view(np.uint32), mode_code(fmt, "nearest", False))["code"]
        if (i := first(got != cast)) is None:
            return x.size, None
        sentence = f"{x[i]!s} to {fmt.upper()} gives {got[i]:#x}; the library casts to {cast[i]:#x}"
        call = conversion_call(config, x[i], (fmt, "nearest", False), 1)
        return i + 1, Wrong(unit.name, sentence, call)

    cases, wrong = run_chunks(
        lambda: Unit.of_block(design, converter_of(design)), list(TARGETS), check, progress
    )
    return Result("nearest", cases, wrong)


def check_column(
    design: Design, count: int = 4000, progress: Progress = lambda done, total: None
) -> Result:
    """Clock a column with random inputs: it converts and draws when it accepts, and only then."""
    config = design.config
    if config.latency:
        return _check_pipelined_column(design, count, progress)
    width, bits = config.lfsr_width, config.random_bits
    rng = np.random.default_rng(1)
    numbers = [boundaries(fmt) for fmt in TARGETS]
    chosen = list(modes())
    which = rng.integers(len(chosen), size=count)
    x = np.array([rng.choice(numbers[list(TARGETS).index(chosen[i][0])]) for i in which])
    passed_by = rng.random(count) < 0.1
    codes_of_modes = np.array([mode_code(*mode) for mode in chosen])
    passing = np.array([mode_code("fp32", rounding, True) for rounding in ROUNDING_NAMES])
    mode = np.where(passed_by, passing[rng.integers(3, size=count)], codes_of_modes[which])
    accept, load = rng.random(count) < 0.6, rng.random(count) < 0.05
    high = (1 << width) - 1
    load_state = rng.integers(0, high, size=count, dtype=np.uint64, endpoint=True)
    load_state[rng.random(count) < 0.3] = 0
    seed = np.uint64(config.seed)
    reset = np.zeros(count, dtype=bool)
    reset[0] = True

    states = np.empty(count + 1, dtype=np.uint64)
    states[0] = seed
    for i in range(count):
        state = states[i : i + 1]
        draws = accept[i] and not passed_by[i] and chosen[which[i]][1] == "stochastic"
        if reset[i]:
            state = np.array([seed])
        elif load[i] and load_state[i]:
            state = load_state[i : i + 1]
        elif draws:
            for _ in range(bits):
                state = lfsr_step(state, width, POLYNOMIALS[width])
        states[i + 1] = state[0]
    codes, flags = specification.canonical_bits(x), np.zeros(count, dtype=np.uint64)
    draw = states[:count] & np.uint64((1 << bits) - 1)
    for position, (fmt, rounding, saturate) in enumerate(chosen):
        members = (which == position) & ~passed_by
        converted = specification.convert(
            x[members], fmt, rounding, saturate, draw[members].astype(np.int64), bits
        )
        codes[members], flags[members] = converted.codes, converted.flag_bits()

    with Unit.of_block(design, ResultColumn(width, bits)) as unit:
        got = unit.run(
            value=x.view(np.uint32),
            accept=accept,
            mode=mode,
            seed=int(seed),
            load=load,
            load_state=load_state,
            rst=reset,
        )
    progress(1, 1)
    held = np.zeros(count, dtype=np.uint64)
    for i in range(1, count):
        held[i] = 0 if reset[i - 1] else codes[i - 1] if accept[i - 1] else held[i - 1]
    wrong = None
    checks = (
        ("state", states[:count], "its LFSR lane holds"),
        ("flags", np.where(accept, flags, 0), "its flags are"),
        ("code", held, "its code is"),
    )
    for name, expected, what in checks:
        # Before the reset nothing is known.
        i = first(got[name][1:] != expected[1:])
        if i is not None and wrong is None:
            before = (
                f"{'a' if accept[i] else 'no'} number is accepted"
                f"{' while a state is loaded' * bool(load[i])} in the clock before"
            )
            sentence = (
                f"{what} {got[name][i + 1]:#x} instead of {expected[i + 1]:#x}, where {before}, "
                f"rounding {chosen[which[i]][1]}"
            )
            wrong = Wrong(unit.name, sentence)
    return Result("column", count, wrong)


def _check_pipelined_column(design: Design, count: int, progress: Progress) -> Result:
    """Clock a column in random modes, a reset before each."""
    config = design.config
    rng = np.random.default_rng(1)
    block = ResultColumn(config.lfsr_width, config.random_bits, pipelined=True)
    runs = 40
    with Unit.of_block(design, block) as unit:
        for run in range(runs):
            clocks = count // runs
            sentence = _run_pipelined_column(unit, config, rng, clocks)
            progress(run + 1, runs)
            if sentence is not None:
                return Result("column", (run + 1) * clocks, Wrong(unit.name, sentence))
    return Result("column", count, None)


def _run_pipelined_column(
    unit: Unit, config: ArrayConfig, rng: np.random.Generator, clocks: int
) -> str | None:
    """Reset a column, and clock it in one mode; say what was wrong, if anything was."""
    width, bits = config.lfsr_width, config.random_bits
    fmt = str(rng.choice([*TARGETS, "fp32"]))
    rounding = str(rng.choice(ROUNDING_NAMES))
    scale = 0 if fmt == "fp32" else int(rng.integers(-12, 12))
    x = rng.choice(boundaries("e5m2" if fmt == "fp32" else fmt), size=clocks)
    advance = rng.random(clocks) < 0.8
    accept = advance & (rng.random(clocks) < 0.7)
    load = rng.random(clocks) < 0.02
    load_state = rng.integers(0, (1 << width) - 1, size=clocks, dtype=np.uint64, endpoint=True)
    reset = np.arange(clocks) == 0

    # Which number is behind each part, by the clock in which it came; and the draw that it met.
    inside: list[int | None] = [None] * len(PARTS)
    leaving: list[int | None] = []
    draws = np.zeros(clocks, dtype=np.int64)
    states = [config.seed]
    for i in range(clocks):
        state = states[-1]
        leaving.append(inside[-1] if advance[i] and not reset[i] else None)
        drawer = inside[-2] if advance[i] else None
        stepped = state
        if drawer is not None and fmt != "fp32" and rounding == "stochastic":
            draws[drawer] = state & (1 << bits) - 1
            for _ in range(bits):
                stepped = int(
                    lfsr_step(np.array([stepped], np.uint64), width, POLYNOMIALS[width])[0]
                )
        if reset[i]:
            stepped = config.seed
        elif load[i] and load_state[i]:
            stepped = int(load_state[i])
        states.append(stepped)
        if reset[i]:
            inside = [None] * len(PARTS)
        elif advance[i]:
            inside = [i if accept[i] else None, *inside[:-1]]
    codes, flags = specification.canonical_bits(x), np.zeros(clocks, dtype=np.uint64)
    if fmt != "fp32":
        converted = specification.convert(x, fmt, rounding, False, draws, bits, scale)
        codes, flags = converted.codes, converted.flag_bits()

    got = unit.run(
        value=x.view(np.uint32),
        accept=accept,
        advance=advance,
        mode=mode_code(fmt, rounding, False, scale),
        seed=config.seed,
        load=load,
        load_state=load_state,
        rst=reset,
    )
    for i in range(1, clocks):
        number = leaving[i]
        raised = 0 if number is None else int(flags[number])
        expected = [("its LFSR lane holds", "state", states[i]), ("its flags are", "flags", raised)]
        if advance[i - 1] and i > 1:
            number = leaving[i - 1]
            expected.append(("kept is", "kept", int(number is not None)))
            if number is not None:
                expected.append(("its code is", "code", int(codes[number])))
        for what, name, value in expected:
            if got[name][i] != value:
                return f"{what} {got[name][i]:#x} instead of {value:#x}, to {fmt}, {rounding}"
    return None


def conversion_call(
    config: ArrayConfig, x: np.float32, mode: Mode, draw: int, scale: int = 0
) -> Call | None:
    """Return a call that converts a number with a draw, if there is a state with that draw."""
    fmt, rounding, saturate = mode
    state = Lfsr(config.lfsr_width).lanes(config.seed, config.cols)
    if rounding == "stochastic":
        if draw == 0 and config.random_bits == config.lfsr_width:
            return None
        state[0] = draw if draw else 1 << config.random_bits
    arguments = {"fmt": fmt, "rounding": rounding, "saturate": saturate, "scale": scale}
    return Call(config, "quantize", {"x": np.array([x], dtype=np.float32)}, arguments, state)
