"""Nine faults of the kind that designers make, ready to be planted in the Verilog of an array."""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from pysim import ArrayConfig, InputError
from rtl_gen import Design


@dataclass(frozen=True)
class Edit:
    """A replacement in the text of one module.

    Attributes
    ----------
    module : str
        How the module's name begins; what follows is a size.
    pattern, text : str or callable
        Regular expression, and what takes the place of its matches, as of `re.sub`.
    matches : int or None
        How often the pattern must match; None for any number of times.
    """

    module: str
    pattern: str
    text: str | Callable[[re.Match[str]], str]
    matches: int | None = 1

    def apply(self, design: Design) -> Design:
        """Return the design with the text replaced.

        Raises
        ------
        InputError
            If there is no such module, or the pattern does not match as often as it must.
        """
        name = find_module(design, self.module)
        edited, matches = re.subn(self.pattern, self.text, design.modules[name])
        if self.matches not in (None, matches) or edited == design.modules[name]:
            raise InputError(
                f"{name} is not as it was generated: {self.pattern!r} matches {matches} times"
            )
        return replace(design, modules={**design.modules, name: edited})


@dataclass(frozen=True)
class Fault:
    """A fault and how to plant it.

    Attributes
    ----------
    name : str
    sentence : str
        What the faulty hardware does.
    unit : str
        How the name of the module begins that the fault sits in.
    edits : callable
        Returns the edits that plant it in an array of a configuration.
    least_cols : int
        Columns that an array must have for the fault to make sense.
    """

    name: str
    sentence: str
    unit: str
    edits: Callable[[ArrayConfig], list[Edit]]
    least_cols: int = 1

    def plant(self, design: Design) -> Design:
        """Return the design with the fault in it; its manifest stays as it was.

        Raises
        ------
        InputError
            If the array is too small for the fault, or its Verilog is not as it was generated.
        """
        if design.config.cols < self.least_cols:
            raise InputError(
                f"{self.name!r} needs an array of {self.least_cols} columns, "
                f"not {design.config.cols}"
            )
        for edit in self.edits(design.config):
            design = edit.apply(design)
        return design


def find_module(design: Design, prefix: str) -> str:
    """Return the name of the module of a unit, whatever its size.

    Raises
    ------
    InputError
        If the design has none.
    """
    for name in design.modules:
        if re.fullmatch(rf"{prefix}(_\d+(x\d+)?)?", name):
            return name
    raise InputError(f"no module {prefix!r}: there are {', '.join(design.modules)}")


def _draw_off_by_one(config: ArrayConfig) -> list[Edit]:
    bits, width = config.random_bits, config.lfsr_width
    draw = r"(assign draw =) state(\[.*\])?;"
    if bits < width:
        return [Edit("fp8_lfsr", draw, rf"\1 state[{bits}:1];")]
    # The register bears the name of one of two equal outputs; let it be that of `state`.
    other = {"draw": "state", "state": "draw"}
    return [
        Edit("fp8_lfsr", r"\b(draw|state)\b", lambda match: other[match[0]], matches=None),
        Edit("fp8_lfsr", draw, rf"\1 {{ state[0], state[{width - 1}:1] }};"),
    ]


def _step_too_often(config: ArrayConfig) -> list[Edit]:
    column = "fp8_result_column"
    return [
        Edit(column, r"^(module \w+\()", r"\1stalled, "),
        Edit(column, r"(\n  input accept;)", r"\n  input stalled;\n  reg waited;\1"),
        Edit(
            column,
            r"(assign \w+ =) accept (& \w+;)",
            r"\1 (accept | (stalled & ~ waited)) \2\n"
            r"  always @(posedge clk)\n    waited <= stalled & ~ rst;",
        ),
        Edit(
            "fp8_mac_array",
            r"(column_\d+ \(\s+)(\.accept\()",
            r"\1.stalled(~ free),\n    \2",
            config.cols,
        ),
    ]


FAULTS = {
    fault.name: fault
    for fault in (
        Fault(
            "dropped sticky bit",
            "the adder forgets which bits its alignment shifts out",
            "fp8_accumulator_adder",
            lambda config: [
                Edit(
                    "fp8_accumulator_adder",
                    r"aligned_by_16\[0\] \| aligned_lost_16;",
                    "aligned_by_16[0];",
                )
            ],
        ),
        Fault(
            "ties rounded away",
            "rounding to nearest in the converter takes ties away from zero, not to even",
            "fp8_converter",
            lambda config: [
                Edit(
                    "fp8_converter",
                    rf"\w+ \| \w+\[{config.random_bits}\];",
                    "1'h1;",
                )
            ],
        ),
        Fault(
            "wrong sign of an exact zero",
            "a number less itself is minus zero where the accumulator was negative",
            "fp8_accumulator_adder",
            lambda config: [
                Edit(
                    "fp8_accumulator_adder",
                    r"(\{ larger_sign, magnitude \}) : 32'd0;",
                    r"\1 : { larger_sign, 31'd0 };",
                )
            ],
        ),
        Fault(
            "product shifted by one for a subnormal operand",
            "the multiplier doubles products whose first operand is subnormal",
            "fp8_multiplier",
            lambda config: [
                Edit("fp8_multiplier", r"\+ 8'h62;", "+ 8'h62 + { 7'h00, ~ a[9] };"),
            ],
        ),
        Fault(
            "draw off by one bit",
            "a draw starts one bit too high in the register",
            "fp8_lfsr",
            _draw_off_by_one,
        ),
        Fault(
            "LFSR stepped once too often under back-pressure",
            "a lane takes one more step when a result has to wait",
            "fp8_result_column",
            _step_too_often,
        ),
        Fault(
            "NaN payload let through",
            "a result in FP32 keeps the payload of a NaN instead of becoming the canonical one",
            "fp8_converter",
            lambda config: [
                Edit("fp8_converter", r"31'h7fc00000 :", "magnitude[30:0] :"),
            ],
        ),
        Fault(
            "accumulator not cleared between tiles",
            "while a tile drains, accumulators go round instead of making way for zeros",
            "fp8_mac_array",
            lambda config: [
                Edit(
                    "fp8_mac_array",
                    r"(bottom(\[\d+:\d+\]) = \w+ \? c_payload(?:\[\d+:\d+\])? :) 32'd0;",
                    r"\1 top\2;",
                    config.cols,
                )
            ],
        ),
        Fault(
            "last column of a partial tile kept",
            "the last column of the array counts as a result of narrower tiles, too",
            "fp8_mac_array",
            lambda config: [
                Edit("fp8_mac_array", rf"\? column_{config.cols - 1}_used :", "? 1'h1 :")
            ],
            least_cols=2,
        ),
    )
}
"""Faults by name."""


def _of_engine() -> Iterator[Fault]:
    """Yield the same faults as they are planted in an engine, of which some units are others."""
    edits: dict[str, tuple[str, Callable[[ArrayConfig], list[Edit]]]] = {
        "dropped sticky bit": (
            "fp8_step",
            lambda config: [Edit("fp8_step", r"(\w+\[0\]) \| shifted_lost_\d+;", r"\1;")],
        ),
        "wrong sign of an exact zero": (
            "fp8_step",
            lambda config: [
                Edit("fp8_step", r"= (\w+_sign) & \w+;", r"= \1;"),
            ],
        ),
        "product shifted by one for a subnormal operand": (
            "fp8_pipelined_multiplier",
            lambda config: [
                Edit(
                    "fp8_pipelined_multiplier",
                    r"\{ 1'h0, a\[5:1\] \} \+",
                    "{ 1'h0, a[5:1] } + { 5'h00, ~ a[9] } +",
                )
            ],
        ),
        "LFSR stepped once too often under back-pressure": (
            "fp8_result_column",
            lambda config: [
                Edit(
                    "fp8_result_column",
                    r"(assign \S+ +=) move\[5\] & draws;",
                    r"reg waited;\n  always @(posedge clk)\n    waited <= ~ advance & ~ rst;\n"
                    r"  \1 (move[5] | (\\inside [4] & ~ advance & ~ waited)) & draws;",
                )
            ],
        ),
        "accumulator not cleared between tiles": (
            "fp8_overlapped_array",
            lambda config: [
                Edit("fp8_overlapped_array", r"rst \? 1'h0 : \\fresh\S+ ;", "1'h0;"),
            ],
        ),
        "last column of a partial tile kept": (
            "fp8_overlapped_array",
            lambda config: [
                Edit(
                    "fp8_overlapped_array",
                    rf"(column_{config.cols - 1}_used =) accept_cols > \S+;",
                    r"\1 1'h1;",
                )
            ],
        ),
    }
    sentences = {
        "accumulator not cleared between tiles": (
            "a tile without C starts from what waits beside the ring, not from zero"
        )
    }
    for name, fault in FAULTS.items():
        if name in edits:
            unit, of_engine = edits[name]
            sentence = sentences.get(name, fault.sentence)
            fault = replace(fault, unit=unit, edits=of_engine, sentence=sentence)
        yield fault


ENGINE_FAULTS = {fault.name: fault for fault in _of_engine()}
"""Faults of an engine by name."""
