"""The whole chip in Amaranth's simulator, before there is any Verilog: GEMMs against golden."""

import numpy as np
import pytest
from amaranth.hdl import ClockDomain, Module, Value
from amaranth.sim import Simulator

from hw.array import MacArray
from hw.control import Operation
from pysim import ArrayConfig, GoldenEngine
from pysim.convert import ROUNDINGS, Rounding
from pysim.formats import E4M3, E5M2, OPERAND_FORMATS, OUTPUT_FORMATS


async def offer(context, stream, payloads):
    """Hand payloads over to a stream after the reset, as plain integers."""
    await context.tick()
    await context.tick()
    for payload in payloads:
        context.set(Value.cast(stream.payload), payload)
        context.set(stream.valid, 1)
        await context.tick().until(stream.ready)
    context.set(stream.valid, 0)


def pack(codes, bits):
    return sum(int(code) << bits * i for i, code in enumerate(codes))


@pytest.mark.parametrize("rounding", list(Rounding))
@pytest.mark.parametrize("with_c", [False, True])
def test_tile(with_c, rounding):
    config = ArrayConfig(2, 3, lfsr_width=16, random_bits=5)
    array = MacArray(config)
    rng = np.random.default_rng(4)
    a = rng.integers(256, size=(2, 6), dtype=np.uint8)
    b = rng.integers(0x70, size=(6, 3), dtype=np.uint8)
    c = rng.standard_normal((2, 3)).astype(np.float32) if with_c else None
    engine = GoldenEngine(config)
    expected = engine.gemm(
        a, b, a_format="e4m3", b_format="e5m2", c=c, out_format="e5m2", rounding=rounding
    )
    command = {
        "operation": Operation.GEMM,
        "load_c": with_c,
        "a_format": OPERAND_FORMATS.index(E4M3),
        "b_format": OPERAND_FORMATS.index(E5M2),
        "mode": {
            "target": OUTPUT_FORMATS.index(E5M2),
            "rounding": ROUNDINGS.index(rounding),
            "saturate": 1,
        },
        "rows": 2,
        "cols": 3,
        "length": 6,
    }
    rows = []
    m = Module()
    m.domains.sync = domain = ClockDomain("sync")
    m.submodules.array = array

    async def commands(context):
        # The lanes take their seeds while reset is active.
        context.set(domain.rst, 1)
        await context.tick()
        context.set(domain.rst, 0)
        await context.tick()
        context.set(array.commands.payload, command)
        context.set(array.commands.valid, 1)
        await context.tick().until(array.commands.ready)
        context.set(array.commands.valid, 0)

    async def operands_a(context):
        await offer(context, array.a, [pack(column, 8) for column in a.T])

    async def operands_b(context):
        await offer(context, array.b, [pack(row, 8) for row in b])

    async def starts(context):
        if c is not None:
            await offer(context, array.c, [pack(row, 32) for row in c.view(np.uint32)])

    async def results(context):
        await context.tick()
        await context.tick()
        context.set(array.d.ready, 1)
        for i in range(2):
            (payload,) = await context.tick().sample(array.d.payload).until(array.d.valid)
            assert payload.last == (i == 1)
            assert payload.keep == 0b111
            rows.append([payload.values[j] for j in range(3)])
        assert context.get(Value.cast(array.flags)) == expected.flags.to_bits()
        states = []
        for lane in range(3):
            context.set(array.lfsr_lane, lane)
            await context.delay(0)
            states.append(context.get(array.lfsr_state))
        assert states == engine.random_state.tolist()

    simulator = Simulator(m)
    simulator.add_clock(1e-8)
    for process in (commands, operands_a, operands_b, starts, results):
        simulator.add_testbench(process)
    simulator.run()
    assert np.array_equal(rows, expected.values)
