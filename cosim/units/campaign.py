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
from cosim.units.ring import check_ring_element
from cosim.units.sequencer import check_sequencer
from cosim.units.tiles import check_schedule
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
    units : tuple of str
        How the names of the modules begin that it tries by themselves: none of them if it tries
        several together. It is a check of the designs that have one of them.
    """

    name: str
    about: str
    full: Callable[[Design, Progress], Result]
    short: Callable[[Design, Progress], Result]
    units: tuple[str, ...] = ()

    def tries(self, module: str) -> bool:
        """Whether the check tries a module by itself."""
        return module.startswith(self.units)

    def fits(self, design: Design) -> bool:
        """Whether a design has what is tried."""
        return not self.units or any(map(self.tries, design.modules))

    def run(self, design: Design, progress: Progress, *, short: bool) -> Result:
        """Run it; a unit whose ports were changed fails."""
        try:
            return (self.short if short else self.full)(design, progress)
        except ChangedPortsError as error:
            return Result(self.name, 0, Wrong(error.unit, error.complaint))


def _check(
    name: str,
    units: str | tuple[str, ...],
    about: str,
    function: Callable[..., Result],
    **short: object,
) -> Check:
    return Check(
        name,
        about,
        lambda design, progress: function(design, progress=progress),
        lambda design, progress: function(design, progress=progress, **short),
        (units,) if isinstance(units, str) else units,
    )


def _check_element(design: Design, progress: Progress) -> Result:
    check = check_ring_element if design.config.latency else check_element
    return check(design, progress=progress)


def _check_control(design: Design, progress: Progress) -> Result:
    check = check_schedule if design.config.latency else check_control
    return check(design, progress=progress)


CHECKS = {
    check.name: check
    for check in (
        _check("decoder", "fp8_operand_decoder", "every code of each format", check_decoder),
        _check(
            "multiplier",
            ("fp8_multiplier", "fp8_pipelined_multiplier"),
            "every pair of codes of each pair of formats",
            check_multiplier,
        ),
        _check(
            "adder",
            ("fp8_accumulator_adder", "fp8_step"),
            "every product, accumulators around it",
            check_adder,
            accumulators=32,
            longest=1 << 12,
        ),
        _check(
            "mac",
            (),
            "every pair of codes of each pair of formats, accumulators around the product",
            check_steps,
            accumulators=16,
        ),
        _check(
            "element",
            ("fp8_pe", "fp8_ring_element"),
            "random steps, and operands passing on",
            _check_element,
        ),
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
        _check(
            "control",
            ("fp8_tile_control", "fp8_overlapped_schedule"),
            "random clocks of what steps through tiles",
            _check_control,
        ),
        _check(
            "sequencer",
            "fp8_tile_sequencer",
            "random calls, cut into tiles",
            check_sequencer,
        ),
        _check(
            "lengths",
            ("fp8_tile_control", "fp8_overlapped_schedule", "fp8_tile_sequencer"),
            "tiles and calls of every number of bits of their length",
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
_SUSPECTS += ("sequencer",)
"""The checks that tell which module is at fault, quick ones all."""


def select(names: Iterable[str], design: Design) -> list[Check]:
    """Return the checks named that a design has the units for; all of them if none is named.

    Raises
    ------
    InputError
        If there is no check of a name, or the design has not what it tries.
    """
    chosen = list(names)
    for name in chosen:
        if name not in CHECKS:
            raise InputError(f"unknown check {name!r}: allowed are {', '.join(CHECKS)}")
        if not CHECKS[name].fits(design):
            units = " or ".join(CHECKS[name].units)
            raise InputError(f"no check {name!r} here: {design.manifest['top']} has no {units}")
    fitting = [check for check in CHECKS.values() if check.fits(design)]
    return [check for check in fitting if not chosen or check.name in chosen]


def checks_of(module: str) -> list[Check]:
    """Return the checks that try a module by itself."""
    return [check for check in CHECKS.values() if check.tries(module)]


def suspects(design: Design) -> Iterator[Wrong]:
    """Try the units of a design quickly; yield those that are wrong by themselves."""
    for name in _SUSPECTS:
        check = CHECKS[name]
        if not check.fits(design):
            continue
        result = check.run(design, lambda done, total: None, short=True)
        if result.wrong is not None:
            yield result.wrong
