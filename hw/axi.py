"""The signals of AXI4-Stream and AXI4-Lite, as the side that starts a transfer sees them."""

from amaranth.lib.wiring import In, Out, Signature

OKAY, SLVERR = 0, 2
"""Responses of AXI4-Lite: done, and refused."""


def axi_stream(data_bytes: int) -> Signature:
    """Return the signature of a stream; `tkeep` tells which bytes count."""
    return Signature(
        {
            "tdata": Out(8 * data_bytes),
            "tkeep": Out(data_bytes),
            "tlast": Out(1),
            "tvalid": Out(1),
            "tready": In(1),
        }
    )


def axi_lite(address_width: int) -> Signature:
    """Return the signature of a port for words of 32 bits, without the signals of protection."""
    return Signature(
        {
            "awaddr": Out(address_width),
            "awvalid": Out(1),
            "awready": In(1),
            "wdata": Out(32),
            "wstrb": Out(4),
            "wvalid": Out(1),
            "wready": In(1),
            "bresp": In(2),
            "bvalid": In(1),
            "bready": Out(1),
            "araddr": Out(address_width),
            "arvalid": Out(1),
            "arready": In(1),
            "rdata": In(32),
            "rresp": In(2),
            "rvalid": In(1),
            "rready": Out(1),
        }
    )
