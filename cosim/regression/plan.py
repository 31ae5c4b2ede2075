"""The coverage plan: every situation that the whole regression must put an array in, and why.

A question is asked in each of its contexts, such as every pair of operand formats; each answer to
it is a bin, named ``context: answer``. The plan as a page is ``docs/coverage.md``.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import product

from cosim.regression.conversions import ROUNDED, SOURCES
from cosim.regression.steps import ALIGNMENTS, CANCELLATIONS, SUMS
from pysim import ArrayConfig, FloatFormat, Rounding
from pysim.flags import BITS
from pysim.formats import E5M2, FP32, OPERAND_FORMATS, OUTPUT_FORMATS

CLASSES = ("zero", "subnormal", "normal", "infinite", "nan")
PRODUCTS = ("zero", "normal", "infinite", "nan")
KINDS = ("gemm", "quantize")
NARROW = tuple(fmt for fmt in OUTPUT_FORMATS if fmt is not FP32)
ZEROS = ("+0 + +0", "+0 + -0", "-0 + +0", "-0 + -0")
SIGNS = ("add", "subtract")
INVALID = ("infinity times zero", "infinity less infinity")
SHAPES = ("one tile", "several tiles", "partial tile", "K of 1", "long K")
SLOTS = ("one slot", "some slots", "every slot")
STREAMS = ("a", "b", "c", "d", "x", "y")
PHASES = ("load", "compute", "compute and drain", "cross", "drain", "convert")
WAITING = ("load", "compute", "drain", "convert")
"""Phases in which a stream can be waited for."""

FROM_C = "load"
"""The phase that is there only with C."""

PACKETS = ("short", "long", "without a lane")
SETTINGS = (*(f"size_{side} {size}" for side in "mnk" for size in ("of 0", "too large")),)
SETTINGS += ("mode without target", "mode without rounding", "mode with scale of FP32")
SETTINGS += ("setting while busy", "address")
CONVERTED = ("half a number", "no number at the end", "no mode", "an early end", "a gap")
SCALES = ("0", "up", "down", "below FP32's normals", "up from there", "beyond FP32")

_ARRAY_STALLS = ("commands", "a", "b", "c in gemm", "c in quantize", "d in gemm", "d in quantize")
_ARRAY_PHASES = ("idle", "load", "compute", "flush", "drain", "convert")
DRAWS = ("f + R = 2^r - 1", "f + R = 2^r", "R = 0", "R = 2^r - 1, number stays")


@dataclass(frozen=True)
class Question:
    """What is asked of every call of the regression.

    Attributes
    ----------
    context : str
        What it is asked for each of; empty for once in all.
    about : str
        What the answers mean, and why they matter.
    """

    context: str
    about: str


_PAIR, _MODE = "pair of operand formats", "target and rounding"
_SETTING = f"{_MODE}, saturating or not"

QUESTIONS = {
    "gemm": Question(
        _PAIR,
        "The output of a GEMM: each target, rounding, and saturation. A command can ask for any.",
    ),
    "conversion alone": Question("", "The same for numbers that are converted without a GEMM."),
    "product": Question(
        _PAIR,
        "Classes of the operands of a step, each with each. Decoder and multiplier treat each "
        "class in its own way, and a special number outranks others. E4M3 has no infinity.",
    ),
    "sum": Question(
        _PAIR,
        "Class of the accumulator with class of the product added to it. A product is never "
        "subnormal in FP32; only E5M2 makes it infinite. Without C the same goes for accumulators.",
    ),
    "sum of zeros": Question(
        _PAIR,
        "Signs of an accumulator and a product that are both zero: only -0 and -0 make -0, so that "
        "without C no sum is -0.",
    ),
    "invalid step": Question(
        _PAIR, "What makes a NaN of numbers that are none, and raises the flag invalid."
    ),
    "alignment": Question(
        _PAIR,
        "Exponent of the accumulator less that of the product, for like signs (add) and unlike "
        "ones (subtract). The smaller of the two is shifted so far: at 24 and 25 it leaves the "
        "significand of 24 bits, and guard and sticky bit decide; further out only the latter.",
    ),
    "cancellation": Question(
        _PAIR,
        "Places that the leading one of a difference lies below that of the larger number: the "
        "distance that normalisation shifts by.",
    ),
    "rounding of a sum": Question(
        _PAIR,
        'Where the exact sum lies between two FP32 numbers. "Sticky bit alone" is above one by '
        'less than an eighth of their distance, so that no other bit tells it from exact; "just" '
        'is within 2^-6 of their distance; "carry out": rounding up makes a power of two.',
    ),
    "number to convert": Question(
        _MODE, "Class of the number before it is converted, signs of zeros and infinities apart."
    ),
    "rounding of a number": Question(
        _MODE,
        "Where a number lies between two neighbours of the target, among its subnormals and above. "
        '"Just" is within 2^-13 of their distance, a unit in the last place of FP32 beside an '
        'FP16 number; "carry out": rounding up makes a power of two, which none toward zero does.',
    ),
    "out of range": Question(
        _SETTING,
        'Numbers beyond the largest. "Too large once rounded" is below the number that would '
        "come next, so that rounding decides; toward zero never asks. Above BF16's largest FP32 "
        "ends before that number, so there only scaled numbers are otherwise too large.",
    ),
    "draw": Question(
        "target",
        "Discarded fraction f and draw R where the number only just stays, and only just rounds "
        "up; the least draw; the largest one where there is nothing to round.",
    ),
    "result": Question("output format", "Class of the result."),
    "flag": Question("kind of call", "Flags that the call leaves; a conversion is never invalid."),
    "shape": Question(
        "", "Tiles of a GEMM, and its length; on the bare array a K of 0 is C converted."
    ),
    "slots": Question(
        "C loaded or not",
        "Slots of a tile that are used; tiles with some of them idle, and with the last one cut.",
    ),
    "tile behind": Question(
        "tile before",
        "What tiles of a GEMM follow back to back: one is loaded while another computes.",
    ),
    "scale": Question(
        "kind of call",
        "Power of two that numbers are multiplied by before they are converted. Out of FP32's "
        "range, too: there is no rounding between.",
    ),
    "stalled stream": Question(
        "", "Streams that were waited for, of operands and of results, in either kind of call."
    ),
    "reset during": Question(
        "what comes, and how streams are",
        "Phase that a reset, or STOP and CLEAR, interrupts, told by what has passed the ports: "
        "with streams flowing, and in each phase that can wait while a stream of its is stalled.",
    ),
    "fault": Question(
        "",
        "Faults of software and of packets: each is told by its error, and the next call is right. "
        "To ask for a format, or for C, is one where it was not built in.",
    ),
    "side by side": Question(
        "state of the array", "Conversions of operands while a GEMM is in work, and while none is."
    ),
    "next call": Question("call before", "Kind of the call after it: nothing is carried over."),
    "next pair of formats": Question("pair before", "Operand formats of the GEMM after it."),
    "next target": Question("target before", "Target of the call after it."),
    "next rounding": Question("rounding before", "Rounding of the call after it."),
    "queued behind": Question(
        "command in work",
        "Kind of call whose command waits behind it, so that tiles follow back to back.",
    ),
}
"""What each question of `goals` is asked for each of, and why."""


def goals(config: ArrayConfig) -> dict[str, list[str]]:
    """Return every bin that the whole regression must reach on an array, by question."""
    pairs = list(product(config.multiplied, repeat=2))
    names = [f"{a} x {b}" for a, b in pairs]
    conversions = [
        describe_setting(fmt, rounding.value, saturate)
        for fmt, rounding, saturate in product(NARROW, Rounding, (False, True))
    ]
    modes = [f"{fmt} {rounding.value}" for fmt, rounding in product(NARROW, Rounding)]
    # Without draws of zero, some sums with a draw cannot be.
    draws = [name for name in DRAWS if name != "R = 0" or config.random_bits < config.lfsr_width]
    sums = CLASSES if config.load_c else _classes_of_products(*config.multiplied)
    return {
        "gemm": _crossed(names, ["fp32", *conversions]),
        "conversion alone": conversions,
        "product": [
            f"{a} x {b}: {left} x {right}"
            for a, b in pairs
            for left, right in product(_classes_of(a), _classes_of(b))
        ],
        "sum": [
            f"{a} x {b}: {start} + {addend}"
            for a, b in pairs
            for start, addend in product(
                CLASSES if config.load_c else _classes_of_products(a, b),
                _classes_of_products(a, b),
            )
        ],
        "sum of zeros": _crossed(names, ZEROS if config.load_c else ZEROS[:2]),
        "invalid step": [
            f"{a} x {b}: {how}" for a, b in pairs if _has_infinity(a, b) for how in INVALID
        ],
        "alignment": _crossed(names, [f"{sign} {d}" for sign, d in product(SIGNS, ALIGNMENTS)]),
        "cancellation": _crossed(names, CANCELLATIONS),
        "rounding of a sum": _crossed(names, [f"{s} {how}" for s, how in product(SIGNS, SUMS)]),
        "number to convert": _crossed(modes, SOURCES),
        "rounding of a number": [
            f"{mode}: {region} {how}"
            for mode in modes
            for region, how in product(("subnormal", "normal"), ROUNDED)
            if how != "carry out" or not mode.endswith(Rounding.TOWARD_ZERO.value)
        ],
        "out of range": [
            f"{how}: {what}"
            for how in conversions
            for what in ("infinity", "too large", "too large once rounded")
            if _can_be(how, what)
        ],
        "draw": _crossed(map(str, NARROW), draws),
        "result": [
            *(f"{FP32}: {name}" for name in sums),
            *(f"{fmt}: {name}" for fmt in NARROW for name in _classes_of(fmt)),
        ],
        "flag": [
            f"{kind}: {flag}"
            for kind, flag in product(KINDS, BITS)
            if flag != "invalid" or (kind == "gemm" and E5M2 in config.multiplied)
        ],
        **(_flow_of_engine(config) if config.latency else _flow_of_array()),
        "next call": _changes(KINDS),
        "next pair of formats": _changes(names),
        "next target": _changes(map(str, OUTPUT_FORMATS)),
        "next rounding": _changes(rounding.value for rounding in Rounding),
        **({} if config.latency else {"queued behind": _changes(KINDS)}),
    }


def _flow_of_engine(config: ArrayConfig) -> dict[str, list[str]]:
    """Return what can happen around an engine."""
    slots = {1: SLOTS[2:], 2: (SLOTS[0], SLOTS[2])}.get(config.latency, SLOTS)
    starts = ("with C", "without C") if config.load_c else ("without C",)
    interrupted = [
        f"{what}, {how}: {phase}"
        for what, (how, of_engine) in product(
            ("reset", "stop"), (("flowing", phases(config)), ("stalled", waiting(config)))
        )
        for phase in of_engine
    ]
    return {
        "shape": list(SHAPES),
        "slots": _crossed(starts, slots),
        "tile behind": _crossed(starts, ("beside it", "below it")),
        "scale": [
            f"{kind}: {scale}"
            for kind, scale in product(KINDS, SCALES)
            if kind != "gemm" or scale != "up from there" or config.load_c
        ],
        "stalled stream": [name for name in STREAMS if name != "c" or config.load_c],
        "reset during": [*interrupted, "reset, flowing: idle", "reset, flowing: failed"],
        "fault": _faults(config),
        "side by side": ["GEMM in work: conversion"],
    }


def _faults(config: ArrayConfig) -> list[str]:
    packets = [f"{name} {fault}" for name, fault in product(operand_streams(config), PACKETS)]
    if config.rows == config.latency == 1 and config.load_c:
        packets.remove("c short")
    missing = [
        f"mode with {side} in {fmt}"
        for fmt, side in product(OPERAND_FORMATS, "AB")
        if fmt not in config.multiplied
    ]
    if not config.load_c:
        missing.append("mode with C")
    # A row of one number cannot end early.
    converted = CONVERTED if config.cols > 1 else CONVERTED[:3]
    return [*packets, *SETTINGS, *missing, "stop", *(f"x with {fault}" for fault in converted)]


def phases(config: ArrayConfig) -> tuple[str, ...]:
    """Return the phases of an engine that a reset can interrupt."""
    return tuple(phase for phase in PHASES if phase != FROM_C or config.load_c)


def waiting(config: ArrayConfig) -> tuple[str, ...]:
    """Return those in which a stream can be waited for."""
    return tuple(phase for phase in phases(config) if phase in WAITING)


def operand_streams(config: ArrayConfig) -> str:
    """Return the names of the streams into an engine's array."""
    return "abc" if config.load_c else "ab"


def _flow_of_array() -> dict[str, list[str]]:
    """Return what can happen around a bare array."""
    return {
        "shape": [*SHAPES, "K of 0"],
        "stalled stream": list(_ARRAY_STALLS),
        "reset during": [
            f"{how}: {phase}"
            for how, phase in product(("flowing", "stalled"), _ARRAY_PHASES)
            if how == "flowing" or phase not in ("idle", "flush")
        ],
    }


def describe_setting(fmt: FloatFormat, rounding: str, saturate: bool) -> str:
    """Name a target with its rounding and saturation, as bins do."""
    if fmt is FP32:
        return "fp32"
    return f"{fmt} {rounding}{' saturating' * saturate}"


def split(bins: Iterable[str]) -> tuple[list[str], list[str]]:
    """Return the contexts and the answers that bins are made of, in order; ``""`` for no context.

    Parameters
    ----------
    bins : iterable of str
        Of one question.
    """
    parts = [name.rpartition(": ") for name in bins]
    contexts = dict.fromkeys(context for context, _, _ in parts)
    return list(contexts), list(dict.fromkeys(answer for _, _, answer in parts))


def plan_as_markdown(config: ArrayConfig) -> str:
    """Write the plan out, question by question."""
    parts = []
    for question, bins in goals(config).items():
        contexts, answers = split(bins)
        context, about = QUESTIONS[question].context, QUESTIONS[question].about
        count = f"{len(bins)} bins"
        if context:
            left_out = len(contexts) * len(answers) - len(bins)
            cannot_be = f", less {left_out} that cannot be" * bool(left_out)
            count += f": {len(answers)} answers for each {context} ({len(contexts)}){cannot_be}"
        listed = ", ".join(f"`{answer}`" for answer in answers)
        parts.append(f"### {question}\n\n{about}\n\n*{count}.* {listed}\n")
    return "\n".join(parts)


def _crossed(contexts: Iterable[str], answers: Iterable[str]) -> list[str]:
    return [f"{context}: {answer}" for context, answer in product(contexts, answers)]


def _changes(names: Iterable[str]) -> list[str]:
    names = list(names)
    return _crossed(names, names)


def _can_be(how: str, what: str) -> bool:
    """Whether a conversion meets what is out of range in this way; see `Conversion`."""
    return what != "too large once rounded" or Rounding.TOWARD_ZERO.value not in how


def _has_infinity(*formats: FloatFormat) -> bool:
    return any(fmt.infinity_code is not None for fmt in formats)


def _classes_of_products(*formats: FloatFormat) -> list[str]:
    """Return what products of these formats can be, and so sums of them."""
    return [name for name in PRODUCTS if name != "infinite" or _has_infinity(*formats)]


def _classes_of(fmt: FloatFormat) -> list[str]:
    return [name for name in CLASSES if name != "infinite" or _has_infinity(fmt)]
