"""The streaming converter: FP32 numbers in, codes out, a row of them a clock."""

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib.wiring import In, Out

from hw.axi import axi_stream
from hw.converter import PARTS, ConversionMode, StatusFlags, is_sound
from hw.hierarchy import Block
from hw.results import lane_access, place_columns
from pysim.config import ArrayConfig


class StreamConverter(Block):
    """Converts tensors, each a packet of any length, by converters and lanes of its own.

    Number i of a packet comes in lane i mod `cols`, and draws from that lane; its code leaves
    there. Every transfer of a packet is full, but for its last one, which may end with any lane.
    One that is not, or a packet in a mode that is not there, fails: what comes in is thrown away
    from that transfer on, and what was not offered yet never leaves, until `clear`. A result that
    is offered stays so until it is taken, except in a reset.

    Parameters
    ----------
    config : ArrayConfig
        With a latency of at least 1.

    Members
    -------
    x : In(axi_stream of 4 `cols` bytes)
    y : Out(axi_stream of 4 `cols` bytes)
        The code in the low bits of 32.
    mode : In(ConversionMode)
        Must stay while `busy`.
    clear : In(1)
        End what is in work; lanes as after reset.
    lfsr_lane, lfsr_load, lfsr_load_state, lfsr_state : In, Out
        As in `MacArray`.
    flags : Out(StatusFlags)
        Of the results that left the converters in the clock before.
    busy : Out(1)
        A packet has begun, and its last result is not taken.
    failed : Out(1)
    wrong_packet, wrong_mode : Out(1)
        A transfer fails in this clock, and why.
    starts : Out(1)
        A transfer is taken in this clock, before which the converter was not busy.
    ends : Out(1)
        The last result of a packet is taken in this clock.
    """

    def __init__(self, config: ArrayConfig):
        self.config = config
        super().__init__(
            {
                "x": In(axi_stream(4 * config.cols)),
                "y": Out(axi_stream(4 * config.cols)),
                "mode": In(ConversionMode),
                "clear": In(1),
                **lane_access(config),
                "flags": Out(StatusFlags),
                "busy": Out(1),
                "failed": Out(1),
                "wrong_packet": Out(1),
                "wrong_mode": Out(1),
                "starts": Out(1),
                "ends": Out(1),
            }
        )

    @property
    def module_name(self):
        return "fp8_stream_converter"

    def elaborate(self, platform):
        m = Module()
        x, y, cols = self.x, self.y, self.config.cols

        # Of each lane, whether it counts; those that do come first.
        kept = [x.tkeep.word_select(lane, 4) for lane in range(cols)]
        counts = Signal(cols)
        m.d.comb += counts.eq(Cat(*(bytes_of.all() for bytes_of in kept)))
        whole = Cat(*(bytes_of.all() | ~bytes_of.any() for bytes_of in kept)).all()
        gaps = Cat(*(counts[lane] & ~counts[lane - 1] for lane in range(1, cols)))
        sound = whole & counts[0] & ~gaps.any() & (x.tlast | counts.all())

        free = Signal()
        offered = Signal()
        accept = Signal()
        wrong = Signal()
        m.d.comb += [
            free.eq(~y.tvalid | y.tready),
            x.tready.eq(free | self.failed),
            offered.eq(x.tvalid & free & ~self.failed),
            self.wrong_mode.eq(offered & ~is_sound(self.mode)),
            self.wrong_packet.eq(offered & ~sound),
            wrong.eq(self.wrong_mode | self.wrong_packet),
            accept.eq(offered & ~wrong),
        ]
        ended = self.clear | wrong
        with m.If(ended):
            m.d.sync += self.failed.eq(~self.clear)

        # Which parts of the conversion hold a row, and the last one of a packet. What is offered
        # after an end belongs to no packet, and its lanes are as they were.
        occupied = Signal(len(PARTS))
        lasts = Signal(len(PARTS))
        current = Signal()
        open_packet = Signal()
        with m.If(free):
            m.d.sync += [
                Cat(occupied, y.tvalid).eq(Cat(accept, occupied)),
                Cat(lasts, y.tlast).eq(Cat(x.tlast, lasts)),
                current.eq(1),
            ]
        with m.If(accept):
            m.d.sync += open_packet.eq(~x.tlast)
        with m.If(ended):
            m.d.sync += [occupied.eq(0), open_packet.eq(0), current.eq(0)]
            with m.If(free):
                m.d.sync += y.tvalid.eq(0)
        leaves = y.tvalid & current
        m.d.comb += [
            self.busy.eq(open_packet | occupied.any() | leaves),
            self.starts.eq(accept & ~self.busy),
            self.ends.eq(leaves & y.tready & y.tlast),
        ]

        raised = 0
        for lane, column in enumerate(place_columns(m, platform, self, self.clear)):
            m.d.comb += [
                column.value.eq(x.tdata.word_select(lane, 32)),
                column.accept.eq(accept & counts[lane]),
                column.advance.eq(free),
                column.mode.eq(self.mode),
                y.tdata.word_select(lane, 32).eq(column.code),
                y.tkeep.word_select(lane, 4).eq(column.kept.replicate(4)),
            ]
            raised = raised | column.flags.as_value()
        m.d.sync += self.flags.eq(Mux(self.clear, 0, raised))
        return m
