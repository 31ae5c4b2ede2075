"""The fast engine: golden's numbers at the speed of the processor's FP32 units."""

import ctypes
from typing import Any

import numpy as np

from pysim.config import ArrayConfig
from pysim.convert import Rounding, code_dtype
from pysim.engine import Engine, GemmRequest, GemmResult, QuantizeRequest
from pysim.errors import InputError
from pysim.fast import library
from pysim.fast.processors import checked_threads
from pysim.flags import BITS, Flags
from pysim.formats import FP32, FloatFormat
from pysim.lfsr import Lfsr

_FLAGS = tuple(Flags.from_bits(bits) for bits in range(1 << len(BITS)))


class FastEngine(Engine):
    """Compiled kernels: one FP32 fused multiply-add a step, k ascending, on register tiles.

    The same bits as `GoldenEngine`, flags and random state included, for any number of threads.
    The kernels are compiled with g++ at first use and cached (see `pysim.native`).

    Parameters
    ----------
    config : ArrayConfig
    threads : int, optional
        At most this many threads; by default the processors that this process may use.
    instructions : str, optional
        ``"portable"``, ``"avx2"``, or ``"avx512"``; by default the widest that the processor has.

    Raises
    ------
    InputError
        If `threads` is not a positive integer, or the processor lacks the instructions.
    MissingToolError
        If the kernels must be compiled and g++ is absent.
    """

    name = "fast"

    def __init__(
        self, config: ArrayConfig, threads: int | None = None, instructions: str | None = None
    ) -> None:
        super().__init__(config)
        self.threads = checked_threads(threads)
        self._library = library.load()
        self._instructions = _choose_instructions(self._library, instructions)
        self._lfsr = library.lfsr_structure(config.lfsr_width, config.random_bits)
        self._states = Lfsr(config.lfsr_width).lanes(config.seed, config.cols)

    @property
    def instructions(self) -> str:
        """The instruction set in use."""
        return library.INSTRUCTIONS[self._instructions]

    def _gemm(self, request: GemmRequest) -> GemmResult:
        m, n, k = request.shape
        # The names keep copies alive until the kernels have returned.
        a, b = _streamable(request.a), _streamable(request.b)
        start = _start(request.c)
        sums = np.empty((m, n), dtype=np.float32)
        call = library.GEMM.pack(
            self._instructions,
            self.threads,
            *(_address(a), *a.strides, library.OPERANDS[request.a_format.name]),
            *(_address(b), *b.strides, library.OPERANDS[request.b_format.name]),
            *start[1:],
            *(_address(sums), m, n, k),
        )
        bits = self._library.fast_gemm(call, None)
        cycles = self._model_gemm_cycles(request)
        if request.out_format is FP32:
            return GemmResult(sums, _FLAGS[bits], cycles)
        codes, converter_bits = self._convert(
            sums,
            *(request.out_format, request.rounding, request.saturate, request.scale),
            self.config.rows,
        )
        return GemmResult(codes, _FLAGS[bits | converter_bits], cycles)

    def gemm_batch(
        self,
        a: Any,
        b: Any,
        *,
        a_format: str | FloatFormat,
        b_format: str | FloatFormat,
        c: Any = None,
    ) -> tuple[Any, int]:
        """Multiply batches in one call of the kernels; see `Engine.gemm_batch`."""
        count = len(a)
        if count == 0 or len(b) != count or (c is not None and len(c) != count):
            return super().gemm_batch(a, b, a_format=a_format, b_format=b_format, c=c)
        # The first is checked for all: they have one shape and one type.
        c_first = None if c is None else c[0]
        first = self._request(a[0], b[0], c_first, a_format=a_format, b_format=b_format)
        m, n, k = first.shape
        a, b = _streamable_batch(a), _streamable_batch(b)
        start = None if c is None else np.ascontiguousarray(c)
        sums = np.empty((count, m, n), dtype=np.float32)
        call = library.GEMM.pack(
            self._instructions,
            self.threads,
            *(_address(a), *a.strides[1:], library.OPERANDS[first.a_format.name]),
            *(_address(b), *b.strides[1:], library.OPERANDS[first.b_format.name]),
            *((0, 0, 0) if start is None else (_address(start), n, 1)),
            *(_address(sums), m, n, k),
        )
        batch = library.BATCH.pack(count, a.strides[0], b.strides[0], m * n)
        bits = self._library.fast_gemm(call, batch)
        cycles = count * self._model_gemm_cycles(first)
        self.cycles += cycles
        self.macs += count * m * n * k
        self._find_flags = lambda: _FLAGS[bits]
        return sums, cycles

    def _quantize(self, request: QuantizeRequest) -> tuple[np.ndarray, Flags, int]:
        flat = np.ascontiguousarray(request.values).reshape(-1)
        settings = (request.fmt, request.rounding, request.saturate, request.scale)
        if request.rounding is Rounding.STOCHASTIC:
            # Full rows of the array, then the last and partial one. One column of tiles draws in
            # the same order whatever their height: one that fits the cache.
            cols = self.config.cols
            full = flat.size // cols * cols
            height = 4096 // cols
            head, bits = self._convert(flat[:full].reshape(-1, cols), *settings, height)
            tail, tail_bits = self._convert(flat[full:].reshape(1, -1), *settings, height)
            codes = np.concatenate([head.reshape(-1), tail[0]]) if tail.size else head
            bits |= tail_bits
        else:
            codes, bits = self._convert(flat[None, :], *settings, 1)
        cycles = self._model_quantize_cycles(request)
        return codes.reshape(request.values.shape), _FLAGS[bits], cycles

    def _convert(
        self,
        values: np.ndarray,
        fmt: FloatFormat,
        rounding: Rounding,
        saturate: bool,
        scale: int,
        tile_rows: int,
    ) -> tuple[np.ndarray, int]:
        """Convert contiguous numbers [m, n] that drain from tiles of `tile_rows` rows."""
        codes = np.empty(values.shape, dtype=code_dtype(fmt))
        conversion = library.conversion_structure(
            fmt, rounding, saturate, scale, self.config.random_bits
        )
        bits = self._library.fast_convert(
            self._instructions,
            self.threads,
            ctypes.addressof(conversion),
            *(_address(values), _address(codes), *values.shape),
            ctypes.addressof(self._lfsr),
            *(self._states.ctypes.data, tile_rows, self.config.cols),
        )
        return codes, bits

    def _read_state(self) -> np.ndarray:
        return self._states.copy()

    def _write_state(self, states: np.ndarray) -> None:
        self._states = states


def _streamable(codes: np.ndarray) -> np.ndarray:
    """Return the matrix as it is if the kernels can read it: successive along one dimension."""
    rows, columns = codes.strides
    if (columns == 1 and rows > 0) or (rows == 1 and columns > 0):
        return codes
    return np.ascontiguousarray(codes)


def _streamable_batch(codes: np.ndarray) -> np.ndarray:
    rows, columns = codes.strides[1:]
    if (columns == 1 and rows > 0) or (rows == 1 and columns > 0):
        return codes
    return np.ascontiguousarray(codes)


def _start(c: np.ndarray | None) -> tuple[np.ndarray | None, int, int, int]:
    """Return C, or a copy the kernels can read, its address, and its strides in numbers."""
    if c is None:
        return None, 0, 0, 0
    if c.strides[0] % c.itemsize or c.strides[1] % c.itemsize or not c.flags.aligned:
        c = np.ascontiguousarray(c)
    return c, _address(c), c.strides[0] // c.itemsize, c.strides[1] // c.itemsize


def _address(array: np.ndarray) -> int:
    try:
        # A quarter of the time that `array.ctypes` takes, which counts in a small GEMM.
        buffer = ctypes.c_char.from_buffer(array)  # pyright: ignore[reportArgumentType]
        return ctypes.addressof(buffer)
    except (TypeError, ValueError):  # read-only, transposed, or empty
        return array.ctypes.data


def _choose_instructions(kernels: ctypes.CDLL, name: str | None) -> int:
    best = kernels.fast_best_instructions()
    if name is None:
        return best
    available = library.INSTRUCTIONS[: best + 1]
    if name not in available:
        raise InputError(
            f"instructions {name!r} are not available: this processor has {', '.join(available)}"
        )
    return available.index(name)
