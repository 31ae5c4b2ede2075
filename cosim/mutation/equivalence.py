"""Whether a mutant differs from the original at all, decided for all inputs and register states.

Both modules are cut at their registers and at the modules that they instantiate, so that either is
a function without memory: of inputs and registers, to outputs and what the registers hold next.
Equal functions are equal hardware. Functions that differ may still be equal in use, because some
inputs and states never occur, and because nothing reads a register at times; `use_of` says which.
"""

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from cosim.errors import CheckFailedError
from cosim.mutation.mutants import read_commands
from cosim.proofs import Outcome, smt
from cosim.proofs.control import Control
from cosim.proofs.converter import SCALE, SCALE_BITS
from cosim.proofs.induction import Wires
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
    holds : callable
        Makes the condition of the wires of a clock.
    of_registers : bool
        Whether it is about registers. It is proved then that the fact, once true, stays so; reset
        brings it about.
    """

    says: str
    holds: Callable[[Wires], str]
    of_registers: bool = False


@dataclass(frozen=True)
class Unread:
    """A register that nothing reads at times. It may hold something else then, which is proved.

    Attributes
    ----------
    says : str
    register : str
    when : callable
        Makes the condition of the wires of a clock.
    """

    says: str
    register: str
    when: Callable[[Wires], str]


@dataclass(frozen=True)
class Use:
    """How a module is used."""

    facts: Sequence[Fact] = ()
    unread: Sequence[Unread] = ()

    def __str__(self) -> str:
        return "; ".join(each.says for each in (*self.facts, *self.unread))


def use_of(design: Design, module: str) -> Use:
    """Return how a module of a design is used.

    What is said of inputs is part of the interface (docs/architecture.md), or of the module that
    drives them.
    """
    config, fields = design.config, design.manifest["command_fields"]

    def mode_exists(mode: str) -> str:
        targets, roundings = len(OUTPUT_FORMATS), len(ROUNDINGS)
        return smt.conjunction(
            [
                _below(smt.bits(mode, 0, 3), 3, targets),
                _below(smt.bits(mode, 3, 2), 2, roundings),
                smt.implies(
                    smt.equal(smt.bits(mode, 0, 3), smt.const(0, 3)),
                    smt.equal(smt.bits(mode, SCALE, SCALE_BITS), smt.const(0, SCALE_BITS)),
                ),
            ]
        )

    if module.startswith(("fp8_converter", "fp8_result_column")):
        says = "a mode names a target, a rounding, and a scale that exist"
        return Use([Fact(says, lambda wires: mode_exists(wires.wire("mode")))])
    if module.startswith("fp8_tile_control"):
        control = Control(config, fields)

        def offered(wires: Wires) -> str:
            exists = mode_exists(Command(wires.wire("commands_payload"), fields).mode)
            allowed = control.assumptions(wires).values()
            return smt.conjunction([smt.implies(wires.wire("commands_valid"), exists), *allowed])

        def in_work(wires: Wires) -> str:
            exists = mode_exists(Command(wires.wire("command"), fields).mode)
            return smt.conjunction([exists, *control.shape(wires).values()])

        return Use(
            [
                Fact("commands are as the interface asks", offered),
                Fact(
                    "the phase is one that exists, with no more steps left than it has",
                    in_work,
                    True,
                ),
            ],
            [
                Unread(
                    "nothing reads between commands how many steps are left",
                    "remaining",
                    lambda wires: control.phase_is(wires, "IDLE"),
                )
            ],
        )
    if module == "fp8_mac_array":
        width = max(1, (config.cols - 1).bit_length())

        def lane_exists(wires: Wires) -> str:
            lane = wires.wire("lfsr_lane")
            return _below(lane if width > 1 else smt.as_bit(lane), width, config.cols)

        return Use([Fact("the lane that is asked for exists", lane_exists)])
    if module.startswith(("fp8_accumulator_adder", "fp8_step")):
        says = "products are as the multiplier makes them"
        return Use([Fact(says, lambda wires: Product(wires.wire("product")).well_formed)])
    if module in ("fp8_multiplier", "fp8_pipelined_multiplier"):
        says = "operands are as the decoders make them"
        return Use(
            [
                Fact(
                    says,
                    lambda wires: smt.conjunction(
                        Operand(wires.wire(port)).well_formed for port in "ab"
                    ),
                )
            ]
        )
    return Use()


def why_equivalent(original: Design, mutant: Design, module: str) -> str | None:
    """Say why a module and its mutant are the same; None if they are not, or it is undecided."""
    try:
        text = _miter(original, mutant, module)
    except CheckFailedError:
        # The mutation took a register apart: there is nothing to compare it with.
        return None
    netlist = Netlist("miter", text)
    if _same(netlist, Use()):
        return SAME
    use = use_of(original, module)
    if use != Use() and _same(netlist, use):
        return f"{SAME}, as long as {use}"
    return None


@dataclass(frozen=True)
class _Before:
    """Inputs and registers of a module in the miter."""

    trace: Trace

    def wire(self, name: str) -> str:
        register = f"in_{name}.q"
        return self.trace.wire(register if register in self.trace.netlist.widths else f"in_{name}")


@dataclass(frozen=True)
class _After:
    """What registers of the original hold in the next clock."""

    trace: Trace

    def wire(self, name: str) -> str:
        return self.trace.wire(f"gold_{name}.d")


def _same(netlist: Netlist, use: Use) -> bool:
    """Decide whether original and mutant do the same, and remain so.

    Each has a state of its own: the states are equal, but for registers that nothing reads.
    """
    original, mutant = (Trace(netlist, name) for name in ("original", "mutant"))
    before, after = _Before(original), _After(original)
    unread = {each.register: each.when for each in use.unread}
    text = [netlist.text, original.text, mutant.text]
    text += [smt.assume(fact.holds(before)) for fact in use.facts]
    goals = {fact.says: fact.holds(after) for fact in use.facts if fact.of_registers}
    for wire in netlist.widths:
        side, _, name = wire.partition("_")
        register = name.rpartition(".")[0]
        if side == "in":
            equal = smt.equal(original.wire(wire), mutant.wire(wire))
            if name.endswith(".q") and register in unread:
                equal = smt.disjunction([equal, unread[register](before)])
            text.append(smt.assume(equal))
        elif side == "gold":
            equal = smt.equal(original.wire(wire), mutant.wire(f"gate_{name}"))
            if name.endswith(".d") and register in unread:
                equal = smt.disjunction([equal, unread[register](after)])
            goals[name] = equal
    return decide(Problem("\n".join(text), goals), TIMEOUT).outcome is Outcome.PROVED


def _below(term: str, width: int, limit: int) -> str:
    """Whether a bit-vector is less than a limit, which may be one more than it holds."""
    return f"(bvult {smt.extend(term, width, width + 1)} {smt.const(limit, width + 1)})"


def _miter(original: Design, mutant: Design, module: str) -> str:
    """Both modules side by side in SMT-LIB.

    Inputs, and what registers hold, are ``in_...`` of both; outputs, and what registers hold next,
    are ``gold_...`` of the original and ``gate_...`` of the mutant.
    """
    # What nobody named need not be there by name; an undefined bit is the same on both sides.
    prepare = ("rename -hide w:_*_", "opt_clean", "setundef -zero")
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
            # A register is seen only where it drives a whole wire.
            "splitnets -ports -driver original mutant",
            "expose -dff -evert -evert-dff original mutant",
            "miter -equiv -flatten original mutant miter",
            "hierarchy -top miter",
            "opt_clean",
            "opt_merge",
            "opt_clean",
            "write_smt2 -wires miter.smt2",
        )
        return (folder / "miter.smt2").read_text()
