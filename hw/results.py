"""The columns of an array at its edges: converters, lanes of random bits, results, and C."""

from amaranth.hdl import Cat, Const, Mux, Signal
from amaranth.lib import data

from hw.column import ResultColumn
from hw.hierarchy import place
from pysim.lfsr import Lfsr


def result_layout(cols):
    """Return the layout of a row of results: `values`, `keep` of each, and `last`."""
    return data.StructLayout({"values": data.ArrayLayout(32, cols), "keep": cols, "last": 1})


def connect_columns(m, platform, array, control, *, top, bottom, loads, mode, cols):
    """Convert the rows that a control accepts, of accumulators or of C, and let C enter below.

    Parameters
    ----------
    m : Module
    platform : object
    array : Block
        With `config`, the streams `c` and `d`, and access to the lanes (`lfsr_...`).
    control : Block
        With `result_ready`, `accept`, `bypass`, and `last`.
    top, bottom : View of `cols` Accumulator
        The row that leaves, if it is not one of C; what enters: C, or zeros.
    loads : callable
        Called with a column and whether the row that leaves uses it; says whether C enters there.
    mode : ConversionMode
    cols : Value
        Columns that the row uses.

    Returns
    -------
    Value
        `StatusFlags` of the row that is accepted in this clock; clear without one.
    """
    config, result = array.config, array.d.payload
    free = Signal()
    m.d.comb += [free.eq(~array.d.valid | array.d.ready), control.result_ready.eq(free)]
    with m.If(free):
        m.d.sync += array.d.valid.eq(control.accept)
    with m.If(control.accept):
        m.d.sync += result.last.eq(control.last)

    lanes = Lfsr(config.lfsr_width).lanes(config.seed, config.cols).tolist()
    raised = Const(0, 4)
    states = []
    for j, seed in enumerate(lanes):
        column = ResultColumn(config.lfsr_width, config.random_bits)
        m.submodules[f"column_{j}"] = place(column, platform)
        used = Signal(name=f"column_{j}_used")
        accumulator = top[j]
        m.d.comb += [
            used.eq(j < cols),
            bottom[j].value.eq(Mux(loads(j, used), array.c.payload[j], 0)),
            column.value.eq(Mux(control.bypass, array.c.payload[j], accumulator.value)),
            column.accept.eq(control.accept & used),
            column.mode.eq(mode),
            result.values[j].eq(column.code),
            column.seed.eq(seed),
            column.load.eq(array.lfsr_load & (array.lfsr_lane == j)),
            column.load_state.eq(array.lfsr_load_state),
        ]
        with m.If(control.accept):
            m.d.sync += result.keep[j].eq(used)
        steps = accumulator.flags
        from_steps = Cat(steps.invalid, Const(0, 2), steps.inexact)
        collect = column.accept & ~control.bypass
        raised = raised | column.flags.as_value() | Mux(collect, from_steps, 0)
        states.append(column.state)
    with m.Switch(array.lfsr_lane):
        for j, state in enumerate(states):
            with m.Case(j):
                m.d.comb += array.lfsr_state.eq(state)
    return raised
