"""Configuration in, a folder of Verilog out."""

import hashlib
import json
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from amaranth.lib import data, wiring

from hw.array import MacArray
from hw.control import Command
from hw.engine_registers import engine_registers
from hw.gemm_engine import GemmEngine
from hw.schedule import Job
from pysim import ArrayConfig, InputError
from rtl_gen.datasheet import datasheet, template
from rtl_gen.emitter import Emitter, block_ports, yosys_version
from rtl_gen.register_texts import c_header, system_rdl

MANIFEST = "manifest.json"


@dataclass(frozen=True)
class Design:
    """Generated Verilog and what describes it.

    Attributes
    ----------
    config : ArrayConfig
    modules : dict of str to str
        Verilog text of each module, by module name.
    manifest : dict
        Configuration, ports, command fields, digests, and tool versions; ready for JSON.
    """

    config: ArrayConfig
    modules: dict[str, str]
    manifest: dict


def design(config: ArrayConfig) -> Design:
    """Generate Verilog in memory: the bare array, or with a latency the engine, on AXI."""
    block = GemmEngine(config) if config.latency else MacArray(config)
    ports = [_port("clk", 1, "input"), _port("rst", 1, "input")]
    for name, flow, value in block_ports(block):
        ports.append(_port(name, len(value), "input" if flow is wiring.In else "output"))
    emitter = Emitter()
    emitter.emit(block)
    modules = emitter.verilog()
    manifest = {
        "top": block.module_name,
        "config": config.to_dict(),
        "ports": ports,
        "command_fields": _fields((Job if config.latency else Command).as_shape()),
        "files": {f"{name}.v": _digest(text) for name, text in sorted(modules.items())},
        "tools": {
            "fp8cosim": version("fp8cosim"),
            "amaranth": version("amaranth"),
            "yosys": yosys_version(),
        },
    }
    return Design(config, modules, manifest)


def generate(config: ArrayConfig, folder: str | Path) -> Design:
    """Write Verilog, one module a file, with `manifest.json` and a FuseSoC core.

    An engine comes with its data sheet, a template to instantiate it, and its registers as a C
    header and as SystemRDL. The folder appears whole or not at all. An existing folder is replaced
    if it is empty or was generated before.

    Parameters
    ----------
    config : ArrayConfig
    folder : str or Path

    Raises
    ------
    InputError
        If the folder cannot be written, or holds anything else.
    """
    with _replacing(Path(folder)) as temporary:
        result = design(config)
        _write(result, temporary)
    return result


def save(edited: Design, folder: str | Path) -> None:
    """Write a design that was edited in memory as `generate` would have, ready for `load`.

    The manifest stays that of the Verilog as it was generated, so that `edited_files` tells.

    Raises
    ------
    InputError
        As for `generate`.
    """
    with _replacing(Path(folder)) as temporary:
        _write(edited, temporary)


@contextmanager
def _replacing(folder: Path) -> Iterator[Path]:
    """Give a folder to fill, which then takes the place of another, whole or not at all."""
    _check_replaceable(folder)
    # Made before the hard work, so that a folder that cannot be written costs no time.
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    except OSError as error:
        raise _not_writable(folder, error) from error
    try:
        yield temporary
        temporary.chmod(0o755)
        if folder.exists():
            shutil.rmtree(folder)
        temporary.rename(folder)
    except OSError as error:
        raise _not_writable(folder, error) from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _write(result: Design, folder: Path) -> None:
    for name, text in result.modules.items():
        (folder / f"{name}.v").write_text(text)
    (folder / MANIFEST).write_text(json.dumps(result.manifest, indent=2) + "\n")
    core = f"{result.manifest['top']}.core"
    (folder / core).write_text(_fusesoc_core(result))
    if result.manifest["top"] == GemmEngine.NAME:
        for name, text in _engine_documents(result).items():
            (folder / name).write_text(text)


def _engine_documents(result: Design) -> dict[str, str]:
    # What draws takes a second to import, and most who import this package write no files.
    from rtl_gen.pictures import block_diagram, timing_diagram

    top, ports = result.manifest["top"], result.manifest["ports"]
    registers = engine_registers(result.config)
    return {
        "datasheet.md": datasheet(result.config, ports, registers),
        "blocks.svg": block_diagram(result.config),
        "timing.svg": timing_diagram(result.config),
        f"{top}_instance.sv": template(top, ports),
        f"{top}.h": c_header(registers, top),
        f"{top}.rdl": system_rdl(registers, top),
    }


def load(folder: str | Path) -> Design:
    """Read Verilog generated earlier; the Verilog may have been edited since, the manifest not.

    Raises
    ------
    InputError
        If the folder holds no manifest, or a file that the manifest lists is missing.
    """
    folder = Path(folder)
    try:
        manifest = json.loads((folder / MANIFEST).read_text())
        config = ArrayConfig.from_dict(manifest["config"])
        modules = {Path(file).stem: (folder / file).read_text() for file in manifest["files"]}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"{str(folder)!r} is not a folder of generated Verilog: {error}"
        ) from error
    return Design(config, modules, manifest)


def edited_files(source: Design) -> list[str]:
    """Name the files whose text is no longer what the manifest's digest says."""
    return [f"{name}.v" for name in edited_modules(source)]


def edited_modules(source: Design) -> dict[str, str]:
    """Return the text of each module that is no longer what the manifest's digest says."""
    digests = source.manifest["files"]
    return {
        file[:-2]: source.modules[file[:-2]]
        for file, digest in digests.items()
        if _digest(source.modules[file[:-2]]) != digest
    }


def _check_replaceable(folder: Path) -> None:
    if not folder.exists():
        return
    if not folder.is_dir():
        raise InputError(f"output folder {str(folder)!r} is a file")
    if any(folder.iterdir()) and not (folder / MANIFEST).exists():
        raise InputError(
            f"output folder {str(folder)!r} holds something else than generated Verilog: "
            "name an empty or a new one"
        )


def _not_writable(folder: Path, error: OSError) -> InputError:
    return InputError(f"output folder {str(folder)!r} cannot be written: {error.strerror}")


def _port(name: str, width: int, direction: str) -> dict:
    return {"name": name, "direction": direction, "width": width}


def _fields(layout: data.Layout, prefix: str = "", offset: int = 0) -> dict[str, dict[str, int]]:
    """Offset and width of each field in bits; nested fields are named with an underscore."""
    fields = {}
    for name, field in layout:  # pyright: ignore[reportGeneralTypeIssues]  (an abstract `__iter__`)
        shape = field.shape
        start = offset + field.offset
        nested = shape.as_shape() if isinstance(shape, type(data.Struct)) else shape
        if isinstance(nested, data.Layout):
            fields |= _fields(nested, f"{prefix}{name}_", start)
        else:
            fields[f"{prefix}{name}"] = {"offset": start, "width": field.width}
    return fields


def _digest(text: str) -> str:
    return "sha256:" + hashlib.sha256(text.encode()).hexdigest()


def _fusesoc_core(result: Design) -> str:
    top = result.manifest["top"]
    files = "\n".join(f"      - {file}" for file in result.manifest["files"])
    what = "GEMM engine" if top == GemmEngine.NAME else "MAC array"
    return f"""CAPI=2:
name: fp8cosim::{top}:{result.manifest["tools"]["fp8cosim"]}
description: FP8 {what} of {result.config.rows} x {result.config.cols} processing elements

filesets:
  rtl:
    files:
{files}
    file_type: verilogSource

targets:
  default: &default
    filesets: [rtl]
    toplevel: {top}
  lint:
    <<: *default
    default_tool: verilator
    tools:
      verilator:
        mode: lint-only
        verilator_options: [-Wall]
"""
