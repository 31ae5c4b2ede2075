"""Options that several commands share."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

import rtl_gen
from cosim.cli.app import console
from pysim import ArrayConfig, InputError

ARRAY, ENGINE = "fp8_mac_array", "fp8_gemm_engine"
"""Top modules."""

Verilog = Annotated[
    Path | None,
    typer.Option(
        "--rtl", help="Folder of Verilog generated earlier, perhaps edited.", metavar="DIR"
    ),
]
Rows = Annotated[int | None, typer.Option(help="Rows of the array, 1 to 64; 8 by default.")]
Cols = Annotated[int | None, typer.Option(help="Columns of the array, 1 to 64; 8 by default.")]
Latency = Annotated[
    int | None,
    typer.Option(help="0, the default, for the bare array; 1 to 6 for the engine, on AXI."),
]
TRAINING_LATENCY = 4
"""Of the hardware that models are trained on, unless something else is asked for."""

ConfigFile = Annotated[
    Path | None,
    typer.Option(
        "--config", help="TOML file with fields of the array; options win over it.", metavar="FILE"
    ),
]


def array_config(
    file: Path | None, rows: int | None, cols: int | None, latency: int | None = None
) -> ArrayConfig:
    """Build the configuration that the options ask for."""
    options = {"rows": rows, "cols": cols, "latency": latency}
    given = {name: value for name, value in options.items() if value is not None}
    return ArrayConfig.from_toml(file, **given) if file else ArrayConfig.from_dict(given)


def design_of(
    folder: Path | None,
    file: Path | None,
    rows: int | None,
    cols: int | None,
    latency: int | None = None,
    *,
    tops: Sequence[str] = (ARRAY,),
) -> rtl_gen.Design:
    """Read the Verilog of a folder, and say what was edited there; else generate it.

    Raises
    ------
    InputError
        If a folder is named and a configuration, too, or the top module is none of `tops`.
    """
    if folder is None:
        design = rtl_gen.design(array_config(file, rows, cols, latency))
    elif (rows, cols, latency, file) != (None, None, None, None):
        raise InputError(
            "--rtl says what the array is: leave out --rows, --cols, --latency, and --config"
        )
    else:
        design = rtl_gen.load(folder)
    if (top := design.manifest["top"]) not in tops:
        where = (
            f"{str(folder)!r} holds" if folder else f"with latency {design.config.latency} it is"
        )
        raise InputError(f"{where} {top}: this command takes {' or '.join(tops)}")
    if edited := rtl_gen.edited_files(design):
        console.print(f"edited since it was generated: {', '.join(edited)}")
    return design
