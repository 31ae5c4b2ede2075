"""The audit engine: fast's numbers, and nothing wrong in the Verilog goes unseen."""

import re
from dataclasses import replace

import numpy as np
import pytest

import rtl_gen
from cosim import open_engine
from cosim.audit import AuditEngine
from cosim.calls import Mismatch
from cosim.errors import CheckFailedError
from pysim import ArrayConfig, InputError
from pysim.fast import FastEngine

CONFIG = ArrayConfig(2, 3)


def calls(engine, count=30):
    """Make GEMMs and conversions; return everything that comes of them."""
    rng = np.random.default_rng(0)
    found = []
    for _ in range(count):
        a, b = (rng.integers(256, size=shape, dtype=np.uint8) for shape in ((5, 9), (9, 4)))
        how = {"a_format": "e5m2", "b_format": "e4m3", "out_format": "e5m2"}
        c = rng.standard_normal((5, 4)).astype(np.float32)
        found.append(engine.gemm(a, b, c=c, rounding="stochastic", **how).values)
        # What a user writes into an operand afterwards is no concern of the check.
        a[:], c[:] = 0, 0
        x = rng.standard_normal(11).astype(np.float32)
        found.append(engine.quantize(x, "e4m3", rounding="stochastic"))
        x[:] = 0
    return found


def test_numbers_of_fast():
    with FastEngine(CONFIG) as fast, open_engine("audit", CONFIG, rate=0.3) as audit:
        for ours, theirs in zip(calls(audit), calls(fast), strict=True):
            assert np.array_equal(ours, theirs)
        assert np.array_equal(audit.random_state, fast.random_state)
        assert (audit.cycles, audit.macs, audit.flags) == (fast.cycles, fast.macs, fast.flags)


def test_everything_is_checked_at_rate_one():
    with AuditEngine(CONFIG, rate=1) as engine:
        for _ in range(5):
            calls(engine, count=1)
            engine.finish()
        report = engine.finish()
    assert (report.calls, report.checked, report.passed_over) == (10, 10, 0)
    assert report.macs_checked == report.macs == 5 * 5 * 9 * 4
    assert report.seconds > 0


def test_sample_follows_rate_and_seed():
    def drawn(rate, seed):
        with AuditEngine(CONFIG, rate=rate, seed=seed) as engine:
            calls(engine, count=500)
            report = engine.finish()
        return report.checked + report.passed_over

    counts = [drawn(0.1, seed) for seed in (0, 0, 1)]
    assert counts[0] == counts[1]
    # Five standard deviations of a binomial distribution of 1,000 calls.
    assert all(abs(count - 100) < 5 * np.sqrt(90) for count in counts)


def test_budget():
    with AuditEngine(CONFIG, rate=1, budget=1e-9) as engine:
        for _ in range(4):
            calls(engine, count=1)
            engine.finish()
        report = engine.finish()
    # The first call is under way before any time is spent, perhaps with the second behind it.
    assert 1 <= report.checked <= 2
    assert report.passed_over == 8 - report.checked


@pytest.fixture
def faulty():
    design = rtl_gen.design(CONFIG)
    name = "fp8_multiplier"
    text, count = re.subn("8'h62", "8'h63", design.modules[name])
    assert count == 1
    return replace(design, modules={**design.modules, name: text})


def test_difference_stops(faulty, tmp_path):
    engine = AuditEngine(CONFIG, rate=0.2, folder=tmp_path, design=faulty)
    with pytest.raises(CheckFailedError, match=r"rtl and fast differ in .* values") as caught:
        calls(engine, count=100_000)
    path = tmp_path / "mismatch-audit.npz"
    assert str(path) in str(caught.value)
    mismatch = Mismatch.load(path)
    with FastEngine(CONFIG) as fast:
        assert mismatch.call.run(fast).differences(mismatch.expected) == []
    assert mismatch.expected.differences(mismatch.got)
    with pytest.raises(CheckFailedError):
        engine.close()


def test_difference_is_not_lost_at_the_end(faulty, tmp_path):
    engine = AuditEngine(CONFIG, rate=1, folder=tmp_path, design=faulty)
    a = np.full((2, 2), 0x3C, dtype=np.uint8)
    engine.gemm(a, a, a_format="e5m2", b_format="e5m2")
    with pytest.raises(CheckFailedError):
        engine.close()
    engine.close()


@pytest.mark.parametrize(
    ("settings", "complaint"),
    [
        ({"rate": 0}, "rate 0"),
        ({"rate": 1.5}, "rate 1.5"),
        ({"seed": -1}, "seed -1"),
        ({"budget": 0}, "budget 0"),
    ],
)
def test_bad_setting(settings, complaint):
    with pytest.raises(InputError, match=complaint):
        open_engine("audit", CONFIG, **settings)


def test_settings_of_others():
    with pytest.raises(InputError, match="'fast' has no setting 'rate'"):
        open_engine("fast", CONFIG, rate=0.1)
