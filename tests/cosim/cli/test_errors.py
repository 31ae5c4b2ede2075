"""Bad input: one sentence, exit status 2, nothing half-written."""

import json

import pytest

CASES = {
    "rows 0": (["generate", "--rows", "0"], "rows 0"),
    "rows 65": (["generate", "--rows", "65"], "rows 65"),
    "cols 65": (["generate", "--cols", "65"], "cols 65"),
    "no such config": (["generate", "--config", "none.toml"], "none.toml"),
    "unknown key": (["generate", "--config", "unknown.toml"], "columns"),
    "lfsr of zero": (["generate", "--config", "zero.toml"], "0x0"),
    "not toml": (["generate", "--config", "broken.toml"], "broken.toml"),
    "file in the way": (["generate", "-o", "zero.toml/out"], "cannot be written"),
    "engine": (["compare", "--engine", "slow"], "unknown engine 'slow'"),
    "arrays": (["compare", "--arrays", "4by4"], "'4by4'"),
    "simulator": (
        ["compare", "--engine", "fast", "--simulator", "verilator"],
        "engine 'fast' has no simulator 'verilator'",
    ),
    "model": (["train", "--model", "vgg"], "unknown model 'vgg'"),
    "no model": (["train"], "--model"),
    "train engine": (["train", "--model", "mlp", "--engine", "slow"], "unknown engine 'slow'"),
    "recipe": (["train", "--model", "mlp", "--recipe", "none"], "unknown recipe 'none'"),
    "recipe format": (["train", "--model", "mlp", "--recipe", "format.toml"], "e3m4"),
    "steps": (["train", "--model", "mlp", "--steps", "0"], "steps 0"),
    "resume nothing": (["train", "--resume", "nowhere"], "nowhere"),
    "resume and seed": (["train", "--resume", "nowhere", "--seed", "1"], "--seed"),
    "train into a file": (["train", "--model", "mlp", "-o", "zero.toml/out"], "cannot be written"),
    "device": (["synth", "--device", "LFE5U-99F"], "unknown device 'LFE5U-99F'"),
    "no verilog": (["synth", "--rtl", "."], "not a folder of generated Verilog"),
    "sizes of verilog": (["synth", "--rtl", "rtl", "--size", "4"], "leave out --size"),
    "synth latency": (["synth", "--latency", "7"], "latency 7"),
    "size 0": (["synth", "--size", "0"], "--size"),
    "demo elsewhere": (["demo", "-o", "."], "something else than a demo"),
}

FILES = {
    "unknown.toml": "rows = 4\ncolumns = 4\n",
    "zero.toml": "seed = 0\n",
    "broken.toml": "rows = = 4\n",
    "format.toml": "".join(
        f'[roles.{role}]\nformat = "{fmt}"\n'
        for role, fmt in (
            ("weight", "e3m4"),
            ("activation", "e5m2"),
            ("error", "e5m2"),
            ("gradient", "e5m2"),
        )
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_bad_input(fp8cosim_here, tmp_path, case):
    for name, text in FILES.items():
        (tmp_path / name).write_text(text)
    arguments, complaint = CASES[case]
    done = fp8cosim_here(*arguments)
    assert done.returncode == 2, done.stderr
    assert complaint in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""
    assert {path.name for path in tmp_path.iterdir()} == set(FILES)


def test_unknown_option(fp8cosim_here):
    assert fp8cosim_here("generate", "--depth", "4").returncode == 2


def test_generate_prints_one_object(fp8cosim, tmp_path):
    done = fp8cosim("generate", "--rows", 2, "--cols", 1, "-o", "rtl", "--json")
    assert done.returncode == 0
    result = json.loads(done.stdout)
    assert result["config"]["rows"] == 2
    assert (tmp_path / "rtl" / "fp8_mac_array.v").exists()


def test_compare_prints_one_object(fp8cosim):
    arguments = ("--engine", "fast", "--against", "golden", "--count", 20, "--arrays", "2x3")
    done = fp8cosim("compare", *arguments, "--json")
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert result["passed"]
    assert result["gemms"] == 20


def test_compare_on_one_configuration(fp8cosim, tmp_path):
    (tmp_path / "reduced.toml").write_text(
        "cols = 3\nlatency = 2\noperand_formats = ['e4m3']\nload_c = false\n"
    )
    done = fp8cosim("compare", "--config", "reduced.toml", "--rows", 2, "--count", 20, "--json")
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    (config,) = result["configs"]
    expected = {"rows": 2, "cols": 3, "latency": 2, "operand_formats": ["e4m3"], "load_c": False}
    assert expected.items() <= config.items()
    assert result["kinds"]["C"] == {"none": 20}
    assert result["kinds"]["operand formats"] == {"e4m3 x e4m3": 20}
    done = fp8cosim("compare", "--config", "reduced.toml", "--arrays", "2x2")
    assert done.returncode == 2
    assert "leave out --arrays" in done.stderr


def test_compare_simulators(fp8cosim):
    arguments = ("--engine", "rtl", "--against", "rtl", "--against-simulator", "verilator")
    done = fp8cosim("compare", *arguments, "--count", 20, "--large", 1, "--arrays", "2x2", "--json")
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert (result["simulator"], result["against_simulator"]) == ("vector", "verilator")
    assert result["gemms"] == 21
    assert result["macs"] > 10**6


def test_train_and_resume(fp8cosim, tmp_path):
    arguments = ("--model", "mlp", "--steps", 4, "--rows", 2, "--cols", 2, "-o", "run")
    done = fp8cosim("train", *arguments, "--json")
    assert done.returncode == 0, done.stderr
    first = json.loads(done.stdout)["runs"][0]
    assert first["settings"]["config"]["latency"] == 4
    again = fp8cosim("train", *arguments)
    assert again.returncode == 2
    assert "holds a run already" in again.stderr
    longer = fp8cosim("train", "--resume", "run", "--steps", 6, "--engine", "golden", "--json")
    assert longer.returncode == 0, longer.stderr
    second = json.loads(longer.stdout)["runs"][0]
    assert second["steps"] == 6
    assert second["cycles"] > first["cycles"]


def test_several_seeds_and_tolerance(fp8cosim):
    arguments = ("--model", "mlp", "--steps", 3, "--seeds", 2)
    done = fp8cosim("train", *arguments, "-o", "many", "--json")
    summary = json.loads(done.stdout)
    assert [run["settings"]["seed"] for run in summary["runs"]] == [0, 1]
    accuracies = [run["accuracy"] for run in summary["runs"]]
    assert summary["accuracy"] == pytest.approx(sum(accuracies) / 2)
    gap = summary["accuracy_gap_points"]
    tolerance = max(-gap, 0) + 0.5
    assert fp8cosim("train", *arguments, "-o", "b", "--tolerance", tolerance).returncode == 0


def test_demo(fp8cosim, tmp_path):
    done = fp8cosim("demo", "--steps", 3, "-o", "out")
    assert done.returncode == 0, done.stderr
    last = done.stdout.splitlines()[-3:]
    assert "test accuracy" in last[0]
    assert "clock cycles" in last[1]
    assert "bit-identical to the same run on golden" in last[2]
    assert (tmp_path / "out" / "verilog" / "fp8_gemm_engine.v").exists()
    page = (tmp_path / "out" / "report.html").read_text()
    assert "bit-identical to the same run on golden" in page
    assert fp8cosim("demo", "--steps", 2, "-o", "out").returncode == 0
