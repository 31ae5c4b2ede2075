"""Functional coverage: which situations the regression has put the array in.

What must be reached, and why, is in `cosim.regression.plan`.
"""

import json
from collections import Counter
from itertools import pairwise, product
from pathlib import Path

import numpy as np

from cosim.calls import Call, Outcome
from cosim.files import replacing
from cosim.regression.conversions import Conversion
from cosim.regression.plan import (
    DRAWS,
    INVALID,
    PRODUCTS,
    SCALES,
    ZEROS,
    describe_setting,
    goals,
)
from cosim.regression.steps import Step, steps
from pysim import ArrayConfig, FloatFormat, Rounding, decode, get_format
from pysim.engine import GemmRequest
from pysim.flags import BITS
from pysim.formats import FP32, OPERAND_FORMATS, OUTPUT_FORMATS
from pysim.lfsr import Lfsr

_Bin = tuple[str, str]


class Coverage:
    """Counts of situations, by question and bin.

    Parameters
    ----------
    config : ArrayConfig
        Of the array; some bins are not within the reach of every one.
    """

    def __init__(self, config: ArrayConfig) -> None:
        self.config = config
        self.counts: Counter[_Bin] = Counter()
        self._previous: Call | None = None

    def hit(self, question: str, answer: str, times: int = 1) -> None:
        """Count a situation."""
        if times:
            self.counts[question, answer] += times

    def sample(self, call: Call, outcome: Outcome) -> None:
        """Count what a call and its outcome show, and what changed since the call before."""
        arguments = call.arguments
        rounding = Rounding.named(arguments["rounding"])
        if call.kind == "gemm":
            target = get_format(arguments["out_format"], OUTPUT_FORMATS)
            how = describe_setting(target, rounding.value, arguments["saturate"])
            self.hit("gemm", f"{_pair(call)}: {how}")
            self._shape(call)
            converted = self._steps(call)
        else:
            target = get_format(arguments["fmt"], OUTPUT_FORMATS)
            how = describe_setting(target, rounding.value, arguments["saturate"])
            self.hit("conversion alone", how)
            converted = call.operands["x"].reshape(-1)
        codes = outcome.values.reshape(converted.shape)
        results = codes if target is FP32 else decode(codes, target)
        for name, members in _classes(results, target).items():
            self._count("result", f"{target}: {name}", members)
        if target is not FP32:
            exact = self._scaled(call.kind, converted, arguments.get("scale", 0))
            self._converted(exact, results, target, rounding, how)
            if call.kind == "quantize" and rounding is Rounding.STOCHASTIC:
                self._drawn(call, exact, target)
        for flag in BITS:
            self.hit("flag", f"{call.kind}: {flag}", getattr(outcome.flags, flag))
        self._changed(call)

    def sample_queue(self, calls: list[Call]) -> None:
        """Count calls whose commands waited behind one another."""
        for first, second in pairwise(calls):
            self.hit("queued behind", f"{first.kind}: {second.kind}")

    def missed(self) -> list[str]:
        """Name the goals that nothing reached."""
        return [
            f"{question}: {answer}"
            for question, answers in goals(self.config).items()
            for answer in answers
            if not self.counts[question, answer]
        ]

    def to_dict(self) -> dict[str, dict[str, int]]:
        """Return counts by question and bin; goals that nothing reached are zero."""
        table = {
            question: dict.fromkeys(answers, 0) for question, answers in goals(self.config).items()
        }
        for (question, answer), count in self.counts.items():
            table.setdefault(question, {})[answer] = count
        return table

    def add_file(self, path: Path) -> None:
        """Count what a file of `save` holds, too."""
        for question, answers in json.loads(path.read_text())["counts"].items():
            for answer, count in answers.items():
                self.hit(question, answer, count)

    def save(self, path: Path) -> None:
        """Write everything as JSON."""
        text = json.dumps({"counts": self.to_dict(), "missed": self.missed()}, indent=2)
        with replacing(path) as file:
            file.write(text.encode())

    def _steps(self, call: Call) -> np.ndarray:
        """Count what the steps of a GEMM show; return the accumulators after the last."""
        arguments = call.arguments
        a, b = np.asarray(call.operands["a"]), np.asarray(call.operands["b"])
        c = call.operands.get("c")
        if c is None:
            c = np.zeros((len(a), b.shape[1]), dtype=np.float32)
        a_format, b_format = (
            get_format(arguments[f"{side}_format"], OPERAND_FORMATS) for side in "ab"
        )
        request = GemmRequest(a, b, c, a_format, b_format, FP32, Rounding.NEAREST, True, 0)
        accumulators = c
        for step in steps(request):
            self._step(step, a_format, b_format, _pair(call))
            accumulators = step.total
        return accumulators

    def _step(self, step: Step, a_format: FloatFormat, b_format: FloatFormat, pair: str) -> None:
        a, b = _classes(step.a, a_format), _classes(step.b, b_format)
        before, added = _classes(step.accumulator, FP32), _classes(step.product, FP32)
        for (left, these), (right, those) in product(a.items(), b.items()):
            # Outer products: count them without making them.
            times = int(np.count_nonzero(these)) * int(np.count_nonzero(those))
            self.hit("product", f"{pair}: {left} x {right}", times)
        for (start, these), addend in product(before.items(), PRODUCTS):
            if these.any():
                self._count("sum", f"{pair}: {start} + {addend}", these & added[addend])
        negative = np.signbit(step.accumulator), np.signbit(step.product)
        zeros = before["zero"] & added["zero"]
        if zeros.any():
            for name, signs in zip(ZEROS, product((False, True), repeat=2), strict=True):
                members = zeros & (negative[0] == signs[0]) & (negative[1] == signs[1])
                self._count("sum of zeros", f"{pair}: {name}", members)
        from_numbers = ~(a["nan"] | b["nan"]) & added["nan"] & ~before["nan"]
        opposite = before["infinite"] & added["infinite"] & (negative[0] != negative[1])
        for name, members in zip(INVALID, (from_numbers, opposite), strict=True):
            self._count("invalid step", f"{pair}: {name}", members)
        for question, counts in step.situations().items():
            for answer, times in counts.items():
                self.hit(question, f"{pair}: {answer}", times)

    def _scaled(self, kind: str, x: np.ndarray, scale: int) -> np.ndarray:
        """Multiply numbers by a power of two, exactly, and count where that leads.

        Returns
        -------
        numpy.ndarray of float64
        """
        exact = np.ldexp(x.astype(np.float64), scale)
        least = 2.0**FP32.min_exponent
        before, after = (
            np.where(np.isfinite(values), np.abs(values), least) for values in (x, exact)
        )
        found = (
            np.full(x.shape, scale == 0),
            np.full(x.shape, scale > 0),
            np.full(x.shape, scale < 0),
            (before >= least) & (after < least),
            (before < least) & (before > 0) & (after >= least),
            after > FP32.max_value,
        )
        for name, members in zip(SCALES, found, strict=True) if self.config.latency else ():
            self._count("scale", f"{kind}: {name}", members)
        return exact

    def _converted(
        self, x: np.ndarray, y: np.ndarray, fmt: FloatFormat, rounding: Rounding, how: str
    ) -> None:
        conversion = Conversion(x, y, fmt)
        mode = f"{fmt} {rounding.value}"
        for name, times in conversion.sources().items():
            self.hit("number to convert", f"{mode}: {name}", times)
        for name, times in conversion.roundings().items():
            self.hit("rounding of a number", f"{mode}: {name}", times)
        for name, times in conversion.out_of_range(rounding is Rounding.TOWARD_ZERO).items():
            self.hit("out of range", f"{how}: {name}", times)

    def _drawn(self, call: Call, x: np.ndarray, fmt: FloatFormat) -> None:
        """Count how the draws of a conversion meet the discarded fractions."""
        config, bits = call.config, call.config.random_bits
        rows = -(-x.size // config.cols)
        draws, _ = Lfsr(config.lfsr_width).draws(call.random_state, bits, rows)
        drawn = draws.reshape(-1)[: x.size].astype(np.int64)
        scale = 1 << bits
        fraction = Conversion(x, x, fmt).fraction()
        truncated = np.floor(fraction * scale).astype(np.int64)
        moves = (truncated > 0) & (np.abs(x) <= fmt.max_value)
        found = (
            moves & (truncated + drawn == scale - 1),
            moves & (truncated + drawn == scale),
            drawn == 0,
            (drawn == scale - 1) & np.isfinite(x) & (x != 0) & (fraction == 0),
        )
        for name, members in zip(DRAWS, found, strict=True):
            self._count("draw", f"{fmt}: {name}", members)

    def _changed(self, call: Call) -> None:
        before, self._previous = self._previous, call
        if before is None:
            return
        self.hit("next call", f"{before.kind}: {call.kind}")
        if before.kind == call.kind == "gemm":
            self.hit("next pair of formats", f"{_pair(before)}: {_pair(call)}")
        if not (before.kind == call.kind == "quantize"):
            first, second = (
                each.arguments.get("out_format", each.arguments.get("fmt"))
                for each in (before, call)
            )
            self.hit("next target", f"{first}: {second}")
        first, second = (each.arguments["rounding"] for each in (before, call))
        self.hit("next rounding", f"{first}: {second}")

    def _count(self, question: str, answer: str, members: np.ndarray) -> None:
        self.hit(question, answer, int(np.count_nonzero(members)))

    def _shape(self, call: Call) -> None:
        (m, k), n = call.operands["a"].shape, call.operands["b"].shape[1]
        latency = call.config.latency
        rows, cols = call.config.rows, call.config.cols * max(1, latency)
        self.hit("shape", "one tile", 0 < m <= rows and 0 < n <= cols)
        self.hit("shape", "several tiles", m > rows or n > cols)
        self.hit("shape", "partial tile", bool(m % rows or n % cols) or rows == cols == 1)
        self.hit("shape", "K of 1", k == 1)
        self.hit("shape", "long K", k >= 32)
        if latency:
            self._tiles(call)
        else:
            self.hit("shape", "K of 0", k == 0)

    def _tiles(self, call: Call) -> None:
        """Count the slots that tiles use, and which tiles follow one another."""
        config = call.config
        m, n = call.operands["a"].shape[0], call.operands["b"].shape[1]
        width = config.cols * config.latency
        how = "with C" if "c" in call.operands else "without C"
        last = -(-((n - 1) % width + 1) // config.cols)
        for slots, there in ((config.latency, n >= width), (last, True)):
            self.hit("slots", f"{how}: one slot", there and slots == 1)
            self.hit("slots", f"{how}: some slots", there and 1 < slots < config.latency)
            self.hit("slots", f"{how}: every slot", there and slots == config.latency)
        self.hit("tile behind", f"{how}: beside it", n > width)
        self.hit("tile behind", f"{how}: below it", m > config.rows)


def _pair(call: Call) -> str:
    return f"{call.arguments['a_format']} x {call.arguments['b_format']}"


def _classes(values: np.ndarray, fmt: FloatFormat) -> dict[str, np.ndarray]:
    """Return which of the values are in each of `CLASSES`."""
    magnitude = np.abs(values)
    least_normal = 2.0**fmt.min_exponent
    return {
        "zero": magnitude == 0,
        "subnormal": (magnitude > 0) & (magnitude < least_normal),
        "normal": np.isfinite(values) & (magnitude >= least_normal),
        "infinite": np.isinf(values),
        "nan": np.isnan(values),
    }
