"""The MAC array with pipelines and overlap: streams of codes in, a stream of results out."""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import data, stream
from amaranth.lib.wiring import In, Out

from hw.accumulator import Accumulator
from hw.control import SIDE_BITS
from hw.converter import ConversionMode, StatusFlags
from hw.hierarchy import Block, place
from hw.kind import Kind
from hw.operand import Operand, OperandDecoder
from hw.pe import OperandLane
from hw.results import connect_columns, lane_access, result_layout
from hw.ring_array import RingArray
from hw.ring_element import SLOT_BITS, StartLane
from hw.schedule import Job, OverlappedSchedule
from pysim.config import ArrayConfig


class OverlappedArray(Block):
    """Decoders, ring array, converters, random bits, and schedule.

    Results, flags, and draws are those of `hw.array.MacArray` for the same matrices: the columns of
    a slot leave before those of the next.

    Parameters
    ----------
    config : ArrayConfig
        With a latency of at least 1. A tile has `rows` rows and `latency` times `cols` columns.

    Members
    -------
    commands : In(stream of Job)
    a : In(stream of `rows` codes)
        A column of A for each k, row 0 in the low bits.
    b : In(stream of `cols` codes)
        A row of B for each k and slot.
    c : In(stream of `cols` FP32 numbers)
        Rows of C, slot by slot. Neither this nor what belongs to it is there without C.
    mode : In(ConversionMode)
        Of the results; it must stay from a command until its results have left.
    d : Out(stream)
        Rows of results, slot by slot: `values`, `keep`, and `last` of the command.
    a_last, b_last, c_last : Out(1)
        What the stream offers is the last of a tile, if it is taken now.
    a_used, b_used, c_used : Out
        Lanes that count, of what the stream offers.
    lfsr_lane, lfsr_load, lfsr_load_state, lfsr_state : In, Out
        As in `MacArray`.
    flags : Out(StatusFlags)
        What happened in the clock before, in sums that entered the converters and in results that
        left them.
    operands : Out(1)
        Operands enter in this clock; `step_rows` and `step_cols` of the array use them.
    starved : Out(1)
        A stream is waited for.
    """

    def __init__(self, config: ArrayConfig):
        self.config = config
        rows, cols = config.rows, config.cols
        of_c = {
            "c": In(stream.Signature(data.ArrayLayout(32, cols))),
            "c_last": Out(1),
            "c_used": Out(cols),
        }
        super().__init__(
            {
                "commands": In(stream.Signature(Job)),
                "a": In(stream.Signature(data.ArrayLayout(8, rows))),
                "b": In(stream.Signature(data.ArrayLayout(8, cols))),
                **(of_c if config.load_c else {}),
                "d": Out(stream.Signature(result_layout(cols))),
                "a_last": Out(1),
                "b_last": Out(1),
                "a_used": Out(rows),
                "b_used": Out(cols),
                "mode": In(ConversionMode),
                **lane_access(config),
                "flags": Out(StatusFlags),
                "operands": Out(1),
                "step_rows": Out(SIDE_BITS),
                "step_cols": Out(SIDE_BITS),
                "starved": Out(1),
            }
        )

    @property
    def module_name(self):
        return "fp8_overlapped_array"

    def elaborate(self, platform):
        m = Module()
        config = self.config
        schedule = OverlappedSchedule(config.rows, config.cols, config.latency, config.load_c)
        kind = Kind.of(config)
        ring = RingArray(config.rows, config.cols, config.latency, kind)
        m.submodules.schedule = place(schedule, platform)
        m.submodules.ring = place(ring, platform)

        m.d.comb += [
            schedule.commands.payload.eq(self.commands.payload),
            schedule.commands.valid.eq(self.commands.valid),
            self.commands.ready.eq(schedule.commands.ready),
            ring.shift.eq(schedule.shift),
            ring.slot.eq(schedule.shift_slot),
            self.operands.eq(schedule.operands),
            self.step_rows.eq(schedule.formats.rows),
            self.step_cols.eq(schedule.step_cols),
            self.starved.eq(schedule.starved),
        ]
        for name in ("a", "b", "c") if config.load_c else ("a", "b"):
            port = getattr(self, name)
            m.d.comb += [
                getattr(schedule, f"{name}_valid").eq(port.valid),
                port.ready.eq(getattr(schedule, f"{name}_ready")),
                getattr(self, f"{name}_last").eq(getattr(schedule, f"{name}_last")),
            ]
        self._operands(m, platform, schedule, ring)

        waiting = data.ArrayLayout(kind.accumulator, config.cols)
        top = data.View(waiting, ring.top)
        sums = Signal(data.ArrayLayout(Accumulator, config.cols))
        for j in range(config.cols):
            m.d.comb += [
                sums[j].value.eq(kind.to_fp32(top[j].value)),
                sums[j].flags.eq(top[j].flags),
            ]
        if config.load_c:
            bottom = data.View(waiting, ring.bottom)
            for j in range(config.cols):
                loads = schedule.load & self.c_used[j]
                m.d.comb += [
                    self.c_used[j].eq(j < schedule.load_cols),
                    bottom[j].value.eq(Mux(loads, self.c.payload[j], 0)),
                ]
        raised = connect_columns(
            m,
            platform,
            self,
            schedule,
            top=sums,
            mode=self.mode,
            cols=schedule.accept_cols,
        )
        m.d.sync += self.flags.eq(raised)
        return m

    def _operands(self, m, platform, schedule, ring):
        """Decode what enters; a register follows, so that decoding is no part of a step."""
        job = schedule.formats
        west = data.View(data.ArrayLayout(StartLane, self.config.rows), ring.a)
        north = data.View(data.ArrayLayout(OperandLane, self.config.cols), ring.b)
        sides = (
            ("a", self.a, job.a_format, job.rows, west, self.a_used),
            ("b", self.b, job.b_format, schedule.step_cols, north, self.b_used),
        )
        for name, port, fmt, count, lanes, used in sides:
            for i in range(len(used)):
                decoder = OperandDecoder(self.config.multiplied)
                m.submodules[f"{name}_decoder_{i}"] = place(decoder, platform)
                operand = Signal(Operand, name=f"{name}_operand_{i}")
                valid = Signal(name=f"{name}_valid_{i}")
                m.d.comb += [
                    decoder.code.eq(port.payload[i]),
                    used[i].eq(i < count),
                    lanes[i].operand.eq(operand),
                    lanes[i].valid.eq(valid),
                ]
                if len(self.config.multiplied) > 1:
                    m.d.comb += decoder.format.eq(fmt)
                m.d.sync += [
                    operand.eq(decoder.operand),
                    valid.eq(schedule.operands & used[i]),
                ]
        first = Signal()
        slot = Signal(SLOT_BITS)
        m.d.sync += [
            first.eq(schedule.step & schedule.first),
            slot.eq(schedule.step_slot),
        ]
        for i in range(self.config.rows):
            m.d.comb += [west[i].first.eq(first), west[i].slot.eq(slot)]
        if self.config.load_c:
            fresh = Signal()
            m.d.sync += fresh.eq(schedule.fresh)
            m.d.comb += [west[i].fresh.eq(fresh) for i in range(self.config.rows)]
