"""The array's Verilog as a shared library, made by the vector simulator."""

from pathlib import Path

from cosim.rtl.host import FAST, HELPERS, helper_texts, host_of, layout_header
from cosim.vector import compile_netlist, read_verilog
from cosim.vector.model import COMPILER, COMPILER_FLAGS, RUNTIME, runtime_texts
from cosim.vector.netlist import yosys_version
from pysim.native import cached, compiler_version, run_all
from rtl_gen import Design

_SIMULATION = """// The Verilog as the vector simulator compiled it.
#pragma once

#include "model.h"

using Simulation = Model;
"""


def build_model(design: Design) -> Path:
    """Return the shared library that simulates a design; build it unless the cache has it.

    Raises
    ------
    MissingToolError
        If Yosys or the C++ compiler is missing.
    CheckFailedError
        If Yosys refuses the Verilog; edited Verilog may be wrong.
    UnsupportedError
        If the Verilog holds what the vector simulator does not support.
    """
    header = layout_header(design)
    host = host_of(design)

    def make(folder: Path) -> None:
        source = compile_netlist(read_verilog(design.modules, design.manifest["top"]))
        (folder / "model.h").write_text(source.text)
        (folder / "simulation.h").write_text(_SIMULATION)
        (folder / "layout.h").write_text(header)
        library = folder / "model.so"
        includes = [f"-I{path}" for path in (folder, RUNTIME, FAST)]
        objects = {file: str(folder / f"{file.stem}.o") for file in (host, *HELPERS)}
        command = [COMPILER, *COMPILER_FLAGS, *includes, "-c"]
        run_all([*command, str(file), "-o", target] for file, target in objects.items())
        run_all([[COMPILER, "-shared", "-pthread", *objects.values(), "-o", str(library)]])
        for file in folder.iterdir():
            if file != library:
                file.unlink()

    key = [
        yosys_version(),
        compiler_version(COMPILER, *COMPILER_FLAGS),
        *COMPILER_FLAGS,
        *runtime_texts(),
        *(path.read_text() for path in sorted(RUNTIME.glob("*.py"))),
        host.read_text(),
        *helper_texts(),
        header,
        *(part for item in sorted(design.modules.items()) for part in item),
    ]
    return cached("vector-rtl", key, make) / "model.so"
