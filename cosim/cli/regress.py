"""`fp8cosim regress`: the cocotb regression on generated, and perhaps edited, Verilog."""

import time
from pathlib import Path
from typing import Annotated

import typer

import rtl_gen
from cosim.cli.app import Json, app, finish
from cosim.cli.options import Cols, ConfigFile, Rows, design_of
from cosim.cli.progress import parts_bar
from cosim.errors import CheckFailedError


@app.command()
def regress(
    rtl: Annotated[
        Path | None,
        typer.Option(help="Folder of Verilog generated earlier, perhaps edited.", metavar="DIR"),
    ] = None,
    rows: Rows = None,
    cols: Cols = None,
    config: ConfigFile = None,
    seed: Annotated[int, typer.Option(min=0, help="Of everything random.")] = 0,
    simulator: Annotated[str, typer.Option(help="verilator or icarus.")] = "verilator",
    waves: Annotated[bool, typer.Option("--waves", help="Record every signal.")] = False,
    expression: Annotated[
        str | None,
        typer.Option("-k", metavar="EXPR", help="Run the tests whose names match this regex."),
    ] = None,
    output: Annotated[
        Path, typer.Option("-o", "--output", help="Folder for results, logs, and waves.")
    ] = Path("out/regress"),
    as_json: Json = False,
) -> None:
    """Run the cocotb tests on the Verilog, against the golden engine, bit for bit."""
    from cosim.regression.runner import run_regression

    start = time.monotonic()
    design = design_of(rtl, config, rows, cols)
    with parts_bar() as bar:
        task = bar.add_task("generating", total=None)

        def show(what: str, done: int, total: int) -> None:
            bar.update(task, description=what, completed=done, total=total)

        outcome = run_regression(
            design,
            output,
            simulator=simulator,
            seed=seed,
            expression=expression,
            waves=waves,
            progress=show,
        )
    seconds = time.monotonic() - start
    missed = [] if expression else outcome.missed
    reached = sum(1 for counts in outcome.coverage.values() for n in counts.values() if n)
    goals = sum(len(counts) for counts in outcome.coverage.values())
    result = {
        "config": design.config.to_dict(),
        "edited": rtl_gen.edited_files(design),
        "simulator": simulator,
        "seed": seed,
        "seconds": round(seconds, 2),
        "passed": not outcome.failures and not missed,
        "tests": outcome.tests,
        "failures": outcome.failures,
        "coverage": outcome.coverage,
        "missed": missed,
        "folder": str(output),
        "waves": str(outcome.waves) if outcome.waves else None,
    }
    lines = [f"{'passed' if good else 'FAILED'}  {name}" for name, good in outcome.tests.items()]
    lines += [f"{name}: {complaint}" for name, complaint in outcome.failures.items()]
    lines.append(
        f"{sum(outcome.tests.values())} of {len(outcome.tests)} tests passed under {simulator}, "
        f"{reached} of {goals} situations covered, {seconds:.0f} s; written to {output}"
    )
    if outcome.waves:
        lines.append(f"waves: {outcome.waves}")
    finish(result, "\n".join(lines), as_json)
    if outcome.failures:
        waves_too = f" and {outcome.waves}" if outcome.waves else ""
        raise CheckFailedError(
            f"{len(outcome.failures)} of {len(outcome.tests)} tests failed: "
            f"{', '.join(outcome.failures)}; see {output / 'tests.log'}{waves_too}"
        )
    if missed:
        raise CheckFailedError(f"not covered: {', '.join(missed)}")
