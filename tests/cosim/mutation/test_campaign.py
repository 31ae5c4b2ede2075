"""A campaign judges every mutant once, and finds those that the checks do not notice."""

import json
import re
import shutil
from collections import Counter
from dataclasses import replace

import pytest

import rtl_gen
from cosim.errors import CheckFailedError
from cosim.mutation import campaign
from cosim.mutation.campaign import EQUIVALENT, KILLED, QUICK, SURVIVED, Verdict, run_campaign
from cosim.mutation.faults import FAULTS
from cosim.mutation.mutants import Mutant, list_mutants, plant
from cosim.mutation.sieve import sift
from cosim.regression.runner import SUITES
from pysim import ArrayConfig, InputError

pytestmark = pytest.mark.skipif(
    shutil.which("iverilog") is None, reason="Icarus Verilog is not installed"
)


@pytest.fixture(scope="module")
def design():
    return rtl_gen.design(ArrayConfig(1, 2))


@pytest.fixture(scope="module")
def mutants(design):
    return list_mutants(design, 8, seed=0)


def test_short_campaign_by_command(fp8cosim, tmp_path):
    arguments = ("mutate", "--rows", 1, "--cols", 2, "--count", 12, "--json", "-o", "out")
    done = fp8cosim(*arguments)
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert result["passed"]
    assert result["mutants"] == len(result["verdicts"]) == 12
    assert result["score"] == 1
    assert sum(module["mutants"] for module in result["modules"].values()) == 12
    lines = (tmp_path / "out" / "results.jsonl").read_text().splitlines()
    assert sorted(json.loads(line)["mutant"] for line in lines[1:]) == sorted(
        verdict["mutant"] for verdict in result["verdicts"]
    )
    assert "| **all** | 12 |" in (tmp_path / "out" / "mutation.md").read_text()
    assert (tmp_path / "out" / "mutation.png").stat().st_size > 1000
    # All is known now: a second call makes the same report of it.
    again = json.loads(fp8cosim(*arguments).stdout)
    assert again["verdicts"] == result["verdicts"]


class Judges:
    """Stands in for the work of a campaign, and counts what is judged."""

    def __init__(self, monkeypatch, fates):
        self.fates = fates
        self.judged = Counter()
        monkeypatch.setattr(campaign, "_check_original", lambda design, seed: 1.0)
        monkeypatch.setattr(campaign, "_each", self.each)

    def each(self, pool, work, items):
        for item in items:
            if work is campaign.compare:
                yield self.verdict(item, EQUIVALENT)
            elif work is campaign.sieve:
                yield []
            else:
                yield self.verdict(item, KILLED) or self.verdict(item, SURVIVED)

    def verdict(self, task, fate):
        name = task.mutant.name
        if self.fates[name] != fate:
            return None
        self.judged[name] += 1
        return Verdict(name, task.mutant.module, fate, "", "", 1.0)


def test_campaign_goes_on(tmp_path, monkeypatch, design, mutants):
    names = [mutant.name for mutant in mutants]
    fates = dict.fromkeys(names, KILLED) | {names[0]: EQUIVALENT, names[1]: SURVIVED}
    judges = Judges(monkeypatch, fates)
    verdicts = run_campaign(design, mutants[:6], tmp_path)
    assert [verdict.mutant for verdict in verdicts] == names[:6]
    assert [verdict.fate for verdict in verdicts] == [fates[name] for name in names[:6]]
    survivor = rtl_gen.load(tmp_path / "survivors" / "1")
    assert rtl_gen.edited_files(survivor) == [f"{mutants[1].module}.v"]
    # Those that are new are judged, and the survivor is so once more: now something notices it.
    judges.fates[names[1]] = KILLED
    verdicts = run_campaign(design, mutants, tmp_path)
    assert [verdict.mutant for verdict in verdicts] == names
    assert judges.judged == dict.fromkeys(names, 1) | {names[1]: 2}
    assert not (tmp_path / "survivors").exists()


def test_campaign_on_other_verilog(tmp_path, monkeypatch, design, mutants):
    Judges(monkeypatch, dict.fromkeys((mutant.name for mutant in mutants), KILLED))
    run_campaign(design, mutants, tmp_path)
    other = FAULTS["dropped sticky bit"].plant(design)
    with pytest.raises(InputError, match="is about other Verilog: name another folder"):
        run_campaign(other, mutants, tmp_path)


def test_verilog_that_fails_without_a_mutant(tmp_path, design, mutants):
    faulty = FAULTS["product shifted by one for a subnormal operand"].plant(design)
    with pytest.raises(CheckFailedError, match=r"the Verilog fails without a mutant, in \w+: gemm"):
        run_campaign(faulty, mutants, tmp_path)


def test_sieve_notices_what_is_awake(design):
    lfsr = next(name for name in design.modules if name.startswith("fp8_lfsr"))
    wrong = list_mutants(design, 3, seed=0, expression=lfsr)
    unread = Mutant("fp8_row_2", "unused", "inv", "pe_1", "east", 3, 0)
    tests = ["after_reset", "lanes_can_be_set", "lanes_draw_only_for_results"]
    noticed = sift(design, [*wrong, unread], tests, seed=0, limit=100)
    assert set(noticed) == set(wrong)
    assert {test for test, _ in noticed.values()} <= set(tests)


def test_quick_tests_exist():
    for top, tests in QUICK.items():
        assert set(tests) <= set(SUITES[top].names)


def test_the_last_to_notice_is_the_check_of_the_unit(monkeypatch, design):
    """A fault in how long commands are counted: simulations of the array are too short for it."""
    name = "fp8_tile_control_1x2"
    steps = "commands_payload[55:32] - 24'h000001"
    text, count = re.subn(re.escape(steps), f"{steps} + commands_payload[49]", design.modules[name])
    assert count == 1
    faulty = replace(design, modules={**design.modules, name: text})
    monkeypatch.setattr(campaign, "statements_for", lambda design, module: [])
    monkeypatch.setattr(campaign, "_simulate", lambda task: None)
    mutant = Mutant(name, "", "inv", "", "A", 0, 0)
    verdict = campaign.judge(campaign.Task(design, faulty, mutant, seed=0, limit=1))
    assert (verdict.fate, verdict.by) == (KILLED, "exhaust: lengths")
    assert re.fullmatch(
        r"a tile without C, of length (\d+): output compute is high for (\d+) clocks instead of \1",
        verdict.why,
    )


def test_mutant_that_never_ends(monkeypatch, design, mutants):
    planted = next(plant(design, mutants[:1]))
    task = campaign.Task(design, planted, mutants[0], seed=0, limit=0.1)
    assert campaign._simulate(task) == ("regression: time limit", "no end within 0 s")


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["-k", "no_such_module"], "no module matches 'no_such_module'"),
        (["--rtl", "nowhere"], "not a folder of generated Verilog"),
        (["--rtl", "nowhere", "--rows", "4"], "leave out --rows"),
        (["--count", "100000", "-k", "skew"], "100000 mutants are wanted"),
    ],
)
def test_bad_input(fp8cosim_here, tmp_path, arguments, complaint):
    done = fp8cosim_here("mutate", *arguments, "-o", "out")
    assert done.returncode == 2
    assert complaint in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "out").exists()


def test_missing_simulator(fp8cosim, tmp_path):
    done = fp8cosim("mutate", "--count", "2", env={"PATH": str(tmp_path)})
    assert done.returncode == 3
    assert "install the package iverilog" in done.stderr
