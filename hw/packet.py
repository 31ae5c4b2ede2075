"""A check on the packets of a stream."""

from amaranth.hdl import Module, Signal
from amaranth.lib.wiring import In, Out

from hw.control import LENGTH_BITS
from hw.hierarchy import Block


class PacketCheck(Block):
    """Counts the transfers of a packet, and tells which of them is wrong.

    Members
    -------
    length : In(24)
        Transfers of the packet that begins.
    start : In(1)
        A packet of `length` transfers begins with the next clock.
    transfer : In(1)
        A transfer takes place.
    last, complete : In(1)
        It is marked as the last one; all bytes that must count do.
    wrong : Out(1)
        The transfer in this clock is not marked as it should be, or not complete.
    """

    def __init__(self):
        super().__init__(
            {
                "length": In(LENGTH_BITS),
                "start": In(1),
                "transfer": In(1),
                "last": In(1),
                "complete": In(1),
                "wrong": Out(1),
            }
        )

    @property
    def module_name(self):
        return "fp8_packet_check"

    def elaborate(self, platform):
        m = Module()
        left = Signal(LENGTH_BITS)
        m.d.comb += self.wrong.eq(self.transfer & ((self.last != (left == 1)) | ~self.complete))
        with m.If(self.start):
            m.d.sync += left.eq(self.length)
        with m.Elif(self.transfer):
            m.d.sync += left.eq(left - 1)
        return m
