"""The tests of the regression; cocotb runs them within a simulator."""

from dataclasses import replace
from itertools import product
from pathlib import Path

import numpy as np
from cocotb.triggers import FallingEdge

from cosim.calls import Call, Mismatch, Outcome
from cosim.regression.stimulus import NARROW, STIMULI, conversion, moderate_gemm, one_tile
from cosim.regression.streams import never
from cosim.regression.testbench import TB, bench_test, regression_test
from pysim import GoldenEngine, Rounding, convert
from pysim.formats import FP32, OPERAND_FORMATS, OUTPUT_FORMATS


@regression_test
async def after_reset(bench: TB) -> None:
    """The array waits for a command, with its flags clear and its lanes at their start."""
    await bench.settled()
    assert bench.dut.commands_ready.value, "no command is taken after reset"
    _check_idle(bench)
    _compare_lanes(await bench.read_lanes(), bench.golden.random_state)


# cocotb takes the tests of a module by name.
globals().update({function.__name__: regression_test(function) for function in STIMULI})


@regression_test
async def results_wait(bench: TB) -> None:
    """Results that nobody takes wait unchanged, and what follows waits behind them."""
    for _ in range(4):
        call = moderate_gemm(bench)
        expected = call.run(GoldenEngine(bench.config))
        await bench.load_lanes(call.random_state.tolist())
        bench.results.stall = lambda: True
        packets = bench.send(call)
        await bench.wait(200)
        assert not bench.results.received
        bench.results.stall = never
        values = await bench.collect(packets)
        _compare_values(call, values, expected)
        await bench.take_flags()


@regression_test
async def operands_wait_for_each_other(bench: TB) -> None:
    """A is not taken without B, nor B without A."""
    for late in "ab":
        call = one_tile(bench, k=5)
        expected = call.run(bench.golden)
        bench.sources[late].stall = lambda: True
        packets = bench.send(call)
        before = {name: bench.sources[name].taken for name in "ab"}
        await bench.wait(50)
        assert {name: bench.sources[name].taken for name in "ab"} == before
        bench.sources[late].stall = never
        values = await bench.collect(packets)
        _compare_values(call, values, expected)
        await bench.take_flags()


@regression_test
async def commands_in_a_row(bench: TB) -> None:
    """Several calls of both kinds are queued at once, at full speed and stalled; none disturbs."""
    rng = bench.rng
    for i in range(10):
        bench.stall(0.5 if i % 2 else 0)
        calls = []
        expected = []
        start = bench.golden.random_state
        for is_gemm in rng.permutation([True, True, True, False, False]):
            fmt = OUTPUT_FORMATS[rng.integers(len(OUTPUT_FORMATS))]
            if is_gemm:
                call = one_tile(bench, k=int(rng.integers(0, 6)), out_format=fmt)
                formats = rng.choice([fmt.name for fmt in OPERAND_FORMATS], size=2).tolist()
                call.arguments.update(a_format=formats[0], b_format=formats[1])
                if rng.random() < 0.5:
                    del call.operands["c"]
            else:
                # Of whole rows, so that it is one command.
                numbers = rng.standard_normal(bench.config.cols * int(rng.integers(1, 4)))
                narrow = NARROW[rng.integers(len(NARROW))]
                call = conversion(
                    bench, numbers.astype(np.float32), narrow, Rounding.STOCHASTIC, True
                )
            calls.append(call)
            expected.append(call.run(bench.golden))
        await bench.load_lanes(start.tolist())
        sent = [bench.send(call) for call in calls]
        rows = sum(height for packets in sent for _, _, height, _ in packets.packets)
        await bench.received(rows, sent[0].patience)
        everything = bench.results.received.copy()
        for call, packets, outcome in zip(calls, sent, expected, strict=True):
            height = sum(height for _, _, height, _ in packets.packets)
            bench.results.received[:] = everything[:height]
            del everything[:height]
            values = await bench.collect(packets)
            _compare_values(call, values, outcome)
        _compare_lanes(await bench.read_lanes(), bench.golden.random_state)
        await bench.take_flags()
        bench.coverage.sample_queue(calls)


@regression_test
async def reset_in_flight(bench: TB) -> None:
    """A reset in any phase leaves nothing of the work that it interrupts."""
    config = bench.config
    longest = 1 + config.rows + 4 + config.rows + config.cols - 1 + config.rows
    numbers = bench.rng.standard_normal(8 * config.cols).astype(np.float32)
    moments = [("gemm", clocks) for clocks in range(1, longest + 2)]
    moments += [("conversion", clocks) for clocks in range(1, 10)]
    for kind, clocks in moments:
        if kind == "gemm":
            call = one_tile(bench, k=4, m=config.rows)
        else:
            call = conversion(bench, numbers, OPERAND_FORMATS[0], Rounding.STOCHASTIC, True)
        bench.send(call)
        await bench.wait(clocks)
        bench.coverage.hit("reset during", f"flowing: {_phase(bench, call, clocks)}")
        await _reset_and_check(bench)
    await bench.reset()
    bench.coverage.hit("reset during", "flowing: idle")
    await bench.check(one_tile(bench, k=3))


@regression_test
async def reset_while_stalled(bench: TB) -> None:
    """A reset of an array that waits for a stream, in each phase that can."""
    config = bench.config
    numbers = bench.rng.standard_normal(8 * config.cols).astype(np.float32)
    stuck = [("load", "c"), ("compute", "a"), ("compute", "b"), ("drain", "d")]
    for phase, name in [*stuck, ("convert", "c"), ("convert", "d")]:
        stream = bench.results if name == "d" else bench.sources[name]
        stream.stall = lambda: True
        # Twice: the last result of the first may wait in its register while the array goes on.
        for _ in range(2):
            if phase == "convert":
                narrow = OPERAND_FORMATS[0]
                bench.send(conversion(bench, numbers, narrow, Rounding.STOCHASTIC, True))
            else:
                bench.send(one_tile(bench, k=4, m=config.rows))
        await bench.wait(8 * (config.rows + config.cols) + 40)
        assert bench.dut.busy.value, f"not busy while {name} is stalled"
        bench.coverage.hit("reset during", f"stalled: {phase}")
        stream.stall = never
        await _reset_and_check(bench)


async def _reset_and_check(bench: TB) -> None:
    await bench.reset()
    await bench.settled()
    _check_idle(bench)
    await bench.check(one_tile(bench, k=3))


def _check_idle(bench: TB) -> None:
    dut = bench.dut
    assert not dut.busy.value, "busy after reset"
    assert not dut.d_valid.value, "a result is offered after reset"
    assert int(dut.flags.value) == 0, f"flags are {int(dut.flags.value)} after reset"


@regression_test
async def lanes_can_be_set(bench: TB) -> None:
    """Any state but zero can be loaded, into each lane alone."""
    config, dut = bench.config, bench.dut
    high = (1 << config.lfsr_width) - 1
    for _ in range(5):
        states = bench.rng.integers(1, high, config.cols, dtype=np.uint64, endpoint=True)
        await bench.load_lanes(states.tolist())
        _compare_lanes(await bench.read_lanes(), states)
        lane = int(bench.rng.integers(config.cols))
        for state in (0, 1, high):
            await FallingEdge(dut.clk)
            dut.lfsr_lane.value = lane
            dut.lfsr_load_state.value = state
            dut.lfsr_load.value = 1
            await FallingEdge(dut.clk)
            dut.lfsr_load.value = 0
            if state:
                states[lane] = state
            _compare_lanes(await bench.read_lanes(), states)


@regression_test
async def lanes_draw_only_for_results(bench: TB) -> None:
    """Only stochastic results step the lanes: as many steps as results, in their columns."""
    for rounding, fmt in product(Rounding, OUTPUT_FORMATS):
        before = await bench.read_lanes()
        call = one_tile(bench, k=2, out_format=fmt, rounding=rounding)
        await bench.check(call)
        after = await bench.read_lanes()
        drawn = rounding is Rounding.STOCHASTIC and fmt is not FP32
        cols = call.operands["b"].shape[1]
        wrong = np.flatnonzero((after != before) != (drawn & (np.arange(bench.config.cols) < cols)))
        assert not wrong.size, f"lane {wrong[0]} draws, or does not, against {call.describe()}"


@regression_test
async def lanes_loaded_while_drawing(bench: TB) -> None:
    """A load wins over a draw in the same clock; a load of zero does not hinder the draw."""
    config, dut, e5m2 = bench.config, bench.dut, OPERAND_FORMATS[0]
    high = (1 << config.lfsr_width) - 1
    for lane in range(config.cols):
        for state in (int(bench.rng.integers(1, high, dtype=np.uint64, endpoint=True)), 0):
            numbers = bench.rng.standard_normal(6 * config.cols).astype(np.float32)
            await FallingEdge(dut.clk)
            dut.lfsr_lane.value = lane
            dut.lfsr_load_state.value = state
            dut.lfsr_load.value = 1
            await bench.wait(2)
            call = conversion(bench, numbers, e5m2, Rounding.STOCHASTIC, True)
            expected = call.run(bench.golden)
            values, lanes = expected.values.copy(), expected.random_state
            if state:
                # The lane stands still: every number of the column gets the same draw.
                column = numbers[lane :: config.cols]
                draws = np.full(len(column), state & ((1 << config.random_bits) - 1), np.uint32)
                values[lane :: config.cols] = convert(
                    column, e5m2, Rounding.STOCHASTIC, True, draws, config.random_bits
                )[0]
                lanes[lane] = state
            got = await bench.collect(bench.send(call))
            dut.lfsr_load.value = 0
            assert np.array_equal(got, values), f"wrong draws while lane {lane} loads {state:#x}"
            found = await bench.read_lanes()
            assert np.array_equal(found, lanes), f"lane {lane} does not load {state:#x} alone"
            bench.golden.random_state = lanes
            await bench.take_flags()


@regression_test
async def flags_raised_while_cleared(bench: TB) -> None:
    """Clearing forgets what was, not what a result raises in the same clock."""
    dut, cols = bench.dut, bench.config.cols
    numbers = np.array([1.0, 1.1, 3e38, 1.0, 1e-30, 2.0], dtype=np.float32)
    # One number fills a row, so that the flags of a clock are those of one number.
    rows = [np.full(cols, number) for number in numbers]
    call = conversion(bench, np.concatenate(rows), OPERAND_FORMATS[0], Rounding.NEAREST, False)
    each = [convert(row, OPERAND_FORMATS[0], Rounding.NEAREST, False)[1].to_bits() for row in rows]
    await FallingEdge(dut.clk)
    dut.clear_flags.value = 1
    expected = bench.send(call)
    seen = []
    for _ in range(len(rows) + 4):
        await bench.settled()
        if dut.d_valid.value:
            seen.append(int(dut.flags.value))
    assert seen == each, f"flags of numbers in a row are {seen}: expected {each}"
    await bench.collect(expected)
    await bench.take_flags()


@regression_test
async def flags_come_with_results(bench: TB) -> None:
    """A flag is raised once its result leaves the converters, not while it is accumulated."""
    for _ in range(8):
        call = one_tile(bench, k=4, rounding=Rounding.NEAREST)
        a, b, c = (call.operands[name] for name in "abc")
        golden, so_far, expected = GoldenEngine(bench.config), 0, []
        for row, start in zip(a, c, strict=True):
            golden.gemm(row[None], b, c=start[None], **call.arguments)
            so_far |= golden.flags.to_bits()
            expected.append(so_far)
        packets = bench.send(call)
        seen = []
        for _ in range(packets.patience):
            await bench.settled()
            flags = int(bench.dut.flags.value)
            if bench.dut.d_valid.value:
                seen.append(flags)
            assert seen or flags == 0, f"flags are {flags} before the first result"
            if len(seen) == len(expected):
                break
        assert seen == expected, f"flags after each row are {seen}: expected {expected}"
        await bench.collect(packets)
        await bench.take_flags()


@regression_test
async def flags_stick(bench: TB) -> None:
    """Flags add up over calls until they are cleared."""
    largest = np.float32(3e38)
    tiny = np.float32(1e-30)
    e5m2 = OPERAND_FORMATS[0]
    total = 0
    for number in (1.0, tiny, largest):
        x = np.array([number], dtype=np.float32)
        call = conversion(bench, x, e5m2, Rounding.NEAREST, False)
        packets = bench.send(call)
        await bench.collect(packets)
        total |= call.run(bench.golden).flags.to_bits()
        await bench.settled()
        flags = int(bench.dut.flags.value)
        assert flags == total, f"flags are {flags}: expected {total}"
    await bench.take_flags()


@bench_test
async def recorded_call(bench: TB) -> None:
    """The call of a replay file."""
    assert bench.setup.replay is not None
    mismatch = Mismatch.load(Path(bench.setup.replay))
    bench.stall_as(mismatch.notes.get("stalls", {}))
    await bench.check(mismatch.call)


def _compare_values(call: Call, values: np.ndarray, expected: Outcome) -> None:
    differences = expected.differences(replace(expected, values=values))
    assert not differences, f"{call.describe()}: expected and found {'; '.join(differences)}"


def _compare_lanes(found: np.ndarray, expected: np.ndarray) -> None:
    wrong = np.flatnonzero(found != expected)
    assert not wrong.size, (
        f"lane {wrong[0]} is in state {found[wrong[0]]:#x} instead of {expected[wrong[0]]:#x}"
    )


def _phase(bench: TB, call: Call, clocks: int) -> str:
    """Return what the array is doing some clocks after a call was sent, if nothing stalls."""
    if not bench.dut.busy.value:
        return "idle"
    if call.kind == "quantize":
        return "convert"
    config = bench.config
    ends = {
        "load": 1 + config.rows,
        "compute": call.operands["a"].shape[1],
        "flush": config.rows + config.cols - 1,
    }
    for phase, length in ends.items():
        clocks -= length
        if clocks <= 0:
            return phase
    return "drain"
