"""The schedule of an array with overlap: one tile computes while others are loaded and drained."""

from amaranth.hdl import Array, Const, Module, Mux, Signal
from amaranth.lib import data, stream
from amaranth.lib.wiring import In, Out

from hw.control import LENGTH_BITS, SIDE_BITS
from hw.hierarchy import Block
from hw.operand import FORMAT_BITS
from hw.ring_element import SLOT_BITS
from pysim.config import MAX_LATENCY, MAX_SIDE

WIDTH_BITS = (MAX_SIDE * MAX_LATENCY).bit_length()


class Job(data.Struct):
    """One tile of a GEMM.

    As `hw.control.Command`, but a tile has up to `latency` times the columns of the array: those
    of slot 0 are the first, as many as the array has, those of slot 1 the next, and so on.
    """

    load_c: 1
    a_format: FORMAT_BITS
    b_format: FORMAT_BITS
    rows: SIDE_BITS
    cols: WIDTH_BITS
    length: LENGTH_BITS


class OverlappedSchedule(Block):
    """Runs the tiles of a ring array, each while the one before is drained.

    Two machines share the work. One takes the steps of the tile in the ring: for each k, a slot a
    clock, in order. The other prepares what waits beside the ring: it loads C for the next tile,
    lets the next tile begin, which changes the places of what waits and what is finished, and
    drains the sums of the tile before, slot by slot. When no further command comes, an empty tile
    takes the place of the next one.

    Parameters
    ----------
    rows, cols, latency : int
    load_c : bool
        Whether tiles may load C. If not, the members about C are not there, nor `fresh`.

    Members
    -------
    commands : In(stream of Job)
    a_valid, a_ready, b_valid, b_ready, c_valid, c_ready : In, Out
        Handshakes of the operand streams. A column of A goes with as many rows of B as the tile
        has slots, and is taken with the last of them.
    a_last, b_last, c_last : Out(1)
        What the streams offer is the last of a tile.
    result_ready : In(1)
        Whether the result register can take a row.
    formats : Out(Job)
        The tile whose operands enter.
    step : Out(1)
        Operands enter in this clock, or what marks the beginning of a tile.
    operands : Out(1)
        Operands enter in this clock.
    first : Out(1)
        The step is one of the first of a tile.
    fresh : Out(1)
        The tile has no C: its sums start from +0.
    step_slot : Out(3)
    step_cols : Out(7)
        Columns that the step uses.
    shift : Out(1)
        What waits shifts up in this clock, in slot `shift_slot`.
    shift_slot : Out(3)
    load : Out(1)
        A row of C enters in this clock.
    load_cols : Out(7)
        Columns that it has.
    accept : Out(1)
        The converters take a row of what waits in this clock.
    accept_cols : Out(7)
        Columns that it has.
    last : Out(1)
        The row taken is the last of its command.
    starved : Out(1)
        A stream is waited for.
    """

    def __init__(self, rows: int, cols: int, latency: int, load_c: bool = True):
        self.rows, self.cols, self.latency, self.load_c = rows, cols, latency, load_c
        of_c = {
            "c_valid": In(1),
            "c_ready": Out(1),
            "c_last": Out(1),
            "fresh": Out(1),
            "load": Out(1),
            "load_cols": Out(SIDE_BITS),
        }
        super().__init__(
            {
                "commands": In(stream.Signature(Job)),
                "a_valid": In(1),
                "a_ready": Out(1),
                "a_last": Out(1),
                "b_valid": In(1),
                "b_ready": Out(1),
                "b_last": Out(1),
                **(of_c if load_c else {}),
                "result_ready": In(1),
                "formats": Out(Job),
                "step": Out(1),
                "operands": Out(1),
                "first": Out(1),
                "step_slot": Out(SLOT_BITS),
                "step_cols": Out(SIDE_BITS),
                "shift": Out(1),
                "shift_slot": Out(SLOT_BITS),
                "accept": Out(1),
                "accept_cols": Out(SIDE_BITS),
                "last": Out(1),
                "starved": Out(1),
            }
        )

    @property
    def module_name(self):
        return f"fp8_overlapped_schedule_{self.rows}x{self.cols}_{self.latency}"

    def _cols_of_slot(self, job, slot):
        """Return how many columns of a tile lie in a slot."""
        counts = []
        for i in range(self.latency):
            left = job.cols - i * self.cols
            none, all_of_them = job.cols <= i * self.cols, job.cols >= (i + 1) * self.cols
            counts.append(Mux(none, 0, Mux(all_of_them, self.cols, left[:SIDE_BITS])))
        return Array(counts)[slot]

    def _is_last_slot(self, job, slot):
        """Return whether a slot is the last one that a tile uses."""
        return Array([job.cols <= (i + 1) * self.cols for i in range(self.latency)])[slot]

    def elaborate(self, platform):
        m = Module()
        last_slot = self.latency - 1
        turn = Signal(SLOT_BITS)
        launch = Signal()
        has_tile = Signal()
        # All accumulators of an empty ring are alike, so that any may be the first.
        restart = launch & ~has_tile
        m.d.sync += turn.eq(Mux((turn == last_slot) | restart, 0, turn + 1))

        # The tile in the ring: its steps
        active = Signal()
        due = Signal(SLOT_BITS)
        left = Signal(LENGTH_BITS)
        empty = Signal()
        job = self.formats
        step_cols = Signal(SIDE_BITS)
        wanted = Signal()
        both = Signal()
        pass_ends = Signal()
        tile_ends = Signal()
        m.d.comb += [
            step_cols.eq(self._cols_of_slot(job, due)),
            wanted.eq(active & (turn == due) & ~empty & (step_cols != 0)),
            both.eq(self.a_valid & self.b_valid),
            self.operands.eq(wanted & both),
            self.step.eq(active & (turn == due) & (~wanted | both)),
            self.step_slot.eq(due),
            self.step_cols.eq(step_cols),
            self.b_ready.eq(wanted & self.a_valid),
            self.a_ready.eq(wanted & self.b_valid & self._is_last_slot(job, due)),
            self.a_last.eq(left == 0),
            self.b_last.eq((left == 0) & self._is_last_slot(job, due)),
            pass_ends.eq(self.step & (due == last_slot)),
            tile_ends.eq(pass_ends & (left == 0)),
        ]
        upcoming = Signal(Job)
        upcoming_empty = Signal()
        with m.If(self.step):
            m.d.sync += due.eq(Mux(due == last_slot, 0, due + 1))
        with m.If(pass_ends):
            m.d.sync += [self.first.eq(0), left.eq(left - 1)]
        with m.If(tile_ends):
            m.d.sync += active.eq(0)
        with m.If(launch):
            no_products = upcoming_empty | (upcoming.length == 0)
            m.d.sync += [
                active.eq(1),
                self.first.eq(1),
                job.eq(upcoming),
                empty.eq(no_products),
                left.eq(Mux(no_products, 0, upcoming.length - 1)),
            ]
            if self.load_c:
                m.d.sync += self.fresh.eq(upcoming_empty | ~upcoming.load_c)

        # What waits beside the ring
        finished = Signal(Job)
        has_finished = Signal()
        offered = self.commands.payload
        slot = Signal(SLOT_BITS)
        rows_left = Signal(LENGTH_BITS)
        row_done = rows_left == 0
        m.d.comb += self.shift_slot.eq(slot)

        def begin(phase, steps):
            m.d.sync += rows_left.eq((steps - 1)[:LENGTH_BITS])
            m.next = phase

        def row_then_slot(of, rows, after):
            """Count a row; after the last one of a slot comes the next slot, or what follows."""
            with m.If(~row_done):
                m.d.sync += rows_left.eq(rows_left - 1)
            with m.Elif(self._is_last_slot(of, slot)):
                m.d.sync += slot.eq(0)
                after()
            with m.Else():
                m.d.sync += [slot.eq(slot + 1), rows_left.eq((rows - 1)[:LENGTH_BITS])]

        def go(phase):
            m.next = phase

        # The last mark of a tile's beginning has a register at the edge before it, and two in the
        # farthest element. Until it is there nothing may be shifted, in whichever slot.
        crossing = Const(self.rows + self.cols + 1)
        with m.FSM():
            with m.State("IDLE"):
                m.d.comb += self.commands.ready.eq(1)
                with m.If(self.commands.valid):
                    m.d.sync += [upcoming.eq(offered), upcoming_empty.eq(0)]
                    if self.load_c:
                        with m.If(offered.load_c):
                            begin("LOAD", Const(self.rows))
                        with m.Else():
                            m.next = "LAUNCH"
                    else:
                        m.next = "LAUNCH"
                with m.Elif(has_tile & ~active):
                    m.d.sync += upcoming_empty.eq(1)
                    m.next = "LAUNCH"

            if self.load_c:
                with m.State("LOAD"):
                    # Rows of C enter first row first; rows of zeros follow until the first is on
                    # top.
                    padding = rows_left + upcoming.rows < self.rows
                    last_row = rows_left + upcoming.rows == self.rows
                    m.d.comb += [
                        self.c_ready.eq(~padding),
                        self.c_last.eq(last_row & self._is_last_slot(upcoming, slot)),
                        self.load.eq(self.c_valid & self.c_ready),
                        self.load_cols.eq(self._cols_of_slot(upcoming, slot)),
                        self.shift.eq(self.load | padding),
                    ]
                    with m.If(self.shift):
                        row_then_slot(upcoming, Const(self.rows), lambda: go("LAUNCH"))

            with m.State("LAUNCH"):
                m.d.comb += launch.eq(~active | tile_ends)
                with m.If(launch):
                    m.d.sync += [
                        finished.eq(job),
                        has_finished.eq(has_tile),
                        has_tile.eq(~upcoming_empty),
                    ]
                    m.next = "BEGIN"

            with m.State("BEGIN"), m.If(pass_ends):
                begin("CROSS", crossing)

            with m.State("CROSS"):
                m.d.sync += rows_left.eq(rows_left - 1)
                with m.If(row_done):
                    with m.If(has_finished):
                        begin("DRAIN", finished.rows)
                    with m.Else():
                        m.next = "IDLE"

            with m.State("DRAIN"):
                m.d.comb += [
                    self.accept.eq(self.result_ready),
                    self.accept_cols.eq(self._cols_of_slot(finished, slot)),
                    self.shift.eq(self.result_ready),
                    self.last.eq(row_done & self._is_last_slot(finished, slot)),
                ]
                with m.If(self.accept):
                    row_then_slot(finished, finished.rows, lambda: go("IDLE"))

        waits_for_c = self.c_ready & ~self.c_valid if self.load_c else 0
        m.d.comb += self.starved.eq(wanted & ~both | waits_for_c)
        return m
