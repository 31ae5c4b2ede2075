"""`fp8cosim replay`: one recorded mismatch again, on every engine, with waves."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

import rtl_gen
from cosim.calls import Mismatch
from cosim.cli.app import Json, app, console, finish
from cosim.cli.options import ARRAY, ENGINE, design_of
from cosim.errors import CheckFailedError
from pysim import GoldenEngine


@app.command()
def replay(
    file: Annotated[Path, typer.Argument(help="A replay file.")],
    rtl: Annotated[
        Path | None,
        typer.Option(help="Verilog to replay on, perhaps edited; that of the file by default."),
    ] = None,
    simulator: Annotated[
        str, typer.Option(help="verilator or icarus: the one that writes waves.")
    ] = "verilator",
    output: Annotated[
        Path, typer.Option("-o", "--output", help="Folder for the log and the waves.")
    ] = Path("out/replay"),
    as_json: Json = False,
) -> None:
    """Make a recorded call on every engine, and show the first clock and signal that differ."""
    from cosim.replay import design_for
    from cosim.replay import replay as run

    mismatch = Mismatch.load(file)
    design = design_of(rtl, None, None, None, tops=(ARRAY, ENGINE)) if rtl else design_for(mismatch)
    console.print(mismatch.call.describe())
    with GoldenEngine(mismatch.call.config) as engine:
        now = mismatch.call.run(engine)
    golden = {
        name: now.differences(outcome) == []
        for name, outcome in (
            (mismatch.expected_engine, mismatch.expected),
            (mismatch.got_engine, mismatch.got),
        )
    }
    recorded = mismatch.expected.differences(mismatch.got)
    edited = rtl_gen.edited_files(design)
    with console.status("replaying") as status:
        found = run(file, design, output, simulator=simulator, progress=status.update)
    text = [
        f"recorded: {mismatch.expected_engine} and {mismatch.got_engine} differed in "
        f"{'; '.join(recorded)}",
        *(f"{name} was {'' if good else 'not '}what golden says" for name, good in golden.items()),
        f"the Verilog is {'edited: ' + ', '.join(edited) if edited else 'as generated'}",
        "now:",
        *(f"  {verdict}" for verdict in found.verdicts),
    ]
    if found.parting is not None:
        text.append(f"first difference from generated Verilog: clock {found.parting.clock}")
        text += [f"  {signal}" for signal in found.parting.first]
        beside = f", beside it {', '.join(found.parting.beside)}" if found.parting.beside else ""
        text.append(f"  and {found.parting.others} more in the same moment{beside}")
    text.append(f"waves: {found.waves}")
    wrong = [verdict for verdict in found.verdicts if verdict.wrong]
    finish(
        {
            "call": mismatch.call.describe(),
            "recorded": recorded,
            "engines": golden,
            "edited": edited,
            "passed": not wrong,
            "now": [asdict(verdict) for verdict in found.verdicts],
            "parting": asdict(found.parting) if found.parting else None,
            "waves": str(found.waves) if found.waves else None,
        },
        "\n".join(text),
        as_json,
    )
    if wrong:
        where = ""
        if found.parting is not None:
            where = f"; at clock {found.parting.clock} {found.parting.first[0]}"
        raise CheckFailedError(
            f"{', '.join(verdict.engine for verdict in wrong)} differ from golden{where}; "
            f"see {output / 'tests.log'}"
        )
