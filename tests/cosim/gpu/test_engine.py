from itertools import product

import numpy as np
import pytest
import torch

from cosim import open_engine
from cosim.gpu import GpuEngine
from pysim import ArrayConfig, GoldenEngine, InputError
from pysim.convert import ROUNDINGS
from pysim.errors import MissingToolError

FORMATS = ["e5m2", "e4m3"]
OUTPUTS = ["fp32", "e5m2", "e4m3", "fp16", "bf16"]
ON_A_GPU = pytest.param(
    False,
    id="gpu",
    marks=pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device"),
)


@pytest.fixture(params=[pytest.param(True, id="emulated"), ON_A_GPU])
def emulate(request):
    return request.param


def codes(rng, shape, specials=True):
    drawn = rng.integers(0, 256, shape, dtype=np.uint8)
    return drawn if specials else drawn & 0xBB


def same(gpu, golden, result, wanted):
    assert result.values.dtype == wanted.values.dtype
    np.testing.assert_array_equal(
        result.values.view(f"u{result.values.itemsize}"),
        wanted.values.view(f"u{wanted.values.itemsize}"),
    )
    assert result.flags == gpu.flags == wanted.flags
    assert result.cycles == wanted.cycles
    np.testing.assert_array_equal(gpu.random_state, golden.random_state)


@pytest.mark.parametrize("seed", range(40))
def test_gemm_equals_golden(emulate, seed):
    rng = np.random.default_rng(seed)
    width = int(rng.choice([16, 24, 32, 64]))
    config = ArrayConfig(
        rows=int(rng.integers(1, 20)),
        cols=int(rng.integers(1, 20)),
        lfsr_width=width,
        random_bits=int(rng.integers(1, 17)),
    )
    gpu, golden = GpuEngine(config, emulate=emulate), GoldenEngine(config)
    for _ in range(3):
        m, n = rng.integers(1, 150, 2)
        k = int(rng.integers(0, 40))
        specials = bool(rng.integers(2))
        a, b = codes(rng, (m, k), specials), codes(rng, (k, n), specials)
        c = None
        if rng.integers(2):
            c = rng.integers(0, 1 << 32, (m, n), dtype=np.uint32).view(np.float32)
        call = {
            "a_format": rng.choice(FORMATS),
            "b_format": rng.choice(FORMATS),
            "c": c,
            "out_format": rng.choice(OUTPUTS),
            "rounding": ROUNDINGS[rng.integers(3)],
            "saturate": bool(rng.integers(2)),
        }
        if call["out_format"] != "fp32":
            call["scale"] = int(rng.integers(-10, 10))
        if rng.integers(2):
            a, b = np.asfortranarray(a), np.asfortranarray(b)
        same(gpu, golden, gpu.gemm(a, b, **call), golden.gemm(a, b, **call))


@pytest.mark.parametrize("fmt", OUTPUTS[1:])
@pytest.mark.parametrize("rounding", ROUNDINGS)
def test_quantize_equals_golden(emulate, fmt, rounding):
    rng = np.random.default_rng(0)
    config = ArrayConfig(rows=3, cols=7)
    gpu, golden = GpuEngine(config, emulate=emulate), GoldenEngine(config)
    for size in (0, 1, 7, 500, 2501):
        x = rng.integers(0, 1 << 32, size, dtype=np.uint32).view(np.float32)
        near = rng.standard_normal(size).astype(np.float32)
        for values in (x, near):
            for saturate, scale in product((True, False), (0, -90, 100)):
                how = {"rounding": rounding, "saturate": saturate, "scale": scale}
                ours, theirs = gpu.quantize(values, fmt, **how), golden.quantize(values, fmt, **how)
                np.testing.assert_array_equal(ours, theirs)
                assert gpu.flags == golden.flags
                np.testing.assert_array_equal(gpu.random_state, golden.random_state)
    assert gpu.cycles == golden.cycles


def test_tensors_stay_on_the_device(emulate):
    gpu = GpuEngine(ArrayConfig(), emulate=emulate)
    x = torch.randn(5, 5, device=gpu.device)
    a = gpu.quantize(x, "e5m2")
    result = gpu.gemm(a, a.T, a_format="e5m2", b_format="e5m2", c=x[0].expand(5, 5))
    assert isinstance(a, torch.Tensor)
    assert a.device == result.values.device == gpu.device
    golden = GoldenEngine(gpu.config)
    host = a.cpu().numpy()
    c = np.broadcast_to(x[0].cpu().numpy(), (5, 5))
    wanted = golden.gemm(host, host.T, a_format="e5m2", b_format="e5m2", c=c)
    np.testing.assert_array_equal(result.values.cpu().numpy(), wanted.values)
    assert result.flags == wanted.flags


@pytest.mark.parametrize("shape", [(0, 3, 4), (3, 0, 4), (3, 4, 0)])
def test_empty(emulate, shape):
    m, n, k = shape
    gpu, golden = GpuEngine(ArrayConfig(), emulate=emulate), GoldenEngine(ArrayConfig())
    a, b = np.zeros((m, k), np.uint8), np.zeros((k, n), np.uint8)
    call = {"a_format": "e5m2", "b_format": "e5m2", "out_format": "e5m2", "rounding": "stochastic"}
    same(gpu, golden, gpu.gemm(a, b, **call), golden.gemm(a, b, **call))


def test_bad_tensors(emulate):
    gpu = GpuEngine(ArrayConfig(), emulate=emulate)
    a = torch.zeros(2, 2, dtype=torch.uint8, device=gpu.device)
    with pytest.raises(InputError, match="b has dtype float32: it must be uint8"):
        gpu.gemm(a, a.float(), a_format="e5m2", b_format="e5m2")
    with pytest.raises(InputError, match="a has shape \\(2,\\): it must have 2 dimensions"):
        gpu.gemm(a[0], a, a_format="e5m2", b_format="e5m2")
    with pytest.raises(InputError, match="b is on meta"):
        gpu.gemm(a, a.to("meta"), a_format="e5m2", b_format="e5m2")


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_without_a_device():
    with pytest.raises(MissingToolError, match="engine 'gpu' needs a CUDA device"):
        open_engine("gpu")
