"""`fp8cosim demo`: the whole loop, from Verilog to a model that learned on it."""

import json
import shutil
import time
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

import rtl_gen
from cosim.cli.app import Json, app, console, finish
from cosim.cli.options import TRAINING_LATENCY
from cosim.cli.train import run_with_progress
from cosim.errors import CheckFailedError
from cosim.files import make_folder
from pysim import ArrayConfig, InputError

if TYPE_CHECKING:
    from cosim.training import Result

MARK = ".fp8cosim-demo"
"""File that tells a folder of this command from one of somebody else."""


@app.command()
def demo(
    output: Annotated[
        Path, typer.Option("-o", "--output", help="Folder to write; replaced if from a demo.")
    ] = Path("out/demo"),
    steps: Annotated[
        int | None, typer.Option(help="Training steps; the model's own by default.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Generate an engine of 8 x 8 elements, train on its Verilog, and check every bit."""
    from cosim.bridge import Recipe
    from cosim.bridge.recipe import DEFAULT_RECIPE
    from cosim.rtl import RtlEngine
    from cosim.training import TrainingSettings
    from cosim.training.report import write_report
    from cosim.training.run import METRICS

    config = ArrayConfig(latency=TRAINING_LATENCY)
    settings = TrainingSettings.of(
        "mlp", engine="rtl", recipe=Recipe.named(DEFAULT_RECIPE), config=config, steps=steps
    )
    _clear(output)

    start = time.monotonic()
    rtl_gen.generate(config, output / "verilog")
    design = rtl_gen.load(output / "verilog")
    _say(f"generated {len(design.modules)} modules of Verilog for {_size(config)}", start)
    start = time.monotonic()
    with console.status("building a simulator of the Verilog"):
        engine = RtlEngine(design=design)
    _say("built a simulator of the Verilog", start)

    with engine:
        on_rtl = run_with_progress(settings, output / "rtl", engine=engine)
    on_golden = run_with_progress(settings.with_changes(engine="golden"), output / "golden")

    folders = {name: output / name for name in ("rtl", "golden")}
    differences = _differences(on_rtl, on_golden, folders)
    same = f"{'not ' * bool(differences)}bit-identical to the same run on golden"
    checks = [
        ("final weights, every loss, every count, and the random state", same),
        *[("differs", difference) for difference in differences],
        ("GEMMs that ran elsewhere", ", ".join(on_rtl.not_offloaded) or "none"),
    ]
    lines = [json.loads(line) for line in (output / "rtl" / METRICS).read_text().splitlines()]
    write_report(output, asdict(on_rtl), lines, checks)

    assert on_rtl.fp32_accuracy is not None
    text = "\n".join(
        [
            f"report: {output / 'report.html'}",
            f"test accuracy {100 * on_rtl.accuracy:.2f} % on the Verilog, "
            f"{100 * on_rtl.fp32_accuracy:.2f} % in FP32",
            f"{on_rtl.cycles:,} clock cycles simulated, {on_rtl.macs:,} multiply-accumulates",
            f"final weights {same} (SHA-256 {on_rtl.weights_sha256[:16]})",
        ]
    )
    result = {
        "accuracy": on_rtl.accuracy,
        "fp32_accuracy": on_rtl.fp32_accuracy,
        "cycles": on_rtl.cycles,
        "macs": on_rtl.macs,
        "weights_sha256": {"rtl": on_rtl.weights_sha256, "golden": on_golden.weights_sha256},
        "differences": differences,
        "not_offloaded": on_rtl.not_offloaded,
        "report": str(output / "report.html"),
    }
    finish(result, text, as_json)
    if differences:
        raise CheckFailedError(f"rtl and golden differ in {', '.join(differences)}")
    if on_rtl.not_offloaded:
        raise CheckFailedError(f"not on the Verilog: {', '.join(on_rtl.not_offloaded)}")


def _differences(a: "Result", b: "Result", folders: dict[str, Path]) -> list[str]:
    """Name what two runs that should be the same differ in."""
    from cosim.training.checkpoint import load
    from cosim.training.run import METRICS

    found = []
    if a.weights_sha256 != b.weights_sha256:
        found.append("the final weights")
    if a.random_state != b.random_state:
        found.append("the random state")
    if a.statistics != b.statistics:
        found.append("the counts of numbers, GEMMs, or cycles")
    metrics = [(folder / METRICS).read_text() for folder in folders.values()]
    if metrics[0] != metrics[1]:
        found.append("the metrics of a step")
    weights = [load(folder)["learner"]["model"] for folder in folders.values()]
    for name, tensor in weights[0].items():
        if tensor.numpy().tobytes() != weights[1][name].numpy().tobytes():
            found.append(f"the weights {name}")
    return found


def _clear(folder: Path) -> None:
    if folder.is_dir() and any(folder.iterdir()):
        if not (folder / MARK).exists():
            raise InputError(
                f"output folder {str(folder)!r} holds something else than a demo: "
                "name an empty or a new one"
            )
        shutil.rmtree(folder)
    make_folder(folder)
    (folder / MARK).touch()


def _size(config: ArrayConfig) -> str:
    return f"{config.rows} x {config.cols} processing elements"


def _say(what: str, start: float) -> None:
    console.print(f"{what} ({time.monotonic() - start:.1f} s)")
