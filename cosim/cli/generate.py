"""`fp8cosim generate`: Verilog of an array."""

import time
from pathlib import Path
from typing import Annotated

import typer

import rtl_gen
from cosim.cli.app import Json, app, finish
from cosim.cli.options import Cols, ConfigFile, Latency, Rows, array_config


@app.command()
def generate(
    rows: Rows = None,
    cols: Cols = None,
    config: ConfigFile = None,
    latency: Latency = None,
    output: Annotated[
        Path, typer.Option("-o", "--output", help="Folder to write; replaced if generated before.")
    ] = Path("build/rtl"),
    as_json: Json = False,
) -> None:
    """Write Verilog, one module a file, with manifest.json and a FuseSoC core."""
    start = time.perf_counter()
    result = rtl_gen.generate(array_config(config, rows, cols, latency), output)
    seconds = time.perf_counter() - start
    size = f"{result.config.rows} x {result.config.cols}"
    what = "engine" if result.config.latency else "array"
    finish(
        {"folder": str(output), "seconds": round(seconds, 2), **result.manifest},
        f"{size} {what}: {len(result.modules)} modules in {output} ({seconds:.1f} s)",
        as_json,
    )
