"""What a session counted: conversions by role, GEMMs by kind, each by layer."""

from dataclasses import asdict, dataclass, fields
from math import prod
from typing import TypeVar

from cosim.bridge.counting import Numbers, beyond, equal, live_rows, nonfinite, tally, zeros
from cosim.bridge.exponents import Exponents
from cosim.bridge.recipe import ROLES, RoleSpec
from pysim import Flags, GemmResult
from pysim.formats import FP32, FloatFormat

KINDS = ("forward", "dgrad", "wgrad")
"""What a GEMM computes: a result, the derivative by an activation, the derivative by a weight."""


@dataclass
class RoleCounts:
    """Conversions of one role.

    Attributes
    ----------
    elements : int
        Numbers converted.
    overflowed : int
        Finite numbers beyond the largest finite number of the format.
    underflowed : int
        Numbers other than zero that became zero.
    nonfinite : int
        Numbers that were infinite or NaN already.
    cycles : int
        Clock cycles of the conversions; 0 for gradients, which are converted as the array drains.

    Gradients leave the array already converted, so that their counts come from codes and flags
    alone. They are upper bounds: if any number overflowed, every one at the limit of the format
    counts; if any underflowed, every zero counts outside the rows and columns that are zero
    because an operand is.
    """

    elements: int = 0
    overflowed: int = 0
    underflowed: int = 0
    nonfinite: int = 0
    cycles: int = 0


@dataclass
class KindCounts:
    """GEMMs of one kind: their number, multiply-accumulate steps, and clock cycles."""

    gemms: int = 0
    macs: int = 0
    cycles: int = 0


Counts = TypeVar("Counts", RoleCounts, KindCounts)


class Statistics:
    """Counts of a session, by layer.

    A layer is the path of the module that owns the weight or bias, such as ``"encoder.0.linear1"``,
    or the name of the function where no operand is a parameter, such as ``"matmul"``.

    Attributes
    ----------
    sampling : bool
        Whether exponents are counted, too; off unless somebody switches it on for a while, for it
        takes a pass over all numbers, and each product of a gradient twice.
    exponents : dict of str to Exponents
        Of each role that something was counted of while `sampling`. Gradients are converted as the
        array drains: theirs before that are what the accumulators held.
    """

    def __init__(self) -> None:
        self.sampling = False
        self.exponents: dict[str, Exponents] = {}
        self._roles: dict[tuple[str, str], RoleCounts] = {}
        self._kinds: dict[tuple[str, str], KindCounts] = {}

    @property
    def roles(self) -> dict[str, RoleCounts]:
        """Conversions of each role, over all layers."""
        return {role: _total(RoleCounts, self._roles, role) for role in ROLES}

    @property
    def kinds(self) -> dict[str, KindCounts]:
        """GEMMs of each kind, over all layers."""
        return {kind: _total(KindCounts, self._kinds, kind) for kind in KINDS}

    @property
    def layers(self) -> dict[str, dict[str, RoleCounts | KindCounts]]:
        """Counts of each layer by role and by kind, layers in the order of their first use."""
        layers: dict[str, dict[str, RoleCounts | KindCounts]] = {}
        for (layer, name), counts in (*self._roles.items(), *self._kinds.items()):
            layers.setdefault(layer, {})[name] = counts
        return layers

    @property
    def cycles(self) -> int:
        """Clock cycles of all GEMMs and conversions."""
        counts = (*self._roles.values(), *self._kinds.values())
        return sum(count.cycles for count in counts)

    def to_dict(self) -> dict:
        """Return everything as plain dictionaries, ready for JSON."""
        return {
            "cycles": self.cycles,
            "roles": {role: asdict(counts) for role, counts in self.roles.items()},
            "kinds": {kind: asdict(counts) for kind, counts in self.kinds.items()},
            "layers": {
                layer: {name: asdict(counts) for name, counts in entries.items()}
                for layer, entries in self.layers.items()
            },
            "exponents": {role: counts.to_dict() for role, counts in self.exponents.items()},
        }

    @classmethod
    def from_dict(cls, values: dict) -> "Statistics":
        """Return what `to_dict` told of."""
        statistics = cls()
        for layer, entries in values["layers"].items():
            for name, counts in entries.items():
                if name in ROLES:
                    statistics._roles[layer, name] = RoleCounts(**counts)
                else:
                    statistics._kinds[layer, name] = KindCounts(**counts)
        for role, counts in values["exponents"].items():
            statistics.exponents[role] = Exponents.from_dict(counts)
        return statistics

    def add(self, other: "Statistics") -> None:
        """Count everything that `other` counted, too."""
        for key, roles in other._roles.items():
            _accumulate(self._roles.setdefault(key, RoleCounts()), roles)
        for key, kinds in other._kinds.items():
            _accumulate(self._kinds.setdefault(key, KindCounts()), kinds)
        for role, exponents in other.exponents.items():
            self.exponents.setdefault(role, Exponents()).add(exponents)

    def count_exponents(self, role: str, before: Numbers, after: Numbers) -> None:
        """Count float32 numbers and the float32 numbers that they were converted to."""
        self.exponents.setdefault(role, Exponents()).count(before, after)

    def count_conversion(
        self,
        layer: str,
        role: str,
        values: Numbers,
        codes: Numbers,
        fmt: FloatFormat,
        exponent: int,
        flags: Flags,
        cycles: int,
    ) -> None:
        """Count float32 `values` that times 2**exponent became `codes`, raising `flags`."""
        counts = self._roles.setdefault((layer, role), RoleCounts())
        size = prod(values.shape)
        counts.elements += size
        counts.cycles += cycles
        if size == 0:
            return
        # The flags, and one look at the codes, tell whether there is anything to count.
        codes_of = tally(codes, fmt)
        if flags.underflow:
            counts.underflowed += codes_of.zeros - zeros(values)
        if flags.overflow or codes_of.beyond:
            counts.nonfinite += nonfinite(values)
            limit = min(fmt.max_value * 2.0**-exponent, FP32.max_value)
            counts.overflowed += beyond(values, limit)

    def count_gradient(
        self, layer: str, result: GemmResult, spec: RoleSpec, a: Numbers, b: Numbers
    ) -> None:
        """Count the converted result of the GEMM of codes `a` [M, K] and `b` [K, N]."""
        counts = self._roles.setdefault((layer, "gradient"), RoleCounts())
        size = prod(result.values.shape)
        counts.elements += size
        fmt = spec.float_format
        if fmt is FP32:
            counts.nonfinite += nonfinite(result.values)
            return
        codes_of = tally(result.values, fmt)
        if result.flags.underflow:
            dead = size - live_rows(a) * live_rows(b.T)
            counts.underflowed += codes_of.zeros - dead
        infinite = codes_of.beyond
        if result.flags.overflow and spec.saturate:
            counts.overflowed += codes_of.largest
        elif result.flags.overflow:
            # What overflowed became infinity, or NaN in a format without.
            limit = fmt.nan_code if fmt.infinity_code is None else fmt.infinity_code
            overflowed = equal(result.values, limit, fmt)
            counts.overflowed += overflowed
            infinite -= overflowed
        counts.nonfinite += infinite

    def count_gemm(self, layer: str, kind: str, macs: int, cycles: int, gemms: int = 1) -> None:
        """Count a GEMM, or several of one layer and kind."""
        counts = self._kinds.setdefault((layer, kind), KindCounts())
        counts.gemms += gemms
        counts.macs += macs
        counts.cycles += cycles


def _total(make: type[Counts], entries: dict[tuple[str, str], Counts], wanted: str) -> Counts:
    total = make()
    for (_, name), counts in entries.items():
        if name == wanted:
            _accumulate(total, counts)
    return total


def _accumulate(total: Counts, counts: Counts) -> None:
    for field in fields(total):
        setattr(total, field.name, getattr(total, field.name) + getattr(counts, field.name))
