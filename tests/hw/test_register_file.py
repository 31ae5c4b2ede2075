"""Registers behind AXI4-Lite, in Amaranth's simulator."""

import pytest

from hw.axi import OKAY, SLVERR
from hw.register_file import RegisterFile
from hw.registers import Access, Field, Register, RegisterMap

MAP = RegisterMap(
    "test",
    (
        Register(
            "fixed",
            "",
            (Field("value", 8, Access.CONSTANT, "", 0x5A), Field("state", 8, Access.STATE, "")),
        ),
        Register("mode", "", (Field("value", 16, Access.SETTING, "", 0x1234),), lock="call"),
        Register(
            "event",
            "",
            (Field("go", 4, Access.TRIGGER, ""), Field("seen", 4, Access.STICKY, "")),
        ),
        Register("direct", "", (Field("value", 32, Access.DIRECT, ""),)),
        Register("spare", "", (Field("value", 1, Access.CONSTANT, ""),)),
    ),
)
FIXED, MODE, EVENT, DIRECT, NOTHING = 0, 4, 8, 12, 20


class Bus:
    def __init__(self, context, block):
        self.context, self.bus = context, block.bus

    async def write(self, address, data, strobes=0b1111, data_first=False):
        context, bus = self.context, self.bus
        context.set(bus.bready, 1)
        context.set(bus.awaddr, address)
        context.set(bus.wdata, data)
        context.set(bus.wstrb, strobes)
        channels = [(bus.awvalid, bus.awready), (bus.wvalid, bus.wready)]
        for valid, ready in reversed(channels) if data_first else channels:
            context.set(valid, 1)
            await context.tick().until(ready)
            context.set(valid, 0)
        while not context.get(bus.bvalid):
            await context.tick()
        response = context.get(bus.bresp)
        await context.tick()
        return response

    async def read(self, address):
        context, bus = self.context, self.bus
        context.set(bus.araddr, address)
        context.set(bus.arvalid, 1)
        await context.tick().until(bus.arready)
        context.set(bus.arvalid, 0)
        context.set(bus.rready, 1)
        word, response = context.get(bus.rdata), context.get(bus.rresp)
        assert context.get(bus.rvalid)
        await context.tick()
        assert not context.get(bus.rvalid)
        return word, response


@pytest.fixture
def block():
    return RegisterFile(MAP)


def test_constants_and_states(block, clocked):
    async def bench(context):
        bus = Bus(context, block)
        context.set(block.fixed_state, 0xA7)
        assert await bus.read(FIXED) == (0xA75A, OKAY)
        assert await bus.write(FIXED, 0) == SLVERR
        assert await bus.read(FIXED) == (0xA75A, OKAY)
        assert await bus.read(NOTHING) == (0, SLVERR)
        assert await bus.write(NOTHING, 0) == SLVERR

    clocked(block, bench)


def test_settings(block, clocked):
    async def bench(context):
        bus = Bus(context, block)
        assert context.get(block.mode_value) == 0x1234
        assert await bus.write(MODE, 0xFFFFABCD, data_first=True) == OKAY
        assert context.get(block.mode_value) == 0xABCD
        assert await bus.write(MODE, 0x0000EE11, strobes=0b0010) == OKAY
        assert context.get(block.mode_value) == 0xEECD
        assert await bus.write(MODE + 1, 0x00007722, strobes=0b0011) == OKAY
        assert context.get(block.mode_value) == 0x77CD
        assert await bus.read(MODE + 1) == (0x7700, OKAY)

    clocked(block, bench)


def test_lock(block, clocked):
    async def bench(context):
        bus = Bus(context, block)
        refused = 0

        context.set(block.lock_call, 1)
        context.set(block.bus.bready, 1)
        context.set(block.bus.awaddr, MODE)
        context.set(block.bus.awvalid, 1)
        context.set(block.bus.wvalid, 1)
        await context.tick()
        context.set(block.bus.awvalid, 0)
        context.set(block.bus.wvalid, 0)
        for _ in range(4):
            refused += context.get(block.refused)
            await context.tick()
        assert refused == 1
        assert context.get(block.mode_value) == 0x1234
        assert await bus.write(MODE, 0) == SLVERR
        assert await bus.write(EVENT, 0) == OKAY
        context.set(block.lock_call, 0)
        assert await bus.write(MODE, 7) == OKAY
        assert context.get(block.mode_value) == 7

    clocked(block, bench)


def test_triggers_last_one_clock(block, clocked):
    async def bench(context):
        bus = block.bus
        context.set(bus.bready, 1)
        context.set(bus.awaddr, EVENT)
        context.set(bus.wdata, 0b0101)
        context.set(bus.wstrb, 0b1111)
        context.set(bus.awvalid, 1)
        context.set(bus.wvalid, 1)
        await context.tick()
        context.set(bus.awvalid, 0)
        context.set(bus.wvalid, 0)
        seen = []
        for _ in range(4):
            seen.append(context.get(block.event_go))
            await context.tick()
        assert seen == [0b0101, 0, 0, 0]
        assert await Bus(context, block).read(EVENT) == (0, OKAY)

    clocked(block, bench)


def test_sticky_bits(block, clocked):
    async def bench(context):
        bus = Bus(context, block)
        context.set(block.event_seen_set, 0b1010)
        await context.tick()
        context.set(block.event_seen_set, 0)
        assert await bus.read(EVENT) == (0b1010 << 4, OKAY)
        assert await bus.write(EVENT, 0b0110 << 4) == OKAY
        assert context.get(block.event_seen) == 0b1000
        context.set(block.event_seen_set, 0b1000)
        assert await bus.write(EVENT, 0b1111 << 4) == OKAY
        # What happens in the clock of the write is not lost.
        assert context.get(block.event_seen) == 0b1000
        # But a clear of all leaves none of them.
        context.set(block.clear, 1)
        await context.tick()
        assert context.get(block.event_seen) == 0

    clocked(block, bench)


def test_direct(block, clocked):
    async def bench(context):
        bus = Bus(context, block)
        context.set(block.direct_value, 0x11223344)
        assert await bus.read(DIRECT) == (0x11223344, OKAY)
        context.set(block.bus.bready, 1)
        context.set(block.bus.awaddr, DIRECT)
        context.set(block.bus.wdata, 0xAABBCCDD)
        context.set(block.bus.wstrb, 0b0110)
        context.set(block.bus.awvalid, 1)
        context.set(block.bus.wvalid, 1)
        await context.tick()
        context.set(block.bus.awvalid, 0)
        context.set(block.bus.wvalid, 0)
        assert context.get(block.direct_value_write)
        assert context.get(block.direct_value_written) == 0x11BBCC44
        await context.tick()
        assert not context.get(block.direct_value_write)

    clocked(block, bench)


def test_answers_wait(block, clocked):
    async def bench(context):
        bus = block.bus
        context.set(bus.arvalid, 1)
        context.set(bus.awvalid, 1)
        context.set(bus.wvalid, 1)
        context.set(bus.awaddr, NOTHING)
        for _ in range(6):
            await context.tick()
        assert context.get(bus.rvalid)
        assert context.get(bus.bvalid)
        assert not context.get(bus.arready)
        # A second write waits behind the answer to the first.
        assert not context.get(bus.awready)
        assert not context.get(bus.wready)
        assert context.get(bus.rdata) == 0x5A
        assert context.get(bus.bresp) == SLVERR

    clocked(block, bench)
