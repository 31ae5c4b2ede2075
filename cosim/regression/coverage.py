"""Functional coverage: which situations the regression has put the array in."""

import json
from collections import Counter
from itertools import product
from pathlib import Path

import numpy as np

from cosim.calls import Call, Outcome
from cosim.files import replacing
from cosim.regression.steps import SITUATIONS, Step, steps
from pysim import FloatFormat, Rounding, decode, get_format
from pysim.engine import GemmRequest
from pysim.flags import BITS
from pysim.formats import FP32, OPERAND_FORMATS, OUTPUT_FORMATS

CLASSES = ("zero", "subnormal", "normal", "infinite", "nan")
STREAMS = ("commands", "a", "b", "c", "d")
PHASES = ("idle", "load", "compute", "flush", "drain", "convert")
PRODUCTS = ("zero", "normal", "infinite", "nan")
ZEROS = ("+0 + +0", "+0 + -0", "-0 + +0", "-0 + -0")
INVALID = ("infinity times zero", "infinity less infinity")
ROUNDED = ("exactly", "down", "up", "from a tie", "up to a power of two", "to infinity or NaN")

_Bin = tuple[str, str]


def goals() -> dict[str, list[str]]:
    """Return every situation that the whole regression must reach, by question."""
    narrow = [fmt for fmt in OUTPUT_FORMATS if fmt is not FP32]
    conversions = ["fp32"]
    conversions += [
        f"{fmt} {rounding.value}{saturating}"
        for fmt, rounding, saturating in product(narrow, Rounding, ("", " saturating"))
    ]
    return {
        "operand formats": [f"{a} x {b}" for a, b in product(OPERAND_FORMATS, repeat=2)],
        "operand of A": _classes_of_operands(),
        "operand of B": _classes_of_operands(),
        "element of C": list(CLASSES),
        "product": [f"{a} x {b}" for a, b in product(CLASSES, repeat=2)],
        "sum": [f"{start} + {addend}" for start, addend in product(CLASSES, PRODUCTS)],
        "sum of zeros": list(ZEROS),
        "invalid step": list(INVALID),
        "step": list(SITUATIONS),
        "conversion": conversions,
        "conversion alone": conversions[1:],
        "result": [
            f"{fmt} {name}"
            for fmt in OUTPUT_FORMATS
            for name in CLASSES
            if name != "infinite" or fmt.infinity_code is not None
        ],
        "rounded": [f"{fmt} {how}" for fmt in narrow for how in ROUNDED],
        "flag": list(BITS),
        "shape": ["one tile", "several tiles", "partial tile", "K of 0", "K of 1", "long K"],
        "stalled stream": list(STREAMS),
        "reset during": list(PHASES),
    }


def _classes_of_operands() -> list[str]:
    return [
        f"{fmt} {name}"
        for fmt in OPERAND_FORMATS
        for name in CLASSES
        if name != "infinite" or fmt.infinity_code is not None
    ]


class Coverage:
    """Counts of situations, by question and answer."""

    def __init__(self) -> None:
        self.counts: Counter[_Bin] = Counter()

    def hit(self, question: str, answer: str, times: int = 1) -> None:
        """Count a situation."""
        if times:
            self.counts[question, answer] += times

    def sample(self, call: Call, outcome: Outcome) -> None:
        """Count what a call and its outcome show."""
        arguments = call.arguments
        if call.kind == "gemm":
            target = get_format(arguments["out_format"], OUTPUT_FORMATS)
            self.hit("operand formats", f"{arguments['a_format']} x {arguments['b_format']}")
            for side in "ab":
                fmt = get_format(arguments[f"{side}_format"], OPERAND_FORMATS)
                codes = np.asarray(call.operands[side])
                self._classify(f"operand of {side.upper()}", decode(codes, fmt), fmt, f"{fmt} ")
            if "c" in call.operands:
                self._classify("element of C", call.operands["c"], FP32)
            self._shape(call)
            converted = self._steps(call)
        else:
            converted = call.operands["x"]
            target = get_format(arguments["fmt"], OUTPUT_FORMATS)
        how = f"{target} {arguments['rounding']}"
        how = "fp32" if target is FP32 else how + " saturating" * arguments["saturate"]
        self.hit("conversion" if call.kind == "gemm" else "conversion alone", how)
        codes = outcome.values
        results = codes if target is FP32 else decode(codes, target)
        self._classify("result", results, target, f"{target} ")
        if target is not FP32:
            self._rounded(converted, results, target)
        for flag in BITS:
            self.hit("flag", flag, getattr(outcome.flags, flag))

    def missed(self) -> list[str]:
        """Name the goals that nothing reached."""
        return [
            f"{question}: {answer}"
            for question, answers in goals().items()
            for answer in answers
            if not self.counts[question, answer]
        ]

    def to_dict(self) -> dict[str, dict[str, int]]:
        """Return counts by question and answer; goals that nothing reached are zero."""
        table = {question: dict.fromkeys(answers, 0) for question, answers in goals().items()}
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

    def _classify(
        self, question: str, values: np.ndarray, fmt: FloatFormat, prefix: str = ""
    ) -> None:
        for name, members in _classes(values, fmt).items():
            self._count(question, prefix + name, members)

    def _rounded(self, before: np.ndarray, after: np.ndarray, fmt: FloatFormat) -> None:
        finite = np.isfinite(before)
        x = np.abs(before[finite]).astype(np.float64)
        y = np.abs(after[finite]).astype(np.float64)
        exponent = np.maximum(np.frexp(np.maximum(x, fmt.min_subnormal))[1] - 1, fmt.min_exponent)
        place = np.ldexp(1.0, exponent - fmt.fraction_bits)
        in_range = np.isfinite(y) & (x <= fmt.max_value)
        up = in_range & (y > x)
        for name, members in (
            ("exactly", y == x),
            ("down", in_range & (y < x)),
            ("up", up),
            ("from a tie", in_range & (np.mod(x, place) == place / 2)),
            ("up to a power of two", up & (np.frexp(y)[0] == 0.5)),
            ("to infinity or NaN", ~np.isfinite(y)),
        ):
            self._count("rounded", f"{fmt} {name}", members)

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
        request = GemmRequest(a, b, c, a_format, b_format, FP32, Rounding.NEAREST, True)
        accumulators = c
        for step in steps(request):
            self._step(step, a_format, b_format)
            accumulators = step.total
        return accumulators

    def _step(self, step: Step, a_format: FloatFormat, b_format: FloatFormat) -> None:
        a, b = _classes(step.a, a_format), _classes(step.b, b_format)
        before, added = _classes(step.accumulator, FP32), _classes(step.product, FP32)
        for (left, these), (right, those) in product(a.items(), b.items()):
            # Outer products: count them without making them.
            times = int(np.count_nonzero(these)) * int(np.count_nonzero(those))
            self.hit("product", f"{left} x {right}", times)
        for (start, these), addend in product(before.items(), PRODUCTS):
            self._count("sum", f"{start} + {addend}", these & added[addend])
        zeros = before["zero"] & added["zero"]
        negative = np.signbit(step.accumulator), np.signbit(step.product)
        for sum_of_zeros, (start, addend) in zip(
            ZEROS, product((False, True), repeat=2), strict=True
        ):
            members = zeros & (negative[0] == start) & (negative[1] == addend)
            self._count("sum of zeros", sum_of_zeros, members)
        from_numbers = ~(a["nan"] | b["nan"])
        opposite = before["infinite"] & added["infinite"] & (negative[0] != negative[1])
        self._count("invalid step", INVALID[0], from_numbers & added["nan"] & ~before["nan"])
        self._count("invalid step", INVALID[1], opposite)
        for situation, members in step.situations().items():
            self._count("step", situation, members)

    def _count(self, question: str, answer: str, members: np.ndarray) -> None:
        self.hit(question, answer, int(np.count_nonzero(members)))

    def _shape(self, call: Call) -> None:
        (m, k), n = call.operands["a"].shape, call.operands["b"].shape[1]
        rows, cols = call.config.rows, call.config.cols
        self.hit("shape", "one tile", 0 < m <= rows and 0 < n <= cols)
        self.hit("shape", "several tiles", m > rows or n > cols)
        self.hit("shape", "partial tile", bool(m % rows or n % cols) or rows == cols == 1)
        self.hit("shape", "K of 0", k == 0)
        self.hit("shape", "K of 1", k == 1)
        self.hit("shape", "long K", k >= 32)


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
