"""The test bench of the GEMM engine: calls and conversions by its registers and streams."""

import math
import zlib
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import cocotb
import numpy as np
from cocotb.clock import Clock
from cocotb.triggers import FallingEdge, ReadOnly, RisingEdge, with_timeout
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
from cosim.regression.testbench import CLOCK_PERIOD, MISMATCH, Setup, cocotb_test, save_trace
from hw.engine_registers import COUNTERS, engine_registers
from hw.registers import Access
from pysim import ArrayConfig, Flags, GoldenEngine, get_format
from pysim.convert import ROUNDINGS, Rounding, code_dtype
from pysim.formats import FP32, OPERAND_FORMATS, OUTPUT_FORMATS

NAMES: list[str] = []
"""Every test, in order."""

PATIENCE = 1_000_000
"""Nanoseconds that a packet, or a sender, is waited for."""


_OFFERED = ("tvalid", "tdata", "tkeep", "tlast")
_OF_CONVERSION = ("rounding", "saturate", "scale")


def engine_test(function: Callable[["EngineTB"], Awaitable[None]]):
    """Make a cocotb test of a function: it gets a bench after reset."""
    NAMES.append(function.__name__)
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
        self.bus = AxiLiteMaster(AxiLiteBus.from_prefix(dut, "s_axil"), dut.clk, dut.rst)
        self.sources = {
            name: AxiStreamSource(AxiStreamBus.from_prefix(dut, f"s_axis_{name}"), dut.clk, dut.rst)
            for name in "abcx"
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
        """Add what the ports did to the file of the run."""
        save_trace(self.setup, self.name, self.trace)

    async def _watch(self) -> None:
        """Digest handshakes and results in each clock; what does not count is left out."""
        names = [port["name"] for port in self.setup.manifest["ports"]]
        ports = [
            getattr(self.dut, name) for name in names if name.endswith(("valid", "ready", "irq"))
        ]
        digest = 0
        results = [
            [getattr(self.dut, f"m_axis_{sink}_{name}") for name in _OFFERED] for sink in self.sinks
        ]
        while True:
            await FallingEdge(self.dut.clk)
            await ReadOnly()
            seen = [str(port.value) for port in ports]
            for valid, *offered in results:
                if valid.value:
                    data, keep, last = (str(port.value) for port in offered)
                    used = "".join(b for i, b in enumerate(data) if keep[i // 8] == "1")
                    seen += [used, keep, last]
            if self.dut.s_axil_rvalid.value:
                seen.append(str(self.dut.s_axil_rdata.value))
            digest = zlib.crc32("".join(seen).encode(), digest)
            self.trace.append(digest)

    async def reset(self) -> None:
        """Reset the engine, whatever it is doing; the golden engine starts anew, too."""
        self.dut.rst.value = 1
        await self.clocks(3)
        self.forget()
        self.dut.rst.value = 0
        await self.clocks(2)
        self.golden = GoldenEngine(self.config)

    def forget(self) -> None:
        """Drop what waits in the models of the streams, packets that have not ended too."""
        for stream in (*self.sources.values(), *self.sinks.values()):
            stream.clear()
        for sink in self.sinks.values():
            sink.assert_reset(True)
            sink.assert_reset(False)

    async def clocks(self, count: int) -> None:
        """Wait for clocks."""
        for _ in range(count):
            await RisingEdge(self.dut.clk)

    def stall(self, share: float) -> None:
        """Let every port pause in a share of the clocks, at random."""

        def pauses(rng: np.random.Generator) -> Iterator[bool]:
            while True:
                yield bool(rng.random() < share)

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
        return answer.resp == AxiResp.OKAY

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
        return {name: await self.counter(name) for name in COUNTERS}

    async def counter(self, name: str) -> int:
        """Read a counter."""
        return await self.read(f"{name}_low") | await self.read(f"{name}_high") << 32

    async def load_lanes(self, states: np.ndarray, name: str = "lane") -> None:
        """Load the lanes of random bits, of the array or by another name."""
        for lane, state in enumerate(int(state) for state in states):
            await self.write(name, lane)
            await self.write(f"{name}_low", state & 0xFFFFFFFF)
            await self.write(f"{name}_high", state >> 32)

    async def lanes(self, name: str = "lane") -> np.ndarray:
        """Read them."""
        states = []
        for lane in range(self.config.cols):
            await self.write(name, lane)
            states.append(await self.read(f"{name}_low") | await self.read(f"{name}_high") << 32)
        return np.array(states, dtype=np.uint64)

    async def write_fields(self, name: str, **values: int) -> None:
        """Write a register of which some fields are not 0."""
        register = next(one for one in self.registers.registers if one.name == name)
        word = 0
        for low, field in register.places():
            word |= (values.pop(field.name, 0) & ((1 << field.width) - 1)) << low
        assert not values
        await self.write(name, word)

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
            await self.write_fields("x_mode", **mode)
            return
        for side in "ab":
            fmt = get_format(arguments[f"{side}_format"], OPERAND_FORMATS)
            mode[f"{side}_format"] = OPERAND_FORMATS.index(fmt)
        await self.write_fields("mode", load_c=int("c" in operands), **mode)
        (m, k), n = operands["a"].shape, operands["b"].shape[1]
        for side, size in (("m", m), ("n", n), ("k", k)):
            await self.write(f"size_{side}", size)

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
        packets: dict[str, list[Packet]] = {"a": [], "b": [], "c": []}
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
        frame = await with_timeout(self.sinks[name].recv(), PATIENCE, "ns")
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
        self.golden = GoldenEngine(self.config)

    async def idle(self, name: str = "busy") -> None:
        """Wait until the engine is not busy, or its converter."""
        for _ in range(1000):
            if not (await self.fields("status"))[name]:
                return
        raise AssertionError("the engine stays busy")

    async def check(self, call: Call, *, filled: bool = False) -> None:
        """Make a call and compare everything that it leaves with the golden engine.

        With `filled` the streams are full before it starts.
        """
        self.golden.random_state = call.random_state
        expected = call.run(self.golden)
        gemm = call.kind == "gemm"
        prefix = "" if gemm else "x_"
        await self.load_lanes(call.random_state, f"{prefix}lane")
        await self.write(f"{prefix}flags", 0xFFFFFFFF)
        await self.write_fields("status", **{f"{prefix}done": 1})
        await self.configure(call)
        packets = self.packets(call)
        if gemm and not filled:
            await self.write("start", 1)
        await self.send(packets)
        if gemm and filled:
            await self.write("start", 1)
        codes = await self.receive(call)
        await self.idle(f"{prefix}busy")
        assert await self.errors() == set()
        assert (await self.fields("status"))[f"{prefix}done"]
        name = call.arguments["out_format" if gemm else "fmt"]
        fmt = get_format(name, OUTPUT_FORMATS)
        values = codes.view(np.float32) if fmt is FP32 else codes.astype(code_dtype(fmt))
        flags = Flags(**{k: bool(v) for k, v in (await self.fields(f"{prefix}flags")).items()})
        # Cycles are the engine's own matter: they depend on the stalls.
        got = Outcome(values, flags, expected.cycles, await self.lanes(f"{prefix}lane"))
        differences = expected.differences(got)
        if differences:
            mismatch = Mismatch(
                call, expected, got, "golden", "rtl", {"test": self.name}, self.setup.edited
            )
            mismatch.save(Path(self.setup.traces).with_name(MISMATCH.format(test=self.name)))
        assert not differences, f"{call.describe()}: {'; '.join(differences)}"
        if gemm:
            (m, k), n = call.operands["a"].shape, call.operands["b"].shape[1]
            assert (await self.counters())["macs"] == m * n * k, "macs"
