"""`fp8cosim compare`: random calls on two engines, which must agree in every bit."""

from pathlib import Path
from typing import Annotated

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from cosim.campaign import Tally, configurations, run_campaign
from cosim.cli.app import Json, app, console, finish
from cosim.cli.options import Cols, ConfigFile, Latency, Rows, array_config
from cosim.engines import checked_simulator, open_engine
from cosim.errors import CheckFailedError
from pysim import ArrayConfig, InputError

DEFAULT_ARRAYS = "1x1,4x4,8x8,3x5,16x16"


@app.command()
def compare(
    engine: Annotated[str, typer.Option(help="The engine under test.")] = "fast",
    against: Annotated[str, typer.Option(help="The engine that is right.")] = "golden",
    simulator: Annotated[
        str | None, typer.Option(help="Of the engine under test, if that is rtl or audit.")
    ] = None,
    against_simulator: Annotated[
        str | None, typer.Option(help="Of the engine that is right, if that is rtl or audit.")
    ] = None,
    count: Annotated[int, typer.Option(min=1, help="Random GEMMs.")] = 1000,
    large: Annotated[int, typer.Option(min=0, help="GEMMs of some hundreds each way, on top.")] = 0,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the random calls.")] = 0,
    arrays: Annotated[
        str | None,
        typer.Option(
            help=f"Array sizes, rows x cols, separated by commas; {DEFAULT_ARRAYS} by default."
        ),
    ] = None,
    rows: Rows = None,
    cols: Cols = None,
    latency: Latency = None,
    config: ConfigFile = None,
    variants: Annotated[
        int | None,
        typer.Option(min=1, help="Random-number settings tried for each array; 1 by default."),
    ] = None,
    output: Annotated[
        Path, typer.Option("-o", "--output", help="Folder for the replay file of a mismatch.")
    ] = Path(),
    as_json: Json = False,
) -> None:
    """Compare two engines on random calls: values, flags, cycles, random state.

    With --config, --rows, or --cols, on the one array that these say; else on --arrays.
    """
    simulators = [
        checked_simulator(name, chosen)
        for name, chosen in ((engine, simulator), (against, against_simulator))
    ]
    if (config, rows, cols) == (None, None, None):
        sizes = _parse_arrays(arrays or DEFAULT_ARRAYS)
        configs = configurations(sizes, variants or 1, latency or 0)
    elif (arrays, variants) == (None, None):
        configs = [array_config(config, rows, cols, latency)]
    else:
        raise InputError(
            "--config, --rows, and --cols say what the array is: leave out --arrays and --variants"
        )
    result = {
        "engine": engine,
        "against": against,
        "simulator": simulators[0],
        "against_simulator": simulators[1],
        "seed": seed,
        "configs": [config.to_dict() for config in configs],
    }
    try:
        with Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            console=console,
        ) as bar:
            task = bar.add_task("opening", total=count + large)

            def show(config: ArrayConfig, tally: Tally) -> None:
                size = f"{config.rows} x {config.cols}, LFSR {config.lfsr_width}"
                bar.update(task, description=size, completed=tally.gemms)

            tally = run_campaign(
                lambda config: open_engine(engine, config, simulator=simulators[0]),
                lambda config: open_engine(against, config, simulator=simulators[1]),
                configs,
                count=count,
                large=large,
                seed=seed,
                folder=output,
                progress=show,
            )
    except CheckFailedError as error:
        if as_json:
            finish({**result, "passed": False, "mismatch": str(error)}, "", as_json)
        raise
    result |= {
        "passed": True,
        "gemms": tally.gemms,
        "conversions": tally.conversions,
        "macs": tally.macs,
        "kinds": tally.kinds,
    }
    names = [
        f"{name} ({chosen})" if chosen else name
        for name, chosen in zip((engine, against), simulators, strict=True)
    ]
    finish(result, _describe(tally, *names), as_json)


def _parse_arrays(text: str) -> list[tuple[int, int]]:
    arrays = []
    for item in text.split(","):
        rows, cross, cols = item.strip().partition("x")
        if not (cross and rows.isdecimal() and cols.isdecimal()):
            raise InputError(f"array size {item!r} is not allowed: write rows x cols, such as 8x8")
        arrays.append((int(rows), int(cols)))
    return arrays


def _describe(tally: Tally, engine: str, against: str) -> str:
    lines = [
        f"{engine} equals {against} in {tally.gemms} GEMMs ({tally.macs} multiply-accumulates) "
        f"and {tally.conversions} conversions: values, flags, cycles, random state."
    ]
    for question, answers in tally.kinds.items():
        lines.append(f"{question}:")
        lines += [f"  {count:7d}  {answer}" for answer, count in sorted(answers.items())]
    return "\n".join(lines)
