"""The proofs of the engine's elements hold, and do not of Verilog with a fault."""

import re
from dataclasses import replace

import pytest

from cosim.proofs import Outcome, faulty_modules, prove, select, statements, statements_for


def test_every_module_has_a_statement(engine):
    for module in engine.modules:
        named = {s.name.partition("/")[0] for s in statements_for(engine, module)}
        assert named - {"clock"}, module


def test_pipeline_and_ring(engine):
    chosen = select(statements(engine), "^(step|ring|row|skew)/|^mac/e5m2-e4m3")
    verdicts = list(prove(engine, chosen))
    assert {verdict.outcome for verdict in verdicts} == {Outcome.PROVED}
    assert len(verdicts) == 11


FAULTS = {
    # What is planted in which module, and the statement that it violates.
    "dropped sticky bit": ("fp8_step_3", r"shifted_by_16\[0\] \| ", "", "step/sum"),
    "accumulator lost without a product": (
        "fp8_step_3",
        r"= valid \? (\w+) : \\before \[31:0\];",
        r"= valid ? \1 : 32'h0;",
        "step/holds",
    ),
    "flags of a step forgotten": ("fp8_step_3", r"= aligned_flags;", "= 2'h0;", "step/flags"),
    "sum not given back": (
        "fp8_ring_element_3",
        r"= shift \| first;",
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
