"""`fp8cosim exhaust`: every unit of the Verilog, by itself, on every input that matters."""

import time
from pathlib import Path
from typing import Annotated

import typer

import rtl_gen
from cosim.calls import Call, Mismatch
from cosim.cli.app import Json, app, console, finish
from cosim.cli.options import ARRAY, ENGINE, Cols, ConfigFile, Latency, Rows, Verilog, design_of
from cosim.cli.progress import parts_bar
from cosim.errors import CheckFailedError
from pysim import GoldenEngine


@app.command()
def exhaust(
    checks: Annotated[
        list[str] | None, typer.Argument(help="Checks to run; all without.", metavar="CHECK...")
    ] = None,
    rtl: Verilog = None,
    rows: Rows = None,
    cols: Cols = None,
    latency: Latency = None,
    config: ConfigFile = None,
    short: Annotated[bool, typer.Option("--short", help="A sample, in seconds.")] = False,
    output: Annotated[
        Path, typer.Option("-o", "--output", help="Folder for plots and replay files.")
    ] = Path("out/exhaust"),
    as_json: Json = False,
) -> None:
    """Try each unit of the Verilog on all its inputs, or on all that are at a boundary."""
    from cosim.files import make_folder, replacing
    from cosim.units.campaign import select
    from cosim.units.plots import PLOTS

    design = design_of(rtl, config, rows, cols, latency, tops=(ARRAY, ENGINE))
    chosen = select(checks or [], design)
    make_folder(output)
    rows_of_table, lines, faults = [], [], []
    with parts_bar() as bar:
        for check in chosen:
            task = bar.add_task(check.name, total=None)

            def show(done: int, total: int, task=task) -> None:
                bar.update(task, completed=done, total=total)

            start = time.monotonic()
            result = check.run(design, show, short=short)
            if result.detail is not None:
                name, plot = PLOTS[type(result.detail)]
                with replacing(output / name) as file:
                    file.write(plot(result.detail))
            seconds = time.monotonic() - start
            row = {
                "check": check.name,
                "about": check.about,
                "cases": result.cases,
                "note": result.note,
                "seconds": round(seconds, 2),
                "passed": result.wrong is None,
            }
            if result.wrong is not None:
                row |= {"unit": result.wrong.unit, "fault": result.wrong.sentence, "replay": None}
                faults.append(f"{result.wrong.unit}: {result.wrong.sentence}")
                if result.wrong.call is not None:
                    path = output / f"mismatch-{check.name}.npz"
                    if _record(result.wrong.call, design, path):
                        row["replay"] = str(path)
            rows_of_table.append(row)
            state = "passed" if row["passed"] else "FAILED"
            lines.append(
                f"{state}  {check.name:12}{result.cases:>12,} cases  {seconds:7.1f} s  "
                f"{check.about}{f' ({result.note})' if result.note else ''}"
            )
    lines += faults
    finish(
        {
            "config": design.config.to_dict(),
            "edited": rtl_gen.edited_files(design),
            "short": short,
            "passed": not faults,
            "checks": rows_of_table,
            "folder": str(output),
        },
        "\n".join(lines),
        as_json,
    )
    if faults:
        console.print(f"replay files and plots are in {output}")
        raise CheckFailedError(f"{len(faults)} of {len(chosen)} checks failed: {'; '.join(faults)}")


def _record(call: Call, design: rtl_gen.Design, path: Path) -> bool:
    """Write a replay file of a case, with what the whole array makes of it, if it answers."""
    from cosim.rtl import RtlEngine

    try:
        with GoldenEngine(call.config) as golden, RtlEngine(design=design) as rtl:
            expected, got = call.run(golden), call.run(rtl)
    except CheckFailedError:
        return False
    notes, edited = {"check": path.stem}, rtl_gen.edited_modules(design)
    Mismatch(call, expected, got, "golden", "rtl", notes, edited).save(path)
    return True
