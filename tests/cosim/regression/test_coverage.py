"""Coverage: what is counted, what counts as missed, and the page that shows it."""

import json
from pathlib import Path

import numpy as np
import pytest

from cosim.calls import Call
from cosim.regression.coverage import Coverage
from cosim.regression.plan import QUESTIONS, goals, plan_as_markdown
from cosim.regression.report import write_report
from cosim.regression.runner import SUITES
from pysim import ArrayConfig, GoldenEngine

CONFIG = ArrayConfig(2, 2)
DOCS = Path(__file__).parents[3] / "docs"


def covered_by(x, fmt, rounding="nearest", saturate=False, state=None):
    engine = GoldenEngine(CONFIG)
    x = np.array(x, dtype=np.float32)
    arguments = {"fmt": fmt, "rounding": rounding, "saturate": saturate}
    state = engine.random_state if state is None else np.array(state, dtype=np.uint64)
    call = Call(engine.config, "quantize", {"x": x}, arguments, state)
    coverage = Coverage(CONFIG)
    coverage.sample(call, call.run(engine))
    return {bin: count for bin, count in coverage.counts.items() if count}


@pytest.mark.parametrize(
    ("number", "how"),
    [
        (1.0, {"normal exact"}),
        (1.01, set()),
        (1.25 + 2.0**-20, {"normal just above a number"}),
        (1.125 - 2.0**-20, {"normal just below a tie"}),
        (1.125, {"normal tie, even below"}),
        (1.375, {"normal tie, odd below"}),
        (1.125 + 2.0**-20, {"normal just above a tie"}),
        (1.99, {"normal carry out"}),
        (1.75 + 0.25 - 2.0**-20, {"normal just below a number", "normal carry out"}),
        (1e9, set()),
        (2.0**-17, {"subnormal tie, even below"}),
        (2.0**-14 - 2.0**-19, {"subnormal carry out"}),
    ],
)
def test_rounding_of_a_number(number, how):
    found = {answer for name, answer in covered_by([number], "e5m2") if "number" in name}
    assert {name.partition(": ")[2] for name in found if "e5m2 nearest: " in name} >= how
    rounded = {answer for name, answer in covered_by([number], "e5m2") if "rounding" in name}
    assert rounded == {f"e5m2 nearest: {name}" for name in how}


@pytest.mark.parametrize(
    ("number", "what"),
    [
        (57344, set()),
        (57345, set()),
        (61439, set()),
        (61440, {"too large once rounded"}),
        (65536, {"too large"}),
        (np.inf, {"infinity"}),
    ],
)
def test_out_of_range(number, what):
    found = {answer for question, answer in covered_by([number], "e5m2") if "range" in question}
    assert found == {f"e5m2 nearest: {name}" for name in what}


def test_results_sources_and_flags():
    found = covered_by([0, -0.0, 2.0**-16, 1, 1e9, np.nan], "e5m2")
    for name in ("subnormal", "normal", "infinite", "nan"):
        assert found["result", f"e5m2: {name}"] == 1
    for name in ("+0", "-0", "rounds among subnormals", "normal", "too large", "nan"):
        assert found["number to convert", f"e5m2 nearest: {name}"] == 1
    assert found["flag", "quantize: overflow"] == found["flag", "quantize: inexact"] == 1
    assert ("flag", "quantize: invalid") not in found
    assert found["conversion alone", "e5m2 nearest"] == 1


@pytest.mark.parametrize(
    ("number", "draw", "name"),
    [
        (1.0625, (3 << 14) - 1, "f + R = 2^r - 1"),
        (1.0625, 3 << 14, "f + R = 2^r"),
        (1.0625, 0, "R = 0"),
        (1.0, (1 << 16) - 1, "R = 2^r - 1, number stays"),
    ],
)
def test_draws(number, draw, name):
    found = covered_by([number], "e5m2", "stochastic", state=[1 << 16 | draw, 1])
    assert {answer for question, answer in found if question == "draw"} == {f"e5m2: {name}"}


def test_steps_of_a_gemm():
    engine = GoldenEngine(CONFIG)
    arguments = {"a_format": "e5m2", "b_format": "e4m3", "out_format": "fp16"}
    arguments |= {"rounding": "nearest", "saturate": False}
    # (-0 + 0 x 1), then + infinity x 0; beside it (-0 + 0 x -1), then + infinity x 1.
    operands = {
        "a": np.array([[0x00, 0x7C]], dtype=np.uint8),
        "b": np.array([[0x38, 0xB8], [0x00, 0x38]], dtype=np.uint8),
        "c": np.array([[-0.0, -0.0]], dtype=np.float32),
    }
    call = Call(engine.config, "gemm", operands, arguments, engine.random_state)
    coverage = Coverage(CONFIG)
    coverage.sample(call, call.run(engine))
    found = {bin: count for bin, count in coverage.counts.items() if count}
    pair = "e5m2 x e4m3"
    assert found["product", f"{pair}: zero x normal"] == 2
    assert found["product", f"{pair}: infinite x zero"] == 1
    assert found["product", f"{pair}: infinite x normal"] == 1
    assert found["sum of zeros", f"{pair}: -0 + +0"] == 1
    assert found["sum of zeros", f"{pair}: -0 + -0"] == 1
    assert found["sum", f"{pair}: zero + nan"] == found["sum", f"{pair}: zero + infinite"] == 1
    assert found["invalid step", f"{pair}: infinity times zero"] == 1
    assert ("invalid step", f"{pair}: infinity less infinity") not in found
    assert found["result", "fp16: infinite"] == found["result", "fp16: nan"] == 1
    assert not [answer for question, answer in found if question == "alignment"]


def test_changes_from_call_to_call():
    engine, coverage = GoldenEngine(CONFIG), Coverage(CONFIG)
    for fmt, rounding in (("e5m2", "nearest"), ("fp16", "stochastic")):
        arguments = {"fmt": fmt, "rounding": rounding, "saturate": False}
        operands = {"x": np.ones(1, dtype=np.float32)}
        call = Call(engine.config, "quantize", operands, arguments, engine.random_state)
        coverage.sample(call, call.run(engine))
    assert coverage.counts["next call", "quantize: quantize"] == 1
    assert coverage.counts["next rounding", "nearest: stochastic"] == 1


def test_missed_until_reached(tmp_path):
    coverage = Coverage(CONFIG)
    total = sum(map(len, goals(CONFIG).values()))
    assert len(coverage.missed()) == total
    coverage.hit("flag", "gemm: invalid", 2)
    assert len(coverage.missed()) == total - 1
    coverage.save(tmp_path / "coverage.json")
    other = Coverage(CONFIG)
    other.hit("flag", "gemm: invalid")
    other.add_file(tmp_path / "coverage.json")
    assert other.counts["flag", "gemm: invalid"] == 3
    assert "flag: gemm: invalid" not in other.missed()
    assert "flag: gemm: overflow" in other.missed()


def test_zero_cannot_be_drawn_where_a_draw_is_the_whole_register():
    config = ArrayConfig(2, 2, lfsr_width=8, random_bits=8)
    assert "e5m2: R = 0" in goals(CONFIG)["draw"]
    assert "e5m2: R = 0" not in goals(config)["draw"]


def test_plan_of_a_reduced_engine():
    """It lacks what the missing parts bring about, and asks for these parts in vain."""
    full, reduced = (
        {f"{question}: {answer}" for question in plan for answer in plan[question]}
        for plan in (
            goals(ArrayConfig(2, 2, latency=2)),
            goals(ArrayConfig(2, 2, latency=2, operand_formats=("e4m3",), load_c=False)),
        )
    )
    asked = {"mode with A in e5m2", "mode with B in e5m2", "mode with C"}
    assert reduced - full == {f"fault: {what}" for what in asked}
    lacking = full - reduced
    assert {name for name in lacking if "e5m2 x" not in name and "x e5m2" not in name} == {
        *(
            f"sum: e4m3 x e4m3: {start} + {product}"
            for start in ("subnormal", "infinite")
            for product in ("zero", "normal", "nan")
        ),
        "sum of zeros: e4m3 x e4m3: -0 + +0",
        "sum of zeros: e4m3 x e4m3: -0 + -0",
        "result: fp32: subnormal",
        "result: fp32: infinite",
        "flag: gemm: invalid",
        "slots: with C: one slot",
        "slots: with C: every slot",
        "tile behind: with C: beside it",
        "tile behind: with C: below it",
        "scale: gemm: up from there",
        "stalled stream: c",
        *(
            f"reset during: {what}, {how}: load"
            for what in ("reset", "stop")
            for how in ("flowing", "stalled")
        ),
        *(f"fault: c {fault}" for fault in ("short", "long", "without a lane")),
    }


def test_report(tmp_path):
    coverage = Coverage(CONFIG)
    coverage.hit("alignment", "e5m2 x e5m2: add 24", 77)
    path = tmp_path / "coverage.html"
    table, missed = coverage.to_dict(), coverage.missed()
    tests, clocks = {"some_test": False, "flags_stick": True}, {"flags_stick": 1234}
    about = {"some_test": "", "flags_stick": "Flags add up."}
    write_report(path, CONFIG, "icarus", 5, tests, about, table, missed, clocks)
    page = path.read_text()
    assert "some_test FAILED" in page
    assert ">1,234</td><td>Flags add up." in page
    assert ">77</td>" in page
    assert 'title="e5m2 x e5m2: add 24: 77"' in page
    assert QUESTIONS["cancellation"].about in page
    assert "alignment: e5m2 x e5m2: add 25" in page  # among those not reached
    assert "http" not in page
    total = sum(map(len, goals(CONFIG).values()))
    assert f"1 of {total} situations" in page


def test_plan_of_the_docs_is_that_of_the_code():
    """Printed by ``fp8cosim regress --plan``."""
    assert plan_as_markdown(ArrayConfig(latency=4)) in (DOCS / "coverage.md").read_text()


def test_docs_say_what_every_test_is_about():
    page = (DOCS / "regression.md").read_text()
    for suite in SUITES.values():
        for name in suite.names:
            assert f"| `{name}` | {suite.about(name)} |" in page


def test_every_question_has_a_reason():
    for config in (CONFIG, ArrayConfig(latency=4), ArrayConfig(latency=4, load_c=False)):
        asked = goals(config)
        assert list(asked) == [question for question in QUESTIONS if question in asked]


def test_plan_by_command(fp8cosim_here):
    done = fp8cosim_here("regress", "--plan", "--rows", 2, "--cols", 2)
    assert done.returncode == 0, done.stderr
    assert done.stdout == plan_as_markdown(CONFIG) + "\n"
    done = fp8cosim_here("regress", "--plan", "--rows", 2, "--cols", 2, "--json")
    assert json.loads(done.stdout)["goals"] == goals(CONFIG)
