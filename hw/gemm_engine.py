"""The GEMM engine: an array with overlap, and a converter, behind AXI4-Stream and AXI4-Lite."""

from amaranth.hdl import Cat, Const, Module, Mux, Signal
from amaranth.lib.wiring import In, Out, connect, flipped

from hw.axi import axi_lite, axi_stream
from hw.converter import ConversionMode, is_sound
from hw.engine_registers import COUNTER_BITS, COUNTERS, engine_registers
from hw.hierarchy import Block, place
from hw.overlapped_array import OverlappedArray
from hw.register_file import RegisterFile
from hw.sequencer import TileSequencer
from hw.stream_converter import StreamConverter
from pysim.config import ArrayConfig
from pysim.cycles import CONVERSION_CLOCKS
from pysim.engine import MAX_LENGTH
from pysim.formats import OPERAND_FORMATS


class GemmEngine(Block):
    """Whole GEMMs, and conversions beside them: settings in registers, numbers in streams.

    Software writes the settings, then START. The streams carry a packet for each tile, of `rows`
    rows and `latency` times `cols` columns, row of tiles by row of tiles, each from left to right.
    The columns of a tile are cut into slots of `cols`. `s_axis_a` carries the columns of A for k
    ascending, `s_axis_b` likewise the rows of B, slot after slot; `s_axis_c` the rows of C of a
    slot, slot after slot, if it is loaded; and `m_axis_d` the rows of the result of a slot, slot
    after slot. ``docs/engine.md`` tells more.

    Meanwhile `s_axis_x` may take tensors to convert, whose codes leave by `m_axis_y`, as
    `hw.stream_converter` tells.

    A packet that ends early or late, or lacks bytes that count, fails the call, and so does STOP:
    no result leaves any more, and what comes in is thrown away, so that no sender hangs, until
    CLEAR or reset. A result that is offered stays so until it is taken, except in a reset.

    Parameters
    ----------
    config : ArrayConfig
        With a latency of at least 1.

    Members
    -------
    s_axil : In(axi_lite)
        Registers (`hw.engine_registers`).
    s_axis_a : In(axi_stream of `rows` bytes)
    s_axis_b : In(axi_stream of `cols` bytes)
    s_axis_c : In(axi_stream of 4 `cols` bytes)
        Not there without C.
    m_axis_d : Out(axi_stream of 4 `cols` bytes)
    s_axis_x : In(axi_stream of 4 `cols` bytes)
    m_axis_y : Out(axi_stream of 4 `cols` bytes)
    irq : Out(1)
        High while a cause that INTERRUPTS enables is set.
    """

    NAME = "fp8_gemm_engine"

    def __init__(self, config: ArrayConfig):
        self.config = config
        self.registers = engine_registers(config)
        super().__init__(
            {
                "s_axil": In(axi_lite(self.registers.address_width)),
                "s_axis_a": In(axi_stream(config.rows)),
                "s_axis_b": In(axi_stream(config.cols)),
                **({"s_axis_c": In(axi_stream(4 * config.cols))} if config.load_c else {}),
                "m_axis_d": Out(axi_stream(4 * config.cols)),
                "s_axis_x": In(axi_stream(4 * config.cols)),
                "m_axis_y": Out(axi_stream(4 * config.cols)),
                "irq": Out(1),
            }
        )

    @property
    def module_name(self):
        return self.NAME

    def elaborate(self, platform):
        m = Module()
        config = self.config
        registers = RegisterFile(self.registers)
        sequencer = TileSequencer(config.rows, config.cols * config.latency)
        array = OverlappedArray(config)
        reset_array = Signal()
        m.submodules.registers = place(registers, platform)
        m.submodules.sequencer = place(sequencer, platform)
        m.submodules.array = place(array, platform, reset=reset_array)
        connect(m, flipped(self.s_axil), registers.bus)

        busy = Signal()
        failed = Signal()
        wrong = Signal()
        clear = registers.clear_clear
        m.d.comb += [
            registers.lock_call.eq(busy | failed),
            registers.clear.eq(clear),
            registers.status_busy.eq(busy),
            registers.status_failed.eq(failed),
            registers.errors_locked_set.eq(registers.refused),
            reset_array.eq(failed | clear),
        ]
        _set_mode(m, array.mode, registers, "mode")
        starts = self._start(m, registers, sequencer, array)

        # Tiles
        tile_starts = Signal()
        m.d.comb += [
            array.commands.payload.eq(sequencer.commands.payload),
            array.commands.valid.eq(sequencer.commands.valid),
            sequencer.commands.ready.eq(array.commands.ready),
            tile_starts.eq(sequencer.commands.valid & sequencer.commands.ready),
            sequencer.clear.eq(clear | wrong),
        ]

        # Streams in: a packet ends where the array needs no more of it.
        found_wrong = []
        inputs = {"a": 1, "b": 1, "c": 4} if config.load_c else {"a": 1, "b": 1}
        for name, lane_bytes in inputs.items():
            port = getattr(self, f"s_axis_{name}")
            inside, used = getattr(array, name), getattr(array, f"{name}_used")
            ends_here = getattr(array, f"{name}_last")
            wrong_here = getattr(registers, f"errors_{name}_packet_set")
            kept = [
                port.tkeep.word_select(lane, lane_bytes).all() | ~used[lane]
                for lane in range(len(used))
            ]
            m.d.comb += [
                inside.payload.eq(port.tdata),
                inside.valid.eq(port.tvalid),
                port.tready.eq(failed | inside.ready),
                wrong_here.eq(
                    port.tvalid
                    & inside.ready
                    & ~failed
                    & ((port.tlast != ends_here) | ~Cat(*kept).all())
                ),
            ]
            found_wrong.append(wrong_here)
        m.d.comb += wrong.eq(Cat(*found_wrong).any() | registers.stop_stop & busy)

        # Stream out. What is offered stays so; `current` tells whether it belongs to the call.
        out, result = self.m_axis_d, array.d.payload
        free = Signal()
        current = Signal()
        packet_leaves = Signal()
        m.d.comb += [
            free.eq(~out.tvalid | out.tready),
            array.d.ready.eq(free),
            packet_leaves.eq(out.tvalid & out.tready & out.tlast & current),
        ]
        with m.If(free):
            m.d.sync += out.tvalid.eq(array.d.valid & ~(failed | wrong | clear))
            with m.If(array.d.valid):
                m.d.sync += [
                    out.tdata.eq(result.values),
                    out.tkeep.eq(Cat(*(keep.replicate(4) for keep in result.keep))),
                    out.tlast.eq(result.last),
                    current.eq(1),
                ]
        with m.If(clear | wrong):
            m.d.sync += current.eq(0)

        # One tile is prepared, one computes, and each row in a converter, or behind, may be a tile.
        tiles_inside = Signal(range(2 + CONVERSION_CLOCKS + 1 + 1))
        ends = Signal()
        m.d.comb += ends.eq(packet_leaves & ~sequencer.active & (tiles_inside == 1))
        m.d.comb += registers.status_done_set.eq(ends & ~wrong)
        with m.If(clear | wrong):
            m.d.sync += [busy.eq(0), tiles_inside.eq(0), failed.eq(wrong & ~clear)]
        with m.Else():
            m.d.sync += tiles_inside.eq(tiles_inside + tile_starts - packet_leaves)
            with m.If(starts):
                m.d.sync += busy.eq(1)
            with m.Elif(ends):
                m.d.sync += busy.eq(0)

        self._lanes(m, registers, "lane", array)
        self._convert(m, platform, registers, clear)
        for name in ("invalid", "overflow", "underflow", "inexact"):
            m.d.comb += getattr(registers, f"flags_{name}_set").eq(array.flags[name] & ~failed)

        # They are counted a clock later, so that no multiplier is in the way to the counter.
        products = Signal(2 * len(array.step_rows))
        m.d.sync += products.eq(
            Mux(busy & array.operands & ~clear, array.step_rows * array.step_cols, 0)
        )
        steps = {
            "cycles": busy,
            "computing": busy & array.operands,
            "starved": busy & array.starved,
            "blocked": busy & out.tvalid & ~out.tready,
            "macs": products,
        }
        for name in COUNTERS:
            self._count(m, registers, name, starts | clear, steps[name])

        errors = [
            getattr(registers, name)
            for name, _ in self.registers.signals()
            if name.startswith("errors_")
        ]
        m.d.comb += self.irq.eq(
            registers.status_done & registers.interrupts_done
            | registers.status_x_done & registers.interrupts_x_done
            | Cat(*errors).any() & registers.interrupts_error
        )
        return m

    def _start(self, m, registers, sequencer, array):
        """Start a call if its settings are sound; return whether one starts in this clock."""
        sizes = {side: getattr(registers, f"size_{side}_size") for side in "mnk"}
        bad_size = Cat(*((size == 0) | (size > MAX_LENGTH) for size in sizes.values())).any()
        bad_mode = ~is_sound(array.mode) | self._is_missing(registers)
        starts = Signal()
        call = sequencer.call
        m.d.comb += [
            starts.eq(registers.start_start & ~bad_size & ~bad_mode),
            registers.errors_size_set.eq(registers.start_start & bad_size),
            registers.errors_mode_set.eq(registers.start_start & bad_mode),
            sequencer.start.eq(starts),
            call.load_c.eq(registers.mode_load_c),
            call.a_format.eq(registers.mode_a_format),
            call.b_format.eq(registers.mode_b_format),
            *(getattr(sequencer, side).eq(size) for side, size in sizes.items()),
        ]
        return starts

    def _is_missing(self, registers):
        """Return whether the mode asks for a format, or for C, that was not built in."""
        asked = [Const(0)]
        for code, fmt in enumerate(OPERAND_FORMATS):
            if fmt not in self.config.multiplied:
                asked += [registers.mode_a_format == code, registers.mode_b_format == code]
        if not self.config.load_c:
            asked.append(registers.mode_load_c)
        return Cat(*asked).any()

    def _convert(self, m, platform, registers, clear):
        """Place the streaming converter, and let software see and set it."""
        converter = StreamConverter(self.config)
        m.submodules.converter = place(converter, platform)
        connect(m, flipped(self.s_axis_x), converter.x)
        connect(m, converter.y, flipped(self.m_axis_y))
        m.d.comb += [
            converter.clear.eq(clear),
            # The first transfer is converted in the mode that is there when it comes.
            registers.lock_packet.eq(converter.busy | converter.failed | converter.starts),
            registers.status_x_busy.eq(converter.busy),
            registers.status_x_failed.eq(converter.failed),
            registers.status_x_done_set.eq(converter.ends),
            registers.errors_x_packet_set.eq(converter.wrong_packet),
            registers.errors_x_mode_set.eq(converter.wrong_mode),
        ]
        _set_mode(m, converter.mode, registers, "x_mode")
        self._lanes(m, registers, "x_lane", converter)
        for name in ("overflow", "underflow", "inexact"):
            raised = converter.flags[name] & ~converter.failed
            m.d.comb += getattr(registers, f"x_flags_{name}_set").eq(raised)
        counts = converter.starts | converter.busy
        self._count(m, registers, "x_cycles", clear, counts, converter.starts)

    def _count(self, m, registers, name, clear, step, restart=0):
        """Count steps since a clear or a restart, which is a step itself."""
        count = Signal(COUNTER_BITS, name=name)
        with m.If(clear):
            m.d.sync += count.eq(0)
        with m.Else():
            m.d.sync += count.eq(Mux(restart, 0, count) + step)
        m.d.comb += [
            getattr(registers, f"{name}_low_count").eq(count[:32]),
            getattr(registers, f"{name}_high_count").eq(count[32:]),
        ]

    def _lanes(self, m, registers, name, owner):
        """Let software read and load lanes of random bits, by the registers of a name."""
        index = getattr(registers, f"{name}_index")
        low, high = (f"{name}_{half}_state" for half in ("low", "high"))
        there = index < self.config.cols
        low_written = Signal(32, name=f"{name}_low")
        state = Signal(64, name=f"{name}_state")
        with m.If(getattr(registers, f"{low}_write")):
            m.d.sync += low_written.eq(getattr(registers, f"{low}_written"))
        m.d.comb += [
            owner.lfsr_lane.eq(index),
            owner.lfsr_load.eq(getattr(registers, f"{high}_write") & there),
            owner.lfsr_load_state.eq(Cat(low_written, getattr(registers, f"{high}_written"))),
            state.eq(Mux(there, owner.lfsr_state, 0)),
            getattr(registers, low).eq(state[:32]),
            getattr(registers, high).eq(state[32:]),
        ]


def _set_mode(m, mode, registers, name):
    """Set a mode by the fields of a register."""
    for field, _ in ConversionMode.as_shape():
        m.d.comb += mode[field].eq(getattr(registers, f"{name}_{field}"))
