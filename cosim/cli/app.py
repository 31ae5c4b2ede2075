"""The application object, and what every command shares: exit status and output."""

import json
import os
import sys
from typing import Annotated

import typer
from rich.console import Console

from cosim.errors import CheckFailedError, MissingToolError
from pysim import InputError

app = typer.Typer(
    name="fp8cosim",
    help="FP8 MAC array in Amaranth, co-simulated bit for bit with PyTorch training.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

FIRST = "TORCHELASTIC_RUN_ID" not in os.environ or os.environ.get("RANK") == "0"
"""Whether this is the only process, or the first of those that `torchrun` started."""

console = Console(stderr=True, quiet=not FIRST)
"""Progress and logs go to standard error; standard output is for results."""

Json = Annotated[
    bool, typer.Option("--json", help="Print exactly one JSON object on standard output.")
]


@app.callback()
def _root() -> None:
    pass


def finish(result: dict, text: str, as_json: bool) -> None:
    """Print a command's result on standard output: one JSON object, or text for people."""
    if FIRST:
        print(json.dumps(result) if as_json else text)


def main() -> None:
    """Run the command line, and turn errors into one sentence and an exit status."""
    # Threads of OpenMP, which PyTorch computes with, spin for milliseconds after their work; on few
    # cores they keep the engine's threads off them. It is read when PyTorch is loaded, later.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    # Several processes look for parameters without a gradient, and PyTorch warns that there are
    # none (see `cosim.training.processes`).
    os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")

    from cosim.cli import commands  # noqa: F401  (registers the commands)

    try:
        app()
    except InputError as error:
        status = _complain(str(error), 2)
    except CheckFailedError as error:
        status = _complain(str(error), 1)
    except MissingToolError as error:
        status = _complain(str(error), 3)
    sys.exit(status)


def _complain(sentence: str, status: int) -> int:
    who = "fp8cosim" if FIRST else f"fp8cosim, process {os.environ['RANK']}"
    print(f"{who}: {sentence}", file=sys.stderr)
    return status
