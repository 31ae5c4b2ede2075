"""The vector simulator simulates what the Verilog says: planted faults show in its results."""

import numpy as np
import pytest

import rtl_gen
from cosim.campaign import run_campaign
from cosim.errors import CheckFailedError
from cosim.mutation.faults import FAULTS
from cosim.rtl import RtlEngine
from pysim import ArrayConfig, GoldenEngine

CONFIG = ArrayConfig(2, 3)

HIDDEN = {
    # The host of the engine always takes results, so that nothing ever presses back.
    "LFSR stepped once too often under back-pressure",
    # It knows the size of a tile, and does not ask which columns of a result count.
    "last column of a partial tile kept",
}
"""Faults that no GEMM shows, whatever the simulator: the regression finds these."""

RARE = "NaN payload let through"
"""Shows where no product is added to a NaN of C."""


@pytest.fixture(scope="module")
def design():
    return rtl_gen.design(CONFIG)


def compare(design, folder):
    run_campaign(
        lambda config: RtlEngine(design=design, simulator="vector"),
        GoldenEngine,
        [CONFIG],
        count=300,
        seed=0,
        folder=folder,
    )


@pytest.mark.parametrize("name", sorted(FAULTS.keys() - HIDDEN - {RARE}))
def test_fault_is_noticed(name, design, tmp_path):
    with pytest.raises(CheckFailedError, match="golden and rtl differ in"):
        compare(FAULTS[name].plant(design), tmp_path)
    assert (tmp_path / "mismatch-rtl-golden.npz").exists()


def test_payload_of_nan_is_noticed(design):
    c = np.full((2, 3), 0x7FA00001, dtype=np.uint32).view(np.float32)
    nothing = np.empty((2, 0), dtype=np.uint8), np.empty((0, 3), dtype=np.uint8)
    shown = []
    for verilog in (design, FAULTS[RARE].plant(design)):
        with RtlEngine(design=verilog, simulator="vector") as engine:
            out = engine.gemm(*nothing, a_format="e5m2", b_format="e5m2", c=c)
            shown.append(set(out.values.view(np.uint32).ravel().tolist()))
    assert shown == [{0x7FC00000}, {0x7FA00001}]


def test_sound_verilog_passes(design, tmp_path):
    compare(design, tmp_path)
