"""What a survey says, as tables, for JSON, and in a picture."""

from collections.abc import Mapping
from io import BytesIO

from matplotlib.figure import Figure

from cosim.synth.mapping import Area
from cosim.synth.placing import Clock
from cosim.synth.survey import ArrayFigures, Comparison, Survey, Unit


def to_dict(found: Survey) -> dict:
    """Return a survey for JSON."""
    return {
        "device": found.device.name,
        "speed": found.speed,
        "arrays": [
            {
                "rows": array.rows,
                "cols": array.cols,
                "modules": [
                    {
                        "module": module.name,
                        "instances": module.instances,
                        "own": module.own.to_dict(),
                        "total": module.total.to_dict(),
                        "inside": module.children,
                    }
                    for module in array.modules.values()
                ],
                "clock": _clock(array.clock),
                "why_no_clock": array.why_no_clock,
            }
            for array in found.arrays
        ],
        "units": [_unit(unit) for unit in found.units],
        "pipelines": {latency: _unit(unit) for latency, unit in found.pipelines.items()},
        "grids": {latency: _unit(unit) for latency, unit in found.grids.items()},
        "kinds": {str(kind): _unit(unit) for kind, unit in found.kinds.items()},
        "columns": {bits: _unit(unit) for bits, unit in found.columns.items()},
        "comparisons": [
            {
                "what": pair.what,
                "chip": _unit(pair.chip),
                "textbook": _unit(pair.textbook),
                "ratios": {name: round(ratio, 3) for name, ratio in pair.ratios().items()},
            }
            for pair in found.comparisons
        ],
    }


def describe(found: Survey) -> str:
    """Return tables for people."""
    parts = [area_table(array) for array in found.arrays]
    units = [*found.units, *found.pipelines.values(), *found.grids.values()]
    units += [*found.kinds.values(), *found.columns.values()]
    clocks = [line for unit in units for line in _clock_lines(unit.name, unit.clock)]
    for array in found.arrays:
        name = f"array of {array.rows} x {array.cols}"
        clocks += (
            _clock_lines(name, array.clock) if array.clock else [f"{name}: {array.why_no_clock}"]
        )
    clocks.insert(0, f"Clock on an {found.device.name}, speed grade {found.speed}:")
    parts.append("\n".join(clocks))
    parts += [pipeline_table(units) for units in (found.pipelines, found.grids) if units]
    for what, each in configurations(found).items():
        if each and each is not found.pipelines:
            parts.append(unit_table(what, each))
    parts.append(comparison_table(found.comparisons))
    return "\n\n".join(parts)


def area_table(array: ArrayFigures) -> str:
    """Return what the modules of an array take, as Markdown."""
    lines = [
        f"| {array.rows} x {array.cols}: module | instances | LUTs | of them its own | carry cells "
        "| flip-flops | DSPs | gates | NAND2 | of them its own |",
        "|" + "---|" * 10,
    ]
    for module in array.modules.values():
        total, own = module.total, module.own
        numbers = [module.instances, total.luts, own.luts, *_rest(total), round(own.nand2)]
        lines.append(f"| `{module.name}` | {' | '.join(f'{number:,}' for number in numbers)} |")
    return "\n".join(lines)


def pipeline_table(pipelines: dict[int, Unit]) -> str:
    """Return what a part of an engine takes, and how fast it is, by its latency, as Markdown."""
    first = next(iter(pipelines))
    what = pipelines[first].name.rpartition("_")[0]
    lines = [
        f"| `{what}`, latency | LUTs | carry cells | flip-flops | DSPs | gates | NAND2 | MHz "
        f"| times that of {first} |",
        "|" + "---|" * 9,
    ]
    for latency, unit in pipelines.items():
        numbers = " | ".join(f"{number:,}" for number in (unit.area.luts, *_rest(unit.area)))
        ratio = unit.clock.mhz / pipelines[first].clock.mhz
        lines.append(f"| {latency} | {numbers} | {unit.clock.mhz:.1f} | {ratio:.2f} |")
    return "\n".join(lines)


def configurations(found: Survey) -> dict[str, dict]:
    """Return the units that there are in several configurations, by what they are."""
    return {
        "element, by what was built in": found.kinds,
        "element, by latency": found.pipelines,
        "converter and lane, by bits of a draw": found.columns,
    }


def unit_table(what: str, units: Mapping) -> str:
    """Return what units take, and how fast they are, as Markdown, with ratios to the last."""
    lines = [
        f"| {what} | LUTs | carry cells | flip-flops | DSPs | gates | NAND2 | MHz "
        "| LUTs, NAND2, MHz: ratios to the last |",
        "|" + "---|" * 9,
    ]
    *_, last = units.values()
    for key, unit in units.items():
        numbers = " | ".join(f"{number:,}" for number in (unit.area.luts, *_rest(unit.area)))
        compared = (
            unit.area.luts / last.area.luts,
            unit.area.nand2 / last.area.nand2,
            unit.clock.mhz / last.clock.mhz,
        )
        ratios = ", ".join(f"{ratio:.2f}" for ratio in compared)
        lines.append(f"| {key} | {numbers} | {unit.clock.mhz:.1f} | {ratios} |")
    return "\n".join(lines)


def comparison_table(comparisons: list[Comparison]) -> str:
    """Return units of the chip beside those of a textbook, as Markdown."""
    lines = [
        "| against a textbook | LUTs | carry cells | flip-flops | DSPs | gates | NAND2 | MHz |",
        "|" + "---|" * 8,
    ]
    for pair in comparisons:
        for unit in (pair.chip, pair.textbook):
            numbers = " | ".join(f"{number:,}" for number in (unit.area.luts, *_rest(unit.area)))
            lines.append(f"| `{unit.name}` | {numbers} | {unit.clock.mhz:.1f} |")
        ratios = pair.ratios()
        lines.append(
            f"| {pair.what}: ratio | {ratios['luts']:.2f} |  |  |  |  | {ratios['nand2']:.2f} "
            f"| {ratios['mhz']:.2f} |"
        )
    return "\n".join(lines)


def plot(found: Survey) -> bytes:
    """Draw area for each element by module and array, and clocks.

    Returns
    -------
    bytes
        PNG.
    """
    figure = Figure(figsize=(14, 5), layout="constrained")
    luts, nand2, clock = figure.subplots(1, 3)
    arrays = sorted(found.arrays, key=lambda array: array.rows * array.cols)
    largest = arrays[-1].modules.values()
    size = {_kind(module.name): module.own.nand2 * module.instances for module in largest}
    # Modules of wires alone are not drawn.
    kinds = sorted((kind for kind in size if size[kind]), key=lambda kind: -size[kind])
    _draw_areas(luts, arrays, kinds, "luts")
    _draw_areas(nand2, arrays, kinds, "nand2")
    luts.set(ylabel="LUTs of an ECP5 for each element", xlabel="array")
    nand2.set(ylabel="NAND2-equivalents for each element", xlabel="array")
    handles, labels = luts.get_legend_handles_labels()
    figure.legend(handles[::-1], labels[::-1], loc="outside left center", fontsize="small")

    units = [*found.units, *found.pipelines.values(), *found.grids.values()]
    bars = [(unit.name, unit.clock, "#0b6e99") for unit in units]
    known = {unit.name for unit in units}
    for pair in found.comparisons:
        for unit, colour in ((pair.chip, "#0b6e99"), (pair.textbook, "#d9730d")):
            if unit.name not in known:
                known.add(unit.name)
                bars.append((unit.name, unit.clock, colour))
    bars += [
        (f"array of {array.rows} x {array.cols}", array.clock, "#448361")
        for array in arrays
        if array.clock
    ]
    for place, (_, times, colour) in enumerate(reversed(bars)):
        clock.barh(place, times.mhz, color=colour)
        runs = [run.mhz for run in times.placements]
        clock.plot(runs, [place] * len(runs), "k.", markersize=4)
    clock.set_yticks(range(len(bars)), [name for name, *_ in reversed(bars)])
    clock.set(
        xlabel="MHz; a bar is the median, a dot a seed",
        title=f"{found.device.name}, speed grade {found.speed}",
    )
    clock.grid(axis="x", alpha=0.3)
    png = BytesIO()
    figure.savefig(png, format="png", dpi=110)
    return png.getvalue()


def plot_configurations(found: Survey) -> bytes:
    """Draw area and clock of units in several configurations.

    Returns
    -------
    bytes
        PNG.
    """
    rows = {what: units for what, units in configurations(found).items() if units}
    measures = {
        "LUTs": lambda unit: unit.area.luts,
        "flip-flops": lambda unit: unit.area.flip_flops,
        "NAND2-equivalents": lambda unit: unit.area.nand2,
        "MHz": lambda unit: unit.clock.mhz,
    }
    figure = Figure(figsize=(14, 1 + 2.4 * len(rows)), layout="constrained")
    grid = figure.subplots(len(rows), len(measures), squeeze=False)
    for axes_of_row, (what, units) in zip(grid, rows.items(), strict=True):
        places = range(len(units))
        for axes, (measure, of) in zip(axes_of_row, measures.items(), strict=True):
            axes.barh(places, [of(unit) for unit in units.values()])
            axes.set_yticks(places, [""] * len(units))
            axes.invert_yaxis()
            axes.set_xlabel(measure)
            axes.grid(axis="x", alpha=0.3)
        axes_of_row[0].set_yticks(places, [str(key) for key in units])
        axes_of_row[0].set_title(what, fontsize="medium", loc="left")
    png = BytesIO()
    figure.savefig(png, format="png", dpi=110)
    return png.getvalue()


def _draw_areas(axes, arrays: list[ArrayFigures], kinds: list[str], measure: str) -> None:
    """Draw the modules' own areas, for each element, as stacked bars."""
    labels = [f"{array.rows} x {array.cols}" for array in arrays]
    start = [0.0] * len(arrays)
    for kind in kinds:
        values = [
            sum(
                getattr(module.own, measure) * module.instances
                for module in array.modules.values()
                if _kind(module.name) == kind
            )
            / (array.rows * array.cols)
            for array in arrays
        ]
        axes.bar(labels, values, bottom=start, label=kind)
        start = [a + b for a, b in zip(start, values, strict=True)]
    axes.grid(axis="y", alpha=0.3)


def _kind(name: str) -> str:
    """Return the name of a module without its sizes, which arrays have in common."""
    return name.rstrip("0123456789x").rstrip("_").removeprefix("fp8_")


def _rest(area: Area) -> list[int]:
    return [area.carries, area.flip_flops, area.dsps, area.gates, round(area.nand2)]


def _unit(unit: Unit) -> dict:
    return {"module": unit.name, "area": unit.area.to_dict(), "clock": _clock(unit.clock)}


def _clock(clock: Clock | None) -> dict | None:
    if clock is None:
        return None
    return {
        "mhz": clock.mhz,
        "seeds": {run.seed: run.mhz for run in clock.placements},
        "slowest_path": [vars(stage) for stage in clock.typical.stages],
    }


def _clock_lines(name: str, clock: Clock) -> list[str]:
    runs = [run.mhz for run in clock.placements]
    spread = f" ({min(runs):.1f} to {max(runs):.1f}, {len(runs)} seeds)" if len(runs) > 1 else ""
    lines = [f"{name}: {clock.mhz:.1f} MHz{spread}; the slowest path:"]
    for stage in clock.typical.stages:
        signals = f" through {', '.join(stage.signals)}" if stage.signals else ""
        where = f" ({stage.instance})" if stage.instance else ""
        lines.append(f"  {stage.nanoseconds:6.2f} ns in {stage.module}{where}{signals}")
    return lines
