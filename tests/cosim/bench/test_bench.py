"""Benchmarks: they run, and say what they measured. How fast it is, is not for a test."""

import json
import time

import pytest
import torch

from cosim.bench import FIGURES, measure, simulators
from cosim.bench import throughput as throughput_module
from cosim.bench.timing import Comparison, compare
from cosim.rtl.engine import SIMULATORS
from pysim import InputError


def test_comparison():
    timed = Comparison((1.0, 2.0, 1.0), (2.0, 2.0, 3.0))
    assert timed.speed == 2.0
    assert timed.cost == 0.5
    assert timed.spread == pytest.approx(0.5)


def test_calls_are_made_in_turn():
    made = []

    def call(name):
        made.append(name)
        time.sleep(0.03)

    timed = compare(lambda: call("ours"), lambda: call("theirs"), samples=3)
    assert made[-6:] == ["ours", "theirs"] * 3
    assert all(seconds >= 0.03 for seconds in timed.ours + timed.theirs)


@pytest.mark.parametrize("name", ["gemm-64", "quantize", "stochastic", "step-mlp"])
def test_figure(name):
    result = measure(name, samples=1)
    assert result["ratio"] > 0
    assert result["limit"] == FIGURES[name].limit
    margin = result["ratio"] - result["limit"]
    assert result["met"] == (margin <= 0 if result["is_cost"] else margin >= 0)


def test_unknown_figure():
    with pytest.raises(InputError, match=r"'gemm-2048'.*gemm-1024"):
        measure("gemm-2048")


def test_command(fp8cosim):
    done = fp8cosim("bench", "gemm-64", "--samples", 2, "--json")
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert [figure["name"] for figure in result["figures"]] == ["gemm-64"]
    assert len(result["figures"][0]["seconds"]["ours"]) == 2
    assert result["throughput"] is None


def test_bad_name(fp8cosim_here, tmp_path):
    done = fp8cosim_here("bench", "gemm-64", "speed")
    assert done.returncode == 2
    assert "unknown benchmark 'speed': allowed are gemm-1024" in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_throughput(monkeypatch):
    monkeypatch.setattr(throughput_module, "SIZES", (32, 64))
    found = throughput_module.throughputs()
    assert any(name.startswith("fp8cosim") for name in found)
    assert all(rate > 0 for row in found.values() for rate in row.values())
    assert throughput_module.plot(found).startswith(b"\x89PNG")


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_what_the_machine_lacks_is_said(fp8cosim):
    assert measure("gpu-4096")["not_run"] == "there is no CUDA device"
    done = fp8cosim("bench", "gpu-4096")
    assert done.returncode == 0
    assert "gpu-4096    not run: there is no CUDA device" in done.stdout


def test_simulators():
    rows = simulators.measure_simulators((2,), samples=2)
    assert [(row.simulator, row.threads) for row in rows] == [
        (name, threads) for name in SIMULATORS for threads in (1, 2)
    ]
    for row in rows:
        assert row.macs_per_second > row.cycles_per_second > 0
        assert row.instructions > 1
        assert row.cold > row.warm > 0
        assert (row.against_verilator is None) == (row.simulator == "verilator")
        assert (row.against_one_thread is None) == (row.threads == 1)
    assert simulators.plot_simulators(rows).startswith(b"\x89PNG")
    text = simulators.describe(
        rows,
        {
            "steps": 3,
            "batch": 4,
            "simulator": "vector",
            "seconds": {"rtl": 1.5, "golden": 2.5},
            "identical": False,
        },
    )
    assert "weights NOT bit-identical" in text[-1]


def test_training_on_the_verilog():
    found = simulators.measure_training(steps=2)
    assert found["identical"]
    assert set(found["seconds"]) == {"rtl", "golden"}


def test_innermost_loops():
    body = [(0, "vadd %ymm1"), (4, "mov"), (8, "jne    4 <f+0x4>"), (12, "jb     0 <f>")]
    assert simulators._innermost_loops(body) == [(1, 2)]
    assert simulators._in_lane_loops({"f": body}, 64) == 0
    wide = [(0, "vadd %ymm1"), (4, "add"), (8, "jne    0 <f>")]
    assert simulators._in_lane_loops({"f": body, "g": wide}, 8) == 3 / 8
    # Of so many, an iteration computes two vectors.
    assert simulators._in_lane_loops({"f": body, "g": wide}, 64) == 3 / 16
