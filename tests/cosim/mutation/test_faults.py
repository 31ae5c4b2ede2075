"""Planted faults are Verilog that tools accept; proofs and regression notice each, by command."""

import shutil

import pytest

import rtl_gen
from cosim.mutation.faults import FAULTS, find_module
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

CONFIGS = [
    ArrayConfig(1, 2, lfsr_width=16, random_bits=1),
    ArrayConfig(2, 3, lfsr_width=8, random_bits=8),
    ArrayConfig(5, 4),
]

needs_icarus = pytest.mark.skipif(
    shutil.which("iverilog") is None, reason="Icarus Verilog is not installed"
)


@pytest.fixture(scope="module")
def design():
    return rtl_gen.design(ArrayConfig(2, 2))


@pytest.mark.parametrize("config", CONFIGS, ids=str)
def test_verilator_accepts(tmp_path, config):
    design = rtl_gen.design(config)
    for fault in FAULTS.values():
        faulty = fault.plant(design)
        changed = [name for name in design.modules if faulty.modules[name] != design.modules[name]]
        assert any(name.startswith(fault.unit) for name in changed)
        folder = tmp_path / fault.name
        rtl_gen.save(faulty, folder)
        files = [str(folder / file) for file in design.manifest["files"]]
        lint = find_verilator().run(
            "--lint-only", "-Wall", "-Wno-UNUSEDSIGNAL", "--top-module", "fp8_mac_array", *files
        )
        assert lint.returncode == 0, lint.stderr
        assert set(rtl_gen.edited_files(rtl_gen.load(folder))) == {f"{name}.v" for name in changed}


@needs_icarus
@pytest.mark.parametrize("name", FAULTS)
def test_commands_name_the_unit(fp8cosim, design, tmp_path, name):
    statement, test = NOTICED_BY[name]
    rtl_gen.save(FAULTS[name].plant(design), tmp_path / "rtl")
    unit = find_module(design, FAULTS[name].unit)

    done = fp8cosim("prove", "--rtl", "rtl", "-k", f"^{statement}$")
    assert done.returncode == 1
    sentence = f"1 of 1 statements refuted (the fault is in {unit}): {statement}"
    assert done.stderr.endswith(f"fp8cosim: {sentence}\n")

    arguments = ("--rtl", "rtl", "-k", f"^{test}$", "--simulator", "icarus", "-o", "out")
    done = fp8cosim("regress", *arguments)
    assert done.returncode == 1
    found = f"fp8cosim: 1 of 1 tests failed: {test}; {unit} is at fault: "
    assert f"{found}{EVIDENCE.get(name, '')}" in done.stderr


def test_edited_verilog_is_refused(design):
    fault = FAULTS["dropped sticky bit"]
    faulty = fault.plant(design)
    with pytest.raises(InputError, match="fp8_accumulator_adder is not as it was generated"):
        fault.plant(faulty)


def test_array_without_partial_tiles():
    with pytest.raises(InputError, match="needs an array of 2 columns, not 1"):
        FAULTS["last column of a partial tile kept"].plant(rtl_gen.design(ArrayConfig(2, 1)))
