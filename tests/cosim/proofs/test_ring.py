"""The proofs of the engine's elements hold, and do not of Verilog with a fault."""

import re
from dataclasses import replace

import pytest

import rtl_gen
from cosim.proofs import Outcome, faulty_modules, prove, select, statements, statements_for
from pysim import ArrayConfig


def test_every_module_has_a_statement(engine):
    for module in engine.modules:
        named = {s.name.partition("/")[0] for s in statements_for(engine, module)}
        assert named - {"clock"}, module


def test_pipeline_and_ring(engine):
    chosen = select(statements(engine), "^(step|range|ring|row|skew)/|^mac/e5m2-e4m3")
    verdicts = list(prove(engine, chosen))
    assert {verdict.outcome for verdict in verdicts} == {Outcome.PROVED}
    assert len(verdicts) == 13


@pytest.fixture(scope="module")
def reduced():
    """The Verilog of an engine without C, of one format."""
    return rtl_gen.design(ArrayConfig(2, 3, latency=3, operand_formats=("e4m3",), load_c=False))


def test_element_without_c(reduced):
    chosen = select(statements(reduced), "^(multiplier|step|range|ring)/")
    verdicts = list(prove(reduced, chosen))
    assert {verdict.outcome for verdict in verdicts} == {Outcome.PROVED}
    assert len(verdicts) == 10


def test_sum_without_c_is_never_minus_zero(reduced):
    step = "fp8_step_3"
    edited, count = re.subn(r"= (half_normalised_sign) & \w+;", r"= \1;", reduced.modules[step])
    assert count == 1
    faulty = replace(reduced, modules={**reduced.modules, step: edited})
    (verdict,) = prove(faulty, select(statements(faulty), "^range/step"))
    assert verdict.outcome is Outcome.REFUTED
    assert "(-0.0)" in verdict.counterexample["got"]


FAULTS = {
    # What is planted in which module, and the statement that it violates.
    "dropped sticky bit": ("fp8_step_3", r"shifted_by_16\[0\] \| ", "", "step/sum"),
    "NaN made canonical without a product": (
        "fp8_step_3",
        r"= valid & acc_nan;",
        "= acc_nan;",
        "step/holds",
    ),
    "flags of a step forgotten": (
        "fp8_step_3",
        r"half_aligned_flags <= flags;",
        "half_aligned_flags <= 2'h0;",
        "step/flags",
    ),
    "sum that goes on where another begins": (
        "fp8_step_3",
        r"= first \? start\[31:0\] :",
        "= first & ~start[31] ? start[31:0] :",
        "step/turns",
    ),
    "sum of nothing that keeps its exponent": (
        "fp8_step_3",
        r"normal_exponent = normal_by_1\[27\] \? (\w+) : 8'h00;",
        r"normal_exponent = \1;",
        "range/step",
    ),
    "product of one operand": (
        "fp8_ring_element_3",
        r"west\[12\] & north\[12\]",
        "west[12]",
        "ring/turns",
    ),
    "sum not given back": (
        "fp8_ring_element_3",
        r"= shift \| given_back;",
        "= shift;",
        "ring/waits",
    ),
}


@pytest.mark.parametrize("name", FAULTS)
def test_fault_is_refuted(engine, name):
    module, place, text, violated = FAULTS[name]
    edited, count = re.subn(place, text, engine.modules[module])
    assert count, engine.modules[module]
    faulty = replace(engine, modules={**engine.modules, module: edited})
    verdicts = list(prove(faulty, select(statements(faulty), f"^{violated}$")))
    assert [verdict.outcome for verdict in verdicts] == [Outcome.REFUTED]
    assert verdicts[0].counterexample
    assert faulty_modules(faulty, verdicts) == [module]
