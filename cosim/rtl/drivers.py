"""What drives simulated Verilog from Python: one library call for a call of the engine."""

import ctypes
from collections.abc import Iterator
from ctypes import POINTER, byref, c_int, c_int32, c_size_t, c_uint32, c_uint64, c_void_p
from typing import Protocol

import numpy as np

from cosim.errors import CheckFailedError
from pysim import ArrayConfig
from pysim.convert import ROUNDINGS
from pysim.cycles import CONVERSION_CLOCKS, gemm_cycles
from pysim.engine import GemmRequest, QuantizeRequest
from pysim.formats import OPERAND_FORMATS, OUTPUT_FORMATS

_FAULTS = {
    1: "stopped answering",
    2: "ended a packet of results in the wrong place",
    3: "refused a register",
    4: "raised an error",
}

CHUNK_CLOCKS = 200_000
"""A chunk is worth a thread from so many clocks of elements on."""

MOST_CHUNKS = 64


class _Mode(ctypes.Structure):
    _fields_ = [
        ("target", c_int32),
        ("rounding", c_int32),
        ("saturate", c_int32),
        ("scale", c_int32),
    ]

    @classmethod
    def of(cls, request: GemmRequest | QuantizeRequest) -> "_Mode":
        fmt = request.out_format if isinstance(request, GemmRequest) else request.fmt
        rounding = ROUNDINGS.index(request.rounding)
        return cls(OUTPUT_FORMATS.index(fmt), rounding, request.saturate, request.scale)


class Driver(Protocol):
    """Drives one simulated array or engine; what a call gives is codes, clocks, and flags."""

    def __init__(self, path: str, config: ArrayConfig, threads: int) -> None:
        """Load a library."""

    def gemm(self, request: GemmRequest) -> tuple[np.ndarray, int, int]:
        """Make a GEMM that has an output; return uint32 [M, N], clocks, and flags."""
        ...

    def quantize(self, request: QuantizeRequest) -> tuple[np.ndarray, int, int]:
        """Convert numbers; return uint32 of their shape, clocks, and flags."""
        ...

    def read_state(self, states: np.ndarray) -> None:
        """Read the lanes of random bits: uint64 [cols]."""

    def write_state(self, states: np.ndarray) -> None:
        """Load them."""

    def close(self) -> None:
        """Free the simulation."""


class ArrayDriver:
    """Drives the bare array (`host.cpp`)."""

    def __init__(self, path: str, config: ArrayConfig, threads: int) -> None:
        self._library = library = ctypes.CDLL(path)
        self._threads = threads
        _declare(library, "array")
        counted = [POINTER(c_uint64), POINTER(c_uint32)]
        library.array_gemm.argtypes = [
            *(c_void_p, c_int),
            *[c_void_p] * 3,
            *[c_size_t] * 3,
            *[c_int] * 2,
            *(_Mode, c_void_p, *counted),
        ]
        library.array_convert.argtypes = [
            *(c_void_p, c_int, c_void_p, c_size_t, _Mode, c_void_p, *counted)
        ]
        self._array: int = library.array_open()

    def gemm(self, request: GemmRequest) -> tuple[np.ndarray, int, int]:
        """Make a GEMM."""
        m, n, k = request.shape
        a, b, c = _operands(request)
        d = np.empty((m, n), dtype=np.uint32)
        cycles, flags = c_uint64(), c_uint32()
        status = self._library.array_gemm(
            *(self._array, self._threads, _address(a), _address(b), _address(c), m, n, k),
            OPERAND_FORMATS.index(request.a_format),
            OPERAND_FORMATS.index(request.b_format),
            _Mode.of(request),
            *(d.ctypes.data, byref(cycles), byref(flags)),
        )
        _check(status)
        return d, cycles.value, flags.value

    def quantize(self, request: QuantizeRequest) -> tuple[np.ndarray, int, int]:
        """Convert numbers."""
        values, codes = _numbers(request)
        cycles, flags = c_uint64(), c_uint32()
        status = self._library.array_convert(
            *(self._array, self._threads, values.ctypes.data, values.size),
            _Mode.of(request),
            *(codes.ctypes.data, byref(cycles), byref(flags)),
        )
        _check(status)
        return codes, cycles.value, flags.value

    def read_state(self, states: np.ndarray) -> None:
        """Read the lanes."""
        self._library.array_read_state(self._array, states.ctypes.data)

    def write_state(self, states: np.ndarray) -> None:
        """Load the lanes."""
        self._library.array_write_state(self._array, states.ctypes.data)

    def close(self) -> None:
        """Free the simulation."""
        self._library.array_close(self._array)


class EngineDriver:
    """Drives the engine by its registers and streams (`engine_host.cpp`).

    Clocks are those that the hardware counts. A large call is made in chunks, each a call of the
    hardware; then the model says how many clocks one call for all would have saved.
    """

    def __init__(self, path: str, config: ArrayConfig, threads: int) -> None:
        self._library = library = ctypes.CDLL(path)
        self._config, self._threads = config, threads
        _declare(library, "engine")
        counted = [POINTER(c_uint64), POINTER(c_uint32)]
        library.engine_gemm.argtypes = [
            *(c_void_p, c_int, c_size_t),
            *[c_void_p] * 3,
            *[c_size_t] * 3,
            *[c_int] * 2,
            *(_Mode, c_void_p, *counted),
        ]
        library.engine_convert.argtypes = [
            *(c_void_p, c_int, c_size_t, c_void_p, c_size_t, _Mode, c_void_p, *counted)
        ]
        self._engine: int = library.engine_open()

    def gemm(self, request: GemmRequest) -> tuple[np.ndarray, int, int]:
        """Make a GEMM."""
        m, n, k = request.shape
        a, b, c = _operands(request)
        d = np.empty((m, n), dtype=np.uint32)
        mode = _Mode.of(request)
        if k == 0:
            start = np.zeros((m, n), dtype=np.float32) if c is None else c
            return d, *self._convert_by_tiles(start, d, mode)
        config = self._config
        load_c = c is not None

        def model(rows: int) -> int:
            return gemm_cycles(config, rows, n, k, load_c=load_c)

        bands = -(-m // config.rows)
        rows = config.rows * _steps_of_chunk(bands, model(config.rows), config)
        cycles, flags = c_uint64(), c_uint32()
        status = self._library.engine_gemm(
            *(self._engine, self._threads, rows, _address(a), _address(b), _address(c), m, n, k),
            OPERAND_FORMATS.index(request.a_format),
            OPERAND_FORMATS.index(request.b_format),
            *(mode, d.ctypes.data, byref(cycles), byref(flags)),
        )
        _check(status)
        chunks = sum(map(model, _chunks(m, rows)))
        return d, cycles.value - chunks + model(m), flags.value

    def quantize(self, request: QuantizeRequest) -> tuple[np.ndarray, int, int]:
        """Convert numbers."""
        values, codes = _numbers(request)
        if values.size == 0:
            return codes, 0, 0
        return codes, *self._convert(values, codes, _Mode.of(request))

    def _convert_by_tiles(self, start: np.ndarray, d: np.ndarray, mode: _Mode) -> tuple[int, int]:
        """Convert what a GEMM without products starts from, in the order of its tiles.

        A packet fills the lanes of all its transfers but the last: where a tile leaves some idle,
        each row is one.
        """
        rows, cols = self._config.rows, self._config.cols
        cycles = flags = 0
        for top in range(0, start.shape[0], rows):
            for left in range(0, start.shape[1], cols):
                tile = slice(top, top + rows), slice(left, left + cols)
                numbers = np.ascontiguousarray(start[tile])
                codes = np.empty(numbers.shape, dtype=np.uint32)
                packets = 1 if numbers.shape[1] == cols else len(numbers)
                for of_packet in np.array_split(np.arange(len(numbers)), packets):
                    part = slice(of_packet[0], of_packet[-1] + 1)
                    counted, raised = self._convert(numbers[part], codes[part], mode)
                    cycles += counted
                    flags |= raised
                d[tile] = codes
        return cycles, flags

    def _convert(self, numbers: np.ndarray, codes: np.ndarray, mode: _Mode) -> tuple[int, int]:
        """Convert a packet of numbers; both arrays are contiguous."""
        rows = -(-numbers.size // self._config.cols)
        step = _steps_of_chunk(rows, 1, self._config)
        cycles, flags = c_uint64(), c_uint32()
        status = self._library.engine_convert(
            *(self._engine, self._threads, step, numbers.ctypes.data, numbers.size),
            *(mode, codes.ctypes.data, byref(cycles), byref(flags)),
        )
        _check(status)
        more_packets = len(list(_chunks(rows, step))) - 1
        return cycles.value - more_packets * CONVERSION_CLOCKS, flags.value

    def read_state(self, states: np.ndarray) -> None:
        """Read the lanes."""
        self._library.engine_read_state(self._engine, states.ctypes.data)

    def write_state(self, states: np.ndarray) -> None:
        """Load the lanes."""
        self._library.engine_write_state(self._engine, states.ctypes.data)

    def close(self) -> None:
        """Free the simulation."""
        self._library.engine_close(self._engine)


def _steps_of_chunk(count: int, clocks: int, config: ArrayConfig) -> int:
    """Return how many of `count` steps, each of so many clocks, make a chunk."""
    # Loading and reading lanes costs clocks, too.
    worth = max(CHUNK_CLOCKS // (config.rows * config.cols), 100 * (config.cols + 2))
    return max(1, -(-worth // clocks), -(-count // MOST_CHUNKS))


def _chunks(count: int, step: int) -> Iterator[int]:
    """Yield the size of each chunk."""
    for start in range(0, count, step):
        yield min(step, count - start)


def _declare(library: ctypes.CDLL, name: str) -> None:
    opened, closed = getattr(library, f"{name}_open"), getattr(library, f"{name}_close")
    opened.restype, closed.argtypes, closed.restype = c_void_p, [c_void_p], None
    for verb in ("read", "write"):
        function = getattr(library, f"{name}_{verb}_state")
        function.argtypes, function.restype = [c_void_p, c_void_p], None


def _operands(request: GemmRequest) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
    c = None if request.c is None else np.ascontiguousarray(request.c)
    return np.ascontiguousarray(request.a), np.ascontiguousarray(request.b), c


def _numbers(request: QuantizeRequest) -> tuple[np.ndarray, np.ndarray]:
    # NumPy gives a number without dimensions one when it makes it contiguous.
    codes = np.empty(request.values.shape, dtype=np.uint32)
    return np.ascontiguousarray(request.values), codes


def _address(array: np.ndarray | None) -> int | None:
    return None if array is None else array.ctypes.data


def _check(status: int) -> None:
    if status != 0:
        raise CheckFailedError(f"the simulated Verilog {_FAULTS[status]}")
