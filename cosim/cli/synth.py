"""`fp8cosim synth`: area and clock of the Verilog, by open tools."""

import os
import time
from pathlib import Path
from typing import Annotated

import typer

from cosim.cli.app import Json, app, finish
from cosim.cli.options import ARRAY, ENGINE, Cols, ConfigFile, Latency, Rows, Verilog, design_of
from cosim.cli.progress import parts_bar
from cosim.files import make_folder, replacing
from pysim import InputError

SHORT_LATENCIES = (1, 4)

DRAWS = (4, 8, 16, 24)
"""Bits of a draw that converters are looked at with."""


@app.command()
def synth(
    rtl: Verilog = None,
    rows: Rows = None,
    cols: Cols = None,
    config: ConfigFile = None,
    latency: Latency = None,
    size: Annotated[
        list[int] | None,
        typer.Option(
            min=1, max=64, help="Look at the array of N x N, too; repeat it for more.", metavar="N"
        ),
    ] = None,
    grid: Annotated[
        list[int] | None,
        typer.Option(
            min=1,
            max=6,
            help="Place the array of an engine's elements of this latency, too.",
            metavar="L",
        ),
    ] = None,
    expression: Annotated[
        str | None,
        typer.Option("-k", metavar="EXPR", help="Place modules whose names match this regex, too."),
    ] = None,
    device: Annotated[str, typer.Option(help="FPGA of Lattice's ECP5 family.")] = "LFE5U-85F",
    speed: Annotated[int, typer.Option(min=6, max=8, help="Its speed grade; 6 is slowest.")] = 6,
    dsp: Annotated[
        bool, typer.Option("--dsp/--no-dsp", help="Multipliers in DSPs, or in LUTs.")
    ] = True,
    seeds: Annotated[int, typer.Option(min=1, help="Runs of place and route, for a module.")] = 3,
    array_seeds: Annotated[
        int, typer.Option(min=0, help="The same for each whole array, which may take hours.")
    ] = 0,
    short: Annotated[bool, typer.Option("--short", help="One seed, and two latencies.")] = False,
    jobs: Annotated[
        int, typer.Option("-j", "--jobs", min=1, max=256, help="Runs of place and route at once.")
    ] = 1,
    output: Annotated[Path, typer.Option("-o", "--output", help="Folder for results.")] = Path(
        "out/synth"
    ),
    as_json: Json = False,
) -> None:
    """Estimate area and clock of every module, of pipelines, and of a textbook's element."""
    from cosim.synth.placing import find_device, nextpnr_version
    from cosim.synth.report import describe, plot, plot_configurations, to_dict
    from cosim.synth.survey import survey
    from cosim.vector.netlist import yosys_version
    from hw.kind import KINDS
    from hw.step import CUTS

    start = time.monotonic()
    fpga = find_device(device)
    if rtl is not None and size:
        raise InputError("--rtl says what the array is: leave out --size")
    tools = {"yosys": yosys_version(), "nextpnr": nextpnr_version()}
    design = design_of(rtl, config, rows, cols, latency, tops=(ARRAY, ENGINE))
    make_folder(output)
    with parts_bar() as bar:
        task = bar.add_task("reading", total=None)
        found = survey(
            design,
            fpga,
            speed=speed,
            seeds=1 if short else seeds,
            array_seeds=array_seeds,
            latencies=SHORT_LATENCIES if short else tuple(CUTS),
            grids=grid or (),
            kinds=() if short else KINDS,
            draws=() if short else DRAWS,
            sizes=size or (),
            expression=expression,
            dsp=dsp,
            jobs=min(jobs, os.cpu_count() or 1),
            progress=lambda what, done, total: bar.update(
                task, description=what, completed=done, total=total
            ),
        )
    text = describe(found)
    with replacing(output / "synthesis.md") as file:
        file.write(f"{text}\n".encode())
    pictures = {"synthesis.png": plot(found), "configurations.png": plot_configurations(found)}
    for name, picture in pictures.items():
        with replacing(output / name) as file:
            file.write(picture)
    result = {
        "config": design.config.to_dict(),
        "tools": tools,
        "dsp": dsp,
        "seconds": round(time.monotonic() - start, 2),
        **to_dict(found),
        "folder": str(output),
    }
    finish(result, f"{text}\n\nwritten to {output}: synthesis.md, {', '.join(pictures)}", as_json)
