"""`fp8cosim bench`: the benchmarks, each as a ratio against its yardstick in the same run."""

from pathlib import Path
from typing import Annotated

import typer

from cosim.cli.app import Json, app, finish
from cosim.cli.progress import parts_bar
from cosim.files import make_folder, replacing
from pysim import InputError

THROUGHPUT = "throughput"


@app.command()
def bench(
    names: Annotated[
        list[str] | None, typer.Argument(metavar="[NAME...]", help="Which; all without one.")
    ] = None,
    samples: Annotated[
        int | None, typer.Option(min=1, help="Of each; the ratio is the median of theirs.")
    ] = None,
    output: Annotated[
        Path, typer.Option("-o", "--output", help="Folder for the plot of throughput.")
    ] = Path("out/bench"),
    as_json: Json = False,
) -> None:
    """Measure speed as ratios, and plot throughput against size."""
    from cosim.bench import FIGURES, measure
    from cosim.bench.figures import SAMPLES
    from cosim.bench.throughput import plot, throughputs

    chosen = names or [*FIGURES, THROUGHPUT]
    for name in chosen:
        if name not in (*FIGURES, THROUGHPUT):
            allowed = ", ".join((*FIGURES, THROUGHPUT))
            raise InputError(f"unknown benchmark {name!r}: allowed are {allowed}")
    if THROUGHPUT in chosen:
        make_folder(output)
    results, rates = [], None
    with parts_bar() as bar:
        task = bar.add_task("", total=len(chosen))
        for name in chosen:
            bar.update(task, description=name)
            if name == THROUGHPUT:
                rates = throughputs(lambda what: bar.update(task, description=what))
                with replacing(output / "throughput.png") as file:
                    file.write(plot(rates))
            else:
                results.append(measure(name, samples or SAMPLES))
            bar.advance(task)
    lines = []
    for result in results:
        if "not_run" in result:
            lines.append(f"{result['name']:<11} not run: {result['not_run']}")
            continue
        asked = f"{'at most' if result['is_cost'] else 'at least'} {result['limit']}"
        lines.append(
            f"{result['name']:<11} {result['ratio']:5.2f} x  ±{100 * result['spread']:.0f} %  "
            f"({asked}{'' if result['met'] else ': MISSED'})  {result['description']}"
        )
    if rates is not None:
        lines += [f"{max(row.values()):7.2f} GMAC/s at best  {name}" for name, row in rates.items()]
        lines.append(f"plot: {output / 'throughput.png'}")
    finish({"figures": results, "throughput": rates}, "\n".join(lines), as_json)
