"""Units of an engine by themselves: good ones pass, and a fault in one is found and named."""

import re
from dataclasses import replace

import pytest

import rtl_gen
from cosim.units.campaign import CHECKS, select, suspects
from pysim import ArrayConfig, InputError

LATENCIES = range(1, 7)


@pytest.fixture(scope="module")
def design():
    return rtl_gen.design(ArrayConfig(2, 3, latency=3))


def run(name, design):
    return CHECKS[name].run(design, lambda done, total: None, short=True)


def test_nobody_is_suspected_of_good_verilog(design):
    assert list(suspects(design)) == []


@pytest.mark.parametrize("latency", LATENCIES)
def test_datapath_of_each_latency(latency):
    design = rtl_gen.design(ArrayConfig(1, 1, latency=latency))
    for name in ("adder", "mac", "element"):
        result = run(name, design)
        assert result.wrong is None
        assert result.cases > 2_000


@pytest.mark.parametrize("latency", [1, 6])
def test_control_of_other_arrays(latency):
    design = rtl_gen.design(ArrayConfig(3, 2, latency=latency))
    for name in ("control", "sequencer", "lengths"):
        assert run(name, design).wrong is None


# What is planted: in which module, a place in it, and what takes its place.
FAULTS = {
    "a multiplier adds a wrong bias": ("multiplier", "fp8_.*multiplier", r"8'h62", "8'h63"),
    "a step drops the sticky bit": (
        "adder",
        "fp8_step",
        r"shifted_by_16\[0\] \| shifted_lost_16",
        "shifted_by_16[0]",
    ),
    "a step without operands makes a NaN canonical": (
        "adder",
        "fp8_step",
        "= valid & acc_nan;",
        "= acc_nan;",
    ),
    "a step counts with one operand alone": (
        "element",
        "fp8_ring_element",
        r"west\[12\] & north\[12\]",
        "west[12]",
    ),
    "operands do not pass on": (
        "element",
        "fp8_ring_element",
        r"13'h0000 : north;|south <= north;",
        lambda found: found[0].replace("north", "west[12:0]"),
    ),
    "a tile is drained a clock too early": (
        "control",
        "fp8_overlapped_schedule",
        r"pass_ends \? 24'h(\d+)",
        lambda found: f"pass_ends ? 24'h{int(found[1], 16) - 1:06x}",
    ),
    "a tile's end is asked of A a step too early": (
        "control",
        "fp8_overlapped_schedule",
        r"assign a_last = [^;]*;",
        "assign a_last = left == 24'h000001;",
    ),
    "lengths forget a bit": (
        "lengths",
        "fp8_overlapped_schedule",
        r"(upcoming\[\d+:\d+\]) - 24'h000001",
        r"(\1 & 24'hffdfff) - 24'h000001",
    ),
    "further rows of tiles are one column wide": (
        "sequencer",
        "fp8_tile_sequencer",
        r"\? cols_left : n;",
        "? cols_left : 24'h000001;",
    ),
    "sizes forget a bit": (
        "lengths",
        "fp8_tile_sequencer",
        r"start \? m :",
        "start ? m & 24'hffdfff :",
    ),
}


def is_found(design, fault):
    """Plant a fault; its check must find it, and name the module that it sits in."""
    check, prefix, place, text = fault
    module = next(name for name in design.modules if re.match(prefix, name))
    edited, count = re.subn(place, text, design.modules[module])
    assert count >= 1
    faulty = replace(design, modules={**design.modules, module: edited})
    wrong = run(check, faulty).wrong
    assert wrong is not None
    assert wrong.unit == module


@pytest.mark.parametrize("name", FAULTS)
def test_fault_is_found_by_its_check(design, name):
    is_found(design, FAULTS[name])


@pytest.fixture(scope="module")
def reduced():
    return rtl_gen.design(ArrayConfig(2, 3, latency=3, operand_formats=("e4m3",), load_c=False))


def test_nobody_is_suspected_of_a_good_reduced_engine(reduced):
    assert list(suspects(reduced)) == []


@pytest.mark.parametrize(
    ("latency", "formats", "load_c"),
    [(1, ("e5m2",), False), (6, ("e5m2", "e4m3"), False), (2, ("e4m3",), True)],
)
def test_datapath_of_reduced_engines(latency, formats, load_c):
    config = ArrayConfig(1, 1, latency=latency, operand_formats=formats, load_c=load_c)
    for name in ("adder", "element"):
        assert run(name, rtl_gen.design(config)).wrong is None


# As above, of an engine of one format and without C.
REDUCED_FAULTS = {
    name: FAULTS[name]
    for name in (
        "a step drops the sticky bit",
        "a step counts with one operand alone",
        "a tile is drained a clock too early",
        "a tile's end is asked of A a step too early",
        "lengths forget a bit",
    )
} | {
    "a step takes the bias of a product for that of a sum": (
        "adder",
        "fp8_step",
        r"product\[8\], product\[6:1\]",
        "product[7], product[6:1]",
    ),
    "a step halves sums that are far beyond products": (
        "adder",
        "fp8_step",
        r"(\w+_exponent) \+ 7'h01",
        r"(\1 - { 6'h00, & { \1[6], \1[4], \1[2] } }) + 7'h01",
    ),
    "what waits is not shifted in": (
        "element",
        "fp8_ring_element",
        r"given_back \? after : below",
        "after",
    ),
}


@pytest.mark.parametrize("name", REDUCED_FAULTS)
def test_fault_in_reduced_engine_is_found_by_its_check(reduced, name):
    is_found(reduced, REDUCED_FAULTS[name])


def test_command(fp8cosim, tmp_path):
    arguments = ("--rows", 2, "--cols", 2, "--latency", 2, "-o", "engine")
    assert fp8cosim("generate", *arguments).returncode == 0
    done = fp8cosim("exhaust", "adder", "sequencer", "--short", "--rtl", "engine")
    assert done.returncode == 0, done.stderr
    file = tmp_path / "engine" / "fp8_step_2.v"
    place, text = FAULTS["a step drops the sticky bit"][2:]
    edited, count = re.subn(place, text, file.read_text())
    assert count == 1
    file.write_text(edited)
    done = fp8cosim("exhaust", "adder", "--short", "--rtl", "engine")
    assert done.returncode == 1
    assert "fp8_step_2: " in done.stderr
    assert (tmp_path / "out/exhaust/mismatch-adder.npz").exists()


def test_check_of_what_is_not_there(design):
    assert "sequencer" in {check.name for check in select([], design)}
    array = rtl_gen.design(ArrayConfig(1, 1))
    with pytest.raises(InputError, match="fp8_mac_array has no fp8_tile_sequencer"):
        select(["sequencer"], array)
    assert "sequencer" not in {check.name for check in select([], array)}
