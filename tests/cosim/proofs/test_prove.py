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
    done = fp8cosim("prove", "--rtl", "rtl", "--short", "--json", "--timeout", "600", timeout=1200)
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert result["passed"]
    names = [statement["name"] for statement in result["statements"]]
    assert names == [s.name for s in select(statements(design), short=True)]
    assert {statement["outcome"] for statement in result["statements"]} == {"proved"}


def edit(design, prefix, pattern, text, count=1):
    """Return the design with matches in a module replaced, and the module's name."""
    name = next(name for name in design.modules if name.startswith(prefix))
    edited, replaced = re.subn(pattern, text, design.modules[name], count=count)
    assert replaced
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


def test_fault_of_control_is_shown_as_a_run(design):
    # The flush is a clock short.
    faulty, module = edit(design, "fp8_tile_control", "24'h000003 :", "24'h000002 :")
    (verdict,) = prove(faulty, select(statements(design), "control/counts"))
    assert verdict.outcome is Outcome.REFUTED
    (violated,) = verdict.violated
    said = re.fullmatch(
        r"in clock (\d+) after reset: a row drains after the last product has crossed the array",
        violated,
    )
    assert said
    clocks = {label: value.split() for label, value in verdict.counterexample.items()}
    assert {len(values) for values in clocks.values()} == {int(said[1])}
    assert clocks["accept"][-1] == "1"
    assert clocks["compute"][-5:] == ["1", "0", "0", "0", "0"]
    assert faulty_modules(faulty, [verdict]) == [module]


def test_other_registers_are_undecided_not_refuted():
    design = rtl_gen.design(ArrayConfig(1, 1))
    # The same machine, with the codes of two phases exchanged.
    other = {"3'h4": "3'h5", "3'h5": "3'h4"}
    faulty, _ = edit(design, "fp8_tile_control", "3'h[45]", lambda m: other[m[0]], count=0)
    (verdict,) = prove(faulty, select(statements(design), "control/counts"))
    assert verdict.outcome is Outcome.UNDECIDED
    assert re.search(r"the induction fails \(.*\); no run of 12 clocks from", verdict.reason)


@pytest.mark.parametrize(
    ("prefix", "pattern", "text"),
    [
        ("fp8_lfsr", "posedge clk", "negedge clk"),
        ("fp8_lfsr", "posedge clk", "posedge advance"),
        ("fp8_row", r"\.clk\(clk\)", ".clk(shift)"),
    ],
)
def test_other_clocks_are_refuted(design, prefix, pattern, text):
    faulty, module = edit(design, prefix, pattern, text)
    (verdict,) = prove(faulty, select(statements(design), f"clock/{module}$"))
    assert verdict.outcome is Outcome.REFUTED
    assert verdict.violated[0].endswith("takes the clock")


def test_latches_are_refused(design):
    faulty, _ = edit(
        design, "fp8_pe", r"always @\(posedge clk\)\n +above <=", "always @* if (clk) above ="
    )
    with pytest.raises(CheckFailedError, match=r"Yosys refuses the Verilog: .*latch"):
        prove(faulty, select(statements(design), "element/holds"))


def test_missing_signal_is_undecided(design):
    faulty, _ = edit(design, "fp8_row", "pe_1 ", "second ")
    (verdict,) = prove(faulty, select(statements(design), "row/wiring"))
    assert verdict.outcome is Outcome.UNDECIDED
    assert "has no signal pe_1." in verdict.reason


def test_other_widths_are_undecided(design):
    faulty, _ = edit(design, "fp8_lfsr", r"output \[15:0\] draw;", "output [14:0] draw;")
    faulty, _ = edit(faulty, "fp8_lfsr", r"wire \[15:0\] draw;", "wire [14:0] draw;")
    (verdict,) = prove(faulty, select(statements(design), "lfsr/draw"))
    assert verdict.outcome is Outcome.UNDECIDED
    assert "makes no sense of this Verilog" in verdict.reason


def test_undefined_bits_may_be_anything(design):
    faulty, _ = edit(design, "fp8_lfsr", r"assign draw = state\[15:0\];", "assign draw = 16'hx;")
    (verdict,) = prove(faulty, select(statements(design), "lfsr/draw"))
    assert verdict.outcome is Outcome.REFUTED


SMALL = [
    ArrayConfig(1, 1, lfsr_width=8, random_bits=8),
    ArrayConfig(3, 1, lfsr_width=24, random_bits=1),
    ArrayConfig(1, 4, lfsr_width=16, random_bits=7, seed=0x1234),
]


@pytest.mark.parametrize("config", SMALL, ids=["1x1", "3x1", "1x4"])
def test_other_configurations(config):
    other = rtl_gen.design(config)
    # What depends on the configuration, and is quick.
    chosen = select(
        statements(other),
        "^(convert/fp16|draws|lfsr|column|skew|row|systolic|control|array|tiles)",
    )
    assert len(chosen) > 20
    for verdict in prove(other, chosen):
        assert verdict.outcome is Outcome.PROVED, (verdict.statement.name, verdict)


def test_two_processes_prove_the_same(design):
    chosen = select(statements(design), "^(decoder|lfsr|polynomial/8)")
    faulty, _ = edit(design, "fp8_lfsr", r"_\d+_ \? load_state", "load ? load_state")
    for candidate in (design, faulty):
        alone, together = (
            [(v.statement.name, v.outcome, v.violated) for v in prove(candidate, chosen, jobs=jobs)]
            for jobs in (1, 2)
        )
        assert alone == together


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
def test_bad_input(fp8cosim_here, arguments, complaint):
    done = fp8cosim_here("prove", *arguments)
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


def test_problems_are_written_as_smt_lib(fp8cosim, tmp_path, design):
    rtl_gen.generate(design.config, tmp_path / "rtl")
    done = fp8cosim(
        "prove", "--rtl", "rtl", "-k", "^(decoder/e5m2|lfsr/zero|polynomial)", "-o", "smt"
    )
    assert done.returncode == 0
    files = {file.name: file.read_text() for file in (tmp_path / "smt").iterdir()}
    assert set(files) == {
        "decoder-e5m2.smt2",
        "lfsr-zero-after-reset.smt2",
        "lfsr-zero-after-any-other-state.smt2",
    }
    import bitwuzla

    for text in files.values():
        parser = bitwuzla.Parser(bitwuzla.TermManager(), bitwuzla.Options())
        parser.parse(text.replace("(check-sat)", ""), True, False)
        assert parser.bitwuzla().check_sat() == bitwuzla.Result.UNSAT
