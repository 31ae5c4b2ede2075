"""The regression passes on what is generated, and fails on Verilog with a fault."""

import json
import re
import shutil
import xml.etree.ElementTree as ElementTree
from dataclasses import replace
from pathlib import Path

import pytest

import rtl_gen
from cosim.calls import Mismatch
from cosim.campaign import run_campaign
from cosim.errors import CheckFailedError
from cosim.mutation.faults import FAULTS as FAULTY
from cosim.regression import testbench
from cosim.regression.agreement import disagreements
from cosim.regression.runner import (
    Outcome,
    OutOfTimeError,
    run_regression,
    run_replay,
    select,
    writes_fst,
)
from cosim.regression.waves import find_parting
from cosim.replay import design_for
from cosim.rtl import RtlEngine
from pysim import ArrayConfig, GoldenEngine, InputError

needs_icarus = pytest.mark.skipif(
    shutil.which("iverilog") is None, reason="Icarus Verilog is not installed"
)


@pytest.fixture(scope="module")
def design():
    return rtl_gen.design(ArrayConfig(2, 2))


def test_passes_under_verilator(fp8cosim, tmp_path):
    done = fp8cosim("regress", "--rows", 2, "--cols", 3, "--json", "-o", "out")
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert result["passed"]
    assert result["tests"] == dict.fromkeys(testbench.FUNCTIONS, True)
    assert result["missed"] == []
    suite = ElementTree.parse(tmp_path / "out" / "results.xml")
    assert len(list(suite.iter("testcase"))) == len(testbench.FUNCTIONS)
    assert not list(suite.iter("failure"))
    coverage = json.loads((tmp_path / "out" / "coverage.json").read_text())
    assert coverage["counts"] == result["coverage"]
    assert coverage["counts"]["reset during"]["flowing: compute"] > 0
    assert "cancellation" in (tmp_path / "out" / "coverage.html").read_text()


@needs_icarus
def test_passes_under_icarus_with_waves(design, tmp_path):
    outcome = run_regression(
        design,
        tmp_path,
        simulator="icarus",
        expression="after_reset|random_conversions|special_operands|reset_in_flight",
        waves=True,
    )
    assert not outcome.failures
    assert len(outcome.tests) == 4
    assert outcome.waves is not None
    assert outcome.waves.stat().st_size > 1000


FAULTS = {
    "sticky bit of the adder": (
        "fp8_accumulator_adder",
        r"aligned_by_16\[0\] \| aligned_lost_16",
        "aligned_by_16[0]",
        "boundaries_of_addition",
    ),
    "inexact flag of the adder": (
        "fp8_accumulator_adder",
        r"\{ \\flags.inexact ,",
        "{ 1'h0,",
        "random_gemms",
    ),
    "exponent of products": ("fp8_multiplier", "8'h62", "8'h63", "special_operands"),
    "sticky bit of the converter": (
        "fp8_converter",
        r"right_lost_32 \| right_lost_4;",
        "right_lost_4;",
        "boundaries_of_conversion",
    ),
    "tap of the LFSR": (
        "fp8_lfsr",
        r"state\[0\] \^ state\[1\]",
        "state[0] ^ state[2]",
        "random_conversions",
    ),
    "load of zero": ("fp8_lfsr", r"_\d+_ \? load_state", "load ? load_state", "lanes_can_be_set"),
    "ties of the adder": (
        "fp8_accumulator_adder",
        r"(_\d+_) \| normal_by_1\[4\];",
        "1'h1;",
        "boundaries_of_addition",
    ),
    "ties of the converter": (
        "fp8_converter",
        r"(_\d+_) \| right_by_4\[16\];",
        "1'h1;",
        "boundaries_of_conversion",
    ),
    "keep": ("fp8_mac_array", r"\? column_1_used :", "? 1'h1 :", "random_gemms"),
    "unused column": (
        "fp8_mac_array",
        r"(accept\$\d+ ) & column_1_used;",
        r"\1;",
        "unused_inputs",
    ),
    "flag raised in the clock that clears": (
        "fp8_mac_array",
        r"clear_flags \? \w+ :",
        "clear_flags ? 4'h0 :",
        "flags_raised_while_cleared",
    ),
    "flags of a sum before its result": (
        "fp8_mac_array",
        r"= accept \? \{",
        "= 1'h1 ? {",
        "flags_come_with_results",
    ),
    "load in the clock of a draw": (
        "fp8_lfsr",
        r"(_\d+_) \? load_state",
        r"(\1 & ~advance) ? load_state",
        "lanes_loaded_while_drawing",
    ),
    "draw in the clock of a load of zero": (
        "fp8_lfsr",
        r"advance \?",
        "(advance & ~load) ?",
        "lanes_loaded_while_drawing",
    ),
    "skew": ("fp8_skew", r"\{ lane_1, aligned\[12:0\] \}", "aligned", "random_gemms"),
}


@needs_icarus
@pytest.mark.parametrize("fault", FAULTS)
def test_fault_is_noticed(design, tmp_path, fault):
    module, pattern, text, test = FAULTS[fault]
    faulty = edit(design, module, pattern, text)
    outcome = run_regression(faulty, tmp_path, simulator="icarus", expression=f"^{test}$")
    assert outcome.tests == {test: False}
    assert list(outcome.failures) == [test]


def test_edited_verilog_fails_by_command(fp8cosim, tmp_path, design):
    folder = tmp_path / "rtl"
    rtl_gen.generate(design.config, folder)
    faulty = edit(design, "fp8_multiplier", "8'h62", "8'h63")
    (folder / "fp8_multiplier.v").write_text(faulty.modules["fp8_multiplier"])
    done = fp8cosim("regress", "--rtl", folder, "-k", "random_gemms", "--waves", "-o", "out")
    assert done.returncode == 1
    assert "edited since it was generated: fp8_multiplier.v" in done.stderr
    assert "1 of 1 tests failed: random_gemms; fp8_multiplier is at fault: " in done.stderr
    assert "FAILED  random_gemms" in done.stdout
    (waves,) = (tmp_path / "out").glob("waves.*")
    assert waves.suffix == (".fst" if writes_fst("verilator") else ".vcd")
    assert waves.stat().st_size > 1000
    assert str(waves) in done.stderr


def test_both_simulators_agree(fp8cosim, tmp_path):
    arguments = ("--rows", 1, "--cols", 2, "-k", "stalled_gemms|in_a_row|while_stalled|unused")
    done = fp8cosim("regress", *arguments, "--simulator", "both", "-o", "out")
    assert done.returncode == 0, done.stderr
    assert "verilator and icarus agree on every test, every count, and every clock" in done.stdout
    traces = [
        (tmp_path / "out" / simulator / "traces.json").read_text()
        for simulator in ("verilator", "icarus")
    ]
    assert traces[0] == traces[1]
    assert len(json.loads(traces[0])) == 4


def test_disagreements_are_told():
    first = Outcome({"x": True}, {}, {"flag": {"a": 3}}, [], Path(), None, {"x": [4, 5, 6]})
    assert disagreements(first, first) == []
    parted = {"x": [4, 7, 8]}
    other = replace(first, tests={"x": False}, coverage={"flag": {"a": 4}}, traces=parted)
    assert disagreements(first, other) == [
        "x passed under one and not the other",
        "ports did something else in x, from clock 2 on",
        "flag: a was counted 3 and 4 times",
    ]
    longer = replace(first, traces={"x": [4, 5, 6, 6]})
    assert disagreements(first, longer) == ["x took 3 clocks and 4"]


@needs_icarus
def test_simulation_that_oscillates(fp8cosim, tmp_path, design):
    ring = "reg ring;\n  initial ring = 0;\n  always @(ring) ring <= ~ring;\nendmodule"
    faulty = edit(design, "fp8_multiplier", "endmodule", f"{ring}\n")
    rtl_gen.save(faulty, tmp_path / "rtl")
    arguments = ("--rtl", "rtl", "-k", "after_reset", "--simulator", "icarus", "--timeout", 5)
    done = fp8cosim("regress", *arguments, "--json", "-o", "out")
    assert done.returncode == 1
    assert "did not end within 5" in json.loads(done.stdout)["error"]
    assert "did not end within 5" in done.stderr


def test_refused_verilog_in_json(fp8cosim, tmp_path, design):
    faulty = edit(design, "fp8_multiplier", "endmodule", "assign = ;\nendmodule")
    rtl_gen.save(faulty, tmp_path / "rtl")
    done = fp8cosim("regress", "--rtl", "rtl", "--json", "-o", "out")
    assert done.returncode == 1
    result = json.loads(done.stdout)
    assert not result["passed"]
    assert "refuses the Verilog" in result["error"]


@needs_icarus
def test_what_went_wrong_is_recorded(design, tmp_path):
    faulty = edit(design, "fp8_multiplier", "8'h62", "8'h63")
    run_regression(faulty, tmp_path, simulator="icarus", expression="special_operands")
    mismatch = Mismatch.load(tmp_path / "mismatch-special_operands.npz")
    assert mismatch.notes["test"] == "special_operands"
    with GoldenEngine(design.config) as golden:
        assert not mismatch.expected.differences(mismatch.call.run(golden))
    assert mismatch.expected.differences(mismatch.got)
    run_regression(design, tmp_path, simulator="icarus", expression="after_reset")
    assert not list(tmp_path.glob("mismatch-*"))


@pytest.fixture
def recorded(design, tmp_path):
    """A replay file of faulty Verilog, and the folder with that Verilog."""
    folder = tmp_path / "rtl"
    rtl_gen.generate(design.config, folder)
    faulty = edit(design, "fp8_multiplier", "8'h62", "8'h63")
    (folder / "fp8_multiplier.v").write_text(faulty.modules["fp8_multiplier"])
    with pytest.raises(CheckFailedError):
        run_campaign(
            lambda config: RtlEngine(design=faulty),
            GoldenEngine,
            [design.config],
            count=50,
            seed=0,
            folder=tmp_path,
        )
    return tmp_path / "mismatch-rtl-golden.npz", folder


@needs_icarus
def test_replay(fp8cosim, tmp_path, recorded):
    file, folder = recorded
    arguments = ("replay", file, "--simulator", "icarus", "--json")
    faulty = fp8cosim(*arguments, "--rtl", folder)
    assert faulty.returncode == 1
    result = json.loads(faulty.stdout)
    assert not result["passed"]
    assert result["engines"] == {"golden": True, "rtl": False}
    assert (tmp_path / result["waves"]).stat().st_size > 1000
    verdicts = {verdict["engine"]: verdict["difference"] for verdict in result["now"]}
    assert verdicts["fast"] is None
    for name in ("rtl (verilator)", "ports (verilator)", "ports (icarus)"):
        assert "values (first at " in verdicts[name]
    first = result["parting"]["first"]
    assert {signal["module"] for signal in first} == {"fp8_multiplier"}
    assert "fp8_multiplier" in faulty.stderr
    good = fp8cosim(*arguments)
    assert good.returncode == 0, good.stderr
    assert json.loads(good.stdout)["passed"]


@needs_icarus
def test_stops_at_the_first_failure(design, tmp_path):
    faulty = edit(design, "fp8_multiplier", "8'h62", "8'h63")
    expression = "after_reset|random_gemms|special_operands"
    outcome = run_regression(
        faulty, tmp_path, simulator="icarus", expression=expression, stop_at_failure=True
    )
    assert outcome.tests == {"after_reset": True, "random_gemms": False}
    assert list(outcome.failures) == ["random_gemms"]


@needs_icarus
def test_stops_after_some_seconds(design, tmp_path):
    with pytest.raises(OutOfTimeError, match="did not end within"):
        run_regression(design, tmp_path, simulator="icarus", expression="reset", limit=0.1)


@needs_icarus
def test_replay_finds_the_first_signal_behind_registers_and_stalls(tmp_path):
    """The file alone is enough: it holds the edited Verilog, and when the streams stalled."""
    fault = FAULTY["LFSR stepped once too often under back-pressure"]
    design = fault.plant(rtl_gen.design(ArrayConfig(2, 2)))
    run_regression(design, tmp_path, simulator="icarus", expression="stalled_gemms")
    file = tmp_path / "mismatch-stalled_gemms.npz"
    edited = design_for(Mismatch.load(file))
    assert edited.modules == design.modules
    good = run_replay(rtl_gen.design(design.config), file, tmp_path / "good", simulator="icarus")
    bad = run_replay(edited, file, tmp_path, simulator="icarus")
    # Written to the same folder, it keeps what it replays, and records no other.
    assert list(tmp_path.glob("mismatch-*")) == [file]
    assert bad.failures
    assert not good.failures
    parting = find_parting(good.waves, bad.waves, edited)
    assert {(signal.module, signal.name) for signal in parting.first} == {
        ("fp8_result_column_64x16", "advance")
    }
    same = find_parting(good.waves, good.waves, edited)
    assert same is None


def test_replay_of_something_else(fp8cosim_here, tmp_path):
    (tmp_path / "file.npz").write_text("no")
    done = fp8cosim_here("replay", "file.npz")
    assert done.returncode == 2
    assert "is not a replay file" in done.stderr


@pytest.mark.parametrize("simulator", ["verilator", pytest.param("icarus", marks=needs_icarus)])
def test_verilog_that_does_not_compile(design, tmp_path, simulator):
    faulty = edit(design, "fp8_multiplier", "endmodule", "assign = ;\nendmodule")
    with pytest.raises(CheckFailedError, match=f"(?s){simulator} refuses the Verilog.*multiplier"):
        run_regression(faulty, tmp_path, simulator=simulator, expression="after_reset")


def edit(design, prefix, pattern, text):
    """Return the design with the first match in a module replaced."""
    name = next(name for name in design.modules if name.startswith(prefix))
    edited, count = re.subn(pattern, text, design.modules[name], count=1)
    assert count == 1
    return replace(design, modules={**design.modules, name: edited})


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--simulator", "modelsim"], "'modelsim'.*verilator, icarus"),
        (["-k", "no_such_test"], "no test matches 'no_such_test'"),
        (["-k", "("], "not a regular expression"),
        (["--rtl", "nowhere"], "not a folder of generated Verilog"),
        (["--rtl", "nowhere", "--rows", "4"], "leave out --rows"),
        (["--rows", "0"], "rows 0"),
    ],
)
def test_bad_input(fp8cosim_here, tmp_path, arguments, complaint):
    done = fp8cosim_here("regress", *arguments, "-o", "out")
    assert done.returncode == 2
    assert re.search(complaint, done.stderr)
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "out").exists()


@pytest.fixture
def ran(monkeypatch, tmp_path):
    """Let the command find an outcome, without a simulation."""
    outcome = Outcome({"x": True}, {}, {"flag": {"a": 0}}, ["flag: a"], tmp_path, None)
    found = {"verilator": outcome, "icarus": outcome}
    module = "cosim.regression.runner.run_regression"
    monkeypatch.setattr(module, lambda design, folder, *, simulator, **_: found[simulator])
    return found


def test_empty_bin_fails_the_whole_run(fp8cosim_here, ran):
    arguments = ("regress", "--rows", 1, "--cols", 1, "--json")
    done = fp8cosim_here(*arguments)
    assert done.returncode == 1
    assert "not covered: flag: a" in done.stderr
    assert json.loads(done.stdout)["missed"] == ["flag: a"]
    assert fp8cosim_here(*arguments, "-k", "x").returncode == 0


def test_disagreement_fails_the_run(fp8cosim_here, ran):
    ran["icarus"] = replace(ran["icarus"], coverage={"flag": {"a": 1}})
    done = fp8cosim_here("regress", "--rows", 1, "--cols", 1, "--simulator", "both", "-k", "x")
    assert done.returncode == 1
    assert "verilator and icarus disagree: flag: a was counted 0 and 1 times" in done.stderr


def test_missing_simulator(fp8cosim, tmp_path):
    done = fp8cosim("regress", "--simulator", "icarus", env={"PATH": str(tmp_path)})
    assert done.returncode == 3
    assert "install the package iverilog" in done.stderr


def test_select():
    assert select(None, ["x", "y"]) == ["x", "y"]
    names = list(testbench.FUNCTIONS)
    assert select("^after_reset$", names) == ["after_reset"]
    assert set(select("^stalled|stick", names)) == {"stalled_gemms", "flags_stick"}
    with pytest.raises(InputError):
        select("nothing_of_the_kind", names)
