"""The cocotb tests of the GEMM engine."""

import os
from copy import copy
from pathlib import Path

import cocotb
import numpy as np
from cocotb.triggers import with_timeout
from cocotbext.axi import AxiResp

from cosim.calls import Call, Mismatch
from cosim.regression.axi import PATIENCE, EngineTB, bench_test, engine_test
from hw.registers import Access
from pysim import GoldenEngine
from pysim.cycles import CONVERSION_CLOCKS, gemm_cycles, quantize_cycles

GEMMS = "FP8COSIM_ENGINE_GEMMS"
"""Variable with the number of random GEMMs."""


@engine_test
async def registers_after_reset(bench: EngineTB) -> None:
    """Every register reads as the map says; addresses without one are refused."""
    await bench.check_registers_after_reset()
    end = 4 * len(bench.registers.registers)
    for address in range(end, 1 << bench.registers.address_width, 4):
        answer = await bench.bus.read(address, 4)
        assert answer.resp == AxiResp.SLVERR
        answer = await bench.bus.write(address, bytes(4))
        assert answer.resp == AxiResp.SLVERR


@engine_test
async def settings_keep_what_is_written(bench: EngineTB) -> None:
    """Settings read as written, bytes apart; what cannot be written is refused."""
    for register in bench.registers.registers:
        mask = sum(
            (1 << field.width) - 1 << low
            for low, field in register.places()
            if field.access is Access.SETTING
        )
        if not register.writable:
            before = await bench.read(register.name)
            assert not await bench.try_write(register.name, ~before & 0xFFFFFFFF)
            if "count" not in register.name:
                assert await bench.read(register.name) == before
        if not mask:
            continue
        for value in (0xFFFFFFFF, 0, int(bench.rng.integers(1 << 32))):
            await bench.write(register.name, value)
            assert await bench.read(register.name) == value & mask
        kept = await bench.read(register.name)
        offset = bench.offsets[register.name]
        await bench.bus.write(offset + 1, b"\xa5")
        wanted = kept & ~0xFF00 | 0xA500
        assert await bench.read(register.name) == wanted & mask


@engine_test
async def lanes_of_random_bits(bench: EngineTB) -> None:
    """Lanes of both kinds start from the seed, read as written, and refuse zero."""
    width, cols = bench.config.lfsr_width, bench.config.cols
    loaded = {}
    for name in ("lane", "x_lane"):
        assert np.array_equal(await bench.lanes(name), bench.golden.random_state)
        states = bench.rng.integers(1, (1 << width) - 1, cols, dtype=np.uint64)
        await bench.load_lanes(states, name)
        assert np.array_equal(await bench.lanes(name), states)
        await bench.load_lanes(np.zeros(cols, dtype=np.uint64), name)
        if cols < 64:
            await bench.write(name, cols)
            await bench.write(f"{name}_low", 1)
            await bench.write(f"{name}_high", 0)
            assert await bench.read(f"{name}_low") == 0
        loaded[name] = states
    for name, states in loaded.items():
        assert np.array_equal(await bench.lanes(name), states)


@engine_test
async def gemms_without_stalls(bench: EngineTB) -> None:
    """Clocks are those of the cycle model if streams are full from the start and never stall."""
    for _ in range(6):
        call = bench.random_gemm()
        await bench.check(call, filled=True)
        (m, k), n = call.operands["a"].shape, call.operands["b"].shape[1]
        counters = await bench.counters()
        model = gemm_cycles(bench.config, m, n, k, load_c="c" in call.operands)
        steps = sum(len(slots) for _, slots in bench.tiles(m, n)) * k
        expected = {"cycles": model, "computing": steps, "macs": m * n * k}
        expected |= {"starved": 0, "blocked": 0}
        assert counters == expected


@engine_test
async def conversions_without_stalls(bench: EngineTB) -> None:
    """Clocks are those of the cycle model; packets one behind the other lose none."""
    for _ in range(6):
        call = bench.random_conversion()
        await bench.check(call)
        expected = quantize_cycles(bench.config, call.operands["x"].size)
        assert await bench.counter("x_cycles") == expected
    call = bench.random_conversion()
    await bench.configure(call)
    packets = [packet for _ in range(3) for packet in bench.packets(call)["x"]]
    await bench.send({"x": packets})
    for _ in packets:
        await bench.receive(call)
    await bench.idle("x_busy")
    clocks = quantize_cycles(bench.config, call.operands["x"].size)
    assert await bench.counter("x_cycles") == 3 * clocks - 2 * CONVERSION_CLOCKS


@engine_test
async def random_gemms_and_conversions(bench: EngineTB) -> None:
    """Every port pauses at random; nothing is lost, doubled, or changed."""
    for number in range(int(os.environ.get(GEMMS, "20"))):
        bench.stall(float(bench.rng.choice([0.0, 0.1, 0.5, 0.8])))
        await bench.check(bench.random_gemm())
        if number % 4 == 0:
            await bench.check(bench.random_conversion())


@engine_test
async def conversions_while_gemms_run(bench: EngineTB) -> None:
    """Array and converter work side by side, each with its own settings, lanes, and flags."""
    bench.stall(0.3)
    # Each has its own reference, for they take turns at no particular time.
    beside = copy(bench)
    beside.golden = GoldenEngine(bench.config)
    gemms = [bench.random_gemm() for _ in range(6)]
    conversions = [bench.random_conversion() for _ in range(12)]

    async def check_all(its: EngineTB, calls: list[Call]) -> None:
        for call in calls:
            await its.check(call)

    tasks = [
        cocotb.start_soon(check_all(*work)) for work in ((bench, gemms), (beside, conversions))
    ]
    for task in tasks:
        await task


@engine_test
async def packets_that_cannot_be_converted(bench: EngineTB) -> None:
    """A packet that lacks numbers, or comes in no mode, fails; nothing hangs, CLEAR makes good."""
    cols = bench.config.cols
    faults = ["half a number", "no number at the end", "mode"]
    faults += ["an early end", "a gap"] if cols > 1 else []
    for fault in faults:
        call = bench.random_conversion()
        while call.operands["x"].size <= cols:
            call = bench.random_conversion()
        (packet,) = bench.packets(call)["x"]
        await bench.write_fields("status", x_done=1)
        await bench.configure(call)
        keep = bytearray(packet.keep)
        if fault == "half a number":
            keep[2] = 0
        elif fault == "no number at the end":
            keep[-4 * cols :] = bytes(4 * cols)
        elif fault == "an early end":
            keep[4 * (cols - 1) : 4 * cols] = bytes(4)
        elif fault == "a gap":
            keep[-4 * cols :] = bytes(4 * (cols - 1)) + b"\1" * 4
        else:
            modes = ({"target": 5}, {"rounding": 3}, {"target": 0, "scale": 1})
            await bench.write_fields("x_mode", **modes[int(bench.rng.integers(3))])
        packet.keep = bytes(keep)
        await bench.send({"x": [packet]})
        await with_timeout(bench.sources["x"].wait(), PATIENCE, "ns")
        await bench.idle("x_busy")
        status = await bench.fields("status")
        assert (status["x_failed"], status["x_done"]) == (1, 0), fault
        assert await bench.errors() == {"x_mode" if fault == "mode" else "x_packet"}, fault
        assert not await bench.try_write("x_mode", 1)
        # The array goes on.
        await bench.write("errors", 0xFFFFFFFF)
        await bench.check(bench.random_gemm())
        await bench.recover()
        await bench.check_registers_after_reset(settings=False)
        await bench.check(bench.random_conversion())


@engine_test
async def codes_wait(bench: EngineTB) -> None:
    """Codes that nobody takes wait unchanged, also through CLEAR; settings are refused then."""
    for clear in (False, True):
        call = bench.random_conversion()
        expected = call.run(bench.golden)
        await bench.load_lanes(call.random_state, "x_lane")
        await bench.configure(call)
        bench.sinks["y"].pause = True
        await bench.send(bench.packets(call))
        while not bench.dut.m_axis_y_tvalid.value:
            await bench.clocks(1)
        names = [f"m_axis_y_{name}" for name in ("tvalid", "tdata", "tkeep", "tlast")]
        offered = [str(getattr(bench.dut, name).value) for name in names]
        for register in bench.registers.registers:
            if register.lock == "packet":
                before = await bench.read(register.name)
                assert not await bench.try_write(register.name, 0xFFFFFFFF)
                assert await bench.read(register.name) == before
                assert await bench.errors() == {"locked"}
                await bench.write("errors", 0xFFFFFFFF)
        if clear:
            await bench.write("clear", 1)
        assert [str(getattr(bench.dut, name).value) for name in names] == offered
        bench.sinks["y"].pause = False
        if not clear:
            codes = await bench.receive(call)
            assert np.array_equal(codes, expected.values)
    # What came after CLEAR was a packet of its own.
    await bench.idle("x_busy")
    bench.forget()
    await bench.check(bench.random_conversion())


@engine_test
async def wrong_packets(bench: EngineTB) -> None:
    """A packet that is short, long, or lacks a lane fails the call; CLEAR makes good."""
    for name in "abc":
        for fault in ("short", "long", "without a lane"):
            call = bench.random_gemm()
            while ("c" not in call.operands) if name == "c" else (call.operands["a"].shape[1] < 2):
                call = bench.random_gemm()
            packets = bench.packets(call)
            which = int(bench.rng.integers(len(packets[name])))
            lanes = len(bench.sources[name].bus.tdata) // 8
            packet = packets[name][which]
            data, keep = packet.data, packet.keep
            if fault == "without a lane":
                start = len(keep) - lanes
                packet.keep = keep[:start] + bytes(1) + keep[start + 1 :]
            elif fault == "long" or len(data) == lanes:
                packet.data, packet.keep = data + data[-lanes:], keep + keep[-lanes:]
            else:
                packet.data, packet.keep = data[:-lanes], keep[:-lanes]
            await bench.write("status", 1 << 2)
            await bench.configure(call)
            await bench.write("start", 1)
            await bench.send(packets)
            await bench.idle()
            status = await bench.fields("status")
            assert (status["failed"], status["done"]) == (1, 0), fault
            assert await bench.errors() == {f"{name}_packet"}, fault
            assert not await bench.try_write("start", 1)
            await bench.recover()
            await bench.check_registers_after_reset(settings=False)
            await bench.check(bench.random_gemm())


@engine_test
async def sizes_and_modes_that_are_not_there(bench: EngineTB) -> None:
    """START is refused with an error for each; the engine stays ready."""
    sound = bench.random_gemm()
    limit = (1 << 24) - 1
    cases: list[tuple[str, dict[str, int]]] = [
        (f"size_{side}", {"size": size}) for side in "mnk" for size in (0, limit + 1)
    ]
    cases += [("mode", {"target": 5}), ("mode", {"target": 1, "rounding": 3})]
    cases += [("mode", {"target": 0, "scale": 255})]
    for name, fields in cases:
        error = name.partition("_")[0]
        await bench.configure(sound)
        await bench.write_fields(name, **fields)
        await bench.write("start", 1)
        status = await bench.fields("status")
        assert not any(status.values()), name
        assert await bench.errors() == {error}, name
        await bench.write("errors", 0xFFFFFFFF)
        assert await bench.errors() == set()
    await bench.check(sound)


@engine_test
async def registers_while_busy(bench: EngineTB) -> None:
    """Settings are refused while a call is in work, which goes on as if nothing had been."""
    call = bench.random_gemm()
    expected = call.run(bench.golden)
    await bench.load_lanes(call.random_state)
    await bench.configure(call)
    settings = [register for register in bench.registers.registers if register.lock == "call"]
    before = {one.name: await bench.read(one.name) for one in settings}
    await bench.write("start", 1)
    assert (await bench.fields("status"))["busy"]
    for register in settings:
        assert not await bench.try_write(register.name, 0xFFFFFFFF)
        assert await bench.read(register.name) == before[register.name]
        assert await bench.errors() == {"locked"}
        await bench.write("errors", 0xFFFFFFFF)
    await bench.send(bench.packets(call))
    codes = await bench.receive(call)
    await bench.idle()
    assert np.array_equal(codes, expected.values.view(f"u{expected.values.itemsize}"))


@engine_test
async def stop_and_reset_in_flight(bench: EngineTB) -> None:
    """Stopped at any time, the engine comes back as after reset, and the next call is right."""
    for number in range(8):
        bench.stall(0.3)
        call, conversion = bench.random_gemm(), bench.random_conversion()
        await bench.configure(call)
        await bench.configure(conversion)
        await bench.write("start", 1)
        await bench.send(bench.packets(call) | bench.packets(conversion))
        await bench.clocks(int(bench.rng.integers(1, 60)))
        if number % 2:
            await bench.reset()
        else:
            await bench.write("stop", 1)
            await bench.recover()
        bench.stall(0.0)
        await bench.clocks(8)
        bench.forget()
        for name in ("lane", "x_lane"):
            assert np.array_equal(await bench.lanes(name), bench.golden.random_state)
        await bench.check(bench.random_gemm())
        await bench.check(bench.random_conversion())


@engine_test
async def interrupts(bench: EngineTB) -> None:
    """The interrupt is high while a cause that is enabled is set."""
    call: Call = bench.random_gemm()
    await bench.check(call)
    assert not bench.dut.irq.value
    await bench.write("interrupts", 1)
    await bench.clocks(1)
    assert bench.dut.irq.value
    await bench.write("status", 1 << 2)
    await bench.clocks(1)
    assert not bench.dut.irq.value
    await bench.write("interrupts", 2)
    await bench.write("size_m", 0)
    await bench.write("start", 1)
    await bench.clocks(1)
    assert bench.dut.irq.value
    await bench.write("interrupts", 1)
    await bench.clocks(1)
    assert not bench.dut.irq.value
    await bench.write("interrupts", 2)
    await bench.write("errors", 0xFFFFFFFF)
    await bench.clocks(1)
    assert not bench.dut.irq.value
    await bench.write_fields("interrupts", x_done=1)
    await bench.check(bench.random_conversion())
    assert bench.dut.irq.value
    await bench.write_fields("status", x_done=1)
    await bench.clocks(1)
    assert not bench.dut.irq.value


@bench_test
async def recorded_call(bench: EngineTB) -> None:
    """The call of a replay file."""
    assert bench.setup.replay is not None
    call = Mismatch.load(Path(bench.setup.replay)).call
    bench.golden.random_state = call.random_state
    for part in bench.calls_of_hardware(call):
        await bench.check(part)
