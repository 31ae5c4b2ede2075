"""The MAC array: streams of codes in, a stream of results out."""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import data, stream
from amaranth.lib.wiring import In, Out

from hw.accumulator import Accumulator
from hw.control import Command, TileControl
from hw.converter import StatusFlags
from hw.hierarchy import Block, place
from hw.operand import OperandDecoder
from hw.pe import OperandLane
from hw.results import connect_columns, lane_access, result_layout
from hw.systolic import SystolicArray
from pysim.config import ArrayConfig


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
        super().__init__(
            {
                "commands": In(stream.Signature(Command)),
                "a": In(stream.Signature(data.ArrayLayout(8, rows))),
                "b": In(stream.Signature(data.ArrayLayout(8, cols))),
                "c": In(stream.Signature(data.ArrayLayout(32, cols))),
                "d": Out(stream.Signature(result_layout(cols))),
                **lane_access(config),
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
            systolic.shift.eq(control.shift),
            self.busy.eq(control.busy),
        ]
        leaving = Signal(data.ArrayLayout(Accumulator, config.cols))
        for j in range(config.cols):
            c, loads = self.c.payload[j], control.load & (j < command.cols)
            m.d.comb += [
                bottom[j].value.eq(Mux(loads, c, 0)),
                leaving[j].value.eq(Mux(control.bypass, c, top[j].value)),
                leaving[j].flags.eq(Mux(control.bypass, 0, top[j].flags)),
            ]
        raised = connect_columns(
            m,
            platform,
            self,
            control,
            top=leaving,
            mode=command.mode,
            cols=command.cols,
        )
        with m.If(self.clear_flags):
            m.d.sync += self.flags.eq(raised)
        with m.Else():
            m.d.sync += self.flags.eq(self.flags.as_value() | raised)
        return m
