"""Mutants are spread over the design, can be planted, and are the same each time."""

from collections import Counter

import pytest

import rtl_gen
from cosim.mutation.mutants import list_mutants, plant
from cosim.rtl.verilator import find_verilator
from pysim import ArrayConfig, InputError


@pytest.fixture(scope="module")
def design():
    return rtl_gen.design(ArrayConfig(2, 3))


def test_every_module_has_mutants(design):
    mutants = list_mutants(design, 300, seed=0)
    assert len({mutant.name for mutant in mutants}) == 300
    counts = Counter(mutant.module for mutant in mutants)
    assert set(counts) == set(design.modules)
    assert max(counts.values()) < 100
    assert {mutant.mode for mutant in mutants} == {"inv", "const0", "const1", "cnot0", "cnot1"}
    assert not {mutant.port for mutant in mutants} & {"CLK", "clk"}


def test_same_mutants_each_time(design):
    assert list_mutants(design, 40, seed=1) == list_mutants(design, 40, seed=1)
    assert list_mutants(design, 40, seed=1) != list_mutants(design, 40, seed=2)


def test_modules_are_chosen_by_name(design):
    mutants = list_mutants(design, 20, seed=0, expression="lfsr|pe$")
    assert {mutant.module for mutant in mutants} == {"fp8_lfsr_64x16", "fp8_pe"}


@pytest.mark.parametrize(
    ("count", "expression", "complaint"),
    [
        (5, "no_such_module", "no module matches 'no_such_module': there are"),
        (5, "(", "not a regular expression"),
        (100_000, "skew_2", "100000 mutants are wanted: the Verilog of fp8_skew_2 has"),
    ],
)
def test_bad_input(design, count, expression, complaint):
    with pytest.raises(InputError, match=complaint):
        list_mutants(design, count, seed=0, expression=expression)


def test_mutants_are_planted(tmp_path, design):
    mutants = list_mutants(design, 8, seed=3)
    for i, (mutant, planted) in enumerate(zip(mutants, plant(design, mutants), strict=True)):
        assert mutant.statement.split()[0] in design.modules[mutant.module]
        changed = [name for name in design.modules if planted.modules[name] != design.modules[name]]
        assert changed == [mutant.module]
        folder = tmp_path / str(i)
        rtl_gen.save(planted, folder)
        files = [str(folder / file) for file in design.manifest["files"]]
        lint = find_verilator().run(
            "--lint-only", "-Wno-fatal", "--top-module", "fp8_mac_array", *files
        )
        assert lint.returncode == 0, lint.stderr
