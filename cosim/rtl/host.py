"""The host of the simulated array, which every simulator compiles along with its model."""

from pathlib import Path

import pysim.fast
from pysim.convert import ROUNDINGS, Rounding
from pysim.formats import FP32, OUTPUT_FORMATS
from pysim.lfsr import TAPS
from rtl_gen import Design

FAST = Path(pysim.fast.__file__).parent
"""Where threads and the jump of the lanes come from."""

HOST = Path(__file__).with_name("host.cpp")
"""C++ source; includes ``layout.h`` and the simulator's ``simulation.h``."""

HELPERS = (FAST / "jump.cpp", FAST / "pool.cpp")
"""C++ sources that it links with."""

_HEADERS = (FAST / "jump.h", FAST / "kernels.h", FAST / "pool.h")


def helper_texts() -> list[str]:
    """Return the text of the helpers and their headers."""
    return [path.read_text() for path in (*HELPERS, *_HEADERS)]


def layout_header(design: Design) -> str:
    """C++ constants of the design: its sides, its lanes, and where the fields of a command lie."""
    config = design.config
    taps = ", ".join(map(str, sorted(TAPS[config.lfsr_width], reverse=True)))
    lines = [
        "#pragma once",
        f"constexpr int ROWS = {config.rows};",
        f"constexpr int COLS = {config.cols};",
        f"constexpr fast::Lfsr LFSR = {{{config.lfsr_width}, {{{taps}}}, {config.random_bits}}};",
        f"constexpr int PASS_TARGET = {OUTPUT_FORMATS.index(FP32)};",
        f"constexpr int STOCHASTIC = {ROUNDINGS.index(Rounding.STOCHASTIC)};",
    ]
    for name, field in design.manifest["command_fields"].items():
        lines.append(f"constexpr int {name.upper()}_OFFSET = {field['offset']};")
    return "\n".join(lines) + "\n"
