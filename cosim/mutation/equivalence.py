"""Whether a mutant differs from the original at all, decided for all inputs and register states.

Both modules are cut at their registers and at the modules that they instantiate, so that either is
a function without memory: of inputs and registers, to outputs and what the registers hold next.
Equal functions are equal hardware. Functions that differ may still be equal in use, because some
inputs and states never occur; `facts` says which.
"""

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from cosim.errors import CheckFailedError
from cosim.mutation.mutants import read_commands
from cosim.proofs import Outcome, smt
from cosim.proofs.layout import Command, Operand, Product
from cosim.proofs.netlist import Netlist, Trace
from cosim.proofs.problem import Problem
from cosim.proofs.solver import decide
from cosim.yosys import run_yosys
from pysim.convert import ROUNDINGS
from pysim.formats import OUTPUT_FORMATS
from rtl_gen import Design

TIMEOUT = 60.0
"""Seconds after which the solver gives up."""

SAME = "the same function of inputs and registers"


@dataclass(frozen=True)
class Fact:
    """Something that is always so where a module is used.

    Attributes
    ----------
    says : str
    port : str
        An input or a register.
    holds : callable
        Makes the condition of the port's term.
    register : bool
        Whether the port is a register. It is proved then that the fact, once true, stays so; reset
        brings it about.
    """

    says: str
    port: str
    holds: Callable[[str], str]
    register: bool = False


def facts(design: Design, module: str) -> list[Fact]:
    """Return what is always so of the ports and registers of a module.

    Of inputs it is part of the interface (docs/architecture.md) or said of the module that drives
    them.
    """
    fields = design.manifest["command_fields"]

    def exists(command: str) -> str:
        """Whether a command names a target and a rounding that exist, and sides that do."""
        parts = Command(command, fields)
        limits = {
            "mode_target": len(OUTPUT_FORMATS) - 1,
            "mode_rounding": len(ROUNDINGS) - 1,
            "rows": design.config.rows,
            "cols": design.config.cols,
        }
        return smt.conjunction(
            _at_most(parts.field(name), parts.width(name), limit) for name, limit in limits.items()
        )

    mode = Fact(
        "a mode names a target and a rounding that exist",
        "mode",
        lambda term: smt.conjunction(
            [_at_most(smt.bits(term, 0, 3), 3, 4), _at_most(smt.bits(term, 3, 2), 2, 2)]
        ),
    )
    if module.startswith(("fp8_converter", "fp8_result_column")):
        return [mode]
    if module.startswith("fp8_tile_control"):
        return [
            Fact("commands are as the interface asks", "commands_payload", exists),
            Fact("the command in work is, too", "command", exists, register=True),
            Fact(
                "there is a phase of the number that the state holds",
                "fsm_state",
                lambda term: _at_most(term, 3, 5),
                register=True,
            ),
        ]
    if module == "fp8_accumulator_adder":
        says = "products are as the multiplier makes them"
        return [Fact(says, "product", lambda term: Product(term).well_formed)]
    if module == "fp8_multiplier":
        says = "operands are as the decoders make them"
        return [Fact(says, port, lambda term: Operand(term).well_formed) for port in "ab"]
    return []


def why_equivalent(original: Design, mutant: Design, module: str) -> str | None:
    """Say why a module and its mutant are the same; None if they are not, or it is undecided."""
    try:
        text = _miter(original, mutant, module)
    except CheckFailedError:
        # The mutation took a register apart: there is nothing to compare it with.
        return None
    if _same(text, []):
        return SAME
    known = facts(original, module)
    if known and _same(text, known):
        return f"{SAME}, as long as {'; '.join(dict.fromkeys(fact.says for fact in known))}"
    return None


def _same(miter: str, known: Sequence[Fact]) -> bool:
    trace = Trace(Netlist("miter", miter))
    assumed = [
        smt.assume(fact.holds(trace.wire(f"in_{fact.port}{'.q' * fact.register}")))
        for fact in known
    ]
    kept = {
        fact.says: fact.holds(trace.wire(f"gold_{fact.port}.d")) for fact in known if fact.register
    }
    goals = {"no difference": smt.negation(trace.wire("trigger")), **kept}
    problem = Problem("\n".join([miter, trace.text, *assumed]), goals)
    return decide(problem, TIMEOUT).outcome is Outcome.PROVED


def _at_most(term: str, width: int, limit: int) -> str:
    return f"(bvule {term} {smt.const(limit, width)})"


def _miter(original: Design, mutant: Design, module: str) -> str:
    """Both modules side by side in SMT-LIB; ``trigger`` is whether anything differs."""
    # What nobody named need not be there by name; an undefined bit is the same on both sides.
    prepare = ("rename -hide w:_*_", "setundef -zero")
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        (folder / "mutant").mkdir()
        run_yosys(
            folder,
            *read_commands(original, folder),
            *prepare,
            "design -save original",
            "design -reset",
            *read_commands(mutant, folder / "mutant", "mutant/"),
            *prepare,
            f"rename {module} mutant",
            f"design -copy-from original -as original {module}",
            "expose -dff -evert -evert-dff original mutant",
            "miter -equiv -flatten original mutant miter",
            "hierarchy -top miter",
            "opt_clean",
            "opt_merge",
            "opt_clean",
            "write_smt2 -wires miter.smt2",
        )
        return (folder / "miter.smt2").read_text()
