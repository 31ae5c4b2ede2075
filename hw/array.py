"""The MAC array: streams of codes in, a stream of results out."""

from amaranth.hdl import Cat, Const, Module, Mux, Signal
from amaranth.lib import data, stream
from amaranth.lib.wiring import In, Out

from hw.accumulator import Accumulator
from hw.column import ResultColumn
from hw.control import Command, TileControl
from hw.converter import StatusFlags
from hw.hierarchy import Block, place
from hw.operand import OperandDecoder
from hw.pe import OperandLane
from hw.systolic import SystolicArray
from pysim.config import ArrayConfig
from pysim.lfsr import Lfsr


class MacArray(Block):
    """The whole chip: decoders, systolic array, converters, random bits, and tile control.

    A host sends a command, then the streams that the command needs, and takes the result rows.
    ``docs/architecture.md`` shows the order and the timing.

    Parameters
    ----------
    config : ArrayConfig

    Members
    -------
    commands : In(stream of Command)
    a : In(stream of `rows` codes)
        A column of A for each k, row 0 in the low bits.
    b : In(stream of `cols` codes)
        A row of B for each k.
    c : In(stream of `cols` FP32 numbers)
        Rows of C, or numbers to convert.
    d : Out(stream of Result)
    lfsr_lane : In
        The lane that `lfsr_state` shows and `lfsr_load` loads.
    lfsr_load : In(1)
        Load `lfsr_load_state` into that lane. Zero is not loaded.
    lfsr_load_state : In(lfsr_width)
    lfsr_state : Out(lfsr_width)
    flags : Out(StatusFlags)
        Sticky: what happened at least once in a result that has left the converters.
    clear_flags : In(1)
    busy : Out(1)
        A command is in work.
    """

    def __init__(self, config: ArrayConfig):
        self.config = config
        rows, cols = config.rows, config.cols
        self.result_layout = data.StructLayout(
            {"values": data.ArrayLayout(32, cols), "keep": cols, "last": 1}
        )
        super().__init__(
            {
                "commands": In(stream.Signature(Command)),
                "a": In(stream.Signature(data.ArrayLayout(8, rows))),
                "b": In(stream.Signature(data.ArrayLayout(8, cols))),
                "c": In(stream.Signature(data.ArrayLayout(32, cols))),
                "d": Out(stream.Signature(self.result_layout)),
                "lfsr_lane": In(max(1, (cols - 1).bit_length())),
                "lfsr_load": In(1),
                "lfsr_load_state": In(config.lfsr_width),
                "lfsr_state": Out(config.lfsr_width),
                "flags": Out(StatusFlags),
                "clear_flags": In(1),
                "busy": Out(1),
            }
        )

    @property
    def module_name(self):
        return "fp8_mac_array"

    def elaborate(self, platform):
        m = Module()
        config = self.config
        control = TileControl(config.rows, config.cols)
        systolic = SystolicArray(config.rows, config.cols)
        m.submodules.control = place(control, platform)
        m.submodules.systolic = place(systolic, platform)
        command = control.command

        west = data.View(data.ArrayLayout(OperandLane, config.rows), systolic.a)
        north = data.View(data.ArrayLayout(OperandLane, config.cols), systolic.b)
        accumulators = data.ArrayLayout(Accumulator, config.cols)
        bottom = data.View(accumulators, systolic.bottom)
        top = data.View(accumulators, systolic.top)

        def decode(side, index, code, fmt, valid, lane):
            decoder = OperandDecoder()
            m.submodules[f"{side}_decoder_{index}"] = place(decoder, platform)
            m.d.comb += [
                decoder.code.eq(code),
                decoder.format.eq(fmt),
                lane.operand.eq(decoder.operand),
                lane.valid.eq(valid),
            ]

        for i in range(config.rows):
            valid = control.compute & (i < command.rows)
            decode("a", i, self.a.payload[i], command.a_format, valid, west[i])
        for j in range(config.cols):
            valid = control.compute & (j < command.cols)
            decode("b", j, self.b.payload[j], command.b_format, valid, north[j])

        result = self.d.payload
        free = Signal()
        m.d.comb += [
            control.commands.payload.eq(self.commands.payload),
            control.commands.valid.eq(self.commands.valid),
            self.commands.ready.eq(control.commands.ready),
            control.a_valid.eq(self.a.valid),
            self.a.ready.eq(control.a_ready),
            control.b_valid.eq(self.b.valid),
            self.b.ready.eq(control.b_ready),
            control.c_valid.eq(self.c.valid),
            self.c.ready.eq(control.c_ready),
            free.eq(~self.d.valid | self.d.ready),
            control.result_ready.eq(free),
            systolic.shift.eq(control.shift),
            self.busy.eq(control.busy),
        ]
        with m.If(free):
            m.d.sync += self.d.valid.eq(control.accept)
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
                used.eq(j < command.cols),
                bottom[j].value.eq(Mux(control.load & used, self.c.payload[j], 0)),
                column.value.eq(Mux(control.bypass, self.c.payload[j], accumulator.value)),
                column.accept.eq(control.accept & used),
                column.mode.eq(command.mode),
                result.values[j].eq(column.code),
                column.seed.eq(seed),
                column.load.eq(self.lfsr_load & (self.lfsr_lane == j)),
                column.load_state.eq(self.lfsr_load_state),
            ]
            with m.If(control.accept):
                m.d.sync += result.keep[j].eq(used)
            steps = accumulator.flags
            from_steps = Cat(steps.invalid, Const(0, 2), steps.inexact)
            collect = column.accept & ~control.bypass
            raised = raised | column.flags.as_value() | Mux(collect, from_steps, 0)
            states.append(column.state)

        with m.If(self.clear_flags):
            m.d.sync += self.flags.eq(raised)
        with m.Else():
            m.d.sync += self.flags.eq(self.flags.as_value() | raised)
        with m.Switch(self.lfsr_lane):
            for j, state in enumerate(states):
                with m.Case(j):
                    m.d.comb += self.lfsr_state.eq(state)
        return m
