"""Which unit is at fault: what fails by itself, else what the failing tests have in common."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from cosim.calls import Mismatch
from cosim.errors import MissingToolError
from cosim.regression.runner import Outcome
from pysim.lfsr import Lfsr, Matrix, apply
from rtl_gen import Design

_HANDSHAKES = ("last is", "no handshake", "no packet", "nobody asked")
"""What tests complain of where results come at the wrong time, or not at all."""

MOST_DRAWS = 256
"""So many draws too many or too few are looked for."""


@dataclass(frozen=True)
class Suspicion:
    """The unit that most likely is at fault.

    Attributes
    ----------
    unit : str
        Name of its module, or of several.
    evidence : str
        What says so.
    """

    unit: str
    evidence: str

    def __str__(self) -> str:
        return f"{self.unit} is at fault: {self.evidence}"


def diagnose(design: Design, outcome: Outcome) -> list[Suspicion]:
    """Look for the units at fault after a failed regression, the surest first.

    Each unit is tried by itself (`cosim.units`). If all of them pass, the fault is in how they are
    connected, and the replay files and complaints of the tests tell where: in the stepping of the
    lanes, in what a result is said to hold, in what an accumulator starts from.

    Parameters
    ----------
    design : Design
    outcome : Outcome
        With failures.
    """
    try:
        from cosim.units.campaign import suspects

        found = [Suspicion(wrong.unit, wrong.sentence) for wrong in suspects(design)]
    except MissingToolError as error:
        control = f" or {_module(design, 'fp8_tile_control', 'fp8_overlapped_schedule')}"
        likely = _from_symptoms(design, outcome, control)
        alone = f"units were not tried by themselves: {error}"
        return [Suspicion(likely.unit, f"{likely.evidence}; {alone}")]
    likely = _from_symptoms(design, outcome)
    if not found:
        return [Suspicion(likely.unit, f"{likely.evidence}; every unit passes by itself")]
    if found[0].unit == likely.unit:
        found[0] = Suspicion(likely.unit, f"{likely.evidence}; {found[0].evidence}")
    return found


def _from_symptoms(design: Design, outcome: Outcome, control: str = "") -> Suspicion:
    """Say what the failing tests point to; `control` goes with the top if it may be at fault."""
    complaints = outcome.failures
    # What connects elements and converters is the top of a bare array, and a module of an engine.
    array = _module(design, "fp8_overlapped_array", "fp8_mac_array")
    for name, complaint in complaints.items():
        if any(words in complaint for words in ("keep is", "a packet of")):
            return Suspicion(array, f"results tell of wrong columns ({name}: {complaint})")
        if "X at a port" in complaint:
            return Suspicion(array, f"results are undefined ({name})")
    mismatches = [Mismatch.load(path) for path in sorted(Path(outcome.folder).glob("mismatch-*"))]
    for mismatch in mismatches:
        if draws := _draws_off(mismatch):
            lanes = ", ".join(f"lane {lane} by {count:+d}" for lane, count in draws.items())
            column = _module(design, "fp8_result_column")
            return Suspicion(column, f"lanes draw too often or too seldom ({lanes})")
    for mismatch in mismatches:
        if (row := _started_wrong(mismatch)) is not None:
            length = mismatch.call.operands["a"].shape[1]
            evidence = f"accumulators do not start from +0, seen in row {row} with K of {length}"
            return Suspicion(f"{array}{control}", evidence)
    top = design.manifest["top"]
    for name, complaint in complaints.items():
        if any(words in complaint for words in _HANDSHAKES):
            return Suspicion(f"{top}{control}", f"{name}: {complaint}")
    for mismatch in mismatches:
        differences = "; ".join(mismatch.expected.differences(mismatch.got))
        if differences.startswith("flags"):
            return Suspicion(array, f"only flags differ: {differences}")
        systolic = _module(design, "fp8_systolic_array", "fp8_ring_array")
        return Suspicion(f"{systolic} or what it consists of", differences)
    name, complaint = next(iter(complaints.items()))
    return Suspicion(f"{top} or what it connects", f"{name}: {complaint}")


def _module(design: Design, *prefixes: str) -> str:
    """Return the module whose name begins so, whatever its size; the first prefix if none does."""
    return next((name for name in design.modules if name.startswith(prefixes)), prefixes[0])


def _draws_off(mismatch: Mismatch) -> dict[int, int]:
    """Lanes that are some draws ahead of where they should be, or behind; empty if it is not so."""
    config = mismatch.call.config
    leap = Lfsr(config.lfsr_width).step_matrix(config.random_bits)
    found: dict[int, int] = {}
    for lane in np.flatnonzero(mismatch.expected.random_state != mismatch.got.random_state):
        expected, got = (
            int(outcome.random_state[lane]) for outcome in (mismatch.expected, mismatch.got)
        )
        ahead, behind = _draws_between(leap, expected, got), _draws_between(leap, got, expected)
        if ahead is None and behind is None:
            return {}
        found[int(lane)] = ahead if ahead is not None else -(behind or 0)
    return found


def _draws_between(leap: Matrix, start: int, end: int) -> int | None:
    """Count the draws that lead from one state to another, up to `MOST_DRAWS`."""
    for count in range(1, MOST_DRAWS):
        start = apply(leap, start)
        if start == end:
            return count
    return None


def _started_wrong(mismatch: Mismatch) -> int | None:
    """Return the first wrong row of a GEMM whose sums start from zero; None if there is none.

    Where all sums do, such a GEMM says nothing about how they start.
    """
    call = mismatch.call
    if call.kind != "gemm" or "c" in call.operands or not call.config.load_c:
        return None
    expected, got = mismatch.expected.values, mismatch.got.values
    wrong = np.argwhere(expected.view(np.uint8) != got.view(np.uint8))
    return int(wrong[0][0]) if wrong.size else None
