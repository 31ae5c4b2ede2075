"""`fp8cosim mutate`: faults planted in the Verilog, and whether the checks notice them."""

import time
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from cosim.cli.app import Json, app, finish
from cosim.cli.options import ARRAY, ENGINE, ConfigFile, Latency, Verilog, design_of
from cosim.cli.progress import parts_bar
from cosim.errors import CheckFailedError
from cosim.files import make_folder, replacing

ROWS, COLS = 2, 3


@app.command()
def mutate(
    rtl: Verilog = None,
    rows: Annotated[int | None, typer.Option(help=f"Rows of the array; {ROWS} by default.")] = None,
    cols: Annotated[
        int | None, typer.Option(help=f"Columns of the array; {COLS} by default.")
    ] = None,
    latency: Latency = None,
    config: ConfigFile = None,
    count: Annotated[int, typer.Option(min=1, help="Mutants, over all modules.")] = 50,
    seed: Annotated[int, typer.Option(min=0, help="Of mutants and regression.")] = 0,
    expression: Annotated[
        str | None,
        typer.Option("-k", metavar="MODULE", help="Mutate the modules whose names match."),
    ] = None,
    jobs: Annotated[int, typer.Option(min=1, max=2, help="Mutants judged at a time.")] = 2,
    output: Annotated[
        Path, typer.Option("-o", "--output", help="Folder for results; goes on with those there.")
    ] = Path("out/mutate"),
    as_json: Json = False,
) -> None:
    """Plant faults in the Verilog one by one: regression and proofs must notice each."""
    from cosim.mutation.campaign import RESULTS, SURVIVED, run_campaign
    from cosim.mutation.mutants import list_mutants
    from cosim.mutation.report import by_module, killers, plot, summarise, table

    start = time.monotonic()
    if (rtl, config) == (None, None):
        rows, cols = rows or ROWS, cols or COLS
    design = design_of(rtl, config, rows, cols, latency, tops=(ARRAY, ENGINE))
    mutants = list_mutants(design, count, seed, expression)
    make_folder(output)
    with parts_bar() as bar:
        task = bar.add_task("planting", total=count)
        verdicts = run_campaign(
            design,
            mutants,
            output,
            seed=seed,
            jobs=jobs,
            progress=lambda what, done: bar.update(task, description=what, completed=done),
        )
    text = table(verdicts)
    with replacing(output / "mutation.md") as file:
        file.write(f"{text}\n".encode())
    with replacing(output / "mutation.png") as file:
        file.write(plot(verdicts))
    total = summarise(verdicts)
    survivors = [verdict for verdict in verdicts if verdict.fate == SURVIVED]
    unexplained = [verdict.mutant for verdict in survivors if not verdict.why]
    result = {
        "config": design.config.to_dict(),
        "seed": seed,
        "seconds": round(time.monotonic() - start, 2),
        "passed": not unexplained,
        **total,
        "modules": by_module(verdicts),
        "noticed_by": killers(verdicts),
        "verdicts": [asdict(verdict) for verdict in verdicts],
        "folder": str(output),
    }
    finish(result, f"{text}\n\nwritten to {output}: {RESULTS}, mutation.md, mutation.png", as_json)
    if unexplained:
        raise CheckFailedError(
            f"{len(unexplained)} of {len(verdicts)} mutants survived without an explanation, "
            f"the first is {unexplained[0]}"
        )
