"""Mutants: the Verilog of a design, each with one small fault that Yosys plants."""

import re
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from cosim.yosys import run_yosys
from pysim import InputError
from rtl_gen import Design

_EFFECTS = {
    "inv": "inverted",
    "const0": "stuck at 0",
    "const1": "stuck at 1",
    "cnot0": "inverted where bit {control} is 0",
    "cnot1": "inverted where bit {control} is 1",
}
_CLOCKS = ("CLK", "clk")
SELECT = "mutant"
"""Name of the input that wakes a mutant where all are planted together."""

_SPARE = 1.3
"""How many more mutants to list than are needed, because those of clocks are dropped."""


@dataclass(frozen=True)
class Mutant:
    """One bit of one port of a cell of a module, changed.

    Attributes
    ----------
    module : str
    statement : str
        The statement of the Verilog that the cell comes from.
    mode : str
        What becomes of the bit, as Yosys' command `mutate` calls it.
    cell, port : str
    bit, control : int
        Bit of the port; the bit of the same port that decides, in some modes.
    """

    module: str
    statement: str
    mode: str
    cell: str
    port: str
    bit: int
    control: int

    @property
    def name(self) -> str:
        """Say what the fault is; also tells mutants of a design apart."""
        effect = _EFFECTS[self.mode].format(control=self.control)
        return f"{self.module}: {self.port}[{self.bit}] {effect} in '{self.statement}'"

    @property
    def command(self) -> str:
        """The command of Yosys that plants the fault."""
        control = f" -ctrlbit {self.control}" if self.mode.startswith("cnot") else ""
        return (
            f"mutate -mode {self.mode} -module {self.module} -cell {self.cell} "
            f"-port {self.port} -portbit {self.bit}{control}"
        )


def list_mutants(
    design: Design, count: int, seed: int, expression: str | None = None
) -> list[Mutant]:
    """Return mutants, spread over modules, statements, and bits as evenly as Yosys does it.

    Clocks are left as they are: a clock that stands still is no fault of the logic.

    Parameters
    ----------
    design : rtl_gen.Design
    count : int
    seed : int
    expression : str, optional
        Regular expression: only modules whose names match it.

    Raises
    ------
    InputError
        If no module matches, or if there are fewer mutants.
    CheckFailedError
        If Yosys refuses the Verilog.
    """
    modules = select_modules(design, expression)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        wanted = int(count * _SPARE) + 10
        run_yosys(
            folder,
            *read_commands(design, folder),
            f"mutate -list {wanted} -seed {seed} -o mutants.txt {' '.join(modules)}",
        )
        lines = (folder / "mutants.txt").read_text().splitlines()
    mutants = {mutant.name: mutant for mutant in (_parse(design, line) for line in lines)}
    chosen = [mutant for mutant in mutants.values() if mutant.port not in _CLOCKS]
    if len(chosen) < count:
        raise InputError(
            f"{count} mutants are wanted: the Verilog of {', '.join(modules)} has {len(chosen)}"
        )
    return chosen[:count]


def select_modules(design: Design, expression: str | None) -> list[str]:
    """Return the modules of a design in whose names a regular expression is found.

    Raises
    ------
    InputError
        If it is not a regular expression, or none matches.
    """
    try:
        chosen = [name for name in design.modules if re.search(expression or "", name)]
    except re.error as error:
        raise InputError(f"{expression!r} is not a regular expression: {error}") from error
    if not chosen:
        raise InputError(f"no module matches {expression!r}: there are {', '.join(design.modules)}")
    return chosen


def plant(design: Design, mutants: Sequence[Mutant]) -> Iterator[Design]:
    """Yield the design with each mutant in turn.

    Raises
    ------
    CheckFailedError
        If Yosys refuses the Verilog.
    """
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        script = [*read_commands(design, folder), "design -save original"]
        for i, mutant in enumerate(mutants):
            script += [
                "design -load original",
                mutant.command,
                f"select {mutant.module}",
                f"write_verilog -noattr -selected {i}.txt",
            ]
        (folder / "plant.ys").write_text("\n".join(script) + "\n")
        run_yosys(folder, "script plant.ys")
        for i, mutant in enumerate(mutants):
            text = (folder / f"{i}.txt").read_text()
            yield replace(design, modules={**design.modules, mutant.module: text})


def plant_all(design: Design, mutants: Sequence[Mutant]) -> Design:
    """Return the design with every mutant in it, asleep.

    A new input of the top, `SELECT`, says which one is awake: 0 none, else the first, the second,
    and so on.

    Raises
    ------
    CheckFailedError
        If Yosys refuses the Verilog.
    """
    bits = len(mutants).bit_length()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        script = read_commands(design, folder)
        for number, mutant in enumerate(mutants, start=1):
            script.append(f"{mutant.command} -ctrl {SELECT} {bits} {number}")
        modules = _written(design, folder, script)
    port = {"name": SELECT, "direction": "input", "width": bits}
    manifest = {**design.manifest, "ports": [*design.manifest["ports"], port]}
    return replace(design, modules=modules, manifest=manifest)


def rewrite(design: Design) -> Design:
    """Return the design as Yosys writes it, without any mutant.

    Raises
    ------
    CheckFailedError
        If Yosys refuses the Verilog.
    """
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        return replace(design, modules=_written(design, folder, read_commands(design, folder)))


def _written(design: Design, folder: Path, commands: list[str]) -> dict[str, str]:
    """Run commands of Yosys, and return every module as it is then."""
    script = list(commands)
    for name in design.modules:
        script += [f"select {name}", f"write_verilog -noattr -selected {name}.txt"]
    (folder / "commands.ys").write_text("\n".join(script) + "\n")
    run_yosys(folder, "script commands.ys")
    return {name: (folder / f"{name}.txt").read_text() for name in design.modules}


def read_commands(design: Design, folder: Path, at: str = "") -> list[str]:
    """Write the Verilog to a folder; return the commands of Yosys that read it from there.

    Parameters
    ----------
    design : rtl_gen.Design
    folder : Path
    at : str
        Path of the folder from where Yosys runs, with a slash at its end.
    """
    for name, text in design.modules.items():
        (folder / f"{name}.v").write_text(text)
    return [
        *(f"read_verilog {at}{name}.v" for name in design.modules),
        f"hierarchy -check -top {design.manifest['top']}",
        "proc",
        "opt_clean",
    ]


def _parse(design: Design, line: str) -> Mutant:
    words = line.split()
    options = dict(zip(words[1::2], words[2::2], strict=True))
    module = options["-module"]
    # The last source is that of the cell, those before are of its wires.
    place = re.fullmatch(r".*:(\d+)\.\d+-(\d+)\.\d+", options["-src"])
    assert place is not None, line
    first, last = (int(number) for number in place.groups())
    lines = [text.strip() for text in design.modules[module].splitlines()[first - 1 : last]]
    statement = lines[0].removesuffix(" (") if lines[0].endswith("(") else " ".join(lines)
    return Mutant(
        module,
        statement,
        options["-mode"],
        options["-cell"],
        options["-port"],
        int(options["-portbit"]),
        int(options.get("-ctrlbit", 0)),
    )
