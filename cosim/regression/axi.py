"""The test bench of the GEMM engine: calls and conversions by its registers and streams."""

import math
import zlib
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import cocotb
import numpy as np
from cocotb.clock import Clock
from cocotb.triggers import FallingEdge, ReadOnly, RisingEdge, SimTimeoutError, with_timeout
from cocotb.types import Logic, LogicArray
from cocotbext.axi import (
    AxiLiteBus,
    AxiLiteMaster,
    AxiResp,
    AxiStreamBus,
    AxiStreamFrame,
    AxiStreamSink,
    AxiStreamSource,
)

from cosim.calls import Call, Mismatch, Outcome
from cosim.campaign import random_conversion, random_gemm
from cosim.regression.coverage import Coverage
from cosim.regression.flow import SOURCES, Flow
from cosim.regression.testbench import (
    CLOCK_PERIOD,
    MISMATCH,
    Setup,
    cocotb_test,
    save_coverage,
    save_trace,
)
from hw.engine_registers import COUNTERS, engine_registers
from hw.registers import Access
from pysim import ArrayConfig, Flags, GoldenEngine, get_format
from pysim.convert import ROUNDINGS, Rounding, code_dtype
from pysim.formats import FP32, OPERAND_FORMATS, OUTPUT_FORMATS

FUNCTIONS: dict[str, Callable[["EngineTB"], Awaitable[None]]] = {}
"""What every test does, by name, in order."""

PATIENCE = 1_000_000
"""Nanoseconds that a packet, or a sender, is waited for."""

PATIENCE_CLOCKS = 2000
"""Clocks that a phase is waited for."""


_OFFERED = ("tdata", "tkeep", "tlast")
_OF_CONVERSION = ("rounding", "saturate", "scale")


def engine_test(function: Callable[["EngineTB"], Awaitable[None]]):
    """Make a cocotb test of a function: it gets a bench after reset; coverage is kept."""
    FUNCTIONS[function.__name__] = function
    return bench_test(function)


def bench_test(function: Callable[["EngineTB"], Awaitable[None]]):
    """Make a cocotb test that is not among those of the regression."""
    return cocotb_test(function, EngineTB)


@dataclass
class Packet:
    """What a stream carries for a tile: bytes, and which of them count."""

    data: bytes
    keep: bytes

    def frame(self) -> AxiStreamFrame:
        """Return it for the model of a stream."""
        return AxiStreamFrame(self.data, list(self.keep))


def _joined(packets: list[Packet]) -> Packet:
    return Packet(b"".join(p.data for p in packets), b"".join(p.keep for p in packets))


def _interleaved(packets: list[Packet], lanes: int) -> Packet:
    """Return a packet that takes a transfer of each in turns."""

    def turns(parts: list[bytes]) -> bytes:
        rows = [np.frombuffer(part, dtype=np.uint8).reshape(-1, lanes) for part in parts]
        return np.stack(rows, axis=1).tobytes()

    return Packet(turns([p.data for p in packets]), turns([p.keep for p in packets]))


class EngineTB:
    """Drives the engine by models of AXI, and compares it with the golden engine.

    Parameters
    ----------
    dut : handle
        The module ``fp8_gemm_engine``.
    setup : Setup
    name : str
        Of the test; its random numbers follow from it and the seed.
    """

    def __init__(self, dut, setup: Setup, name: str) -> None:
        self.dut = dut
        self.setup = setup
        self.name = name
        self.trace: list[int] = []
        self.config = ArrayConfig.from_dict(setup.manifest["config"])
        self.registers = engine_registers(self.config)
        self.offsets = self.registers.offsets()
        self.golden = GoldenEngine(self.config)
        self.rng = np.random.default_rng([setup.seed, zlib.crc32(name.encode())])
        self.least_size = 1
        self.coverage = Coverage(self.config)
        self.flow = Flow(self.coverage)
        # What registers and lanes are known to hold, so that nobody need write it again.
        self._written: dict[str, int] = {}
        self._lanes: dict[str, np.ndarray] = {}
        # Of which flags and marks of the end are known to be clear.
        self._clean: set[str] = set()
        self._stalls = False
        self.bus = AxiLiteMaster(AxiLiteBus.from_prefix(dut, "s_axil"), dut.clk, dut.rst)
        self.sources = {
            name: AxiStreamSource(AxiStreamBus.from_prefix(dut, f"s_axis_{name}"), dut.clk, dut.rst)
            for name in SOURCES
            if name != "c" or self.config.load_c
        }
        self.sinks = {
            name: AxiStreamSink(AxiStreamBus.from_prefix(dut, f"m_axis_{name}"), dut.clk, dut.rst)
            for name in "dy"
        }

    async def start(self) -> None:
        """Start the clock, and reset the engine."""
        cocotb.start_soon(Clock(self.dut.clk, CLOCK_PERIOD, unit="ns").start())
        await self.reset()
        cocotb.start_soon(self._watch())

    def save(self) -> None:
        """Add what this test covered, and what the ports did, to the files of the run."""
        save_coverage(self.setup, self.coverage)
        save_trace(self.setup, self.name, self.trace)

    async def _watch(self) -> None:
        """Digest handshakes and results in each clock; what does not count is left out."""
        names = [port["name"] for port in self.setup.manifest["ports"]]
        names = [name for name in names if name.endswith(("valid", "ready", "irq"))]
        ports = [getattr(self.dut, name) for name in names]
        streams = [
            (name, *(names.index(f"{side}_axis_{name}_t{what}") for what in ("valid", "ready")))
            for side, group in (("s", self.sources), ("m", self.sinks))
            for name in group
        ]
        digest = 0
        results = {
            name: [getattr(self.dut, f"m_axis_{name}_{part}") for part in _OFFERED]
            for name in self.sinks
        }
        while True:
            await FallingEdge(self.dut.clk)
            await ReadOnly()
            seen = [str(port.value) for port in ports]
            offered = set()
            for name, valid, ready in streams:
                if (now := (seen[valid] == "1", seen[ready] == "1")) != (False, False):
                    self.flow.see(name, *now)
                if now[0]:
                    offered.add(name)
            for name, offer in results.items():
                if name not in offered:
                    continue
                data, keep, last = (str(port.value) for port in offer)
                used = "".join(b for i, b in enumerate(data) if keep[i // 8] == "1")
                seen += [used, keep, last]
            if self.dut.s_axil_rvalid.value:
                seen.append(str(self.dut.s_axil_rdata.value))
            text = "".join(seen)
            assert not text.strip("01"), "X at a port that counts"
            digest = zlib.crc32(text.encode(), digest)
            self.trace.append(digest)

    async def reset(self) -> None:
        """Reset the engine, whatever it is doing; the golden engine starts anew, too."""
        self.dut.rst.value = 1
        await self.clocks(3)
        self.forget()
        self.dut.rst.value = 0
        await self.clocks(2)
        self._written.clear()
        self._restart()

    def _restart(self) -> None:
        """Let the golden engine start anew, as reset and CLEAR let the hardware."""
        self.golden = GoldenEngine(self.config)
        self._lanes = {name: self.golden.random_state for name in ("lane", "x_lane")}
        self._clean = {"", "x_"}

    def forget(self) -> None:
        """Drop what waits in the models of the streams, packets that have not ended too."""
        self.flow.forget()
        for stream in (*self.sources.values(), *self.sinks.values()):
            stream.clear()
        for sink in self.sinks.values():
            sink.assert_reset(True)
            sink.assert_reset(False)

    def disturb(self) -> None:
        """Put X on what ports carry while they offer nothing, and on bytes that are not kept."""
        cocotb.start_soon(self._disturb())

    async def _disturb(self) -> None:
        parts = {
            name: [getattr(self.dut, f"s_axis_{name}_{part}") for part in ("tvalid", *_OFFERED)]
            for name in self.sources
        }
        lite = [("awvalid", "awaddr"), ("wvalid", "wdata"), ("wvalid", "wstrb")]
        lite = [
            [getattr(self.dut, f"s_axil_{name}") for name in names]
            for names in (*lite, ("arvalid", "araddr"))
        ]
        while True:
            await FallingEdge(self.dut.clk)
            for valid, data, keep, last in parts.values():
                if not valid.value:
                    for port in (data, keep, last):
                        port.value = _unknown(port)
                elif "0" in (kept := str(keep.value)):
                    bits = str(data.value)
                    data.value = LogicArray(
                        "".join(b if kept[i // 8] == "1" else "X" for i, b in enumerate(bits))
                    )
            for valid, port in lite:
                if not valid.value:
                    port.value = _unknown(port)

    async def until(self, phase: str) -> None:
        """Wait until a phase has begun; see `Flow.phase`."""
        for _ in range(PATIENCE_CLOCKS):
            if self.flow.phase == phase:
                return
            await self.clocks(1)
        raise AssertionError(f"no {phase} within {PATIENCE_CLOCKS} clocks")

    async def settled(self) -> None:
        """Wait until the signals of the next clock have settled; nothing can be driven then."""
        await FallingEdge(self.dut.clk)
        await ReadOnly()

    async def clocks(self, count: int) -> None:
        """Wait for clocks."""
        for _ in range(count):
            await RisingEdge(self.dut.clk)

    def stall(self, share: float) -> None:
        """Let every port pause at random, in up to this share of the clocks; 0 for none."""
        self._stalls = share > 0

        def pauses(rng: np.random.Generator) -> Iterator[bool]:
            own = rng.uniform(0, share)
            while True:
                yield bool(rng.random() < own)

        write, read = self.bus.write_if, self.bus.read_if
        assert write
        assert read
        channels = (
            *(write.aw_channel, write.w_channel, write.b_channel),
            *(read.ar_channel, read.r_channel),
        )
        for port in (*self.sources.values(), *self.sinks.values(), *channels):
            seed = int(self.rng.integers(1 << 32))
            port.clear_pause_generator()
            port.pause = False
            if share:
                port.set_pause_generator(pauses(np.random.default_rng(seed)))

    # Registers

    async def read(self, name: str) -> int:
        """Read a register."""
        answer = await self.bus.read(self.offsets[name], 4)
        assert answer.resp == AxiResp.OKAY, f"reading {name} was refused"
        return int.from_bytes(answer.data, "little")

    async def try_write(self, name: str, value: int) -> bool:
        """Write a register; return whether that was taken."""
        answer = await self.bus.write(self.offsets[name], int(value).to_bytes(4, "little"))
        taken = answer.resp == AxiResp.OKAY
        if taken:
            self._written[name] = value
        if name == "clear":
            self._lanes.clear()
        return taken

    async def write(self, name: str, value: int) -> None:
        """Write a register that takes it."""
        assert await self.try_write(name, value), f"writing {name} was refused"

    async def fields(self, name: str) -> dict[str, int]:
        """Read the fields of a register."""
        word = await self.read(name)
        register = next(one for one in self.registers.registers if one.name == name)
        return {
            field.name: word >> low & ((1 << field.width) - 1) for low, field in register.places()
        }

    async def errors(self) -> set[str]:
        """Return the errors that are set."""
        return {name for name, value in (await self.fields("errors")).items() if value}

    async def counters(self) -> dict[str, int]:
        """Read the counters of a call."""
        return {name: await self.read_wide(name) for name in COUNTERS}

    async def read_wide(self, name: str) -> int:
        """Read two registers that hold the low and the high word of a number."""
        low, high = (self.offsets[f"{name}_{half}"] for half in ("low", "high"))
        assert high == low + 4
        answer = await self.bus.read(low, 8)
        assert answer.resp == AxiResp.OKAY, f"reading {name} was refused"
        return int.from_bytes(answer.data, "little")

    async def load_lanes(self, states: np.ndarray, name: str = "lane") -> None:
        """Load the lanes of random bits, of the array or by another name."""
        for lane, state in enumerate(int(state) for state in states):
            await self.write(name, lane)
            await self.write(f"{name}_low", state & 0xFFFFFFFF)
            await self.write(f"{name}_high", state >> 32)
        self._lanes[name] = states

    async def lanes(self, name: str = "lane") -> np.ndarray:
        """Read them."""
        states = []
        for lane in range(self.config.cols):
            await self.write(name, lane)
            states.append(await self.read_wide(name))
        return np.array(states, dtype=np.uint64)

    async def set_up(self, name: str, value: int) -> None:
        """Write a setting, unless it is so."""
        if self._written.get(name) != value:
            await self.write(name, value)

    async def write_fields(self, name: str, **values: int) -> None:
        """Write a register of which some fields are not 0."""
        await self.write(name, self._word(name, values))

    def _word(self, name: str, values: dict[str, int]) -> int:
        """Return what a register holds with these fields, and the others 0."""
        register = next(one for one in self.registers.registers if one.name == name)
        places = {field.name: (low, field.width) for low, field in register.places()}
        word = 0
        for field, value in values.items():
            low, width = places[field]
            word |= (value & ((1 << width) - 1)) << low
        return word

    async def check_registers_after_reset(self, settings: bool = True) -> None:
        """Check that registers read as after reset; settings, which CLEAR leaves, only if asked."""
        for register in self.registers.registers:
            places = register.places()
            word = await self.read(register.name)
            for low, field in places:
                if field.access is Access.DIRECT or (
                    field.access is Access.SETTING and not settings
                ):
                    continue
                value = word >> low & ((1 << field.width) - 1)
                assert value == field.reset, f"{register.name} {field.name} is {value:#x}"

    # Calls

    def random_gemm(self) -> Call:
        """Return a random GEMM of moderate size that the engine takes."""
        while True:
            call, _ = random_gemm(self.rng, self.config, self.golden.random_state)
            m, k = call.operands["a"].shape
            n = call.operands["b"].shape[1]
            if min(m, n, k) > 0 and m * n * k < 3000 * self.config.rows * self.config.cols:
                return call

    def random_conversion(self) -> Call:
        """Return a random conversion of moderate size."""
        while True:
            call, _ = random_conversion(self.rng, self.config, self.golden.random_state)
            x = call.operands["x"][: int(self.rng.integers(1, 400))]
            if x.size:
                return Call(call.config, call.kind, {"x": x}, call.arguments, call.random_state)

    def calls_of_hardware(self, call: Call) -> Iterator[Call]:
        """Yield what a call of an engine comes to here: GEMMs have products, packets full rows."""
        if call.kind == "quantize" or all(call.operands[side].size for side in "ab"):
            if call.kind == "gemm" or call.operands["x"].size:
                yield call
            return
        m, n = call.operands["a"].shape[0], call.operands["b"].shape[1]
        start = call.operands.get("c", np.zeros((m, n), dtype=np.float32))
        rows, cols = self.config.rows, self.config.cols
        tiles = [
            start[top : top + rows, left : left + cols]
            for top in range(0, m, rows)
            for left in range(0, n, cols)
        ]
        arguments = {
            name: call.arguments[name] for name in _OF_CONVERSION if name in call.arguments
        }
        arguments["fmt"] = call.arguments["out_format"]
        for tile in tiles:
            for x in [tile] if tile.shape[1] == cols else tile:
                if x.size and arguments["fmt"] != FP32.name:
                    operands = {"x": np.ascontiguousarray(x)}
                    yield Call(
                        call.config, "quantize", operands, arguments, self.golden.random_state
                    )

    async def configure(self, call: Call) -> None:
        """Write the settings of a call."""
        arguments, operands = call.arguments, call.operands
        target = get_format(
            arguments["out_format" if call.kind == "gemm" else "fmt"], OUTPUT_FORMATS
        )
        mode = {
            "target": OUTPUT_FORMATS.index(target),
            "rounding": ROUNDINGS.index(Rounding(arguments["rounding"])),
            "saturate": int(arguments["saturate"]),
            "scale": arguments.get("scale", 0),
        }
        if call.kind == "quantize":
            await self.set_up("x_mode", self._word("x_mode", mode))
            return
        for side in "ab":
            fmt = get_format(arguments[f"{side}_format"], OPERAND_FORMATS)
            mode[f"{side}_format"] = OPERAND_FORMATS.index(fmt)
        mode["load_c"] = int("c" in operands)
        await self.set_up("mode", self._word("mode", mode))
        (m, k), n = operands["a"].shape, operands["b"].shape[1]
        for side, size in (("m", m), ("n", n), ("k", k)):
            await self.set_up(f"size_{side}", size)

    def packets(self, call: Call) -> dict[str, list[Packet]]:
        """Return the packets of a call."""
        rows, cols = self.config.rows, self.config.cols
        operands = call.operands
        if call.kind == "quantize":
            flat = operands["x"].reshape(-1).view(np.uint32)
            whole, rest = np.split(flat, [flat.size // cols * cols])
            parts = [self._rows(whole.reshape(-1, cols), cols)]
            if rest.size:
                parts.append(self._rows(rest[None], cols))
            return {"x": [_joined(parts)]}
        packets: dict[str, list[Packet]] = {"a": [], "b": []}
        if self.config.load_c:
            packets["c"] = []
        a, b = operands["a"], operands["b"]
        for top, slots in self.tiles(a.shape[0], b.shape[1]):
            band = slice(top, top + rows)
            packets["a"].append(self._rows(a[band].T, rows))
            by_slot = [self._rows(b[:, left : left + cols], cols) for left in slots]
            packets["b"].append(_interleaved(by_slot, cols))
            if "c" in operands:
                c = operands["c"].view(np.uint32)
                parts = [self._rows(c[band, left : left + cols], cols) for left in slots]
                packets["c"].append(_joined(parts))
        return packets

    def tiles(self, m: int, n: int) -> Iterator[tuple[int, range]]:
        """Yield the first row of each tile, and the first column of each of its slots."""
        rows, cols = self.config.rows, self.config.cols
        width = cols * self.config.latency
        for top in range(0, m, rows):
            for left in range(0, n, width):
                yield top, range(left, min(n, left + width), cols)

    def _rows(self, part: np.ndarray, lanes: int) -> Packet:
        """Return a packet with a transfer for each row; lanes that are not used carry noise."""
        count, used = part.shape
        data = self.rng.integers(256, size=(count, lanes, part.itemsize), dtype=np.uint8)
        data[:, :used] = np.ascontiguousarray(part)[..., None].view(np.uint8)
        keep = np.zeros(data.shape, dtype=np.uint8)
        keep[:, :used] = 1
        return Packet(data.tobytes(), keep.tobytes())

    async def send(self, packets: dict[str, list[Packet]]) -> None:
        """Hand packets to the models of the streams."""
        for name, waiting in packets.items():
            for packet in waiting:
                await self.sources[name].send(packet.frame())

    def lanes_of(self, name: str) -> int:
        """Return the bytes of a transfer of a stream."""
        return len(self.sources[name].bus.tdata) // 8

    def _transfers(self, call: Call, packets: dict[str, list[Packet]]) -> dict[str, int]:
        """Return how many transfers of each stream a call has."""
        cols = self.config.cols
        found = {
            name: sum(len(packet.data) for packet in waiting) // self.lanes_of(name)
            for name, waiting in packets.items()
        }
        if call.kind == "quantize":
            return found | {"y": -(-call.operands["x"].size // cols)}
        m, n = call.operands["a"].shape[0], call.operands["b"].shape[1]
        return found | {"d": m * -(-n // cols)}

    async def receive(self, call: Call) -> np.ndarray:
        """Take the result of a call from the stream."""
        rows, cols = self.config.rows, self.config.cols
        if call.kind == "quantize":
            shape = call.operands["x"].shape
            return (await self._numbers("y", math.prod(shape))).reshape(shape)
        m, n = call.operands["a"].shape[0], call.operands["b"].shape[1]
        result = np.empty((m, n), dtype=np.uint32)
        for top, slots in self.tiles(m, n):
            height = min(rows, m - top)
            widths = [min(cols, n - left) for left in slots]
            numbers = await self._numbers("d", height * sum(widths))
            for left, width in zip(slots, widths, strict=True):
                part, numbers = np.split(numbers, [height * width])
                result[top : top + rows, left : left + cols] = part.reshape(height, width)
        return result

    async def _numbers(self, name: str, count: int) -> np.ndarray:
        """Take a packet of results."""
        try:
            frame = await with_timeout(self.sinks[name].recv(), PATIENCE, "ns")
        except SimTimeoutError:
            raise AssertionError(f"no packet of {count} numbers within {PATIENCE} ns") from None
        data = bytes(frame.tdata)
        assert len(data) == 4 * count, f"a packet of {len(data)} bytes, not of {count} numbers"
        return np.frombuffer(data, dtype=np.uint32)

    async def recover(self) -> None:
        """Bring a failed engine back: let senders end, then CLEAR; golden starts anew, too."""
        for source in self.sources.values():
            await with_timeout(source.wait(), PATIENCE, "ns")
        await self.write("clear", 1)
        await self.clocks(8)
        self.forget()
        self._restart()

    async def idle(self, name: str = "busy") -> dict[str, int]:
        """Wait until the engine is not busy, or its converter; return its status."""
        for _ in range(1000):
            if not (status := await self.fields("status"))[name]:
                return status
        raise AssertionError("the engine stays busy")

    async def begin(self, call: Call, *, filled: bool = False, clear: bool = True) -> None:
        """Make a call begin, with lanes as it asks; its packets are sent.

        With `filled` the streams are full before it starts; without `clear`, flags stay.
        """
        prefix = "" if call.kind == "gemm" else "x_"
        known = self._lanes.pop(f"{prefix}lane", None)
        if known is None or not np.array_equal(known, call.random_state):
            await self.load_lanes(call.random_state, f"{prefix}lane")
            del self._lanes[f"{prefix}lane"]
        if clear and prefix not in self._clean:
            await self.write(f"{prefix}flags", 0xFFFFFFFF)
            await self.write_fields("status", **{f"{prefix}done": 1})
        self._clean.discard(prefix)
        await self.configure(call)
        packets = self.packets(call)
        self.flow.begin(self._transfers(call, packets))
        if filled:
            await self.send(packets)
        if not prefix:
            await self.write("start", 1)
        if not filled:
            await self.send(packets)

    async def check(self, call: Call) -> Outcome:
        """Make a call and compare everything that it leaves with the golden engine.

        Cycles are compared where nothing stalls; the streams are full then before it starts.
        """
        expected = self.expect(call)
        if not expected.values.size:
            return expected
        await self.begin(call, filled=not self._stalls)
        await self.finish(call, expected)
        return expected

    def expect(self, call: Call) -> Outcome:
        """Return what a call leaves of the golden engine."""
        self.golden.random_state = call.random_state
        return call.run(self.golden)

    async def finish(self, call: Call, expected: Outcome) -> None:
        """Compare everything that a call leaves which has begun."""
        values, gemm = await self.values(call), call.kind == "gemm"
        prefix = "" if gemm else "x_"
        status = await self.idle(f"{prefix}busy")
        assert await self.errors() == set()
        assert status[f"{prefix}done"]
        await self.write_fields("status", **{f"{prefix}done": 1})
        flags = await self.flags(prefix)
        if flags != Flags():
            await self.write(f"{prefix}flags", 0xFFFFFFFF)
        self._clean.add(prefix)
        # Only stochastic results step the lanes; if they do otherwise, the next ones show it.
        lanes = call.random_state
        if call.arguments["rounding"] == Rounding.STOCHASTIC.value:
            lanes = await self.lanes(f"{prefix}lane")
        self._lanes[f"{prefix}lane"] = expected.random_state
        cycles = expected.cycles
        if not self._stalls:
            cycles = await self.read_wide(f"{prefix}cycles")
        got = Outcome(values, flags, cycles, lanes)
        if differences := expected.differences(got):
            where = ""
            if self.setup.replay is None:
                where = f"; the call is recorded in {self._record(call, expected, got)}"
            complaint = "; ".join(differences)
            raise AssertionError(f"{call.describe()}: expected and found {complaint}{where}")
        if gemm:
            (m, k), n = call.operands["a"].shape, call.operands["b"].shape[1]
            assert await self.read_wide("macs") == m * n * k, "macs"
        self.coverage.sample(call, expected)

    async def flags(self, prefix: str = "") -> Flags:
        """Read the sticky flags, of the array or of what begins with a prefix."""
        found = await self.fields(f"{prefix}flags")
        return Flags(**{name: bool(value) for name, value in found.items()})

    async def values(self, call: Call) -> np.ndarray:
        """Take the results of a call from its stream, as numbers or codes."""
        codes = await self.receive(call)
        name = call.arguments["out_format" if call.kind == "gemm" else "fmt"]
        fmt = get_format(name, OUTPUT_FORMATS)
        return codes.view(np.float32) if fmt is FP32 else codes.astype(code_dtype(fmt))

    def _record(self, call: Call, expected: Outcome, got: Outcome) -> Path:
        """Write a replay file; return where."""
        path = Path(self.setup.coverage).with_name(MISMATCH.format(test=self.name))
        notes = {"test": self.name, "seed": self.setup.seed, "simulator": cocotb.SIM_NAME}
        Mismatch(call, expected, got, "golden", "rtl", notes, self.setup.edited).save(path)
        return path


def _unknown(port) -> LogicArray | Logic:
    """Return X of the width of a port."""
    return Logic("X") if isinstance(port.value, Logic) else LogicArray("X" * len(port))
