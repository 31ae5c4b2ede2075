"""The test bench: calls of the engine interface, made at the ports of the Verilog."""

import json
import math
import os
import zlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import Any, Protocol

import cocotb
import numpy as np
from cocotb.clock import Clock
from cocotb.triggers import FallingEdge, ReadOnly
from cocotb.types import LogicArray

from cosim.calls import Call, Mismatch, Outcome
from cosim.files import replacing
from cosim.regression.coverage import Coverage
from cosim.regression.streams import RandomStall, Sink, Source, never
from pysim import ArrayConfig, Flags, FloatFormat, GoldenEngine, Rounding, get_format
from pysim.convert import ROUNDINGS, code_dtype
from pysim.formats import FP32, OPERAND_FORMATS, OUTPUT_FORMATS

ENVIRONMENT = "FP8COSIM_REGRESSION"
"""Variable that names the file with what the tests need to know."""

FUNCTIONS: dict[str, Callable[["TB"], Awaitable[None]]] = {}
"""What every test does, by name, in order."""

MISMATCH = "mismatch-{test}.npz"
"""Replay file that a test leaves beside the coverage if a call goes wrong."""

CLOCK_PERIOD = 10
"""Nanoseconds."""

PATIENCE = 300
"""Clocks that something is waited for, beyond those that its streams may need."""


@dataclass(frozen=True)
class Setup:
    """What a run of the regression hands to its tests.

    Attributes
    ----------
    manifest : dict
        Of the Verilog.
    seed : int
    coverage : str
        File to write.
    traces : str
        File to write what the ports did in each test to, in short.
    edited : dict of str to str
        Text of the modules that are not as generated.
    replay : str or None
        Replay file, if there is a recorded call to make.
    """

    manifest: dict
    seed: int
    coverage: str
    traces: str
    edited: dict[str, str]
    replay: str | None = None

    @classmethod
    def from_environment(cls) -> "Setup":
        """Read the file that the environment names."""
        return cls(**json.loads(Path(os.environ[ENVIRONMENT]).read_text()))


def regression_test(function: Callable[["TB"], Awaitable[None]]):
    """Make a cocotb test of a function: it gets a bench after reset; coverage is kept."""
    FUNCTIONS[function.__name__] = function
    return bench_test(function)


def bench_test(function: Callable[["TB"], Awaitable[None]]):
    """Make a cocotb test that is not among those of the regression."""
    return cocotb_test(function, TB)


class Bench(Protocol):
    """What a test drives the device by."""

    def __init__(self, dut, setup: Setup, name: str) -> None:
        """Take the device, and the name of the test."""

    async def start(self) -> None:
        """Start the clock, and reset the device."""

    def save(self) -> None:
        """Keep what the test saw, however it ended."""


def cocotb_test(function: Callable[[Any], Awaitable[None]], make: type[Bench]):
    """Make a cocotb test of a function of a bench after reset."""

    @wraps(function)
    async def test(dut) -> None:
        bench = make(dut, Setup.from_environment(), function.__name__)
        try:
            await bench.start()
            await function(bench)
        finally:
            bench.save()

    # cocotb looks at the signature of what it is given.
    del test.__wrapped__
    return cocotb.test()(test)


def save_coverage(setup: Setup, coverage: Coverage) -> None:
    """Add what a test covered to the file of the run."""
    path = Path(setup.coverage)
    if path.exists():
        coverage.add_file(path)
    coverage.save(path)


def save_trace(setup: Setup, test: str, trace: list[int]) -> None:
    """Add digests of what the ports did in a test, up to each clock, to the file of the run."""
    path = Path(setup.traces)
    traces = json.loads(path.read_text()) if path.exists() else {}
    traces[test] = trace
    with replacing(path) as file:
        file.write(json.dumps(traces).encode())


class TB:
    """Drives the array, and compares it with the golden engine.

    Parameters
    ----------
    dut : handle
        The module ``fp8_mac_array``.
    setup : Setup
    name : str
        Of the test; its random numbers follow from it and the seed.
    """

    def __init__(self, dut, setup: Setup, name: str) -> None:
        self.dut = dut
        self.setup = setup
        self.name = name
        self.config = ArrayConfig.from_dict(setup.manifest["config"])
        self.golden = GoldenEngine(self.config)
        self.rng = np.random.default_rng([setup.seed, zlib.crc32(name.encode())])
        self.coverage = Coverage(self.config)
        self.least_size = 0
        self.kind = "gemm"
        widths = {port["name"]: port["width"] for port in setup.manifest["ports"]}
        self.sources = {
            stream: Source(dut, stream, widths[f"{stream}_payload"], self.rng)
            for stream in ("commands", "a", "b", "c")
        }
        self.results = Sink(dut, "d")
        self.clocks = 0
        self._digest = 0
        self._trace: list[int] = []
        self._first_command: int | None = None
        self._last_result = 0

    async def start(self) -> None:
        """Start the clock, and reset the array."""
        dut = self.dut
        for name in ("rst", "lfsr_load", "lfsr_lane", "lfsr_load_state", "clear_flags"):
            getattr(dut, name).value = 0
        for stream in (*self.sources.values(), self.results):
            stream.drive()
        cocotb.start_soon(Clock(dut.clk, CLOCK_PERIOD, unit="ns").start())
        cocotb.start_soon(self._run_streams())
        await self.reset()

    async def reset(self) -> None:
        """Reset the array, whatever it is doing; the golden engine starts anew, too."""
        await FallingEdge(self.dut.clk)
        self.dut.rst.value = 1
        await FallingEdge(self.dut.clk)
        for stream in (*self.sources.values(), self.results):
            stream.reset()
        await FallingEdge(self.dut.clk)
        self.dut.rst.value = 0
        await self.settled()
        for stream in (*self.sources.values(), self.results):
            stream.reset()
        self.golden = GoldenEngine(self.config)

    async def settled(self) -> None:
        """Wait until the signals of the next clock have settled; nothing can be driven then."""
        await FallingEdge(self.dut.clk)
        await ReadOnly()

    async def wait(self, clocks: int) -> None:
        """Let some clocks go by."""
        for _ in range(clocks):
            await FallingEdge(self.dut.clk)

    def stall(self, share: float) -> None:
        """Stall every stream at random, in up to this share of the clocks; 0 for none."""
        for stream in (*self.sources.values(), self.results):
            own, seed = self.rng.uniform(0, share), int(self.rng.integers(1 << 32))
            stream.stall = RandomStall(own, seed) if share else never

    def disturb(self) -> None:
        """Put X on what streams carry while they offer nothing, and on lanes that are not used."""
        for source in self.sources.values():
            source.unknown = True

    def stall_as(self, recorded: dict[str, tuple[float, int]]) -> None:
        """Stall streams as a replay file says, by share and seed."""
        for stream in (*self.sources.values(), self.results):
            if stream.name in recorded:
                stream.stall = RandomStall(*recorded[stream.name])

    async def check(self, call: Call) -> Outcome:
        """Make a call on the array and on the golden engine, and compare what both leave.

        Cycles are compared where no stream stalled.
        """
        expected = call.run(self.golden)
        stalls = {
            stream.name: stream.stall
            for stream in (*self.sources.values(), self.results)
            if isinstance(stream.stall, RandomStall)
        }
        # So that a replay stalls in the same clocks.
        for stall in stalls.values():
            stall.restart()
        got = await self.make(call)
        stalled = any(
            stream.stall is not never for stream in (*self.sources.values(), self.results)
        )
        if stalled:
            got = Outcome(got.values, got.flags, expected.cycles, got.random_state)
        differences = expected.differences(got)
        where = ""
        if differences and self.setup.replay is None:
            where = f"; the call is recorded in {self._record(call, expected, got, stalls)}"
        assert not differences, (
            f"{call.describe()}: expected and found {'; '.join(differences)}{where}"
        )
        self.coverage.sample(call, expected)
        return expected

    async def make(self, call: Call) -> Outcome:
        """Make a call on the array."""
        if not np.array_equal(await self.read_lanes(), call.random_state):
            await self.load_lanes(call.random_state.tolist())
        values = await self.collect(self.send(call))
        flags = await self.take_flags()
        return Outcome(values, flags, self.cycles(), await self.read_lanes())

    def cycles(self) -> int:
        """Clocks from the first command since the latest `send` to the last result."""
        if self._first_command is None:
            return 0
        return self._last_result - self._first_command + 1

    def send(self, call: Call) -> "Expected":
        """Queue the commands and operands of a call; return what to wait for."""
        self._first_command = None
        self.kind = call.kind
        if call.kind == "gemm":
            return self._send_gemm(call)
        return self._send_conversion(call)

    async def collect(self, expected: "Expected") -> np.ndarray:
        """Wait for the results of a call, check their frames, and put them together."""
        rows = sum(rows for _, _, rows, _ in expected.packets)
        await self.received(rows, expected.patience)
        # A result too many would come at once.
        await self.wait(2)
        assert len(self.results.received) == rows, "a result that nobody asked for"
        taken = iter(self.results.received)
        values = np.zeros(expected.shape, dtype=np.uint32)
        cols = self.config.cols
        for top, left, height, width in expected.packets:
            for i in range(height):
                bits = next(taken)
                last, keep = bits[0] == "1", _number(bits[1 : cols + 1], "keep")
                assert last == (i == height - 1), f"last is {last} in row {i} of {height}"
                assert keep == (1 << width) - 1, f"keep is {keep:#b} with {width} columns"
                for j in range(width):
                    end = len(bits) - 32 * j
                    values[top + i, left + j] = _number(bits[end - 32 : end], "a result")
        self.results.received.clear()
        size = math.prod(expected.values_shape)
        values = values.reshape(-1)[:size].reshape(expected.values_shape)
        if expected.fmt is FP32:
            return values.view(np.float32)
        return values.astype(code_dtype(expected.fmt))

    async def received(self, rows: int, patience: int) -> None:
        """Wait for rows of results; fail if none comes for long."""
        seen, idle = -1, 0
        while len(self.results.received) < rows:
            now = (len(self.results.received), *(s.taken for s in self.sources.values()))
            idle = 0 if now != seen else idle + 1
            seen = now
            assert idle < patience, f"no handshake in {patience} clocks"
            await FallingEdge(self.dut.clk)

    async def take_flags(self) -> Flags:
        """Read the sticky flags, and clear them."""
        await FallingEdge(self.dut.clk)
        self.dut.clear_flags.value = 1
        await ReadOnly()
        assert not self.dut.busy.value, "busy after the last result"
        flags = Flags.from_bits(int(self.dut.flags.value))
        await FallingEdge(self.dut.clk)
        self.dut.clear_flags.value = 0
        await ReadOnly()
        assert int(self.dut.flags.value) == 0, "flags that cannot be cleared"
        return flags

    async def read_lanes(self) -> np.ndarray:
        """Return the LFSR state of each lane."""
        states = []
        for lane in range(self.config.cols):
            await FallingEdge(self.dut.clk)
            self.dut.lfsr_lane.value = lane
            await ReadOnly()
            states.append(int(self.dut.lfsr_state.value))
        return np.array(states, dtype=np.uint64)

    async def load_lanes(self, states: list[int]) -> None:
        """Load the LFSR state of each lane."""
        for lane, state in enumerate(states):
            await FallingEdge(self.dut.clk)
            self.dut.lfsr_lane.value = lane
            self.dut.lfsr_load_state.value = state
            self.dut.lfsr_load.value = 1
        await FallingEdge(self.dut.clk)
        self.dut.lfsr_load.value = 0
        self.dut.lfsr_load_state.value = int(self.rng.integers(1 << self.config.lfsr_width - 1))

    def save(self) -> None:
        """Add what this test covered, and what the ports did, to the files of the run.

        Two simulators that agree have the same in the latter; see `_note`.
        """
        save_coverage(self.setup, self.coverage)
        save_trace(self.setup, self.name, self._trace)

    def _note(self) -> None:
        """Digest the handshakes, flags, and results of a clock, and count what stalls.

        Columns that a result does not use are undefined, so they are left out.
        """
        dut = self.dut
        ready = [str(getattr(dut, f"{name}_ready").value) for name in self.sources]
        seen = [*ready, str(dut.d_valid.value), str(dut.busy.value), str(dut.flags.value)]
        if dut.d_valid.value:
            bits, cols = str(dut.d_payload.value), self.config.cols
            keep = bits[1 : cols + 1]
            values = (
                bits[cols + 1 + 32 * i : cols + 33 + 32 * i] for i in range(cols) if keep[i] == "1"
            )
            seen += [bits[: cols + 1], *values]
        self._digest = zlib.crc32("".join(seen).encode(), self._digest)
        for name in ("commands", "a", "b"):
            self.coverage.hit("stalled stream", name, self.sources[name].starved)
        self.coverage.hit("stalled stream", f"c in {self.kind}", self.sources["c"].starved)
        self.coverage.hit("stalled stream", f"d in {self.kind}", self.results.blocked)

    async def _run_streams(self) -> None:
        streams = (*self.sources.values(), self.results)
        while True:
            await FallingEdge(self.dut.clk)
            for stream in streams:
                stream.drive()
            await ReadOnly()
            self.clocks += 1
            if not self.dut.rst.value:
                for stream in streams:
                    if stream.sample():
                        if stream.name == "commands" and self._first_command is None:
                            self._first_command = self.clocks
                        if stream.name == "d":
                            self._last_result = self.clocks
                self._note()
            self._trace.append(self._digest)

    def _send_gemm(self, call: Call) -> "Expected":
        config, arguments = self.config, call.arguments
        a, b = np.asarray(call.operands["a"]), np.asarray(call.operands["b"])
        c = call.operands.get("c")
        (m, k), n = a.shape, b.shape[1]
        packets = []
        for top in range(0, m, config.rows):
            for left in range(0, n, config.cols):
                tile = a[top : top + config.rows], b[:, left : left + config.cols]
                rows, cols = len(tile[0]), tile[1].shape[1]
                self._command(
                    operation=0,
                    load_c=c is not None,
                    a_format=_position(arguments["a_format"], OPERAND_FORMATS),
                    b_format=_position(arguments["b_format"], OPERAND_FORMATS),
                    mode_target=_position(arguments["out_format"], OUTPUT_FORMATS),
                    mode_rounding=ROUNDINGS.index(Rounding.named(arguments["rounding"])),
                    mode_saturate=arguments["saturate"],
                    mode_scale=arguments.get("scale", 0) & 0xFF,
                    rows=rows,
                    cols=cols,
                    length=k,
                )
                for step in range(k):
                    self._offer("a", tile[0][:, step], 8, config.rows)
                    self._offer("b", tile[1][step], 8, config.cols)
                if c is not None:
                    for row in c.view(np.uint32)[top : top + rows, left : left + cols]:
                        self._offer("c", row, 32, config.cols)
                packets.append((top, left, rows, cols))
        fmt = get_format(arguments["out_format"], OUTPUT_FORMATS)
        return Expected((m, n), (m, n), fmt, packets, self._patience())

    def _send_conversion(self, call: Call) -> "Expected":
        config, arguments = self.config, call.arguments
        numbers = call.operands["x"].reshape(-1).view(np.uint32)
        fmt = get_format(arguments["fmt"], OUTPUT_FORMATS)
        full, rest = divmod(numbers.size, config.cols)
        packets = []
        for first, rows, cols in ((0, full, config.cols), (full, min(rest, 1), rest)):
            if not rows:
                continue
            self._command(
                operation=1,
                mode_target=OUTPUT_FORMATS.index(fmt),
                mode_rounding=ROUNDINGS.index(Rounding.named(arguments["rounding"])),
                mode_saturate=arguments["saturate"],
                mode_scale=arguments.get("scale", 0) & 0xFF,
                cols=cols,
                length=rows,
            )
            for i in range(first, first + rows):
                row = numbers[i * config.cols : i * config.cols + cols]
                self._offer("c", row, 32, config.cols)
            packets.append((first, 0, rows, cols))
        padded = (full + min(rest, 1), config.cols)
        return Expected(padded, call.operands["x"].shape, fmt, packets, self._patience())

    def _command(self, **fields: int) -> None:
        word = 0
        for name, value in fields.items():
            field = self.setup.manifest["command_fields"][name]
            assert value >> field["width"] == 0
            word |= int(value) << field["offset"]
        self.sources["commands"].waiting.append(word)

    def _offer(self, stream: str, numbers: np.ndarray, bits: int, lanes: int) -> None:
        """Offer numbers in the low lanes; nothing may depend on what the others get."""
        word = 0
        noise = self.rng.integers(1 << bits, size=lanes - len(numbers)).tolist()
        for number in reversed([*numbers.tolist(), *noise]):
            word = word << bits | number
        source = self.sources[stream]
        if source.unknown:
            used = bits * len(numbers)
            known = format(word & ((1 << used) - 1), f"0{used}b")
            source.waiting.append(LogicArray("X" * (bits * lanes - used) + known))
        else:
            source.waiting.append(word)

    def _patience(self) -> int:
        return PATIENCE + 8 * (self.config.rows + self.config.cols)

    def _record(
        self, call: Call, expected: Outcome, got: Outcome, stalls: dict[str, RandomStall]
    ) -> Path:
        """Write a replay file; return where."""
        path = Path(self.setup.coverage).with_name(MISMATCH.format(test=self.name))
        notes = {"test": self.name, "seed": self.setup.seed, "simulator": cocotb.SIM_NAME}
        notes["stalls"] = {name: (stall.share, stall.seed) for name, stall in stalls.items()}
        Mismatch(call, expected, got, "golden", "rtl", notes, self.setup.edited).save(path)
        return path


@dataclass(frozen=True)
class Expected:
    """The results that a call will have.

    Attributes
    ----------
    shape : tuple of int
        Of the matrix that the packets make up.
    values_shape : tuple of int
        Of the values of the call.
    fmt : FloatFormat
    packets : list of tuple of int
        Top row, left column, rows, and columns of each.
    patience : int
        Clocks that may go by without a handshake.
    """

    shape: tuple[int, int]
    values_shape: tuple[int, ...]
    fmt: FloatFormat
    packets: list[tuple[int, int, int, int]]
    patience: int


def _number(bits: str, what: str) -> int:
    try:
        return int(bits, 2)
    except ValueError:
        raise AssertionError(f"{what} is {bits}: bits of it are undefined") from None


def _position(name: str, formats: tuple) -> int:
    return formats.index(get_format(name, formats))
