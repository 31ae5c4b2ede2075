"""`fp8cosim lockstep`: the vector simulator and Verilator side by side, register by register."""

from pathlib import Path
from typing import Annotated

import typer

import rtl_gen
from cosim.cli.app import Json, app, finish
from cosim.cli.options import Cols, ConfigFile, Rows, Verilog, array_config
from cosim.cli.progress import parts_bar
from cosim.errors import CheckFailedError
from pysim import InputError


@app.command()
def lockstep(
    rtl: Verilog = None,
    verilog: Annotated[
        list[Path] | None,
        typer.Option(help="Any other Verilog; repeat it for each file.", metavar="FILE"),
    ] = None,
    top: Annotated[str | None, typer.Option(help="The uppermost module of --verilog.")] = None,
    module: Annotated[
        list[str] | None,
        typer.Option(help="Module to run on its own; every module without this."),
    ] = None,
    again: Annotated[
        Path | None,
        typer.Option(help="Repeat what the file of an earlier difference holds.", metavar="FILE"),
    ] = None,
    rows: Rows = None,
    cols: Cols = None,
    config: ConfigFile = None,
    clocks: Annotated[int, typer.Option(min=1, help="Clocks for each module.")] = 10_000,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the random inputs.")] = 0,
    output: Annotated[
        Path, typer.Option("-o", "--output", help="Folder for the file of a difference.")
    ] = Path(),
    as_json: Json = False,
) -> None:
    """Run Verilog in both simulators and compare every register after every clock."""
    from cosim.lockstep import (
        Lockstep,
        Reproducer,
        modules_below,
        random_commands,
        random_stimulus,
    )
    from cosim.vector import Netlist, read_verilog

    given = [
        name
        for name, value in (("--rtl", rtl), ("--verilog", verilog), ("--again", again))
        if value
    ]
    if len(given) > 1:
        raise InputError(f"{given[0]} and {given[1]} both say what to run: leave one out")
    if given and (rows, cols, config) != (None, None, None):
        raise InputError(f"{given[0]} says what to run: leave out --rows, --cols, and --config")
    if bool(verilog) != (top is not None):
        raise InputError("--verilog and --top belong together: give both or neither")

    recorded = Reproducer.load(again) if again else None
    typical = {}
    if recorded:
        texts, uppermost, module = recorded.modules, recorded.top, [recorded.top]
    elif verilog and top:
        texts, uppermost = _read(verilog), top
    else:
        design = rtl_gen.load(rtl) if rtl else rtl_gen.design(array_config(config, rows, cols))
        texts, uppermost = design.modules, design.manifest["top"]
        typical = {"commands_payload": random_commands(design)}
    netlist = read_verilog(texts, uppermost)
    names = module or list(modules_below(netlist))
    for name in names:
        if name not in netlist.modules:
            known = ", ".join(sorted(netlist.modules))
            raise InputError(f"no module {name!r} is in use: there are {known}")

    results = []
    difference = file = None
    with parts_bar() as bar:
        task = bar.add_task("", total=len(names))
        for name in names:
            bar.update(task, description=name)
            circuit = Lockstep(texts, name, netlist=Netlist(netlist.modules, name))
            if recorded:
                stimulus = recorded.stimulus
            else:
                stimulus = random_stimulus(circuit.source.inputs, clocks, seed, typical)
            difference = circuit.run(stimulus)
            results.append(
                {
                    "module": name,
                    "registers": circuit.registers,
                    "lanes": circuit.source.lanes,
                    "clocks": len(stimulus),
                    "difference": vars(difference) if difference else None,
                }
            )
            if difference:
                if not recorded:
                    file = output / f"lockstep-{name}.npz"
                    leading = stimulus[: difference.clock + 1]
                    Reproducer(texts, name, leading, difference).save(file)
                break
            bar.advance(task)
    result = {
        "seed": seed,
        "passed": difference is None,
        "modules": results,
        "file": str(file) if file else None,
    }
    lines = [
        f"{'DIFFERS' if row['difference'] else 'equal  '}  {row['module']}: "
        f"{row['registers']} registers, {row['clocks']} clocks"
        + "".join(f", {count} lanes of {lane}" for lane, count in row["lanes"].items())
        for row in results
    ]
    finish(result, "\n".join(lines), as_json)
    if difference:
        where = f"; it is recorded in {file}" if file else ""
        raise CheckFailedError(f"{results[-1]['module']}: {difference}{where}")


def _read(files: list[Path]) -> dict[str, str]:
    texts = {}
    for file in files:
        if file.stem in texts:
            raise InputError(f"two files of Verilog are named {file.stem!r}: rename one")
        try:
            texts[file.stem] = file.read_text()
        except (OSError, ValueError) as error:
            raise InputError(f"{str(file)!r} cannot be read: {error}") from error
    return texts
