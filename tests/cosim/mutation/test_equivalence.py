"""Mutants that differ in nothing are told from those that do."""

import re
from dataclasses import replace

import pytest

import rtl_gen
from cosim.mutation.equivalence import SAME, why_equivalent
from cosim.mutation.faults import FAULTS, find_module
from cosim.mutation.mutants import rewrite
from cosim.proofs.control import PHASES
from pysim import ArrayConfig


@pytest.fixture(scope="module")
def design():
    return rtl_gen.design(ArrayConfig(2, 3))


def edit(design, unit, pattern, text):
    name = find_module(design, unit)
    edited, count = re.subn(pattern, text, design.modules[name])
    assert count == 1
    return replace(design, modules={**design.modules, name: edited}), name


@pytest.mark.parametrize(
    "module", ["fp8_pe", "fp8_tile_control_2x3", "fp8_mac_array", "fp8_lfsr_64x16"]
)
def test_the_original_written_anew_is_the_same(design, module):
    assert why_equivalent(design, rewrite(design), module) == SAME


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_is_not_equivalent(design, name):
    fault = FAULTS[name]
    faulty = fault.plant(design)
    for module in design.modules:
        if faulty.modules[module] != design.modules[module]:
            assert why_equivalent(design, faulty, module) is None


def test_a_bit_that_nothing_reads(design):
    mutant, name = edit(design, "fp8_row", r"\{ 1'h0, _0_ \}", "1'h0")
    assert why_equivalent(design, mutant, name) == SAME


def test_modes_that_no_command_names(design):
    mutant, name = edit(design, "fp8_converter", r"mode\[4:3\] == 2'h2;", "mode[4];")
    why = why_equivalent(design, mutant, name)
    assert why == f"{SAME}, as long as a mode names a target, a rounding, and a scale that exist"
    mutant, _ = edit(design, "fp8_converter", r"mode\[4:3\] == 2'h2;", "mode[3];")
    assert why_equivalent(design, mutant, name) is None


def test_phases_that_do_not_exist(design):
    pattern, text = r"(assign \w+ =) fsm_state == 3'h5;", r"\1 fsm_state[2] & fsm_state[0];"
    mutant, name = edit(design, "fp8_tile_control", pattern, text)
    why = why_equivalent(design, mutant, name)
    assert why is not None
    assert "the phase is one that exists" in why


def test_a_register_that_nothing_reads_at_times(design):
    text = design.modules[find_module(design, "fp8_tile_control")]
    following = re.search(r"fsm_state <= (\w+);", text)[1]

    def filled_on_the_way_to(phase):
        replacement = rf"remaining <= \1 | {{24{{{following} == 3'h{phase}}}}};"
        return edit(design, "fp8_tile_control", r"remaining <= (\w+);", replacement)

    mutant, name = filled_on_the_way_to(PHASES["IDLE"])
    why = why_equivalent(design, mutant, name)
    assert why is not None
    assert why.endswith("nothing reads between commands how many steps are left")
    mutant, _ = filled_on_the_way_to(PHASES["LOAD"])
    assert why_equivalent(design, mutant, name) is None


def test_a_lane_that_does_not_exist(design):
    mutant, name = edit(design, "fp8_mac_array", r"lfsr_lane == 2'h2;", "lfsr_lane[1];")
    assert why_equivalent(design, mutant, name) == (
        f"{SAME}, as long as the lane that is asked for exists"
    )
    mutant, _ = edit(design, "fp8_mac_array", r"lfsr_lane == 2'h2;", "lfsr_lane[0];")
    assert why_equivalent(design, mutant, name) is None


def test_a_register_with_another_start(design):
    mutant, name = edit(design, "fp8_pe", r"rst \? 13'h0000 : north;", "north;")
    assert why_equivalent(design, mutant, name) is None
