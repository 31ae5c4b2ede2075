"""`fp8cosim replay`: one recorded mismatch again, with waves."""

from pathlib import Path
from typing import Annotated

import typer

import rtl_gen
from cosim.calls import Mismatch
from cosim.cli.app import Json, app, console, finish
from cosim.errors import CheckFailedError
from pysim import GoldenEngine


@app.command()
def replay(
    file: Annotated[Path, typer.Argument(help="A replay file.")],
    rtl: Annotated[
        Path | None,
        typer.Option(help="Verilog to replay on, perhaps edited; new Verilog by default."),
    ] = None,
    simulator: Annotated[str, typer.Option(help="verilator or icarus.")] = "verilator",
    output: Annotated[
        Path, typer.Option("-o", "--output", help="Folder for the log and the waves.")
    ] = Path("out/replay"),
    as_json: Json = False,
) -> None:
    """Make a recorded call on the Verilog, clock by clock with waves, and on the golden engine."""
    from cosim.regression.runner import run_replay

    mismatch = Mismatch.load(file)
    design = rtl_gen.load(rtl) if rtl else rtl_gen.design(mismatch.call.config)
    console.print(mismatch.call.describe())
    now = mismatch.call.run(GoldenEngine(mismatch.call.config))
    golden = {
        name: now.differences(outcome) == []
        for name, outcome in (
            (mismatch.expected_engine, mismatch.expected),
            (mismatch.got_engine, mismatch.got),
        )
    }
    recorded = mismatch.expected.differences(mismatch.got)
    with console.status(f"simulating with {simulator}"):
        outcome = run_replay(design, file, output, simulator=simulator)
    differs = outcome.failures.get("recorded_call")
    text = [
        f"recorded: {mismatch.expected_engine} and {mismatch.got_engine} differed in "
        f"{'; '.join(recorded)}",
        *(f"{name} was {'' if good else 'not '}what golden says" for name, good in golden.items()),
        f"the Verilog {'differs from' if differs else 'agrees with'} golden now"
        + (f": {differs}" if differs else ""),
        f"waves: {outcome.waves}",
    ]
    finish(
        {
            "call": mismatch.call.describe(),
            "recorded": recorded,
            "engines": golden,
            "passed": differs is None,
            "difference": differs,
            "waves": str(outcome.waves),
        },
        "\n".join(text),
        as_json,
    )
    if differs:
        raise CheckFailedError(f"the Verilog differs from golden; see {output / 'tests.log'}")
