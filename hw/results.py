"""Columns of converters with lanes of random bits, and what they do at the edges of an array."""

from amaranth.hdl import Cat, Const, Mux, Signal
from amaranth.lib import data
from amaranth.lib.wiring import In, Out

from hw.column import ResultColumn
from hw.converter import PARTS
from hw.hierarchy import place
from pysim.lfsr import Lfsr


def result_layout(cols):
    """Return the layout of a row of results: `values`, `keep` of each, and `last`."""
    return data.StructLayout({"values": data.ArrayLayout(32, cols), "keep": cols, "last": 1})


def lane_access(config):
    """Return the members by which the lanes of a block are read and loaded."""
    return {
        "lfsr_lane": In(max(1, (config.cols - 1).bit_length())),
        "lfsr_load": In(1),
        "lfsr_load_state": In(config.lfsr_width),
        "lfsr_state": Out(config.lfsr_width),
    }


def place_columns(m, platform, owner, reset=None):
    """Place a column of a converter and a lane for each lane of a configuration.

    Parameters
    ----------
    m : Module
    platform : object
    owner : Block
        With `config`, and the members of `lane_access`.
    reset : Value, optional
        Resets the columns, too.

    Returns
    -------
    list of ResultColumn
        Pipelines if the configuration has a latency.
    """
    config = owner.config
    columns = []
    for j, seed in enumerate(Lfsr(config.lfsr_width).lanes(config.seed, config.cols).tolist()):
        column = ResultColumn(config.lfsr_width, config.random_bits, config.latency > 0)
        m.submodules[f"column_{j}"] = place(column, platform, reset)
        m.d.comb += [
            column.seed.eq(seed),
            column.load.eq(owner.lfsr_load & (owner.lfsr_lane == j)),
            column.load_state.eq(owner.lfsr_load_state),
        ]
        columns.append(column)
    with m.Switch(owner.lfsr_lane):
        for j, column in enumerate(columns):
            with m.Case(j):
                m.d.comb += owner.lfsr_state.eq(column.state)
    return columns


def connect_columns(m, platform, array, control, *, top, mode, cols):
    """Convert the rows that a control accepts.

    Parameters
    ----------
    m : Module
    platform : object
    array : Block
        With `config`, the stream `d`, and access to the lanes.
    control : Block
        With `result_ready`, `accept`, and `last`.
    top : View of `cols` Accumulator
        The row to convert.
    mode : ConversionMode
    cols : Value
        Columns that the row uses.

    Returns
    -------
    Value
        `StatusFlags` of the steps of the row that is accepted in this clock, and of the
        conversions of the one that leaves the converters.
    """
    result = array.d.payload
    free = Signal()
    m.d.comb += [free.eq(~array.d.valid | array.d.ready), control.result_ready.eq(free)]
    if array.config.latency:
        occupied = Signal(len(PARTS))
        lasts = Signal(len(PARTS))
        with m.If(free):
            m.d.sync += [
                Cat(occupied, array.d.valid).eq(Cat(control.accept, occupied)),
                Cat(lasts, result.last).eq(Cat(control.last, lasts)),
            ]
    else:
        with m.If(free):
            m.d.sync += array.d.valid.eq(control.accept)
        with m.If(control.accept):
            m.d.sync += result.last.eq(control.last)

    raised = Const(0, 4)
    for j, column in enumerate(place_columns(m, platform, array)):
        used = Signal(name=f"column_{j}_used")
        m.d.comb += [
            used.eq(j < cols),
            column.value.eq(top[j].value),
            column.accept.eq(control.accept & used),
            column.mode.eq(mode),
            result.values[j].eq(column.code),
        ]
        if column.pipelined:
            m.d.comb += [column.advance.eq(free), result.keep[j].eq(column.kept)]
        else:
            with m.If(control.accept):
                m.d.sync += result.keep[j].eq(used)
        steps = top[j].flags
        from_steps = Cat(steps.invalid, Const(0, 2), steps.inexact)
        raised = raised | column.flags.as_value() | Mux(column.accept, from_steps, 0)
    return raised
