import json

import numpy as np
import pytest
import torch
from torch import nn

from cosim.bridge import Recipe, RoleSpec, Statistics, offload
from pysim import GemmResult, get_format
from pysim.formats import OUTPUT_FORMATS

SPECIAL = [0.0, -0.0, 1e-9, -1e-9, 2.0**-16, 1.0, np.inf, -np.inf, np.nan]


@pytest.mark.parametrize(
    ("name", "expected"),
    [("e5m2", (2, 2, 3)), ("e4m3", (5, 3, 3))],
)
def test_conversions(engine, name, expected):
    fmt = get_format(name, OUTPUT_FORMATS)
    values = np.array([*SPECIAL, 57344.0, -1e6, 3e38, 448.0, 500.0, -5000.0], dtype=np.float32)
    statistics = Statistics()
    codes = engine.quantize(values, name)
    statistics.count_conversion("layer", "error", values, codes, fmt, 0, engine.flags, 7)
    counts = statistics.roles["error"]
    assert (counts.overflowed, counts.underflowed, counts.nonfinite) == expected
    assert (counts.elements, counts.cycles) == (15, 7)


@pytest.mark.parametrize("rounding", ["nearest", "stochastic", "toward_zero"])
@pytest.mark.parametrize("scale", [0, -3, 120])
def test_conversions_against_a_count_by_hand(engine, rounding, scale):
    fmt = get_format("e4m3", OUTPUT_FORMATS)
    exponents = np.random.default_rng(0).integers(-14, 12, 2000)
    values = np.ldexp(np.random.default_rng(1).standard_normal(2000), exponents).astype(np.float32)
    values = np.ldexp(values, -scale)
    statistics = Statistics()
    codes = engine.quantize(values, "e4m3", rounding=rounding, scale=scale)
    statistics.count_conversion("layer", "error", values, codes, fmt, scale, engine.flags, 0)
    counts = statistics.roles["error"]
    assert counts.overflowed == sum(abs(float(v)) * 2.0**scale > 448 for v in values) > 0
    lost = sum(v != 0 and code & 0x7F == 0 for v, code in zip(values, codes, strict=True))
    assert counts.underflowed == lost > 0


@pytest.mark.parametrize(("saturate", "expected"), [(True, (2, 1, 0)), (False, (2, 1, 0))])
def test_gradients(engine, saturate, expected):
    # Columns: zero, one that underflows, one that overflows twice, one within range.
    a = engine.quantize(np.float32([[1.0], [-2.0]]), "e5m2")
    b = engine.quantize(np.float32([[0.0, 2.0**-16, 57344.0, 1.0]]), "e5m2")
    spec = RoleSpec("e4m3", "nearest", saturate)
    result = engine.gemm(
        a, b, a_format="e5m2", b_format="e5m2", out_format="e4m3", saturate=saturate
    )
    statistics = Statistics()
    statistics.count_gradient("layer", result, spec, a, b)
    counts = statistics.roles["gradient"]
    # The column that underflows does so in both rows.
    overflowed, rows, nonfinite = expected
    assert counts.overflowed == overflowed
    assert counts.underflowed == 2 * rows
    assert counts.nonfinite == nonfinite
    assert counts.elements == 8


def test_gradient_that_is_infinite_already(engine):
    infinity = np.uint8([[0x7C]])
    spec = RoleSpec("e5m2", "nearest", False)
    result = engine.gemm(
        infinity, infinity, a_format="e5m2", b_format="e5m2", out_format="e5m2", saturate=False
    )
    statistics = Statistics()
    statistics.count_gradient("layer", result, spec, infinity, infinity)
    assert statistics.roles["gradient"].nonfinite == 1
    assert statistics.roles["gradient"].overflowed == 0


def test_gradient_in_fp32():
    statistics = Statistics()
    values = np.float32([[1.0, np.inf, np.nan]])
    code = np.zeros((1, 1), np.uint8)
    result = GemmResult(values, engine_flags(), 0)
    statistics.count_gradient("layer", result, RoleSpec("fp32"), code, code)
    assert statistics.roles["gradient"].nonfinite == 2
    assert statistics.roles["gradient"].elements == 3


def engine_flags():
    from pysim import Flags

    return Flags()


def test_training_step(engine):
    model = nn.Sequential(nn.Linear(20, 30), nn.ReLU(), nn.Linear(30, 10))
    with offload(model, engine, Recipe.named("e5m2-sr")) as session:
        (1024 * model(torch.randn(16, 20)).square().mean()).backward()
    statistics = session.statistics
    roles = {name: counts.elements for name, counts in statistics.roles.items()}
    assert roles == {
        "weight": 20 * 30 + 30 * 10,
        "activation": 16 * (20 + 30),
        "error": 16 * (30 + 10),
        "gradient": 20 * 30 + 30 * 10,
    }
    kinds = {name: (counts.gemms, counts.macs) for name, counts in statistics.kinds.items()}
    both = 16 * 20 * 30 + 16 * 30 * 10
    assert kinds == {"forward": (2, both), "dgrad": (1, 16 * 30 * 10), "wgrad": (2, both)}
    assert statistics.cycles == engine.cycles
    assert sum(macs for _, macs in kinds.values()) == engine.macs
    assert statistics.kinds["forward"].cycles > 0
    assert list(statistics.layers) == ["0", "2"]
    assert statistics.layers["2"]["dgrad"].gemms == 1
    assert "dgrad" not in statistics.layers["0"]
    data = json.loads(json.dumps(statistics.to_dict()))
    assert data["roles"]["error"]["elements"] == roles["error"]
    assert data["layers"]["0"]["wgrad"]["macs"] == 16 * 20 * 30
