"""The host of the simulated array, which every simulator compiles along with its model."""

from collections.abc import Iterator
from pathlib import Path

import pysim.fast
from hw.engine_registers import engine_registers
from pysim import ArrayConfig
from pysim.convert import ROUNDINGS, Rounding
from pysim.formats import FP32, OUTPUT_FORMATS
from pysim.lfsr import TAPS
from rtl_gen import Design

FAST = Path(pysim.fast.__file__).parent
"""Where threads and the jump of the lanes come from."""

ARRAY_HOST = Path(__file__).with_name("host.cpp")
ENGINE_HOST = Path(__file__).with_name("engine_host.cpp")
"""C++ sources; each includes ``layout.h`` and the simulator's ``simulation.h``."""

HELPERS = (FAST / "jump.cpp", FAST / "pool.cpp")
"""C++ sources that it links with."""

_HEADERS = (
    *(FAST / "jump.h", FAST / "kernels.h", FAST / "pool.h"),
    Path(__file__).with_name("chunks.h"),
)


def host_of(design: Design) -> Path:
    """Return the C++ source that drives a design."""
    return ENGINE_HOST if design.config.latency else ARRAY_HOST


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
    if config.latency:
        lines += _engine_constants(config)
    else:
        for name, field in design.manifest["command_fields"].items():
            lines.append(f"constexpr int {name.upper()}_OFFSET = {field['offset']};")
    return "\n".join(lines) + "\n"


def _engine_constants(config: ArrayConfig) -> Iterator[str]:
    """Say how long a step takes, where registers lie, and where fields lie in them."""
    yield f"constexpr int LATENCY = {config.latency};"
    yield f"constexpr bool LOAD_C = {str(config.load_c).lower()};"
    registers = engine_registers(config)
    for name, offset in registers.offsets().items():
        yield f"constexpr uint32_t REGISTER_{name.upper()} = {offset};"
    for register in registers.registers:
        for low, field in register.places():
            yield f"constexpr int {register.name.upper()}_{field.name.upper()} = {low};"
