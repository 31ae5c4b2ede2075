"""A lane: leaps, loads, and never zero."""

import pytest

from hw.lfsr import LfsrLane
from pysim.lfsr import Lfsr


@pytest.mark.parametrize(("width", "bits"), [(8, 8), (16, 5), (32, 16), (64, 24), (64, 1)])
def test_draws(clocked, width, bits):
    lane, lfsr = LfsrLane(width, bits), Lfsr(width)
    state = 0xD1B54A32D192ED03 >> (64 - width)

    async def bench(context):
        context.set(lane.load_state, state)
        context.set(lane.load, 1)
        await context.tick()
        context.set(lane.load, 0)
        expected = state
        for i in range(60):
            assert context.get(lane.state) == expected
            assert context.get(lane.draw) == expected & ((1 << bits) - 1)
            context.set(lane.advance, i % 3 != 0)
            await context.tick()
            if i % 3:
                expected = lfsr.advance(expected, bits)

    clocked(lane, bench)


def test_load(clocked):
    lane = LfsrLane(16, 4)

    async def bench(context):
        context.set(lane.load, 1)
        context.set(lane.advance, 1)
        for state in (0x1234, 0xFFFF, 1):
            context.set(lane.load_state, state)
            await context.tick()
            # A load wins over a draw.
            assert context.get(lane.state) == state
        context.set(lane.advance, 0)
        context.set(lane.load_state, 0)
        await context.tick()
        assert context.get(lane.state) == 1

    clocked(lane, bench)


def test_reset_takes_the_seed(clocked):
    from amaranth.hdl import ClockDomain, Module

    lane = LfsrLane(16, 4)
    m = Module()
    m.domains.sync = domain = ClockDomain("sync")
    m.submodules.lane = lane

    async def bench(context):
        context.set(lane.seed, 0xBEEF)
        context.set(domain.rst, 1)
        await context.tick()
        context.set(domain.rst, 0)
        assert context.get(lane.state) == 0xBEEF

    clocked(m, bench)
