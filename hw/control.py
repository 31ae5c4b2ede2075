"""Tile control: a command in, the phases of a tile out."""

from amaranth.hdl import Module, Signal, Value
from amaranth.lib import data, enum, stream
from amaranth.lib.wiring import In, Out

from hw.converter import ConversionMode
from hw.hierarchy import Block
from hw.operand import FORMAT_BITS
from pysim.config import MAX_SIDE
from pysim.engine import MAX_LENGTH

SIDE_BITS = MAX_SIDE.bit_length()
LENGTH_BITS = MAX_LENGTH.bit_length()


class Operation(enum.Enum, shape=1):
    """What a command asks for."""

    GEMM = 0
    CONVERT = 1


class Command(data.Struct):
    """One tile of a GEMM, or one run of conversions.

    `length` is the inner dimension K of a GEMM, or the rows to convert. Of the array, a GEMM uses
    the first `rows` rows and `cols` columns, a conversion the first `cols` columns. With `load_c`
    the accumulators start from rows of the stream C, else from +0.
    """

    operation: Operation
    load_c: 1
    a_format: FORMAT_BITS
    b_format: FORMAT_BITS
    mode: ConversionMode
    rows: SIDE_BITS
    cols: SIDE_BITS
    length: LENGTH_BITS


class TileControl(Block):
    """Steps through LOAD, COMPUTE, FLUSH, and DRAIN of a tile, or through CONVERT.

    A phase advances in each clock in which all its streams are ready to; a stream that is not
    stalls it. Exactly one step is taken for every row or column that a stream hands over.

    Parameters
    ----------
    rows, cols : int
        Sides of the array.

    Members
    -------
    commands : In(stream of Command)
    command : Out(Command)
        The command in work.
    a_valid, a_ready, b_valid, b_ready, c_valid, c_ready : In, Out
        Handshakes of the operand streams. A and B are only taken together.
    result_ready : In(1)
        Whether the result register can take a row.
    compute : Out(1)
        Operands enter the array in this clock.
    load : Out(1)
        A row of C enters the array in this clock.
    shift : Out(1)
        Accumulators shift up in this clock, to load, to pad, or to drain.
    accept : Out(1)
        The converters take a row in this clock: of the array, or of C if `bypass`.
    bypass : Out(1)
    last : Out(1)
        The row taken is the last of its command.
    busy : Out(1)
    """

    def __init__(self, rows: int, cols: int):
        self.rows, self.cols = rows, cols
        super().__init__(
            {
                "commands": In(stream.Signature(Command)),
                "command": Out(Command),
                "a_valid": In(1),
                "a_ready": Out(1),
                "b_valid": In(1),
                "b_ready": Out(1),
                "c_valid": In(1),
                "c_ready": Out(1),
                "result_ready": In(1),
                "compute": Out(1),
                "load": Out(1),
                "shift": Out(1),
                "accept": Out(1),
                "bypass": Out(1),
                "last": Out(1),
                "busy": Out(1),
            }
        )

    @property
    def module_name(self):
        return f"fp8_tile_control_{self.rows}x{self.cols}"

    def elaborate(self, platform):
        m = Module()
        command = self.command
        offered = self.commands.payload
        # Steps of the phase left after this one.
        remaining = Signal(LENGTH_BITS)
        done = remaining == 0

        def begin(phase, steps):
            m.d.sync += remaining.eq((Value.cast(steps) - 1).as_unsigned())
            m.next = phase

        def step(after):
            m.d.sync += remaining.eq(remaining - 1)
            with m.If(done):
                after()

        def compute_or_drain(length, rows):
            with m.If(length == 0):
                begin("DRAIN", rows)
            with m.Else():
                begin("COMPUTE", length)

        with m.FSM() as fsm:
            m.d.comb += self.busy.eq(~fsm.ongoing("IDLE"))

            with m.State("IDLE"):
                m.d.comb += self.commands.ready.eq(1)
                with m.If(self.commands.valid):
                    m.d.sync += command.eq(offered)
                    with m.If(offered.operation == Operation.CONVERT):
                        begin("CONVERT", offered.length)
                    with m.Elif(offered.load_c):
                        begin("LOAD", self.rows)
                    with m.Else():
                        compute_or_drain(offered.length, offered.rows)

            with m.State("LOAD"):
                # Rows of C enter first row first; rows of zeros follow until the first is on top.
                padding = remaining + command.rows < self.rows
                m.d.comb += [
                    self.c_ready.eq(~padding),
                    self.load.eq(self.c_valid & self.c_ready),
                    self.shift.eq(self.load | padding),
                ]
                with m.If(self.shift):
                    step(lambda: compute_or_drain(command.length, command.rows))

            with m.State("COMPUTE"):
                m.d.comb += [
                    self.a_ready.eq(self.b_valid),
                    self.b_ready.eq(self.a_valid),
                    self.compute.eq(self.a_valid & self.b_valid),
                ]
                with m.If(self.compute):
                    step(lambda: begin("FLUSH", self.rows + self.cols - 1))

            with m.State("FLUSH"):
                step(lambda: begin("DRAIN", command.rows))

            with m.State("DRAIN"):
                m.d.comb += [
                    self.accept.eq(self.result_ready),
                    self.shift.eq(self.result_ready),
                    self.last.eq(done),
                ]
                with m.If(self.accept):
                    step(lambda: _go(m, "IDLE"))

            with m.State("CONVERT"):
                m.d.comb += [
                    self.bypass.eq(1),
                    self.c_ready.eq(self.result_ready),
                    self.accept.eq(self.c_valid & self.result_ready),
                    self.last.eq(done),
                ]
                with m.If(self.accept):
                    step(lambda: _go(m, "IDLE"))
        return m


def _go(m, state):
    m.next = state
