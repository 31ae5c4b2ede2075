"""Coverage: what is counted, and what counts as missed."""

import numpy as np
import pytest

from cosim.calls import Call
from cosim.regression.coverage import Coverage, goals
from pysim import ArrayConfig, GoldenEngine


def covered_by(x, fmt, rounding="nearest", saturate=False):
    engine = GoldenEngine(ArrayConfig(2, 2))
    x = np.array(x, dtype=np.float32)
    arguments = {"fmt": fmt, "rounding": rounding, "saturate": saturate}
    call = Call(engine.config, "quantize", {"x": x}, arguments, engine.random_state)
    coverage = Coverage()
    coverage.sample(call, call.run(engine))
    return {bin: count for bin, count in coverage.counts.items() if count}


@pytest.mark.parametrize(
    ("number", "how"),
    [
        (1.0, {"exactly"}),
        (1.01, {"down"}),
        (1.24, {"up"}),
        (1.125, {"down", "from a tie"}),
        (1.375, {"up", "from a tie"}),
        (1.99, {"up", "up to a power of two"}),
        (1e9, {"to infinity or NaN"}),
        (2.0**-17, {"down", "from a tie"}),
        (1.5 * 2.0**-17, {"up", "up to a power of two"}),
    ],
)
def test_rounded(number, how):
    found = {answer for question, answer in covered_by([number], "e5m2") if question == "rounded"}
    assert found == {f"e5m2 {name}" for name in how}


def test_results_and_flags():
    found = covered_by([0, 2.0**-16, 1, 1e9, np.nan], "e5m2")
    for name in ("zero", "subnormal", "normal", "infinite", "nan"):
        assert found["result", f"e5m2 {name}"] == 1
    assert found["flag", "overflow"] == found["flag", "inexact"] == 1
    assert ("flag", "invalid") not in found
    assert found["conversion alone", "e5m2 nearest"] == 1


def test_steps_of_a_gemm():
    engine = GoldenEngine(ArrayConfig(2, 2))
    arguments = {"a_format": "e5m2", "b_format": "e4m3", "out_format": "fp16"}
    arguments |= {"rounding": "nearest", "saturate": False}
    # (-0 + 0 x 1), then + infinity x 0; beside it (-0 + 0 x -1), then + infinity x 1.
    operands = {
        "a": np.array([[0x00, 0x7C]], dtype=np.uint8),
        "b": np.array([[0x38, 0xB8], [0x00, 0x38]], dtype=np.uint8),
        "c": np.array([[-0.0, -0.0]], dtype=np.float32),
    }
    call = Call(engine.config, "gemm", operands, arguments, engine.random_state)
    coverage = Coverage()
    coverage.sample(call, call.run(engine))
    found = {bin: count for bin, count in coverage.counts.items() if count}
    assert found["product", "zero x normal"] == 2
    assert found["product", "infinite x zero"] == found["product", "infinite x normal"] == 1
    assert found["sum of zeros", "-0 + +0"] == found["sum of zeros", "-0 + -0"] == 1
    assert found["sum", "zero + nan"] == found["sum", "zero + infinite"] == 1
    assert found["invalid step", "infinity times zero"] == 1
    assert ("invalid step", "infinity less infinity") not in found
    assert found["result", "fp16 infinite"] == found["result", "fp16 nan"] == 1
    assert not [answer for question, answer in found if question == "step"]


def test_missed_until_reached(tmp_path):
    coverage = Coverage()
    total = sum(map(len, goals().values()))
    assert len(coverage.missed()) == total
    coverage.hit("flag", "invalid", 2)
    assert len(coverage.missed()) == total - 1
    coverage.save(tmp_path / "coverage.json")
    other = Coverage()
    other.hit("flag", "invalid")
    other.add_file(tmp_path / "coverage.json")
    assert other.counts["flag", "invalid"] == 3
    assert "flag: invalid" not in other.missed()
    assert "flag: overflow" in other.missed()
