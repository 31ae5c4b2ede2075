"""The figures that the project is measured by, each with its yardstick and what is asked of it."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from cosim.audit import AuditEngine
from cosim.bench.timing import Comparison, compare
from cosim.bridge import Recipe, offload
from cosim.bridge.recipe import DEFAULT_RECIPE
from cosim.gpu import GpuEngine
from pysim import ArrayConfig, Engine, InputError
from pysim.fast import FastEngine

SAMPLES = 7
AUDITED_STEPS = 500
CONFIG = ArrayConfig()


@dataclass(frozen=True)
class Figure:
    """A ratio to measure.

    Attributes
    ----------
    name : str
    description : str
        What is timed against what.
    run : callable
        Times both, with a number of samples.
    limit : float
        What is asked: at least this speed, or at most this cost.
    is_cost : bool
        Whether less is better.
    missing : callable
        Says what the machine lacks for it, or None.
    """

    name: str
    description: str
    run: Callable[[int], Comparison]
    limit: float
    is_cost: bool = False
    missing: Callable[[], str | None] = lambda: None


def measure(name: str, samples: int = SAMPLES) -> dict:
    """Measure a figure.

    Returns
    -------
    dict
        ``name``, ``description``, ``ratio`` (a median), ``spread``, ``limit``, ``met``, and the
        seconds of every sample; or ``not_run``, the reason, in place of what was measured.

    Raises
    ------
    InputError
        If there is no such figure.
    """
    if name not in FIGURES:
        raise InputError(f"unknown benchmark {name!r}: allowed are {', '.join(FIGURES)}")
    figure = FIGURES[name]
    about = {
        "name": name,
        "description": figure.description,
        "limit": figure.limit,
        "is_cost": figure.is_cost,
    }
    if reason := figure.missing():
        return {**about, "not_run": reason}
    timed = figure.run(samples)
    ratio = timed.cost if figure.is_cost else timed.speed
    return {
        **about,
        "ratio": ratio,
        "spread": timed.spread,
        "met": ratio <= figure.limit if figure.is_cost else ratio >= figure.limit,
        "seconds": {"ours": timed.ours, "yardstick": timed.theirs},
    }


@contextmanager
def torch_threads(count: int) -> Iterator[None]:
    """Let PyTorch use this many threads within the context."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def wide_codes(rows: int, columns: int, seed: int) -> np.ndarray:
    """Return codes of E5M2 whose numbers range widely, all finite: sums of them do round."""
    rng = np.random.default_rng(seed)
    sign = rng.integers(2, size=(rows, columns), dtype=np.uint8) << 7
    return sign | rng.integers(0x7C, size=(rows, columns), dtype=np.uint8)


def multiply(engine: Engine, a: np.ndarray, b: np.ndarray) -> Callable[[], object]:
    """Return a call that multiplies codes of E5M2."""
    return lambda: engine.gemm(a, b, a_format="e5m2", b_format="e5m2")


def _gemm_against_torch(size: int) -> Callable[[int], Comparison]:
    def run(samples: int) -> Comparison:
        a, b = wide_codes(size, size, 0), wide_codes(size, size, 1)
        x, y = (torch.from_numpy(codes).view(torch.float8_e5m2).float() for codes in (a, b))
        with FastEngine(CONFIG, threads=1) as engine, torch_threads(1):
            return compare(multiply(engine, a, b), lambda: torch.mm(x, y), samples)

    return run


def _gemm_threads(samples: int) -> Comparison:
    a, b = wide_codes(1024, 1024, 0), wide_codes(1024, 1024, 1)
    with FastEngine(CONFIG, threads=2) as two, FastEngine(CONFIG, threads=1) as one:
        return compare(multiply(two, a, b), multiply(one, a, b), samples)


def _numbers() -> np.ndarray:
    return np.random.default_rng(0).standard_normal(1 << 20).astype(np.float32)


def _quantize_against_torch(samples: int) -> Comparison:
    x = _numbers()
    tensor = torch.from_numpy(x)
    with FastEngine(CONFIG, threads=1) as engine, torch_threads(1):
        return compare(
            lambda: engine.quantize(x, "e5m2"), lambda: tensor.to(torch.float8_e5m2), samples
        )


def _quantize_stochastic(samples: int) -> Comparison:
    x = _numbers()
    with FastEngine(CONFIG, threads=1) as engine:
        return compare(
            lambda: engine.quantize(x, "e5m2", rounding="stochastic"),
            lambda: engine.quantize(x, "e5m2"),
            samples,
        )


def _perceptron() -> tuple[nn.Module, torch.Tensor]:
    model = nn.Sequential(
        nn.Linear(784, 256), nn.ReLU(), nn.Linear(256, 256), nn.ReLU(), nn.Linear(256, 10)
    )
    return model, torch.randn(128, 784)


def _convolutional() -> tuple[nn.Module, torch.Tensor]:
    model = nn.Sequential(
        nn.Conv2d(1, 16, 3, padding=1),
        nn.ReLU(),
        nn.Conv2d(16, 32, 3, stride=2, padding=1),
        nn.ReLU(),
        nn.Conv2d(32, 32, 3, stride=2, padding=1),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(32 * 7 * 7, 10),
    )
    return model, torch.randn(64, 1, 28, 28)


def _stepper(build: Callable[[], tuple[nn.Module, torch.Tensor]]) -> tuple[nn.Module, Callable]:
    """Return a model, and a call that takes a training step: forward, backward, and update."""
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(0)
        model, inputs = build()
    labels = torch.arange(len(inputs)) % 10
    optimiser = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9)

    def step() -> None:
        optimiser.zero_grad()
        functional.cross_entropy(model(inputs), labels).backward()
        optimiser.step()

    return model, step


def _training_step(
    build: Callable[[], tuple[nn.Module, torch.Tensor]],
) -> Callable[[int], Comparison]:
    def run(samples: int) -> Comparison:
        model, step = _stepper(build)
        _, plain_step = _stepper(build)
        with FastEngine(CONFIG) as engine:

            def offloaded() -> None:
                with offload(model, engine, Recipe.named(DEFAULT_RECIPE)):
                    for _ in range(10):
                        step()

            def plain() -> None:
                for _ in range(10):
                    plain_step()

            return compare(offloaded, plain, samples)

    return run


def _audit(samples: int) -> Comparison:
    """Both train alike; a sample is long enough for several calls to be checked meanwhile."""
    model, step = _stepper(_perceptron)
    other_model, other_step = _stepper(_perceptron)

    def train(model: nn.Module, step: Callable, engine: Engine) -> Callable[[], None]:
        def run() -> None:
            with offload(model, engine, Recipe.named(DEFAULT_RECIPE)):
                for _ in range(AUDITED_STEPS):
                    step()

        return run

    with (
        TemporaryDirectory() as folder,
        AuditEngine(CONFIG, rate=0.001, folder=Path(folder)) as audit,
        FastEngine(CONFIG) as fast,
    ):
        # What is still to be checked after a sample must not slow the other's.
        def audited() -> None:
            train(model, step, audit)()
            audit.finish()

        return compare(audited, train(other_model, other_step, fast), samples)


def _no_gpu() -> str | None:
    return None if torch.cuda.is_available() else "there is no CUDA device"


def _gpu_against_torch(samples: int) -> Comparison:
    """Time both on the device; PyTorch's default for float32 products is without TF32."""
    with GpuEngine(CONFIG) as engine:
        codes = [torch.from_numpy(wide_codes(4096, 4096, i)).to(engine.device) for i in range(2)]
        a, b = codes
        x, y = (matrix.view(torch.float8_e5m2).float() for matrix in codes)
        before = torch.backends.cuda.matmul.allow_tf32
        torch.backends.cuda.matmul.allow_tf32 = False

        def ours() -> None:
            engine.gemm(a, b, a_format="e5m2", b_format="e5m2")
            torch.cuda.synchronize()

        def theirs() -> None:
            torch.mm(x, y)
            torch.cuda.synchronize()

        try:
            return compare(ours, theirs, samples)
        finally:
            torch.backends.cuda.matmul.allow_tf32 = before


FIGURES = {
    figure.name: figure
    for figure in (
        Figure(
            "gemm-1024",
            "fast GEMM 1024^3, codes to FP32, against torch.mm in float32; one thread each",
            _gemm_against_torch(1024),
            0.95,
        ),
        Figure("gemm-256", "the same at 256^3", _gemm_against_torch(256), 0.9),
        Figure("gemm-64", "the same at 64^3", _gemm_against_torch(64), 0.5),
        Figure("threads", "two threads against one, GEMM 1024^3", _gemm_threads, 1.8),
        Figure(
            "quantize",
            "float32 to E5M2, nearest, against torch's cast; one thread each",
            _quantize_against_torch,
            1.0,
        ),
        Figure(
            "stochastic",
            "float32 to E5M2, stochastic against nearest; one thread each",
            _quantize_stochastic,
            0.5,
        ),
        Figure(
            "step-mlp",
            "time of a training step on fast against FP32: 784-256-256-10, batch 128",
            _training_step(_perceptron),
            2.0,
            is_cost=True,
        ),
        Figure(
            "step-cnn",
            "the same: three convolutions, 28 x 28, batch 64",
            _training_step(_convolutional),
            2.0,
            is_cost=True,
        ),
        Figure(
            "audit",
            "time of training on audit, one call in 1,000 checked, against fast",
            _audit,
            1.3,
            is_cost=True,
        ),
        Figure(
            "gpu-4096",
            "gpu GEMM 4096^3, codes to FP32, against torch.mm in float32 without TF32",
            _gpu_against_torch,
            0.5,
            missing=_no_gpu,
        ),
    )
}
"""Every figure, by name."""
