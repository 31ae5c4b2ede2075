"""The array with overlap in Amaranth's simulator: two tiles, one behind the other."""

import numpy as np
import pytest
from amaranth.hdl import ClockDomain, Module, Value
from amaranth.sim import Simulator

from hw.overlapped_array import OverlappedArray
from pysim import ArrayConfig, GoldenEngine
from pysim.convert import ROUNDINGS, Rounding
from pysim.cycles import tile_clocks
from pysim.formats import E4M3, E5M2, OPERAND_FORMATS, OUTPUT_FORMATS


def pack(numbers, bits):
    return sum(int(number) << bits * i for i, number in enumerate(numbers))


async def offer(context, stream, payloads):
    """Hand payloads over to a stream after the reset."""
    await context.tick()
    await context.tick()
    for payload in payloads:
        context.set(Value.cast(stream.payload), payload)
        context.set(stream.valid, 1)
        await context.tick().until(stream.ready)
    context.set(stream.valid, 0)


@pytest.mark.parametrize("with_c", [False, True])
@pytest.mark.parametrize("latency", [1, 3])
def test_two_bands(latency, with_c):
    config = ArrayConfig(2, 3, lfsr_width=16, random_bits=5, latency=latency)
    array = OverlappedArray(config)
    rng = np.random.default_rng(latency)
    n, k = 3 * latency - 1, 9
    a = rng.integers(0x70, size=(4, k), dtype=np.uint8)
    b = rng.integers(0x70, size=(k, n), dtype=np.uint8)
    c = rng.standard_normal((4, n)).astype(np.float32) if with_c else None
    engine = GoldenEngine(config)
    expected = engine.gemm(
        a, b, a_format="e4m3", b_format="e5m2", c=c, out_format="e5m2", rounding="stochastic"
    )
    job = {
        "load_c": with_c,
        "a_format": OPERAND_FORMATS.index(E4M3),
        "b_format": OPERAND_FORMATS.index(E5M2),
        "rows": 2,
        "cols": n,
        "length": k,
    }
    mode = {
        "target": OUTPUT_FORMATS.index(E5M2),
        "rounding": ROUNDINGS.index(Rounding.STOCHASTIC),
        "saturate": 1,
    }
    slots = [range(left, min(n, left + 3)) for left in range(0, n, 3)]
    bands = (slice(0, 2), slice(2, 4))
    a_columns = [pack(a[band, i], 8) for band in bands for i in range(k)]
    b_rows = [pack(b[i, list(cols)], 8) for _ in bands for i in range(k) for cols in slots]
    c_rows = []
    if c is not None:
        words = c.view(np.uint32)
        c_rows = [
            pack(words[i, list(cols)], 32)
            for band in bands
            for cols in slots
            for i in range(band.start, band.stop)
        ]
    rows = []
    m = Module()
    m.domains.sync = domain = ClockDomain("sync")
    m.submodules.array = array

    async def take(context):
        context.set(array.d.ready, 1)
        while len(rows) < 2 * 2 * len(slots):
            await context.tick()
            if context.get(array.d.valid):
                payload = array.d.payload
                rows.append(
                    (
                        [context.get(payload.values[j]) for j in range(3)],
                        context.get(payload.keep),
                        context.get(payload.last),
                    )
                )

    async def command(context):
        context.set(domain.rst, 1)
        await context.tick()
        context.set(domain.rst, 0)
        context.set(array.mode, mode)
        await context.tick()
        for _ in bands:
            context.set(array.commands.payload, job)
            context.set(array.commands.valid, 1)
            await context.tick().until(array.commands.ready)
        context.set(array.commands.valid, 0)

    simulator = Simulator(m)
    simulator.add_clock(1e-8)
    simulator.add_testbench(command)
    simulator.add_testbench(take)
    for name, payloads in (("a", a_columns), ("b", b_rows), ("c", c_rows)):
        stream = getattr(array, name)

        async def feed(context, stream=stream, payloads=payloads):
            await offer(context, stream, payloads)

        simulator.add_testbench(feed, background=True)
    simulator.run()

    # `take` looks after the clock that ends the row: rows come in order, each once.
    wanted = [
        (i, cols, cols is slots[-1] and i % 2 == 1)
        for band in bands
        for cols in slots
        for i in range(band.start, band.stop)
    ]
    for (values, keep, last), (i, cols, ends) in zip(rows, wanted, strict=True):
        assert values[: len(cols)] == expected.values[i, list(cols)].tolist()
        assert keep == (1 << len(cols)) - 1
        assert last == ends


@pytest.mark.parametrize(("rows", "cols", "latency"), [(2, 3, 1), (3, 2, 4)])
@pytest.mark.parametrize("with_c", [False, True])
@pytest.mark.parametrize("k", [2, 11])
def test_streams_move_when_the_cycle_model_says(rows, cols, latency, with_c, k):
    config = ArrayConfig(rows, cols, latency=latency)
    array = OverlappedArray(config)
    shape = (3 * rows, 2 * latency * cols, k)
    tiles = list(tile_clocks(config, *shape, load_c=with_c))
    job = {"load_c": with_c, "rows": rows, "cols": latency * cols, "length": k}
    moved = {name: [] for name in "bcd"}
    m = Module()
    m.domains.sync = domain = ClockDomain("sync")
    m.submodules.array = array

    async def bench(context):
        context.set(domain.rst, 1)
        await context.tick()
        context.set(domain.rst, 0)
        for port in (array.commands, array.a, array.b, array.c):
            context.set(port.valid, 1)
        context.set(array.commands.payload, job)
        context.set(array.d.ready, 1)
        commands = 0
        for clock in range(tiles[-1].results.stop):
            for name, clocks in moved.items():
                port = getattr(array, name)
                if context.get(port.valid & port.ready):
                    clocks.append(clock)
            commands += context.get(array.commands.ready)
            await context.tick()
            context.set(array.commands.valid, commands < len(tiles))

    simulator = Simulator(m)
    simulator.add_clock(1e-8)
    simulator.add_testbench(bench)
    simulator.run()

    def clocks_of(phase):
        return [clock for tile in tiles for clock in getattr(tile, phase)]

    assert moved["b"] == clocks_of("compute")
    assert moved["c"] == clocks_of("load")
    # The engine has one register more, at its port.
    assert moved["d"] == [clock - 1 for clock in clocks_of("results")]
