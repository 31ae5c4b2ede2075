"""The proofs hold of what is generated, and do not of Verilog with a fault."""

import json
import re
from dataclasses import replace

import pytest

import rtl_gen
from cosim.errors import CheckFailedError
from cosim.mutation.faults import FAULTS, find_module
from cosim.proofs import Outcome, faulty_modules, prove, select, statements, statements_for
from pysim import ArrayConfig, InputError


@pytest.fixture(scope="module")
def design():
    return rtl_gen.design(ArrayConfig(2, 3))


def test_short_form_by_command(fp8cosim, tmp_path, design):
    rtl_gen.generate(design.config, tmp_path / "rtl")
    done = fp8cosim("prove", "--rtl", "rtl", "--short", "--json")
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert result["passed"]
    names = [statement["name"] for statement in result["statements"]]
    assert names == [s.name for s in select(statements(design), short=True)]
    assert {statement["outcome"] for statement in result["statements"]} == {"proved"}


def edit(design, prefix, pattern, text):
    """Return the design with the first match in a module replaced, and the module's name."""
    name = next(name for name in design.modules if name.startswith(prefix))
    edited, count = re.subn(pattern, text, design.modules[name], count=1)
    assert count == 1
    return replace(design, modules={**design.modules, name: edited}), name


@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS)
def test_planted_fault_is_refuted(design, fault):
    faulty = fault.plant(design)
    unit = find_module(design, fault.unit)
    edited = [name for name in design.modules if faulty.modules[name] != design.modules[name]]
    verdicts = prove(faulty, statements_for(faulty, *edited), until_refuted=True)
    assert verdicts[-1].outcome is Outcome.REFUTED
    assert verdicts[-1].violated
    assert verdicts[-1].counterexample
    (module,) = faulty_modules(faulty, verdicts)
    assert module == unit


def test_fault_by_command(fp8cosim, tmp_path, design):
    rtl_gen.generate(design.config, tmp_path / "rtl")
    faulty, module = edit(design, "fp8_multiplier", "8'h62", "8'h63")
    (tmp_path / "rtl" / f"{module}.v").write_text(faulty.modules[module])
    done = fp8cosim("prove", "--rtl", "rtl", "-k", "^(multiplier|decoder|mac/e5m2-e5m2)")
    assert done.returncode == 1
    assert "edited since it was generated: fp8_multiplier.v" in done.stderr
    assert "5 of 7 statements refuted (the fault is in fp8_multiplier)" in done.stderr
    assert re.search(r"refuted +multiplier/e5m2-e5m2.*\n +not so: the product", done.stdout)
    assert re.search(r"a: 0x[0-9a-f]{2} \(.*\)\n", done.stdout)


def test_faulty_verilog_is_laid_at_the_door_of_the_smallest_unit(design):
    faulty, _ = edit(design, "fp8_accumulator_adder", r"aligned_by_16\[0\] \| ", "")
    verdicts = prove(faulty, select(statements(design), "adder/sum|mac/e5m2-e4m3"))
    assert [verdict.outcome for verdict in verdicts] == [Outcome.REFUTED] * 2
    assert faulty_modules(faulty, verdicts) == ["fp8_accumulator_adder"]


def test_no_time_is_undecided(fp8cosim, tmp_path, design):
    rtl_gen.generate(design.config, tmp_path / "rtl")
    done = fp8cosim("prove", "--rtl", "rtl", "-k", "adder/sum", "--timeout", "0.1")
    assert done.returncode == 1
    assert "1 of 1 statements undecided: adder/sum" in done.stderr


def test_verilog_that_yosys_refuses(design):
    faulty, _ = edit(design, "fp8_multiplier", "endmodule", "assign = ;\nendmodule")
    with pytest.raises(CheckFailedError, match=r"Yosys refuses the Verilog: fp8_multiplier.v:\d+"):
        prove(faulty, select(statements(design), "multiplier/e5m2-e5m2"))


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["-k", "no_such_statement"], "no statement matches 'no_such_statement'"),
        (["-k", "("], "not a regular expression"),
        (["--rtl", "nowhere"], "not a folder of generated Verilog"),
        (["--rtl", "nowhere", "--rows", "4"], "leave out --rows"),
    ],
)
def test_bad_input(fp8cosim, arguments, complaint):
    done = fp8cosim("prove", *arguments)
    assert done.returncode == 2
    assert re.search(complaint, done.stderr)
    assert "Traceback" not in done.stderr


def test_statements_for_a_module(design):
    names = {s.name for s in statements_for(design, "fp8_multiplier")}
    assert "multiplier/e5m2-e5m2" in names
    assert "mac/e4m3-e4m3" in names
    assert "decoder/e5m2" not in names
    with pytest.raises(InputError, match="no module 'fp8_divider'"):
        statements_for(design, "fp8_divider")
