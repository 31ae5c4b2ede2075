"""The problems behind statements as files, so that any solver of SMT-LIB 2 can decide them."""

from collections.abc import Collection, Iterator, Mapping
from pathlib import Path

from cosim.errors import CheckFailedError
from cosim.files import make_folder
from cosim.proofs.netlist import Reader
from cosim.proofs.problem import Induction, Problem, Task
from cosim.proofs.statement import Statement
from rtl_gen import Design


def write_problems(design: Design, chosen: Collection[Statement], folder: Path) -> list[Path]:
    """Write a file for each part of each statement; ``unsat`` means that the part holds.

    Parameters
    ----------
    design : rtl_gen.Design
    chosen : collection of Statement
    folder : Path

    Returns
    -------
    list of Path

    Raises
    ------
    InputError
        If the folder cannot be written.
    CheckFailedError
        If Yosys refuses the Verilog, or it lacks what a statement is about.
    """
    make_folder(folder)
    reader = Reader(design)
    written = []
    for statement in chosen:
        netlists = [reader.read(view.module, view.open_modules) for view in statement.views]
        try:
            problems = statement.problems(*netlists)
        except CheckFailedError as error:
            raise CheckFailedError(f"{statement.name} cannot be written: {error}") from error
        for name, problem in _parts(problems):
            file = folder / f"{'-'.join([*statement.name.split('/'), *name.split()])}.smt2"
            file.write_text(
                f"; {statement.name} of {statement.module}: {statement.says}\n"
                f"; unsat: it holds, sat: it does not\n{problem.refutation}\n(check-sat)\n"
            )
            written.append(file)
    return written


def _parts(problems: Mapping[str, Task]) -> Iterator[tuple[str, Problem]]:
    """Problems by name; plain arithmetic leaves nothing to a solver."""
    for part, task in problems.items():
        if isinstance(task, Problem):
            yield part, task
        elif isinstance(task, Induction):
            yield f"{part} start", task.start
            yield f"{part} step", task.step
