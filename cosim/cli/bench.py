"""`fp8cosim bench`: the benchmarks, each as a ratio against its yardstick in the same run."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from cosim.cli.app import Json, app, finish
from cosim.cli.progress import parts_bar
from cosim.files import make_folder, replacing
from pysim import InputError

THROUGHPUT = "throughput"
RTL = "rtl"


@app.command()
def bench(
    names: Annotated[
        list[str] | None, typer.Argument(metavar="[NAME...]", help="Which; all without one.")
    ] = None,
    samples: Annotated[
        int | None, typer.Option(min=1, help="Of each; the ratio is the median of theirs.")
    ] = None,
    output: Annotated[Path, typer.Option("-o", "--output", help="Folder for plots.")] = Path(
        "out/bench"
    ),
    as_json: Json = False,
) -> None:
    """Measure speed as ratios, plot throughput against size, and simulators of the Verilog."""
    from cosim.bench import FIGURES, measure
    from cosim.bench.figures import SAMPLES
    from cosim.bench.simulators import SAMPLES as RTL_SAMPLES
    from cosim.bench.simulators import (
        describe,
        measure_simulators,
        measure_training,
        plot_simulators,
    )
    from cosim.bench.throughput import plot, throughputs

    known = (*FIGURES, THROUGHPUT, RTL)
    chosen = names or list(known)
    for name in chosen:
        if name not in known:
            raise InputError(f"unknown benchmark {name!r}: allowed are {', '.join(known)}")
    if {THROUGHPUT, RTL} & set(chosen):
        make_folder(output)
    results, rates, simulators, training = [], None, [], None
    with parts_bar() as bar:
        task = bar.add_task("", total=len(chosen))
        for name in chosen:
            bar.update(task, description=name)
            if name == THROUGHPUT:
                rates = throughputs(lambda what: bar.update(task, description=what))
                with replacing(output / "throughput.png") as file:
                    file.write(plot(rates))
            elif name == RTL:

                def show(what: str) -> None:
                    bar.update(task, description=what)

                simulators = measure_simulators(samples=samples or RTL_SAMPLES, progress=show)
                training = measure_training(progress=show)
                with replacing(output / "rtl.png") as file:
                    file.write(plot_simulators(simulators))
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
    if simulators:
        lines += [*describe(simulators, training), f"plot: {output / 'rtl.png'}"]
    result = {
        "figures": results,
        "throughput": rates,
        "simulators": [asdict(row) for row in simulators],
        "training": training,
    }
    finish(result, "\n".join(lines), as_json)
