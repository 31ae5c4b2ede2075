"""Each planted fault is in Verilog that tools accept, and the regression notices it."""

import shutil

import pytest

import rtl_gen
from cosim.mutation.faults import FAULTS
from cosim.regression.runner import run_regression
from cosim.rtl.verilator import find_verilator
from pysim import ArrayConfig, InputError

NOTICED_BY = {
    "dropped sticky bit": "boundaries_of_addition",
    "ties rounded away": "boundaries_of_conversion",
    "wrong sign of an exact zero": "boundaries_of_addition",
    "product shifted by one for a subnormal operand": "special_operands",
    "draw off by one bit": "random_conversions",
    "LFSR stepped once too often under back-pressure": "stalled_gemms",
    "NaN payload let through": "payloads_of_nan",
    "accumulator not cleared between tiles": "special_operands",
    "last column of a partial tile kept": "random_gemms",
}
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
def test_regression_notices(design, tmp_path, name):
    test = NOTICED_BY[name]
    faulty = FAULTS[name].plant(design)
    outcome = run_regression(faulty, tmp_path, simulator="icarus", expression=f"^{test}$")
    assert list(outcome.failures) == [test]


def test_edited_verilog_is_refused(design):
    fault = FAULTS["dropped sticky bit"]
    faulty = fault.plant(design)
    with pytest.raises(InputError, match="fp8_accumulator_adder is not as it was generated"):
        fault.plant(faulty)


def test_array_without_partial_tiles():
    with pytest.raises(InputError, match="needs an array of 2 columns, not 1"):
        FAULTS["last column of a partial tile kept"].plant(rtl_gen.design(ArrayConfig(2, 1)))
