"""The host of the simulated array, which every simulator compiles along with its model."""

from pathlib import Path

from rtl_gen import Design

HOST = Path(__file__).with_name("host.cpp")
"""C++ source; includes ``layout.h`` and the simulator's ``simulation.h``."""


def layout_header(design: Design) -> str:
    """C++ constants of the design: its sides, and where the fields of a command lie."""
    config = design.config
    lines = [
        "#pragma once",
        f"constexpr int ROWS = {config.rows};",
        f"constexpr int COLS = {config.cols};",
    ]
    for name, field in design.manifest["command_fields"].items():
        lines.append(f"constexpr int {name.upper()}_OFFSET = {field['offset']};")
    return "\n".join(lines) + "\n"
