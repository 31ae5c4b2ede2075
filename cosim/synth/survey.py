"""Area and clock of a chip, module by module, beside a textbook's processing element."""

import re
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

import rtl_gen
from cosim.synth.mapping import Area, ModuleArea, areas
from cosim.synth.placing import Clock, Device, place
from cosim.synth.source import Source
from cosim.synth.textbook import (
    PRODUCT_FRACTION,
    DecodingElement,
    TextbookAdder,
    TextbookElement,
    emit,
)
from hw.column import ResultColumn
from hw.hierarchy import Block
from hw.kind import FULL, Kind
from hw.ring_array import RingArray
from hw.ring_element import RingElement
from pysim import InputError
from rtl_gen import Design


@dataclass(frozen=True)
class ArrayFigures:
    """One array.

    Attributes
    ----------
    rows, cols : int
    modules : dict of str to ModuleArea
        The uppermost module at first.
    clock : Clock or None
        Of the whole array; None if it was not placed.
    why_no_clock : str
    """

    rows: int
    cols: int
    modules: dict[str, ModuleArea]
    clock: Clock | None
    why_no_clock: str = ""

    @property
    def area(self) -> Area:
        """Area of the whole array."""
        return next(iter(self.modules.values())).total


@dataclass(frozen=True)
class Unit:
    """A module for itself, with what is in it.

    Attributes
    ----------
    name : str
    area : Area
    clock : Clock
    """

    name: str
    area: Area
    clock: Clock


@dataclass(frozen=True)
class Comparison:
    """A unit of the chip and one that does as much or more.

    Attributes
    ----------
    what : str
    chip, textbook : Unit
    """

    what: str
    chip: Unit
    textbook: Unit

    def ratios(self) -> dict[str, float]:
        """Return what the chip's takes, and how fast it is, of the textbook's."""
        chip, textbook = self.chip, self.textbook
        return {
            "luts": chip.area.luts / textbook.area.luts,
            "nand2": chip.area.nand2 / textbook.area.nand2,
            "mhz": chip.clock.mhz / textbook.clock.mhz,
        }


@dataclass(frozen=True)
class Survey:
    """Everything that `survey` found.

    Attributes
    ----------
    device : Device
    speed : int
    arrays : list of ArrayFigures
        The one asked for at first.
    units : list of Unit
        Modules of it that were placed by themselves.
    pipelines : dict of int to Unit
        The element of an engine, by its latency.
    grids : dict of int to Unit
        The elements of an engine of the size asked for, wired to an array, by their latency.
    kinds : dict of Kind to Unit
        The element of an engine of the latency asked for, by what it multiplies, and whether sums
        may start from C.
    columns : dict of int to Unit
        A converter and its lane of random bits, by the bits of a draw.
    comparisons : list of Comparison
    """

    device: Device
    speed: int
    arrays: list[ArrayFigures]
    units: list[Unit]
    pipelines: dict[int, Unit]
    grids: dict[int, Unit]
    kinds: dict[Kind, Unit]
    columns: dict[int, Unit]
    comparisons: list[Comparison]


def survey(
    design: Design,
    device: Device,
    *,
    speed: int,
    seeds: int,
    array_seeds: int,
    latencies: Sequence[int] = (),
    grids: Sequence[int] = (),
    kinds: Sequence[Kind] = (),
    draws: Sequence[int] = (),
    sizes: Sequence[int] = (),
    expression: str | None = None,
    dsp: bool = True,
    jobs: int = 1,
    progress: Callable[[str, int, int], None] = lambda what, done, total: None,
) -> Survey:
    """Map and place a chip, its modules, and a textbook's processing element.

    Parameters
    ----------
    design : rtl_gen.Design
    device : Device
    speed : int
        Speed grade of the device.
    seeds, array_seeds : int
        Runs of place and route, for a module and for a whole array; an array may have none.
    latencies : sequence of int
        Of elements of an engine, to look at, too.
    grids : sequence of int
        Latencies: place the elements of an engine of this size, wired to an array, with one seed.
    kinds : sequence of Kind
        Elements of an engine to look at, too; the bare array has none.
    draws : sequence of int
        Bits of a draw: look at a converter and its lane with so many, if a lane has them.
    sizes : sequence of int
        Square arrays to look at, too, of the same configuration otherwise.
    expression : str, optional
        Regular expression: place modules whose names match it, too.
    dsp : bool
        Whether multipliers may be DSPs.
    jobs : int
        Runs of place and route at a time.
    progress : callable
        Told what is in work, how many parts are done, and of how many.

    Raises
    ------
    InputError
        If the expression is none, or matches no module.
    CheckFailedError
        If a tool refuses the Verilog.
    MissingToolError
        If a tool is missing.
    """
    matching = _matching(Source.of(design.modules, design.manifest["top"]), expression)
    designs = [design]
    for size in sizes:
        config = replace(design.config, rows=size, cols=size)
        if config not in [other.config for other in designs]:
            designs.append(rtl_gen.design(config))
    tops = [Source.of(each.modules, each.manifest["top"]) for each in designs]
    books = emit(TextbookAdder(), TextbookAdder(PRODUCT_FRACTION), TextbookElement())
    kind = Kind.of(design.config)
    # The textbook's element takes both formats; parts of the design may be edited.
    chip = {**emit(DecodingElement()), **(design.modules if kind == FULL else {})}
    chosen = {"fp8_pe": Source.of(chip, "fp8_pe")}
    chosen |= {name: Source.of(design.modules, name) for name in matching}
    rows, cols = design.config.rows, design.config.cols
    elements = {n: _engine_part(design, RingElement(n, kind)) for n in latencies}
    arrays = {n: _engine_part(design, RingArray(rows, cols, n, kind)) for n in grids}
    latency, width = design.config.latency, design.config.lfsr_width
    of_kinds = {kind: _emitted(RingElement(latency, kind)) for kind in (kinds if latency else ())}
    columns = {
        bits: _emitted(ResultColumn(width, bits, pipelined=latency > 0))
        for bits in draws
        if bits <= width
    }
    pairs = [
        (
            "an adder for any two FP32 numbers",
            Source.of(chip, "fp8_accumulator_adder"),
            Source.of(books, "textbook_adder"),
        ),
        (
            "the same, one of the numbers with 8 significant bits",
            Source.of(chip, "fp8_accumulator_adder"),
            Source.of(books, f"textbook_adder_{PRODUCT_FRACTION}"),
        ),
        (
            "an element that takes codes",
            Source.of(chip, "fp8_decoding_pe"),
            Source.of(books, "textbook_pe"),
        ),
    ]
    sources = {source.top: source for _, *both in pairs for source in both} | chosen
    sources |= {source.top: source for source in elements.values()}
    sources |= {source.top: source for source in columns.values()}
    sources |= {_named(source, kind): source for kind, source in of_kinds.items()}
    wired = {source.top: source for source in arrays.values()}

    done, total = 0, len(tops) + len(sources) + len(wired)

    def mapped(source: Source) -> dict[str, ModuleArea]:
        nonlocal done
        found = areas(source, dsp, lambda module: progress(f"map {module}", done, total))
        done += 1
        return found

    array_areas = [mapped(top) for top in tops]
    unit_areas = {
        name: mapped(source)[source.top].total for name, source in {**sources, **wired}.items()
    }
    reasons = [
        _no_clock(found[top.top].total, device, array_seeds)
        for top, found in zip(tops, array_areas, strict=True)
    ]
    runs = [(source, seed) for source in sources.values() for seed in range(1, seeds + 1)]
    runs += [(source, 1) for source in wired.values()]
    for top, reason in zip(tops, reasons, strict=True):
        runs += [(top, seed) for seed in range(1, array_seeds + 1) if not reason]
    total += len(runs)
    placements: dict[int, list] = {}
    with ThreadPoolExecutor(jobs) as pool:
        try:
            results = pool.map(lambda run: place(run[0], device, speed, run[1], dsp), runs)
            for source, seed in runs:
                progress(f"place {source.top}, seed {seed}", done, total)
                placements.setdefault(id(source), []).append(next(results))
                done += 1
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
    progress("done", done, total)

    units = {
        name: Unit(name, unit_areas[name], Clock(name, placements[id(source)]))
        for name, source in {**sources, **wired}.items()
    }
    figures = [
        ArrayFigures(
            each.config.rows,
            each.config.cols,
            found,
            None if reason else Clock(top.top, placements[id(top)]),
            reason,
        )
        for each, top, found, reason in zip(designs, tops, array_areas, reasons, strict=True)
    ]
    return Survey(
        device,
        speed,
        figures,
        [units[name] for name in chosen],
        {latency: units[source.top] for latency, source in elements.items()},
        {latency: units[source.top] for latency, source in arrays.items()},
        {kind: units[_named(source, kind)] for kind, source in of_kinds.items()},
        {bits: units[source.top] for bits, source in columns.items()},
        [Comparison(what, units[a.top], units[b.top]) for what, a, b in pairs],
    )


def _emitted(block: Block) -> Source:
    """Return a block as it is generated."""
    modules = emit(block)
    block._MustUse__used = True  # pyright: ignore[reportAttributeAccessIssue]
    return Source.of(modules, block.module_name)


def _named(source: Source, kind: Kind) -> str:
    """Name an element among those of other kinds."""
    return f"{source.top}, {kind}"


def _engine_part(design: Design, block: Block) -> Source:
    """Return a part of an engine: that of the design if it has it, else as it is generated."""
    name = block.module_name
    if name not in design.modules:
        return _emitted(block)
    # The design's may be edited.
    block._MustUse__used = True  # pyright: ignore[reportAttributeAccessIssue]
    return Source.of(design.modules, name)


def _matching(top: Source, expression: str | None) -> list[str]:
    if expression is None:
        return []
    try:
        found = [name for name in top.modules if re.search(expression, name) and name != top.top]
    except re.error as error:
        raise InputError(f"{expression!r} is not a regular expression: {error}") from error
    if not found:
        raise InputError(f"no module matches {expression!r}: there are {', '.join(top.modules)}")
    return found


def _no_clock(area: Area, device: Device, seeds: int) -> str:
    if seeds == 0:
        return "not placed"
    if not device.holds(area):
        return (
            f"{area.luts:,} LUTs and {area.dsps} DSPs do not fit into an {device.name} "
            f"of {device.luts:,} and {device.dsps}"
        )
    return ""
