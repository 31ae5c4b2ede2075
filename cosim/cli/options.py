"""Options that several commands share."""

from pathlib import Path
from typing import Annotated

import typer

from pysim import ArrayConfig

Rows = Annotated[int | None, typer.Option(help="Rows of the array, 1 to 64; 8 by default.")]
Cols = Annotated[int | None, typer.Option(help="Columns of the array, 1 to 64; 8 by default.")]
ConfigFile = Annotated[
    Path | None,
    typer.Option(
        "--config", help="TOML file with fields of the array; options win over it.", metavar="FILE"
    ),
]


def array_config(file: Path | None, rows: int | None, cols: int | None) -> ArrayConfig:
    """Build the configuration that the options ask for."""
    given = {name: value for name, value in (("rows", rows), ("cols", cols)) if value is not None}
    return ArrayConfig.from_toml(file, **given) if file else ArrayConfig.from_dict(given)
