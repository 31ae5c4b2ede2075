"""The checks of units by name, from the operands to the results, and who is at fault."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from cosim.units.check import Progress, Result, Wrong
from cosim.units.control import check_control
from cosim.units.conversion import check_column, check_converter, check_nearest
from cosim.units.datapath import (
    check_adder,
    check_decoder,
    check_element,
    check_multiplier,
    check_steps,
)
from cosim.units.harness import ChangedPortsError
from cosim.units.lengths import check_lengths
from cosim.units.lfsr import check_lane, check_periods
from cosim.units.probability import check_probability
from cosim.units.randomness import check_randomness
from pysim import InputError
from rtl_gen import Design


@dataclass(frozen=True)
class Check:
    """A check and its two lengths.

    Attributes
    ----------
    name : str
    about : str
        What is tried, in a few words.
    full, short : callable
        Take the design and a progress callback.
    unit : str
        How the name of the module begins that it tries by itself; empty if it is no single one.
    """

    name: str
    about: str
    full: Callable[[Design, Progress], Result]
    short: Callable[[Design, Progress], Result]
    unit: str = ""

    def run(self, design: Design, progress: Progress, *, short: bool) -> Result:
        """Run it; a unit whose ports were changed fails."""
        try:
            return (self.short if short else self.full)(design, progress)
        except ChangedPortsError as error:
            return Result(self.name, 0, Wrong(error.unit, error.complaint))


def _check(
    name: str, unit: str, about: str, function: Callable[..., Result], **short: object
) -> Check:
    return Check(
        name,
        about,
        lambda design, progress: function(design, progress=progress),
        lambda design, progress: function(design, progress=progress, **short),
        unit,
    )


CHECKS = {
    check.name: check
    for check in (
        _check("decoder", "fp8_operand_decoder", "every code of both formats", check_decoder),
        _check(
            "multiplier",
            "fp8_multiplier",
            "every pair of codes of each pair of formats",
            check_multiplier,
        ),
        _check(
            "adder",
            "fp8_accumulator_adder",
            "every product, accumulators around it",
            check_adder,
            accumulators=32,
        ),
        _check(
            "mac",
            "",
            "every pair of codes of each pair of formats, accumulators around the product",
            check_steps,
            accumulators=16,
        ),
        _check("element", "fp8_pe", "random steps, and operands passing on", check_element),
        _check(
            "converter",
            "fp8_converter",
            "every rounding boundary and every FP16 number",
            check_converter,
            every=16,
        ),
        _check(
            "nearest",
            "fp8_converter",
            "the same, against ml_dtypes and NumPy",
            check_nearest,
            every=4,
        ),
        _check("lane", "fp8_lfsr", "leaps against single steps", check_lane, samples=1 << 16),
        _check(
            "column", "fp8_result_column", "random clocks of the foot of a column", check_column
        ),
        _check("control", "fp8_tile_control", "random clocks of the tile control", check_control),
        _check(
            "lengths",
            "fp8_tile_control",
            "commands of every number of bits of their length",
            check_lengths,
            bits=16,
        ),
        Check(
            "periods",
            "every state of every lane of 16 bits or fewer",
            lambda design, progress: check_periods(progress),
            lambda design, progress: check_periods(progress),
        ),
        _check(
            "probability",
            "fp8_converter",
            "every draw, for every discarded fraction",
            check_probability,
            sizes=(1, 5),
        ),
        _check(
            "randomness",
            "fp8_lfsr",
            "correlation of draws in time and between lanes",
            check_randomness,
            draws=1 << 16,
        ),
    )
}
"""Every check, in the order in which data flow."""

_SUSPECTS = ("decoder", "multiplier", "adder", "element", "converter", "lane", "column", "control")
"""The checks that tell which module is at fault, quick ones all."""


def select(names: Iterable[str]) -> list[Check]:
    """Return the checks named; all if none is.

    Raises
    ------
    InputError
        If there is no check of a name.
    """
    chosen = list(names)
    for name in chosen:
        if name not in CHECKS:
            raise InputError(f"unknown check {name!r}: allowed are {', '.join(CHECKS)}")
    return [check for check in CHECKS.values() if not chosen or check.name in chosen]


def checks_of(module: str) -> list[Check]:
    """Return the checks that try a module by itself."""
    return [check for check in CHECKS.values() if check.unit and module.startswith(check.unit)]


def suspects(design: Design) -> Iterator[Wrong]:
    """Try the units of a design quickly; yield those that are wrong by themselves."""
    for name in _SUSPECTS:
        result = CHECKS[name].run(design, lambda done, total: None, short=True)
        if result.wrong is not None:
            yield result.wrong
