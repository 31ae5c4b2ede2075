"""Where two simulations part: the first moment, and of the signals that differ then the first."""

import re
from bisect import bisect_right
from dataclasses import dataclass
from pathlib import Path

from pywellen import Waveform

from cosim.regression.testbench import CLOCK_PERIOD
from rtl_gen import Design

_IDENTIFIER = re.compile(r"\\(\S+)\s|(?<!')\b([A-Za-z_]\w*)")
_ASSIGNMENT = re.compile(r"\bassign\s+(.+?)\s+=\s+(.+?);", re.DOTALL)
_REGISTER = re.compile(r"(\S+)\s+<=\s+(.+?);", re.DOTALL)


@dataclass(frozen=True)
class Signal:
    """A signal with its value in either simulation, as a hexadecimal number or with X in it.

    Attributes
    ----------
    instance : str
        Path of the instance, from the top.
    module : str
    name : str
    expected, got : str
    """

    instance: str
    module: str
    name: str
    expected: str
    got: str

    def __str__(self) -> str:
        return (
            f"{self.name} in {self.module} ({self.instance}) is {self.got} "
            f"instead of {self.expected}"
        )


@dataclass(frozen=True)
class Parting:
    """The first moment at which signals differ.

    Attributes
    ----------
    clock : int
        Rising edges since the start.
    first : list of Signal
        Those that differ though nothing that drives them does.
    beside : list of str
        Names of the others that differ in the instance of the first.
    others : int
        How many more differ in the same moment.
    """

    clock: int
    first: list[Signal]
    beside: list[str]
    others: int


def find_parting(good: Path, bad: Path, design: Design) -> Parting | None:
    """Compare the waves of two simulations of the same stimulus.

    Parameters
    ----------
    good, bad : Path
        Waves of Verilog as generated, and of edited Verilog.
    design : Design
        The edited Verilog; it tells what drives what.

    Returns
    -------
    Parting or None
        None if no signal that both have differs.
    """
    expected, got = (_changes(path) for path in (good, bad))
    common = [name for name in expected if name in got]
    times = {
        name: time
        for name in common
        if (time := _first_difference(expected[name], got[name])) is not None
    }
    if not times:
        return None
    moment = min(times.values())
    different = {name for name, time in times.items() if time == moment}
    modules = _instances(design)
    drivers = {module: _drivers(text) for module, text in design.modules.items()}
    signals = {}
    for name in different:
        instance = _instance_of(name, modules)
        if instance is None:
            continue
        local = name[len(instance) + 1 :]
        values = (_value(changes[name], moment) for changes in (expected, got))
        signals[name] = Signal(instance, modules[instance], local, *values)

    def is_first(name: str, signal: Signal) -> bool:
        prefix = f"{signal.instance}."
        driven = drivers[signal.module]
        if signal.name not in driven:
            return False  # by another module
        is_register, _ = driven[signal.name]
        # A register took its value before anything differed.
        return is_register or not any(
            prefix + source in different
            for source in _sources(signal.name, driven, lambda source: prefix + source in common)
        )

    common = set(common)
    first = [signal for name, signal in signals.items() if is_first(name, signal)]
    if not first:
        first = sorted(signals.values(), key=lambda signal: -signal.instance.count("."))[:4]
    first.sort(key=lambda signal: (signal.instance, signal.name))
    beside = sorted(
        signal.name
        for signal in signals.values()
        if signal.instance == first[0].instance
        and signal not in first
        and not signal.name.startswith("_")
    )
    return Parting(moment // CLOCK_PERIOD, first, beside, len(different) - len(first))


Changes = list[tuple[int, int | str]]


def _changes(path: Path) -> dict[str, Changes]:
    """Read the changes of each signal: time in nanoseconds, and the value from then on."""
    waves = Waveform(str(path))
    to_ns = {"ps": 1000, "ns": 1}
    match = re.fullmatch(r"(\d+)(ps|ns)", str(waves.timescale).replace(" ", ""))
    if match is None:
        raise ValueError(f"waves with an unexpected time scale: {waves.timescale}")
    found = {}
    for variable in waves.all_vars():
        changes = [(time * int(match[1]) // to_ns[match[2]], value) for time, value in variable.tv]
        # Icarus and Verilator name a vector with and without its range.
        found[re.sub(r"\s*\[[\d:]+\]$", "", variable.full_name)] = changes
    return found


def _first_difference(x: Changes, y: Changes) -> int | None:
    """Return the first time at which values differ."""
    x, y = _steps(x), _steps(y)
    for one, other in zip(x, y, strict=False):
        if one != other:
            return min(one[0], other[0]) if one[0] != other[0] else one[0]
    if len(x) == len(y):
        return None
    return max(x, y, key=len)[min(len(x), len(y))][0]


def _steps(changes: Changes) -> Changes:
    """Keep the last value of each moment, and leave out what changes nothing."""
    settled = {time: value for time, value in changes}
    steps: Changes = []
    for time, value in settled.items():
        if not steps or steps[-1][1] != value:
            steps.append((time, value))
    return steps


def _value(changes: Changes, moment: int) -> str:
    index = bisect_right([time for time, _ in changes], moment) - 1
    value = changes[index][1] if index >= 0 else "unknown"
    return f"{value:#x}" if isinstance(value, int) else str(value)


def _instances(design: Design) -> dict[str, str]:
    """Return the module of each instance, by its path."""
    names = "|".join(map(re.escape, design.modules))
    pattern = re.compile(rf"^\s*({names})\s+(\w+)\s*\(", re.MULTILINE)
    found: dict[str, str] = {}
    waiting = [(design.manifest["top"], design.manifest["top"])]
    while waiting:
        path, module = waiting.pop()
        found[path] = module
        body = design.modules[module].partition(";")[2]
        waiting += [(f"{path}.{name}", child) for child, name in pattern.findall(body)]
    return found


def _instance_of(signal: str, modules: dict[str, str]) -> str | None:
    """Return the longest path of an instance that a signal lies in; names may have dots, too."""
    path = signal
    while "." in path:
        path = path.rpartition(".")[0]
        if path in modules:
            return path
    return None


Drivers = dict[str, tuple[bool, set[str]]]


def _drivers(text: str) -> Drivers:
    """Return, for each signal that a module drives, if it is a register, and what drives it."""
    found: Drivers = {}
    for is_register, pattern in ((False, _ASSIGNMENT), (True, _REGISTER)):
        for left, right in pattern.findall(text):
            for target in _identifiers(left):
                known = found.setdefault(target, (is_register, set()))
                known[1].update(_identifiers(right) - {target})
    return found


def _identifiers(expression: str) -> set[str]:
    return {escaped or plain for escaped, plain in _IDENTIFIER.findall(expression + " ")}


def _sources(name: str, drivers: Drivers, is_seen) -> set[str]:
    """Return the signals with waves that drive one, through those that have none."""
    found: set[str] = set()
    waiting, done = list(drivers[name][1]), set()
    while waiting:
        source = waiting.pop()
        if source in done:
            continue
        done.add(source)
        if is_seen(source):
            found.add(source)
        elif source in drivers:
            waiting += drivers[source][1]
    return found
