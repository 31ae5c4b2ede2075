"""Simulators of the array against each other: speed, instructions, and build time by array size."""

import os
import re
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from statistics import median

from matplotlib.figure import Figure

import rtl_gen
from cosim.bench.figures import wide_codes
from cosim.bridge import Recipe
from cosim.bridge.recipe import DEFAULT_RECIPE
from cosim.engines import open_engine
from cosim.rtl import RtlEngine
from cosim.rtl.engine import SIMULATORS
from cosim.training import TrainingSettings, train
from cosim.vector.lane_code import vectors_at_once
from pysim import ArrayConfig

SIZES = (4, 8, 16, 32, 64)
LARGEST = {"vector": 64, "verilator": 16}
"""Greatest array, as rows, that a simulator is built for: Verilator takes minutes beyond."""

THREADS = (1, 2)
SAMPLES = 5
SHORTEST = 0.3
"""Seconds that a sample lasts at least."""

DEPTH = 256
"""Products in each sum of the GEMM that is timed."""

TRAINING_STEPS = 500
TRAINING_BATCH = 64


@dataclass(frozen=True)
class Row:
    """One simulator, array size, and number of threads.

    Attributes
    ----------
    simulator : str
    size : int
        Rows and columns.
    threads : int
    macs_per_second, cycles_per_second : float
        Medians; cycles of all arrays that were simulated side by side.
    spread : float
        Half of what lies between the least and the greatest speed, relative to the median.
    against_verilator, against_one_thread : float or None
        Medians of ratios of neighbouring samples.
    instructions : float
        Of the processor for one element and cycle, counted in the library's code.
    cold, warm : float
        Seconds to build the simulator with an empty cache, and to find it in a full one.
    """

    simulator: str
    size: int
    threads: int
    macs_per_second: float
    cycles_per_second: float
    spread: float
    against_verilator: float | None
    against_one_thread: float | None
    instructions: float
    cold: float
    warm: float


def measure_simulators(
    sizes: Sequence[int] = SIZES,
    samples: int = SAMPLES,
    progress: Callable[[str], None] = lambda what: None,
) -> list[Row]:
    """Build and time both simulators, each sample of one beside a sample of the others."""
    rows = []
    for size in sizes:
        design = rtl_gen.design(ArrayConfig(size, size))
        names = [name for name in SIMULATORS if size <= LARGEST[name]]
        with tempfile.TemporaryDirectory() as folder, _cache(folder):
            builds = {}
            for name in names:
                progress(f"building {name} of {size} x {size}")
                builds[name] = _time_builds(name, design)
            cases = [(name, threads) for name in names for threads in THREADS]
            engines = {
                case: RtlEngine(design=design, simulator=case[0], threads=case[1]) for case in cases
            }
        progress(f"timing {size} x {size}")
        calls = {case: _timed_gemm(engine, size) for case, engine in engines.items()}
        taken = [{case: call() for case, call in calls.items()} for _ in range(samples)]
        for engine in engines.values():
            engine.close()
        for case in cases:
            rows.append(_row(case, size, taken, builds[case[0]]))
    return rows


@contextmanager
def _cache(folder: str) -> Iterator[None]:
    """Let builds be cached in another folder within the context."""
    before = os.environ.get("FP8COSIM_CACHE")
    os.environ["FP8COSIM_CACHE"] = folder
    try:
        yield
    finally:
        del os.environ["FP8COSIM_CACHE"]
        if before is not None:
            os.environ["FP8COSIM_CACHE"] = before


@dataclass(frozen=True)
class _Build:
    cold: float
    warm: float
    instructions: float


def _time_builds(simulator: str, design: rtl_gen.Design) -> _Build:
    build = SIMULATORS[simulator]
    start = time.perf_counter()
    library = build(design)
    built = time.perf_counter()
    build(design)
    found = time.perf_counter()
    elements = design.config.rows * design.config.cols
    instructions = _COUNTERS[simulator](_functions(library), elements)
    return _Build(built - start, found - built, instructions)


def _timed_gemm(engine: RtlEngine, size: int) -> Callable[[], tuple[float, float]]:
    """Return a call that takes a sample: MACs and cycles a second."""

    def gemm(tiles: int) -> tuple[float, float]:
        a, b = wide_codes(size * tiles, DEPTH, 0), wide_codes(DEPTH, 4 * size, 1)
        start = time.perf_counter()
        result = engine.gemm(a, b, a_format="e5m2", b_format="e5m2")
        seconds = time.perf_counter() - start
        return 4 * tiles * size * size * DEPTH / seconds, result.cycles / seconds

    # Bands of the array's rows are what threads share out: an even number of them.
    trial = 4 * size * size * DEPTH / gemm(1)[0]
    tiles = 2 * max(1, round(SHORTEST / trial / 2))
    return lambda: gemm(tiles)


def _row(
    case: tuple[str, int],
    size: int,
    taken: list[dict[tuple[str, int], tuple[float, float]]],
    build: _Build,
) -> Row:
    simulator, threads = case
    speeds = [sample[case][0] for sample in taken]

    def against(other: tuple[str, int]) -> float | None:
        if other == case or other not in taken[0]:
            return None
        return median(sample[case][0] / sample[other][0] for sample in taken)

    return Row(
        simulator,
        size,
        threads,
        median(speeds),
        median(sample[case][1] for sample in taken),
        (max(speeds) - min(speeds)) / 2 / median(speeds),
        against(("verilator", threads)) if simulator != "verilator" else None,
        against((simulator, 1)),
        build.instructions,
        build.cold,
        build.warm,
    )


# Instructions, counted in the code

_Function = list[tuple[int, str]]
"""Addresses and instructions."""


def _functions(library: Path) -> dict[str, _Function]:
    """Disassemble a library."""
    text = subprocess.run(
        ["objdump", "-d", "-C", "--no-show-raw-insn", str(library)],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    functions: dict[str, _Function] = {}
    body: _Function = []
    for line in text.splitlines():
        if head := re.match(r"[0-9a-f]+ <(.*)>:$", line):
            body = functions.setdefault(head[1], [])
        elif instruction := re.match(r" *([0-9a-f]+):\t(.*)", line):
            body.append((int(instruction[1], 16), instruction[2]))
    return functions


def _in_straight_code(functions: dict[str, _Function], elements: int) -> float:
    """Instructions of Verilator's functions of a clock, each of which runs once, per element."""
    hot = [body for name, body in functions.items() if "___nba_" in name]
    return sum(map(len, hot)) / elements


def _in_lane_loops(functions: dict[str, _Function], elements: int) -> float:
    """Instructions of the longest loop over lanes, per lane of an iteration."""
    longest: _Function = []
    for body in functions.values():
        for start, end in _innermost_loops(body):
            loop = body[start : end + 1]
            if len(loop) > len(longest) and any(re.search("%[yz]mm", text) for _, text in loop):
                longest = loop
    vector = 16 if any("zmm" in text for _, text in longest) else 8
    return len(longest) / min(vector * vectors_at_once(elements), elements)


def _innermost_loops(body: _Function) -> list[tuple[int, int]]:
    """Return where loops without a loop inside begin and end."""
    places = {address: i for i, (address, _) in enumerate(body)}
    loops: list[tuple[int, int]] = []
    for end, (_, instruction) in enumerate(body):
        if jump := re.match(r"j[a-z]+ +([0-9a-f]+) ", instruction):
            start = places.get(int(jump[1], 16), end)
            # Ends come in order: what began later than this one lies inside.
            if start < end and not any(other >= start for other, _ in loops):
                loops.append((start, end))
    return loops


_COUNTERS = {"verilator": _in_straight_code, "vector": _in_lane_loops}


# A training run


def measure_training(
    steps: int = TRAINING_STEPS, progress: Callable[[str], None] = lambda what: None
) -> dict:
    """Train a perceptron on digits with every GEMM on the Verilog; compare with golden.

    Returns
    -------
    dict
        ``seconds`` on each engine, ``steps``, ``batch``, ``simulator``, and ``identical``:
        whether the final weights are.
    """
    digests, seconds = {}, {}
    for engine, simulator in (("rtl", "vector"), ("golden", None)):
        progress(f"training on {engine}")
        settings = TrainingSettings.of(
            "mlp",
            engine=engine,
            simulator=simulator,
            recipe=Recipe.named(DEFAULT_RECIPE),
            config=ArrayConfig(),
            steps=steps,
            batch=TRAINING_BATCH,
        )
        # Building the simulator is told elsewhere.
        with (
            tempfile.TemporaryDirectory() as folder,
            open_engine(engine, settings.config, simulator=simulator) as used,
        ):
            start = time.perf_counter()
            result = train(settings, Path(folder) / "run", engine=used)
            seconds[engine] = time.perf_counter() - start
        digests[engine] = result.weights_sha256
    return {
        "steps": steps,
        "batch": TRAINING_BATCH,
        "simulator": "vector",
        "seconds": seconds,
        "identical": digests["rtl"] == digests["golden"],
    }


def describe(rows: list[Row], training: dict | None) -> list[str]:
    """Return a table for people."""
    lines = [
        "simulator   array  threads   MMAC/s   cycles/s  instr./elem.  cold s  warm s  "
        "x Verilator  x one thread"
    ]
    for row in rows:
        ratios = [
            f"{ratio:>11.1f}" if ratio else f"{'':>11}"
            for ratio in (row.against_verilator, row.against_one_thread)
        ]
        lines.append(
            f"{row.simulator:<10} {row.size:>3} x {row.size:<3} {row.threads:>5} "
            f"{row.macs_per_second / 1e6:>9.1f} {row.cycles_per_second:>10,.0f} "
            f"{row.instructions:>12.1f} {row.cold:>8.1f} {row.warm:>7.2f}  {'  '.join(ratios)}"
        )
    one = {row.size: row for row in rows if (row.simulator, row.threads) == ("vector", 1)}
    for size in (32, 64):
        if size in one and 16 in one:
            ratio = one[size].macs_per_second / one[16].macs_per_second
            lines.append(
                f"vector, {size} x {size} against 16 x 16: {ratio:.2f} x the MACs a second"
            )
    if training:
        lines.append(
            f"perceptron, {training['steps']} steps of {training['batch']}: "
            f"{training['seconds']['rtl']:.1f} s on rtl ({training['simulator']}), "
            f"{training['seconds']['golden']:.1f} s on golden; weights "
            f"{'' if training['identical'] else 'NOT '}bit-identical"
        )
    return lines


def plot_simulators(rows: list[Row]) -> bytes:
    """Draw speed and build time against array size; PNG."""
    figure = Figure(figsize=(10, 4.5), layout="constrained")
    speed, build = figure.subplots(1, 2)
    for simulator in dict.fromkeys(row.simulator for row in rows):
        for threads in THREADS:
            some = [row for row in rows if (row.simulator, row.threads) == (simulator, threads)]
            label = f"{simulator}, {threads} thread{'s' * (threads > 1)}"
            sizes = [row.size for row in some]
            speed.plot(sizes, [row.macs_per_second / 1e6 for row in some], marker="o", label=label)
        build.plot(sizes, [row.cold for row in some], marker="o", label=f"{simulator}, cold")
        build.plot(sizes, [row.warm for row in some], marker="o", label=f"{simulator}, warm")
    speed.set(ylabel="millions of multiply-accumulates a second")
    build.set(ylabel="seconds to build")
    ticks = sorted({row.size for row in rows})
    for axes in (speed, build):
        axes.set_xscale("log", base=2)
        axes.set_yscale("log")
        axes.set_xlabel("rows and columns of the array")
        axes.set_xticks(ticks, list(map(str, ticks)))
        axes.grid(alpha=0.3)
        axes.legend()
    buffer = BytesIO()
    figure.savefig(buffer, format="png", dpi=130)
    return buffer.getvalue()
