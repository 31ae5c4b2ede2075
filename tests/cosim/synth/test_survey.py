"""A survey of made-up figures: what is placed, what fits, what is compared, and the report."""

import json

import pytest

import cosim.synth.survey as surveying
import rtl_gen
from cosim.synth.mapping import Area, ModuleArea
from cosim.synth.placing import Placement, Stage, find_device
from cosim.synth.report import describe, plot, plot_configurations, to_dict
from cosim.synth.survey import survey
from hw.kind import KINDS
from pysim import ArrayConfig, InputError


@pytest.fixture(scope="module")
def design():
    return rtl_gen.design(ArrayConfig(rows=1, cols=1))


@pytest.fixture
def placed(monkeypatch):
    """Replace both tools; return what is placed: module and seed."""
    runs = []

    def areas(source, dsp, progress):
        progress(source.top)
        # Of 2 x 2 elements, an array is too large.
        luts = 100_000 if "fp8_row_2" in source.modules else len(source.top)
        own = Area(lut4=luts, nand2=10.0, gates=5)
        return {source.top: ModuleArea(source.top, 1, own, own, {})}

    def place(source, device, speed, seed, dsp):
        runs.append((source.top, seed))
        path = [Stage(source.top, "dut", ["total"], 1.0)]
        return Placement(seed, 10.0 * seed + len(source.top), path)

    monkeypatch.setattr(surveying, "areas", areas)
    monkeypatch.setattr(surveying, "place", place)
    return runs


def test_survey(placed, design):
    shown = []
    found = survey(
        design,
        find_device("LFE5U-85F"),
        speed=6,
        seeds=3,
        array_seeds=2,
        latencies=(1, 6),
        grids=(1, 6),
        sizes=(1, 2),
        expression="^fp8_(multiplier|mac)",
        progress=lambda what, done, total: shown.append((done, total)),
    )
    units = {
        "fp8_pe",
        "fp8_multiplier",
        "fp8_accumulator_adder",
        "textbook_adder",
        "textbook_adder_7",
        "fp8_decoding_pe",
        "textbook_pe",
        "fp8_ring_element_1",
        "fp8_ring_element_6",
    }
    expected = {(name, seed) for name in units for seed in (1, 2, 3)}
    expected |= {("fp8_mac_array", 1), ("fp8_mac_array", 2)}
    expected |= {("fp8_ring_array_1x1_1", 1), ("fp8_ring_array_1x1_6", 1)}
    assert set(placed) == expected
    assert len(placed) == len(expected)
    assert shown[-1] == (2 + len(units) + 2 + len(expected),) * 2

    small, large = found.arrays
    assert (small.rows, large.rows) == (1, 2)
    assert small.clock is not None
    assert small.clock.mhz == 15 + len("fp8_mac_array")
    assert large.clock is None
    assert "100,000 LUTs and 0 DSPs do not fit" in large.why_no_clock
    adder = found.comparisons[0]
    assert (adder.chip.name, adder.textbook.name) == ("fp8_accumulator_adder", "textbook_adder")
    assert adder.ratios()["luts"] == len("fp8_accumulator_adder") / len("textbook_adder")
    assert adder.ratios()["mhz"] == (20 + 21) / (20 + 14)

    text = describe(found)
    assert "| `textbook_adder` | 14 | 0 | 0 | 0 | 5 | 10 | 34.0 |" in text
    assert "| 6 | 18 | 0 | 0 | 0 | 5 | 10 | 38.0 | 1.00 |" in text
    assert "| 6 | 20 | 0 | 0 | 0 | 5 | 10 | 30.0 | 1.00 |" in text
    assert "fp8_pe: 26.0 MHz (16.0 to 36.0, 3 seeds)" in text
    assert "1.00 ns in fp8_pe (dut) through total" in text
    assert "do not fit into an LFE5U-85F" in text
    assert json.loads(json.dumps(to_dict(found)))["comparisons"][0]["ratios"]["luts"] == 1.5
    assert plot(found).startswith(b"\x89PNG")


def test_configurations(placed):
    design = rtl_gen.design(ArrayConfig(1, 1, lfsr_width=16, latency=2))
    device = find_device("LFE5U-85F")
    found = survey(design, device, speed=6, seeds=1, array_seeds=0, kinds=KINDS, draws=(4, 16, 24))
    assert placed.count(("fp8_ring_element_2", 1)) == len(KINDS) == len(found.kinds)
    assert list(found.columns) == [4, 16]
    text = describe(found)
    assert "| E4M3 without C | 18 |" in text
    assert "| 4 | 22 |" in text
    assert set(to_dict(found)["kinds"]) == {str(kind) for kind in KINDS}
    assert plot_configurations(found).startswith(b"\x89PNG")


def test_no_array_is_placed_without_seeds(placed, design):
    device = find_device("LFE5U-85F")
    found = survey(design, device, speed=6, seeds=1, array_seeds=0)
    assert "fp8_mac_array" not in {name for name, _ in placed}
    assert found.arrays[0].why_no_clock == "not placed"


@pytest.mark.parametrize(
    ("expression", "complaint"), [("none", "no module matches 'none'"), ("(", "not a regular")]
)
def test_unknown_modules(placed, design, expression, complaint):
    device = find_device("LFE5U-85F")
    with pytest.raises(InputError, match=complaint):
        survey(design, device, speed=6, seeds=1, array_seeds=0, expression=expression)
    assert not placed
