"""The application object, and what every command shares: exit status and output."""

import json
import sys
from typing import Annotated, NoReturn

import click
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
console = Console(stderr=True)
"""Progress and logs go to standard error; standard output is for results."""

Json = Annotated[
    bool, typer.Option("--json", help="Print exactly one JSON object on standard output.")
]


@app.callback()
def _root() -> None:
    pass


def finish(result: dict, text: str, as_json: bool) -> None:
    """Print a command's result on standard output: one JSON object, or text for people."""
    print(json.dumps(result) if as_json else text)


def main() -> NoReturn:
    """Run the command line, and turn errors into one sentence and an exit status."""
    from cosim.cli import commands  # noqa: F401  (registers the commands)

    try:
        status = app(standalone_mode=False)
    except click.ClickException as error:
        _complain(error.format_message())
        status = 2
    except InputError as error:
        _complain(str(error))
        status = 2
    except CheckFailedError as error:
        _complain(str(error))
        status = 1
    except MissingToolError as error:
        _complain(str(error))
        status = 3
    except (KeyboardInterrupt, click.Abort):
        _complain("interrupted")
        status = 130
    sys.exit(status if isinstance(status, int) else 0)


def _complain(sentence: str) -> None:
    print(f"fp8cosim: {sentence}", file=sys.stderr)
