"""How often stochastic rounding rounds up: every draw counted, for every discarded fraction."""

from dataclasses import dataclass, field
from itertools import product

import numpy as np

from cosim.units import specification
from cosim.units.check import Part, Progress, Result, Wrong, first, run_chunks
from cosim.units.conversion import conversion_call, converter_of, mode_code, run_converter
from cosim.units.harness import Unit
from cosim.units.specification import TARGETS
from hw.converter import Converter
from pysim import ArrayConfig
from rtl_gen import Design
from rtl_gen.emitter import Emitter

MOST_BITS = 12
"""Draws of up to so many bits are counted for every fraction that they can tell apart."""

SHOWN_BITS, SHOWN_FORMAT = 5, "e5m2"
"""Of draws of so many bits, to this format, each decision is kept for a picture."""

_CHUNK = 1 << 18


@dataclass(frozen=True)
class Probabilities:
    """What was counted.

    Attributes
    ----------
    by_bits : dict of int to list of array, shape [2, numbers]
        For each r: discarded fractions, and the share of all draws that rounded each of them up.
    decisions : dict of int to array of bool, shape [2**SHOWN_BITS]
        For each fraction in units of 2**-SHOWN_BITS, whether each draw rounded it up.
    """

    by_bits: dict[int, list[np.ndarray]] = field(default_factory=dict)
    decisions: dict[int, np.ndarray] = field(default_factory=dict)


def check_probability(
    design: Design,
    sizes: tuple[int, ...] = tuple(range(1, MOST_BITS + 1)),
    progress: Progress = lambda done, total: None,
) -> Result:
    """Count, of all draws of r bits, those that round a number up: floor(f * 2**r) of 2**r.

    The design's own converter is tried with its own r, for 16 fractions if r is beyond `MOST_BITS`;
    for the other sizes converters are generated. Each fraction comes alone and with half of its
    last place beyond, which must not count; above a normal and above a subnormal number.

    Returns
    -------
    Result
        With `Probabilities` as its detail.
    """
    own = design.config.random_bits
    designs = {**_converters(tuple(bits for bits in sizes if bits != own)), own: design}
    found = Probabilities()
    cases = 0
    for done, (bits, source) in enumerate(designs.items()):
        tried, wrong = _count(source, bits, found)
        cases += tried
        progress(done + 1, len(designs))
        if wrong is not None:
            return Result("probability", cases, wrong, found)
    return Result("probability", cases, None, found)


def _converters(sizes: tuple[int, ...]) -> dict[int, Design]:
    emitter = Emitter()
    for bits in sizes:
        converter = Converter(bits)
        emitter.emit(converter)
        converter._MustUse__used = True  # pyright: ignore[reportAttributeAccessIssue]
    modules = emitter.verilog() if sizes else {}
    return {bits: Design(ArrayConfig(1, 1, random_bits=bits), modules, {}) for bits in sizes}


def _count(design: Design, bits: int, counted: Probabilities) -> Part:
    scale = 1 << bits
    shares = counted.by_bits.setdefault(bits, [])
    fractions = np.arange(scale)
    if bits > MOST_BITS:
        fractions = np.unique(np.linspace(0, scale - 1, 16).astype(np.int64))
    parts = max(1, fractions.size * scale // _CHUNK)
    chunks = list(
        product(TARGETS, ("normal", "subnormal"), (0, 0.5), np.array_split(fractions, parts))
    )

    def check(unit: Unit, chunk: tuple[str, str, float, np.ndarray]) -> Part:
        fmt, place, beyond, counts = chunk
        steps = specification.grid(fmt)
        code = 1 if place == "subnormal" else int(np.searchsorted(steps, 1.0)) + 1
        exact = steps[code] + (counts + beyond) / scale * (steps[code + 1] - steps[code])
        x = exact.astype(np.float32)
        # FP32 has no room for the finest fractions of FP16 and BF16.
        held = x == exact
        x, counts = x[held], counts[held]
        if not x.size:
            return 0, None
        draws = np.tile(np.arange(scale), x.size)
        mode = (fmt, "stochastic", True)
        repeated = np.repeat(x, scale)
        got = run_converter(unit, repeated.view(np.uint32), mode_code(*mode), draws)["code"]
        up = (got.astype(np.int64) - code).reshape(-1, scale)
        found = np.count_nonzero(up == 1, axis=1)
        shares.append(np.stack([(counts + beyond) / scale, found / scale]))
        if (bits, fmt, place, beyond) == (SHOWN_BITS, SHOWN_FORMAT, "normal", 0):
            counted.decisions.update(zip(counts.tolist(), up == 1, strict=True))
        if (i := first((found != counts) | ~np.isin(up, (0, 1)).all(axis=1))) is None:
            return got.size, None
        sentence = (
            f"{x[i]!s} to {fmt.upper()} rounds up for {found[i]} of {scale} draws of {bits} bits "
            f"instead of {counts[i]}"
        )
        told = np.where(np.arange(scale) + counts[i] >= scale, 1, 0) != up[i]
        draw = int(np.argmax(told))
        return got.size, Wrong(
            unit.name, sentence, conversion_call(design.config, x[i], mode, draw)
        )

    return run_chunks(lambda: Unit.of_block(design, converter_of(design)), chunks, check)
