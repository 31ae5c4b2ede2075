"""Units by themselves: good ones pass, a fault in one is found, named, and can be replayed."""

import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import rtl_gen
from cosim.calls import Mismatch
from cosim.mutation.faults import FAULTS
from cosim.units import specification
from cosim.units.boundaries import accumulators_near, boundaries
from cosim.units.campaign import CHECKS, select, suspects
from cosim.units.plots import plot_probabilities
from cosim.units.probability import SHOWN_BITS, check_probability
from cosim.units.randomness import check_randomness, correlate
from pysim import ArrayConfig, GoldenEngine, InputError

PNG = b"\x89PNG"


@pytest.fixture(scope="module")
def design():
    return rtl_gen.design(ArrayConfig(2, 3))


def edit(design, prefix, pattern, text):
    name = next(name for name in design.modules if name.startswith(prefix))
    edited, count = re.subn(pattern, text, design.modules[name], count=1)
    assert count == 1
    return replace(design, modules={**design.modules, name: edited})


def run(name, design):
    return CHECKS[name].run(design, lambda done, total: None, short=True)


# Those that look for suspects are run by the next test.
@pytest.mark.parametrize("name", ["mac", "nearest", "lengths"])
def test_good_units_pass(design, name):
    result = run(name, design)
    assert result.wrong is None
    assert result.cases > 10_000


def test_nobody_is_suspected_of_good_verilog(design):
    assert list(suspects(design)) == []


@pytest.mark.parametrize(
    "name", [name for name, fault in FAULTS.items() if fault.unit != "fp8_mac_array"]
)
def test_fault_is_found_in_its_unit(design, name):
    fault = FAULTS[name]
    wrong = next(suspects(fault.plant(design)))
    assert wrong.unit.startswith(fault.unit)
    assert re.search("instead of|ports were changed", wrong.sentence)


MORE_FAULTS = {
    "decoder": ("fp8_operand_decoder", r"5'h08", "5'h09"),
    "control": ("fp8_tile_control", r"24'h000003 :", "24'h000004 :"),
    "lengths": (
        "fp8_tile_control",
        r"commands_payload\[55:32\] -",
        "(commands_payload[55:32] & 24'hffdfff) -",
    ),
    "element": ("fp8_pe", r"shift \? below\[31:0\]", "shift ? 32'd0"),
}


@pytest.mark.parametrize("name", MORE_FAULTS)
def test_fault_is_found_by_its_check(design, name):
    faulty = edit(design, *MORE_FAULTS[name])
    wrong = run(name, faulty).wrong
    assert wrong is not None
    assert wrong.unit.startswith(MORE_FAULTS[name][0])


def test_chain_is_told_from_its_parts(design):
    """What no unit alone shows, the chain does: here it shows what the adder got wrong."""
    wrong = run("mac", FAULTS["dropped sticky bit"].plant(design)).wrong
    assert wrong is not None
    golden = wrong.call.run(GoldenEngine(design.config))
    assert f"instead of {golden.values[0, 0]!s} " in wrong.sentence


def test_one_step_a_draw_correlates(design):
    """The fault that leaping forward avoids: successive draws share all bits but one."""
    step = "{ state[0] ^ state[1] ^ state[3] ^ state[4], state[63:1] }"
    faulty = edit(design, "fp8_lfsr", r"advance \? \{[^}]*\}", f"advance ? {step}")
    result = check_randomness(faulty, 1 << 14)
    found = result.detail
    assert result.wrong is not None
    assert found.by_lag[:, 0] / np.sqrt(found.draws) == pytest.approx(0.5, abs=0.05)
    assert found.largest()[0] > 10 * found.threshold


def test_lanes_too_close_correlate():
    rng = np.random.default_rng(0)
    draws = rng.integers(1 << 8, size=4000, dtype=np.uint32)
    found = correlate(np.stack([draws, np.roll(draws, 3)]), 8)
    assert found.between[0, 1, 3 + 8] > found.threshold
    assert np.abs(found.by_lag).max() < found.threshold


def test_probability_off_by_one_draw(design):
    faulty = edit(design, "fp8_converter", r"carry\[16\]", "(carry[16] & ~(& draw))")
    wrong = run("probability", faulty).wrong
    assert wrong is not None
    assert re.search(r"rounds up for \d+ of 65536 draws of 16 bits instead of \d+", wrong.sentence)


def test_probability_is_what_the_contract_says():
    r = SHOWN_BITS
    design = rtl_gen.design(ArrayConfig(1, 1, random_bits=r))
    result = check_probability(design, (1, r))
    assert result.wrong is None
    found = result.detail
    assert list(found.by_bits) == [1, r]
    for bits, parts in found.by_bits.items():
        for fractions, shares in parts:
            assert np.array_equal(shares, np.floor(fractions * 2**bits) / 2**bits)
    fractions, draws = np.arange(1 << r)[:, None], np.arange(1 << r)
    decisions = np.stack([found.decisions[count] for count in range(1 << r)])
    assert np.array_equal(decisions, fractions + draws >= 1 << r)
    assert plot_probabilities(found).startswith(PNG)


def test_biased_bits_are_told():
    rng = np.random.default_rng(0)
    draws = rng.integers(1 << 8, size=(1, 4000), dtype=np.uint32)
    draws |= (rng.random(draws.shape) < 0.2) * np.uint32(4)
    found = correlate(draws, 8)
    value, what = found.largest()
    assert value > found.threshold
    assert what == "ones and zeros of lane 0, bit 2, differ"


def test_bits_of_one_draw_that_go_together_are_told():
    rng = np.random.default_rng(0)
    draws = rng.integers(1 << 8, size=(1, 4000), dtype=np.uint32)
    draws = draws & ~np.uint32(2) | draws >> 4 & 2
    value, what = correlate(draws, 8).largest()
    assert value == pytest.approx(np.sqrt(4000))
    assert what == "of lane 0, 0 draws apart, bits 1 and 5 correlate"


def test_specification_agrees_with_golden():
    """Two descriptions of the contract, neither made from the other."""
    from pysim.convert import ROUNDINGS, convert
    from pysim.formats import FORMATS

    rng = np.random.default_rng(0)
    x = rng.integers(1 << 32, size=20_000, dtype=np.uint64).astype(np.uint32).view(np.float32)
    draws = rng.integers(1 << 9, size=x.shape, dtype=np.uint32)
    for fmt in specification.TARGETS:
        for rounding in ROUNDINGS:
            for saturate in (False, True):
                scale = int(rng.integers(-20, 20))
                own = specification.convert(x, fmt, rounding.value, saturate, draws, 9, scale)
                codes, flags = convert(x, FORMATS[fmt], rounding, saturate, draws, 9, scale)
                assert np.array_equal(own.codes, codes)
                assert flags.overflow == own.overflow.any()


def test_boundaries_hold_what_they_say():
    numbers = set(boundaries("e4m3").view(np.uint32).tolist())
    for code in (0x3F800000, 0x3F880000):  # 1, and the midpoint of 1 and 1.125
        assert {code - 2, code - 1, code, code + 1, code + 2} <= numbers
    assert len(numbers) > 1 << 16 - 1


def test_accumulators_hold_what_they_say():
    products = np.array([1.5, 2.0**-32, -(57344.0**2), 0, -np.inf, np.nan], dtype=np.float32)
    starts = accumulators_near(products)
    for number in (-1.5, 1.5 * 2.0**24, 2.0**-24, -0.0, np.inf):
        assert number in starts[0]
    assert np.isnan(starts[0]).any()
    assert min(len(np.unique(row)) for row in starts.view(np.uint32)) >= 1000


def test_command(fp8cosim, tmp_path, design):
    checks = ["decoder", "lane", "randomness"]
    done = fp8cosim("exhaust", *checks, "--short", "--rows", 2, "--cols", 3, "--json")
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert [check["check"] for check in result["checks"]] == checks
    assert all(check["passed"] for check in result["checks"])
    assert "standard deviations" in result["checks"][2]["note"]
    assert (tmp_path / "out" / "exhaust" / "correlations.png").read_bytes().startswith(PNG)

    rtl_gen.save(FAULTS["wrong sign of an exact zero"].plant(design), tmp_path / "rtl")
    done = fp8cosim("exhaust", "adder", "--short", "--rtl", "rtl", "--json")
    assert done.returncode == 1
    (check,) = json.loads(done.stdout)["checks"]
    assert check["unit"] == "fp8_accumulator_adder"
    assert "gives -0.0 (0x80000000)" in check["fault"]
    assert "fp8_accumulator_adder" in done.stderr
    mismatch = Mismatch.load(tmp_path / check["replay"])
    assert mismatch.expected.differences(mismatch.got)
    assert list(mismatch.edited) == ["fp8_accumulator_adder"]


def test_docs_list_every_check():
    page = (Path(__file__).parents[3] / "docs" / "exhaustive.md").read_text()
    rows = re.findall(r"^\| `(\w+)` \| ", page, re.MULTILINE)
    assert rows == list(CHECKS)


def test_unknown_check():
    with pytest.raises(InputError, match="unknown check 'mul': allowed are decoder, multiplier"):
        select(["mul"], rtl_gen.design(ArrayConfig(1, 1)))
