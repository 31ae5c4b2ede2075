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
    of_design : bool
        Whether it tries the design handed in, not what is generated for the purpose.
    """

    name: str
    about: str
    full: Callable[[Design, Progress], Result]
    short: Callable[[Design, Progress], Result]
    of_design: bool = True

    def run(self, design: Design, progress: Progress, *, short: bool) -> Result:
        """Run it; a unit whose ports were changed fails."""
        try:
            return (self.short if short else self.full)(design, progress)
        except ChangedPortsError as error:
            return Result(self.name, 0, Wrong(error.unit, error.complaint))


def _check(name: str, about: str, function: Callable[..., Result], **short: object) -> Check:
    return Check(
        name,
        about,
        lambda design, progress: function(design, progress=progress),
        lambda design, progress: function(design, progress=progress, **short),
    )


CHECKS = {
    check.name: check
    for check in (
        _check("decoder", "every code of both formats", check_decoder),
        _check("multiplier", "every pair of codes of each pair of formats", check_multiplier),
        _check("adder", "every product, accumulators around it", check_adder, accumulators=32),
        _check(
            "mac",
            "every pair of codes of each pair of formats, accumulators around the product",
            check_steps,
            accumulators=16,
        ),
        _check("element", "random steps, and operands passing on", check_element),
        _check(
            "converter", "every rounding boundary and every FP16 number", check_converter, every=16
        ),
        _check("nearest", "the same, against ml_dtypes and NumPy", check_nearest, every=4),
        _check("lane", "leaps against single steps", check_lane, samples=1 << 16),
        _check("column", "random clocks of the foot of a column", check_column),
        _check("control", "random clocks of the tile control", check_control),
        Check(
            "periods",
            "every state of every lane of 16 bits or fewer",
            lambda design, progress: check_periods(progress),
            lambda design, progress: check_periods(progress),
            of_design=False,
        ),
        _check(
            "probability",
            "every draw, for every discarded fraction",
            check_probability,
            sizes=(1, 5),
        ),
        _check(
            "randomness",
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


def suspects(design: Design) -> Iterator[Wrong]:
    """Try the units of a design quickly; yield those that are wrong by themselves."""
    for name in _SUSPECTS:
        result = CHECKS[name].run(design, lambda done, total: None, short=True)
        if result.wrong is not None:
            yield result.wrong
