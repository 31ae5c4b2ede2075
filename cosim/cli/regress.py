"""`fp8cosim regress`: the cocotb regression on generated, and perhaps edited, Verilog."""

import time
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

import rtl_gen
from cosim.cli.app import Json, app, console, finish
from cosim.cli.options import (
    ARRAY,
    ENGINE,
    Cols,
    ConfigFile,
    Latency,
    Rows,
    Verilog,
    array_config,
    design_of,
)
from cosim.cli.progress import parts_bar
from cosim.errors import CheckFailedError
from pysim import ArrayConfig

DEFAULT_TIMEOUT = 1800
"""Seconds after which a simulation that goes on is taken to hang."""


@app.command()
def regress(
    rtl: Verilog = None,
    rows: Rows = None,
    cols: Cols = None,
    latency: Latency = None,
    config: ConfigFile = None,
    seed: Annotated[int, typer.Option(min=0, help="Of everything random.")] = 0,
    simulator: Annotated[
        str, typer.Option(help="verilator, icarus, or both, which must agree.")
    ] = "verilator",
    waves: Annotated[bool, typer.Option("--waves", help="Record every signal.")] = False,
    expression: Annotated[
        str | None,
        typer.Option("-k", metavar="EXPR", help="Run the tests whose names match this regex."),
    ] = None,
    timeout: Annotated[
        float, typer.Option(min=1, help="Seconds that a simulation may take.")
    ] = DEFAULT_TIMEOUT,
    output: Annotated[
        Path, typer.Option("-o", "--output", help="Folder for results, logs, and waves.")
    ] = Path("out/regress"),
    plan: Annotated[
        bool, typer.Option("--plan", help="Print what must be covered, and why; run nothing.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Run the cocotb tests on the Verilog, against the golden engine, bit for bit."""
    if plan:
        print_plan(array_config(config, rows, cols, latency), as_json)
        return
    from cosim.regression.agreement import disagreements
    from cosim.regression.diagnosis import diagnose
    from cosim.regression.runner import SIMULATORS, Outcome, run_regression

    start = time.monotonic()
    design = design_of(rtl, config, rows, cols, latency, tops=(ARRAY, ENGINE))
    common = {
        "config": design.config.to_dict(),
        "edited": rtl_gen.edited_files(design),
        "simulator": simulator,
        "seed": seed,
    }
    outcomes: dict[str, Outcome] = {}
    try:
        with parts_bar() as bar:
            for name in SIMULATORS if simulator == "both" else (simulator,):
                task = bar.add_task("generating", total=None)

                def show(what: str, done: int, total: int, task=task) -> None:
                    bar.update(task, description=what, completed=done, total=total)

                outcomes[name] = run_regression(
                    design,
                    output / name if simulator == "both" else output,
                    simulator=name,
                    seed=seed,
                    expression=expression,
                    waves=waves,
                    limit=timeout,
                    progress=show,
                )
    except CheckFailedError as error:
        if as_json:
            finish({**common, "passed": False, "error": str(error)}, "", as_json)
        raise
    # What failed under one simulator is told first.
    name, outcome = next(
        ((name, each) for name, each in outcomes.items() if each.failures),
        next(iter(outcomes.items())),
    )
    different = disagreements(*outcomes.values()) if len(outcomes) == 2 else []
    missed = [] if expression else outcome.missed
    suspects = []
    if outcome.failures:
        with console.status("trying each unit by itself"):
            suspects = diagnose(design, outcome)
    seconds = time.monotonic() - start
    reached = sum(1 for counts in outcome.coverage.values() for n in counts.values() if n)
    goals = sum(len(counts) for counts in outcome.coverage.values())
    result = {
        **common,
        "seconds": round(seconds, 2),
        "passed": not (outcome.failures or missed or different),
        "tests": outcome.tests,
        "failures": outcome.failures,
        "suspects": [asdict(suspect) for suspect in suspects],
        "coverage": outcome.coverage,
        "missed": missed,
        "disagreements": different,
        "clocks": outcome.clocks,
        "folder": str(output),
        "waves": str(outcome.waves) if outcome.waves else None,
    }
    lines = [f"{'passed' if good else 'FAILED'}  {name}" for name, good in outcome.tests.items()]
    lines += [f"{name}: {complaint}" for name, complaint in outcome.failures.items()]
    lines += [str(suspect) for suspect in suspects]
    lines.append(
        f"{sum(outcome.tests.values())} of {len(outcome.tests)} tests passed under {name}, "
        f"{sum(outcome.clocks.values()):,} clocks, {reached} of {goals} situations covered, "
        f"{seconds:.0f} s; written to {outcome.folder}"
    )
    if len(outcomes) == 2 and not different:
        lines.append(
            f"{' and '.join(outcomes)} agree on every test, every count, and every clock of every "
            "port"
        )
    if outcome.waves:
        lines.append(f"waves: {outcome.waves}")
    finish(result, "\n".join(lines), as_json)
    if outcome.failures:
        waves_too = f" and {outcome.waves}" if outcome.waves else ""
        raise CheckFailedError(
            f"{len(outcome.failures)} of {len(outcome.tests)} tests failed: "
            f"{', '.join(outcome.failures)}; {suspects[0]}; "
            f"see {outcome.folder / 'tests.log'}{waves_too}"
        )
    if different:
        raise CheckFailedError(f"{' and '.join(outcomes)} disagree: {'; '.join(different)}")
    if missed:
        raise CheckFailedError(f"not covered: {', '.join(missed)}")


def print_plan(config: ArrayConfig, as_json: bool) -> None:
    """Print the coverage plan of an array as Markdown, or its bins as JSON."""
    from cosim.regression.plan import goals, plan_as_markdown

    finish({"config": config.to_dict(), "goals": goals(config)}, plan_as_markdown(config), as_json)
