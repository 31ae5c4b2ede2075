"""The cocotb tests of the GEMM engine."""

import os
from copy import copy
from dataclasses import replace
from itertools import product
from pathlib import Path

import numpy as np
from cocotb.triggers import with_timeout
from cocotbext.axi import AxiResp

from cosim.calls import Call, Mismatch
from cosim.regression.axi import PATIENCE, EngineTB, bench_test, engine_test
from cosim.regression.plan import SETTINGS, operand_streams, phases, waiting
from cosim.regression.stimulus import STIMULI, conversion, gemm, mixed, moderate_gemm, one_tile
from hw.registers import Access
from pysim import Flags, GoldenEngine, Rounding, convert
from pysim.convert import CANONICAL_NAN
from pysim.cycles import CONVERSION_CLOCKS, gemm_cycles, quantize_cycles
from pysim.formats import E5M2, FP32, OPERAND_FORMATS, OUTPUT_FORMATS

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
        bench.coverage.hit("fault", "address")


# cocotb takes the tests of a module by name.
globals().update({function.__name__: engine_test(function) for function in STIMULI})


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
        await bench.check(call)
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
        assert await bench.read_wide("x_cycles") == expected
    call = bench.random_conversion()
    await bench.configure(call)
    packets = [packet for _ in range(3) for packet in bench.packets(call)["x"]]
    await bench.send({"x": packets})
    for _ in packets:
        await bench.receive(call)
    await bench.idle("x_busy")
    clocks = quantize_cycles(bench.config, call.operands["x"].size)
    assert await bench.read_wide("x_cycles") == 3 * clocks - 2 * CONVERSION_CLOCKS


@engine_test
async def random_gemms_and_conversions(bench: EngineTB) -> None:
    """Every port pauses at random; nothing is lost, doubled, or changed."""
    for number in range(int(os.environ.get(GEMMS, "10"))):
        bench.stall(float(bench.rng.choice([0.0, 0.1, 0.5, 0.8])))
        await bench.check(bench.random_gemm())
        if number % 4 == 0:
            await bench.check(bench.random_conversion())


@engine_test
async def conversions_while_gemms_run(bench: EngineTB) -> None:
    """Array and converter work side by side, each with its own settings, lanes, and flags."""
    bench.stall(0.3)
    beside = copy(bench)
    beside.golden = GoldenEngine(bench.config)
    for _ in range(6):
        gemm = bench.random_gemm()
        expected = bench.expect(gemm)
        await bench.begin(gemm)
        for _ in range(2):
            await beside.check(beside.random_conversion())
        await bench.finish(gemm, expected)
    bench.coverage.hit("side by side", "GEMM in work: conversion")


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
        bench.coverage.hit("fault", f"x with {'no mode' if fault == 'mode' else fault}")
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
            await bench.idle("x_busy")
    # What came after CLEAR was a packet of its own.
    await with_timeout(bench.sources["x"].wait(), PATIENCE, "ns")
    await bench.idle("x_busy")
    bench.forget()
    await bench.check(bench.random_conversion())


@engine_test
async def wrong_packets(bench: EngineTB) -> None:
    """A packet that is short, long, or lacks a lane fails the call; CLEAR makes good."""
    one_row = bench.config.rows == bench.config.latency == 1
    for name in operand_streams(bench.config):
        for fault in ("short", "long", "without a lane"):
            lanes = bench.lanes_of(name)
            # One that can be short; but where tiles have a single row, C cannot.
            least = lanes if name == "c" and one_row else 2 * lanes
            chosen = []
            while not chosen:
                call = bench.random_gemm()
                packets = bench.packets(call)
                chosen = [each for each in packets.get(name, ()) if len(each.data) >= least]
            packet = chosen[bench.rng.integers(len(chosen))]
            data, keep = packet.data, packet.keep
            if fault == "without a lane":
                start = len(keep) - lanes
                packet.keep = keep[:start] + bytes(1) + keep[start + 1 :]
            elif fault == "long" or len(data) == lanes:
                fault = "long"
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
            bench.coverage.hit("fault", f"{name} {fault}")


@engine_test
async def sizes_and_modes_that_are_not_there(bench: EngineTB) -> None:
    """START is refused with an error for each; the engine stays ready."""
    sound = bench.random_gemm()
    limit = (1 << 24) - 1
    cases: list[tuple[str, dict[str, int]]] = [
        (f"size_{side}", {"size": size}) for side in "mnk" for size in (0, limit + 1)
    ]
    formats = {
        f"{side}_format": OPERAND_FORMATS.index(fmt)
        for side, fmt in zip("ab", mixed(bench.config), strict=True)
    }
    unsound = ({"target": 5}, {"target": 1, "rounding": 3}, {"target": 0, "scale": 255})
    cases += [("mode", formats | wrong) for wrong in unsound]
    named = list(zip(cases, SETTINGS, strict=False))
    for code, fmt in enumerate(OPERAND_FORMATS):
        if fmt not in bench.config.multiplied:
            for side in "ab":
                asked = formats | {f"{side}_format": code}
                named.append((("mode", asked), f"mode with {side.upper()} in {fmt}"))
    if not bench.config.load_c:
        named.append((("mode", formats | {"load_c": 1}), "mode with C"))
    for (name, fields), fault in named:
        error = name.partition("_")[0]
        await bench.configure(sound)
        await bench.write_fields(name, **fields)
        await bench.write("start", 1)
        status = await bench.fields("status")
        assert not any(status.values()), name
        assert await bench.errors() == {error}, name
        await bench.write("errors", 0xFFFFFFFF)
        assert await bench.errors() == set()
        bench.coverage.hit("fault", fault)
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
    bench.coverage.hit("fault", "setting while busy")
    await bench.send(bench.packets(call))
    codes = await bench.receive(call)
    await bench.idle()
    assert np.array_equal(codes, expected.values.view(f"u{expected.values.itemsize}"))


@engine_test
async def interrupted_in_each_phase(bench: EngineTB) -> None:
    """Reset, and STOP with CLEAR, in each phase, flowing and waiting, leave nothing of the work."""
    streams = {"load": "c", "compute": "ab", "drain": "d", "convert": "y"}
    config = bench.config
    cases = [("flowing", phase, "") for phase in phases(config)]
    cases += [("stalled", phase, name) for phase in waiting(config) for name in streams[phase]]
    for (how, phase, name), what in product(cases, ("reset", "stop")):
        stream = {**bench.sources, **bench.sinks}.get(name)
        if phase == "load" and stream is not None:
            stream.pause = True
        await bench.begin(_long_call(bench, phase))
        await bench.until(phase)
        if stream is not None:
            stream.pause = True
            await bench.clocks(60)
        assert bench.flow.phase == phase, f"{bench.flow.phase} while {name} is stalled in {phase}"
        if what == "stop":
            # The converter, which STOP does not concern, ends by CLEAR alone.
            await bench.write("clear" if phase == "convert" else "stop", 1)
        else:
            await bench.reset()
        if stream is not None:
            stream.pause = False
        if what == "stop":
            await bench.recover()
        bench.coverage.hit("reset during", f"{what}, {how}: {phase}")
        await _check_restarted(bench)
    await bench.reset()
    bench.coverage.hit("reset during", "reset, flowing: idle")
    await _check_restarted(bench)
    await bench.begin(_long_call(bench, "compute"))
    await bench.until("compute")
    await bench.write("stop", 1)
    assert (await bench.fields("status"))["failed"]
    bench.coverage.hit("fault", "stop")
    await bench.reset()
    bench.coverage.hit("reset during", "reset, flowing: failed")
    await _check_restarted(bench)


def _long_call(bench: EngineTB, phase: str) -> Call:
    """Return a call that stays in a phase long enough for a stream to stall."""
    config, rng = bench.config, bench.rng
    if phase == "convert":
        numbers = rng.standard_normal(24 * config.cols).astype(np.float32)
        return conversion(bench, numbers, OPERAND_FORMATS[0], Rounding.STOCHASTIC, True)
    m, n = 4 * config.rows + 4, 2 * config.cols * config.latency
    if phase == "cross":
        m, n = config.rows, config.cols * config.latency
    operands: dict[str, np.ndarray] = {
        "a": rng.integers(256, size=(m, 8), dtype=np.uint8),
        "b": rng.integers(256, size=(8, n), dtype=np.uint8),
    }
    if config.load_c:
        operands["c"] = rng.standard_normal((m, n)).astype(np.float32)
    return gemm(bench, operands, *mixed(config), OUTPUT_FORMATS[1], Rounding.STOCHASTIC)


async def _check_restarted(bench: EngineTB) -> None:
    """Check that the engine is as after reset, and that the next calls are right."""
    for name in ("lane", "x_lane"):
        assert np.array_equal(await bench.lanes(name), bench.golden.random_state)
    await bench.check(one_tile(bench, k=3))
    numbers = bench.rng.standard_normal(bench.config.cols + 1).astype(np.float32)
    await bench.check(conversion(bench, numbers, OPERAND_FORMATS[0], Rounding.STOCHASTIC, True))


@engine_test
async def results_wait(bench: EngineTB) -> None:
    """Results that nobody takes wait unchanged, and what follows waits behind them."""
    for _ in range(3):
        call = moderate_gemm(bench)
        expected = call.run(bench.golden)
        bench.sinks["d"].pause = True
        await bench.begin(call)
        offered = set()
        for _ in range(200):
            await bench.settled()
            if bench.dut.m_axis_d_tvalid.value:
                names = [f"m_axis_d_{name}" for name in ("tdata", "tkeep", "tlast")]
                offered.add(tuple(str(getattr(bench.dut, name).value) for name in names))
        assert len(offered) <= 1, "a result changed while it waited"
        bench.sinks["d"].pause = False
        differences = expected.differences(replace(expected, values=await bench.values(call)))
        assert not differences, f"{call.describe()}: {'; '.join(differences)}"
        await bench.idle()


@engine_test
async def operands_wait_for_each_other(bench: EngineTB) -> None:
    """A is not taken without B, nor B without A."""
    for late in "ab":
        call = one_tile(bench, k=5)
        expected = call.run(bench.golden)
        bench.sources[late].pause = True
        await bench.begin(call)
        await bench.clocks(100)
        assert bench.flow.passed["a"] == bench.flow.passed["b"] == 0
        bench.sources[late].pause = False
        differences = expected.differences(replace(expected, values=await bench.values(call)))
        assert not differences, f"{call.describe()}: {'; '.join(differences)}"
        await bench.idle()


@engine_test
async def lanes_draw_only_for_results(bench: EngineTB) -> None:
    """Only stochastic results step the lanes: as many steps as results, in their columns."""
    for rounding, fmt in product(Rounding, OUTPUT_FORMATS):
        before = await bench.lanes()
        call = one_tile(bench, k=2, out_format=fmt, rounding=rounding)
        await bench.check(call)
        after = await bench.lanes()
        drawn = rounding is Rounding.STOCHASTIC and fmt is not FP32
        cols = call.operands["b"].shape[1]
        wrong = np.flatnonzero((after != before) != (drawn & (np.arange(bench.config.cols) < cols)))
        assert not wrong.size, f"lane {wrong[0]} draws, or does not, against {call.describe()}"


@engine_test
async def numbers_that_stay_fp32(bench: EngineTB) -> None:
    """The converter lets FP32 pass in every bit, but for NaNs: whatever one carries, it leaves."""
    cols = bench.config.cols
    numbers = bench.rng.integers(1 << 32, size=(8, cols), dtype=np.uint32)
    numbers[::2] |= 0x7F800000
    numbers[3] = 0
    x = numbers.view(np.float32)
    lanes = await bench.lanes("x_lane")
    for rounding in range(3):
        await bench.write_fields("x_mode", target=0, rounding=rounding, saturate=rounding % 2)
        call = conversion(bench, x, OUTPUT_FORMATS[0], Rounding.NEAREST, saturate=False)
        await bench.send(bench.packets(call))
        expected = np.where(np.isnan(x), np.uint32(CANONICAL_NAN), numbers)
        assert np.array_equal(await bench.receive(call), expected)
        await bench.idle("x_busy")
    assert await bench.flags("x_") == Flags()
    assert np.array_equal(await bench.lanes("x_lane"), lanes)


@engine_test
async def flags_stick(bench: EngineTB) -> None:
    """Flags add up over calls and packets until they are cleared, each by itself."""
    for prefix in ("", "x_"):
        total = Flags()
        for scale in (0, -100, 100):
            if prefix:
                call = conversion(bench, np.ones(1, np.float32), E5M2, Rounding.NEAREST, False)
            else:
                formats = mixed(bench.config)
                operands = {
                    side: convert(np.ones((1, 1), np.float32), fmt, Rounding.NEAREST, False)[0]
                    for side, fmt in zip("ab", formats, strict=True)
                }
                call = gemm(bench, operands, *formats, E5M2, saturate=False)
            call.arguments["scale"] = scale
            total |= call.run(bench.golden).flags
            await bench.begin(call, clear=False)
            await bench.values(call)
            await bench.idle(f"{prefix}busy")
            assert await bench.flags(prefix) == total
        await bench.write_fields(f"{prefix}flags", inexact=1)
        assert await bench.flags(prefix) == replace(total, inexact=False)


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
    await _run(bench, bench.random_gemm())
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
    await _run(bench, bench.random_conversion())
    assert bench.dut.irq.value
    await bench.write_fields("status", x_done=1)
    await bench.clocks(1)
    assert not bench.dut.irq.value


async def _run(bench: EngineTB, call: Call) -> None:
    """Let a call come to its end, and leave all marks as they are."""
    await bench.begin(call)
    await bench.values(call)
    await bench.idle("busy" if call.kind == "gemm" else "x_busy")


@bench_test
async def recorded_call(bench: EngineTB) -> None:
    """The call of a replay file."""
    assert bench.setup.replay is not None
    call = Mismatch.load(Path(bench.setup.replay)).call
    bench.golden.random_state = call.random_state
    for part in bench.calls_of_hardware(call):
        await bench.check(part)
