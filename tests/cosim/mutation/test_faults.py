"""Planted faults are Verilog that tools accept; proofs and regression notice each, by command."""

import shutil

import pytest

import rtl_gen
from cosim.mutation.faults import ENGINE_FAULTS, FAULTS, find_module
from cosim.rtl.verilator import find_verilator
from pysim import ArrayConfig, InputError

NOTICED_BY = {
    "dropped sticky bit": ("adder/sum", "boundaries_of_addition"),
    "ties rounded away": ("convert/e5m2-nearest", "boundaries_of_conversion"),
    "wrong sign of an exact zero": ("adder/sum", "boundaries_of_addition"),
    "product shifted by one for a subnormal operand": ("multiplier/e5m2-e5m2", "special_operands"),
    "draw off by one bit": ("lfsr/draw", "random_conversions"),
    "LFSR stepped once too often under back-pressure": ("column/draws", "stalled_gemms"),
    "NaN payload let through": ("convert/fp32", "payloads_of_nan"),
    "accumulator not cleared between tiles": ("array/start", "special_operands"),
    "last column of a partial tile kept": ("array/keep", "random_gemms"),
}
"""A statement and a test for each fault, out of several that notice it."""

EVIDENCE = {
    "LFSR stepped once too often under back-pressure": "lanes draw too often or too seldom (lane ",
    "accumulator not cleared between tiles": "accumulators do not start from +0",
    "last column of a partial tile kept": "results tell of wrong columns",
}
"""What tells of faults between units: no unit is wrong by itself."""

NOTICED_BY_ENGINE = {
    **NOTICED_BY,
    "dropped sticky bit": ("step/sum", "boundaries_of_addition"),
    "wrong sign of an exact zero": ("step/sum", "boundaries_of_addition"),
    "NaN payload let through": ("convert/fp32", "numbers_that_stay_fp32"),
    "accumulator not cleared between tiles": ("array/operands", "special_operands"),
    "last column of a partial tile kept": ("array/columns", "random_gemms"),
}
"""The same of an engine."""

EVIDENCE_OF_ENGINE = {
    **EVIDENCE,
    "accumulator not cleared between tiles": "results are undefined",
}

CONFIGS = [
    ArrayConfig(1, 2, lfsr_width=16, random_bits=1),
    ArrayConfig(2, 3, lfsr_width=8, random_bits=8),
    ArrayConfig(5, 4),
    ArrayConfig(2, 3, lfsr_width=8, random_bits=8, latency=3),
]

needs_icarus = pytest.mark.skipif(
    shutil.which("iverilog") is None, reason="Icarus Verilog is not installed"
)


@pytest.fixture(scope="module", params=[0, 2], ids=["array", "engine"])
def design(request):
    return rtl_gen.design(ArrayConfig(2, 2, latency=request.param))


def faults_of(design):
    return ENGINE_FAULTS if design.config.latency else FAULTS


@pytest.mark.parametrize("config", CONFIGS, ids=str)
def test_verilator_accepts(tmp_path, config):
    design = rtl_gen.design(config)
    for fault in faults_of(design).values():
        faulty = fault.plant(design)
        changed = [name for name in design.modules if faulty.modules[name] != design.modules[name]]
        assert any(name.startswith(fault.unit) for name in changed)
        folder = tmp_path / fault.name
        rtl_gen.save(faulty, folder)
        files = [str(folder / file) for file in design.manifest["files"]]
        lint = find_verilator().run(
            "--lint-only",
            "-Wall",
            "-Wno-UNUSEDSIGNAL",
            "--top-module",
            design.manifest["top"],
            *files,
        )
        assert lint.returncode == 0, lint.stderr
        assert set(rtl_gen.edited_files(rtl_gen.load(folder))) == {f"{name}.v" for name in changed}


@needs_icarus
@pytest.mark.parametrize("name", FAULTS)
def test_commands_name_the_unit(fp8cosim, design, tmp_path, name):
    engine = design.config.latency > 0
    statement, test = (NOTICED_BY_ENGINE if engine else NOTICED_BY)[name]
    evidence = EVIDENCE_OF_ENGINE if engine else EVIDENCE
    fault = faults_of(design)[name]
    rtl_gen.save(fault.plant(design), tmp_path / "rtl")
    unit = find_module(design, fault.unit)

    done = fp8cosim("prove", "--rtl", "rtl", "-k", f"^{statement}$")
    assert done.returncode == 1
    sentence = f"1 of 1 statements refuted (the fault is in {unit}): {statement}"
    assert done.stderr.endswith(f"fp8cosim: {sentence}\n")

    arguments = ("--rtl", "rtl", "-k", f"^{test}$", "--simulator", "icarus", "-o", "out")
    done = fp8cosim("regress", *arguments)
    assert done.returncode == 1
    found = f"fp8cosim: 1 of 1 tests failed: {test}; {unit} is at fault: "
    assert f"{found}{evidence.get(name, '')}" in done.stderr


def test_edited_verilog_is_refused(design):
    fault = faults_of(design)["dropped sticky bit"]
    faulty = fault.plant(design)
    name = find_module(design, fault.unit)
    with pytest.raises(InputError, match=f"{name} is not as it was generated"):
        fault.plant(faulty)


def test_array_without_partial_tiles():
    with pytest.raises(InputError, match="needs an array of 2 columns, not 1"):
        FAULTS["last column of a partial tile kept"].plant(rtl_gen.design(ArrayConfig(2, 1)))
