"""Throughput of GEMMs against their size: ours, PyTorch's, and what peers are installed."""

from collections.abc import Callable
from importlib.util import find_spec
from io import BytesIO

import numpy as np
import torch
from matplotlib.figure import Figure

from cosim.bench.figures import CONFIG, multiply, torch_threads, wide_codes
from cosim.bench.timing import compare
from pysim.fast import FastEngine

SIZES = (32, 64, 128, 256, 512, 1024)
SLOW_PEER_SIZES = (32, 64, 128)
SAMPLES = 3


def throughputs(progress: Callable[[str], None] = lambda what: None) -> dict[str, dict[int, float]]:
    """Measure multiply-accumulates a second of square GEMMs, one thread each.

    Returns
    -------
    dict of str to dict
        By name, and by size: billions of multiply-accumulates a second.
    """
    found: dict[str, dict[int, float]] = {}
    with FastEngine(CONFIG, threads=1) as engine, torch_threads(1):
        for size in SIZES:
            progress(f"throughput at {size}")
            a, b = wide_codes(size, size, 0), wide_codes(size, size, 1)
            ours = multiply(engine, a, b)
            for name, call in _peers(a, b).items():
                if name in _SLOW and size not in SLOW_PEER_SIZES:
                    continue
                timed = compare(ours, call, SAMPLES)
                best = {"fp8cosim fast (the hardware's bits)": timed.ours, name: timed.theirs}
                for key, seconds in best.items():
                    rate = size**3 / min(seconds) / 1e9
                    row = found.setdefault(key, {})
                    row[size] = max(rate, row.get(size, 0.0))
    return found


_CAST = "torch: cast to float8 and torch.mm (other bits)"
_MM = "torch.mm in float32 (other bits)"
_GFLOAT = "gfloat: quantise and NumPy's product (other bits)"
_QPYTORCH = "QPyTorch: quantise and torch.mm (other bits)"
_SLOW = (_GFLOAT,)


def _peers(a: np.ndarray, b: np.ndarray) -> dict[str, Callable[[], object]]:
    x, y = (torch.from_numpy(codes).view(torch.float8_e5m2).float() for codes in (a, b))
    cast = torch.float8_e5m2

    peers: dict[str, Callable[[], object]] = {
        _MM: lambda: torch.mm(x, y),
        _CAST: lambda: torch.mm(x.to(cast).float(), y.to(cast).float()),
    }
    if find_spec("gfloat"):
        import gfloat
        from gfloat.formats import format_info_ocp_e5m2 as e5m2

        m, n = x.numpy(), y.numpy()
        peers[_GFLOAT] = lambda: gfloat.round_ndarray(e5m2, m) @ gfloat.round_ndarray(e5m2, n)
    if find_spec("qtorch"):
        from qtorch.quant import float_quantize  # pyright: ignore[reportMissingImports]

        peers[_QPYTORCH] = lambda: torch.mm(float_quantize(x, 5, 2), float_quantize(y, 5, 2))
    return peers


def plot(found: dict[str, dict[int, float]]) -> bytes:
    """Draw throughput against size; PNG."""
    figure = Figure(figsize=(8, 4.5), layout="constrained")
    axes = figure.subplots()
    for name, row in found.items():
        width = 2.5 if name.startswith("fp8cosim") else 1.3
        axes.plot(list(row), list(row.values()), marker="o", linewidth=width, label=name)
    axes.set(
        xlabel="size N of an N x N x N product",
        ylabel="billions of multiply-accumulates a second",
        title="one thread",
    )
    axes.set_xscale("log", base=2)
    axes.set_xticks(SIZES, [str(size) for size in SIZES])
    axes.set_ylim(bottom=0)
    axes.grid(alpha=0.3)
    axes.legend()
    buffer = BytesIO()
    figure.savefig(buffer, format="png", dpi=130)
    return buffer.getvalue()
