"""The tile schedule: sizes of a matrix in, the commands of its tiles out."""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import stream
from amaranth.lib.wiring import In, Out

from hw.control import LENGTH_BITS
from hw.hierarchy import Block
from hw.schedule import Job


class TileSequencer(Block):
    """Cuts a call into tiles, row of tiles by row of tiles, each from left to right.

    Tiles at the lower and right edges use what is left of the matrix.

    Parameters
    ----------
    rows, cols : int
        Sides of a tile.

    Members
    -------
    call : In(Job)
        What tiles have in common; `rows`, `cols`, and `length` do not count.
    m, n, k : In(24)
        At least 1.
    start : In(1)
        Take the sizes, and begin.
    clear : In(1)
        Forget what is left.
    commands : Out(stream of Job)
    active : Out(1)
        A command is left to hand out.
    """

    def __init__(self, rows: int, cols: int):
        self.rows, self.cols = rows, cols
        super().__init__(
            {
                "call": In(Job),
                "m": In(LENGTH_BITS),
                "n": In(LENGTH_BITS),
                "k": In(LENGTH_BITS),
                "start": In(1),
                "clear": In(1),
                "commands": Out(stream.Signature(Job)),
                "active": Out(1),
            }
        )

    @property
    def module_name(self):
        return f"fp8_tile_sequencer_{self.rows}x{self.cols}"

    def elaborate(self, platform):
        m = Module()
        call, offered = self.call, self.commands.payload
        rows_left = Signal(LENGTH_BITS)
        cols_left = Signal(LENGTH_BITS)
        last_row, last_col = rows_left <= self.rows, cols_left <= self.cols

        m.d.comb += [
            self.commands.valid.eq(self.active),
            offered.load_c.eq(call.load_c),
            offered.a_format.eq(call.a_format),
            offered.b_format.eq(call.b_format),
            offered.rows.eq(Mux(last_row, rows_left, self.rows)),
            offered.cols.eq(Mux(last_col, cols_left, self.cols)),
            offered.length.eq(self.k),
        ]
        with m.If(self.clear):
            m.d.sync += self.active.eq(0)
        with m.Elif(self.start):
            m.d.sync += [self.active.eq(1), rows_left.eq(self.m), cols_left.eq(self.n)]
        with m.Elif(self.commands.valid & self.commands.ready):
            with m.If(~last_col):
                m.d.sync += cols_left.eq(cols_left - self.cols)
            with m.Elif(~last_row):
                m.d.sync += [rows_left.eq(rows_left - self.rows), cols_left.eq(self.n)]
            with m.Else():
                m.d.sync += self.active.eq(0)
        return m
