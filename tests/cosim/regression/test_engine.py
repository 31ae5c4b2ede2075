"""The regression of the GEMM engine, and what it makes of faults."""

import json
import re
import shutil
from dataclasses import replace

import pytest

import rtl_gen
from cosim.regression import axi
from cosim.regression.agreement import disagreements
from cosim.regression.axi_tests import GEMMS
from cosim.regression.plan import goals
from cosim.regression.runner import run_regression
from pysim import ArrayConfig

CONFIG = ArrayConfig(2, 3, lfsr_width=16, random_bits=5, latency=3)
REDUCED = ArrayConfig(2, 2, latency=2, operand_formats=("e4m3",), load_c=False)

needs_icarus = pytest.mark.skipif(
    shutil.which("iverilog") is None, reason="Icarus Verilog is not installed"
)


@pytest.fixture(scope="module")
def design():
    return rtl_gen.design(CONFIG)


@pytest.fixture(scope="module")
def reduced():
    return rtl_gen.design(REDUCED)


def test_passes_under_verilator(fp8cosim, tmp_path):
    arguments = ("--rows", 2, "--cols", 2, "--latency", 2)
    done = fp8cosim("regress", *arguments, "--json", "-o", "out")
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert result["tests"] == dict.fromkeys(axi.FUNCTIONS, True)
    assert result["missed"] == []
    coverage = json.loads((tmp_path / "out" / "coverage.json").read_text())
    assert coverage["counts"] == result["coverage"]
    assert coverage["counts"]["reset during"]["stop, stalled: drain"] > 0
    assert "tile behind" in (tmp_path / "out" / "coverage.html").read_text()


def test_reduced_engine_passes(fp8cosim, tmp_path):
    """Of one format, and without C: all that it can be put in is reached, and nothing else."""
    (tmp_path / "reduced.toml").write_text(
        "rows = 2\ncols = 2\nlatency = 2\noperand_formats = ['e4m3']\nload_c = false\n"
    )
    done = fp8cosim("regress", "--config", "reduced.toml", "--json", "-o", "out")
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert result["tests"] == dict.fromkeys(axi.FUNCTIONS, True)
    plan = goals(REDUCED)
    assert {question: sorted(counts) for question, counts in result["coverage"].items()} == {
        question: sorted(answers) for question, answers in plan.items()
    }
    assert result["missed"] == []


@needs_icarus
def test_both_simulators_agree(design, tmp_path, monkeypatch):
    monkeypatch.setenv(GEMMS, "8")
    expression = "random_gemms_and|while_gemms|in_each_phase|unused|wrong_packets|registers"
    outcomes = [
        run_regression(
            design, tmp_path / simulator, simulator=simulator, seed=3, expression=expression
        )
        for simulator in ("verilator", "icarus")
    ]
    for outcome in outcomes:
        assert outcome.failures == {}
        assert len(outcome.tests) == 7
        assert outcome.traces.keys() == outcome.tests.keys()
        assert all(clocks > 100 for clocks in outcome.clocks.values())
    assert disagreements(*outcomes) == []


# What is planted: in which module, a place in it, what takes its place, and a test that must fail.
FAULTS = {
    "further rows of tiles are one column wide": (
        "fp8_tile_sequencer_2x9",
        r"\? cols_left : n;",
        "? cols_left : 24'h000001;",
        "random_gemms_and_conversions",
    ),
    "the end of packets of A is not looked at": (
        "fp8_gemm_engine",
        r"= s_axis_a_tlast != \w+;",
        "= 1'h0;",
        "wrong_packets",
    ),
    "a result does not wait for its taker": (
        "fp8_gemm_engine",
        r"= _\d+_ \| m_axis_d_tready;",
        "= 1'h1;",
        "random_gemms_and_conversions",
    ),
    "settings can be written while busy": (
        "fp8_gemm_engine",
        r"\.lock_call\([^)]*\)",
        ".lock_call(1'h0)",
        "registers_while_busy",
    ),
    "multiply-accumulates are those of a square": (
        "fp8_gemm_engine",
        r"\{ 7'h00, step_rows \} \* \{ 7'h00, step_cols \}",
        "{ 7'h00, step_rows } * { 7'h00, step_rows }",
        "gemms_without_stalls",
    ),
    "a finished sum is not given back": (
        "fp8_ring_element_3",
        r"= shift \| given_back;",
        "= shift;",
        "random_gemms_and_conversions",
    ),
    "results are drained a clock too early": (
        "fp8_overlapped_schedule_2x3_3",
        r"pass_ends \? 24'h000005",
        "pass_ends ? 24'h000004",
        "gemms_without_stalls",
    ),
    "half a number is converted": (
        "fp8_stream_converter",
        r"wrong_packet = offered & \w+;",
        "wrong_packet = 1'h0;",
        "packets_that_cannot_be_converted",
    ),
    "a number is rounded with the draw of the one behind": (
        "fp8_result_column_16x5",
        r"= move\[5\] & draws;",
        "= accept & draws;",
        "draws_at_the_threshold",
    ),
    "bytes that are not strobed are written": (
        "fp8_engine_registers",
        r"= strobes & _\d+_;",
        "= 4'hf;",
        "settings_keep_what_is_written",
    ),
}


def is_noticed(design, fault, folder):
    """Plant a fault, which its test must notice; return in how many places it was planted."""
    module, place, text, test = fault
    modules = dict(design.modules)
    modules[module], count = re.subn(place, text, modules[module])
    faulty = replace(design, modules=modules)
    outcome = run_regression(faulty, folder, simulator="icarus", expression=f"^{test}$")
    assert list(outcome.failures) == [test]
    return count


@needs_icarus
@pytest.mark.parametrize("name", FAULTS)
def test_fault_is_noticed(design, tmp_path, monkeypatch, name):
    monkeypatch.setenv(GEMMS, "8")
    assert is_noticed(design, FAULTS[name], tmp_path) == 1


# The same of an engine of one format and without C.
REDUCED_FAULTS = {
    "a step takes the bias of a product for that of a sum": (
        "fp8_step_2",
        r"product\[8\], product\[6:1\]",
        "product[7], product[6:1]",
        "gemms_without_stalls",
    ),
    "results are drained a clock too early": (
        "fp8_overlapped_schedule_2x2_2",
        r"pass_ends \? 24'h000004",
        "pass_ends ? 24'h000003",
        "gemms_without_stalls",
    ),
    "C may be asked for": (
        "fp8_gemm_engine",
        r"\\call\.load_c (, \w+, \w+, 1'h0)",
        r"1'h0\1",
        "sizes_and_modes_that_are_not_there",
    ),
}


@needs_icarus
@pytest.mark.parametrize("name", REDUCED_FAULTS)
def test_fault_in_reduced_engine_is_noticed(reduced, tmp_path, name):
    assert is_noticed(reduced, REDUCED_FAULTS[name], tmp_path) >= 1


@needs_icarus
def test_replay(design, tmp_path, monkeypatch, fp8cosim):
    monkeypatch.setenv(GEMMS, "8")
    module, place, text, test = FAULTS["a finished sum is not given back"]
    modules = {**design.modules, module: re.sub(place, text, design.modules[module])}
    faulty = replace(design, modules=modules)
    run_regression(faulty, tmp_path / "run", simulator="icarus", expression=f"^{test}$")
    file = f"run/mismatch-{test}.npz"
    done = fp8cosim("replay", file, "--simulator", "icarus", "-o", "replay", "--json")
    assert done.returncode == 1
    result = json.loads(done.stdout)
    verdicts = {verdict["engine"]: verdict["difference"] for verdict in result["now"]}
    assert verdicts["fast"] is None
    assert verdicts["rtl (vector)"]
    assert verdicts["ports (icarus)"]


@needs_icarus
def test_command(fp8cosim, tmp_path):
    """The command takes an engine by its Verilog."""
    arguments = ("--rows", 1, "--cols", 2, "--latency", 2, "-o", "engine")
    assert fp8cosim("generate", *arguments).returncode == 0
    arguments = ("--rtl", "engine", "-k", "interrupts|lanes_of")
    done = fp8cosim("regress", *arguments, "--simulator", "icarus", "--json")
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert result["tests"] == {"lanes_of_random_bits": True, "interrupts": True}
    assert (tmp_path / "out/regress/coverage.html").exists()
