"""A statement about the Verilog, and where to look for what it says."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from cosim.proofs.problem import Task


@dataclass(frozen=True)
class View:
    """How a statement looks at a module.

    Attributes
    ----------
    module : str
    open_modules : tuple of str
        Modules in it whose outputs may be anything, so that what they do does not matter.
    """

    module: str
    open_modules: tuple[str, ...] = ()


@dataclass(frozen=True)
class Statement:
    """Something that is to hold for all inputs.

    Attributes
    ----------
    name : str
        Family and member, such as ``mac/e5m2-e4m3``.
    module : str
        The Verilog module that is wrong if the statement is.
    says : str
        One sentence.
    views : tuple of View
        What it is about; `module` is the first, if there are any.
    problems : callable
        Called with a netlist for each view; returns what to decide, by part of the statement.
    short : bool
        Whether it is part of the short form.
    """

    name: str
    module: str
    says: str
    views: tuple[View, ...]
    problems: Callable[..., Mapping[str, Task]]
    short: bool = True


def undivided(make: Callable[..., Task]) -> Callable[..., Mapping[str, Task]]:
    """Return the `problems` of a statement in one part, which `make` makes of its netlists."""
    return lambda *netlists: {"": make(*netlists)}
