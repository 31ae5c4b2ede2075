"""The engine that simulates the generated Verilog."""

import ctypes
from ctypes import POINTER, byref, c_int, c_int32, c_size_t, c_uint32, c_uint64, c_void_p

import numpy as np

import rtl_gen
from cosim.engines import DEFAULT_SIMULATOR
from cosim.errors import CheckFailedError
from cosim.rtl import vector, verilator
from pysim import ArrayConfig, Engine, Flags, GemmResult, InputError
from pysim.convert import ROUNDINGS, Rounding, code_dtype
from pysim.engine import GemmRequest, QuantizeRequest
from pysim.fast.processors import checked_threads
from pysim.formats import FP32, OPERAND_FORMATS, OUTPUT_FORMATS, FloatFormat

SIMULATORS = {"vector": vector.build_model, "verilator": verilator.build_model}
"""Functions that turn a design into a shared library, by the simulator's name."""

_FAULTS = {
    1: "stopped answering",
    2: "ended a packet of results in the wrong place",
}


class _Mode(ctypes.Structure):
    _fields_ = [("target", c_int32), ("rounding", c_int32), ("saturate", c_int32)]


class RtlEngine(Engine):
    """The Verilog of an array, in a shared library that takes whole GEMMs.

    Clocking, tiling, and the order of the streams happen in compiled code, which runs without
    Python's global lock: engines in several threads run side by side.

    Parameters
    ----------
    config : ArrayConfig, optional
        The array; left out if `design` is given.
    design : rtl_gen.Design, optional
        Verilog generated (and perhaps edited) earlier; generated from `config` by default.
    simulator : str, optional
        ``"vector"`` or ``"verilator"``.
    threads : int, optional
        At most this many threads; by default the processors that this process may use. Results do
        not depend on it.

    Raises
    ------
    InputError
        If there is no such simulator, the vector simulator does not support the Verilog, or
        `threads` is not a positive integer.
    MissingToolError
        If a tool of the simulator or a C++ compiler is missing.
    CheckFailedError
        If the Verilog is refused. From a call: if the Verilog stops answering.

    Attributes
    ----------
    simulator : str
    """

    name = "rtl"

    def __init__(
        self,
        config: ArrayConfig | None = None,
        *,
        design: rtl_gen.Design | None = None,
        simulator: str = DEFAULT_SIMULATOR,
        threads: int | None = None,
    ) -> None:
        if simulator not in SIMULATORS:
            allowed = ", ".join(SIMULATORS)
            raise InputError(f"unknown simulator {simulator!r}: allowed are {allowed}")
        self.simulator = simulator
        self.threads = checked_threads(threads)
        design = design or rtl_gen.design(config or ArrayConfig())
        super().__init__(design.config)
        self._library = _load(str(SIMULATORS[simulator](design)))
        self._array: int | None = self._library.array_open()

    def close(self) -> None:
        """Release the simulated array."""
        if self._array is not None:
            self._library.array_close(self._array)
            self._array = None

    def __del__(self) -> None:
        if getattr(self, "_array", None) is not None:
            self.close()

    def _gemm(self, request: GemmRequest) -> GemmResult:
        m, n, k = request.shape
        a, b = np.ascontiguousarray(request.a), np.ascontiguousarray(request.b)
        c = None if request.c is None else np.ascontiguousarray(request.c)
        d = np.empty((m, n), dtype=np.uint32)
        cycles, flags = c_uint64(), c_uint32()
        if d.size:
            status = self._library.array_gemm(
                self._open_array(),
                self.threads,
                a.ctypes.data,
                b.ctypes.data,
                None if c is None else c.ctypes.data,
                m,
                n,
                k,
                OPERAND_FORMATS.index(request.a_format),
                OPERAND_FORMATS.index(request.b_format),
                _mode(request.out_format, request.rounding, request.saturate),
                d.ctypes.data,
                byref(cycles),
                byref(flags),
            )
            _check(status)
        if request.out_format is FP32:
            values = d.view(np.float32)
        else:
            values = d.astype(code_dtype(request.out_format))
        return GemmResult(values, Flags.from_bits(flags.value), cycles.value)

    def _quantize(self, request: QuantizeRequest) -> tuple[np.ndarray, Flags, int]:
        values = np.ascontiguousarray(request.values)
        # NumPy gives a number without dimensions one when it makes it contiguous.
        codes = np.empty(request.values.shape, dtype=np.uint32)
        cycles, flags = c_uint64(), c_uint32()
        status = self._library.array_convert(
            self._open_array(),
            self.threads,
            values.ctypes.data,
            values.size,
            _mode(request.fmt, request.rounding, request.saturate),
            codes.ctypes.data,
            byref(cycles),
            byref(flags),
        )
        _check(status)
        return codes.astype(code_dtype(request.fmt)), Flags.from_bits(flags.value), cycles.value

    def _read_state(self) -> np.ndarray:
        states = np.empty(self.config.cols, dtype=np.uint64)
        self._library.array_read_state(self._open_array(), states.ctypes.data)
        return states

    def _write_state(self, states: np.ndarray) -> None:
        states = np.ascontiguousarray(states)
        self._library.array_write_state(self._open_array(), states.ctypes.data)

    def _open_array(self) -> int:
        if self._array is None:
            raise RuntimeError("this engine is closed")
        return self._array


def _mode(fmt: FloatFormat, rounding: Rounding, saturate: bool) -> _Mode:
    return _Mode(OUTPUT_FORMATS.index(fmt), ROUNDINGS.index(rounding), saturate)


def _check(status: int) -> None:
    if status != 0:
        raise CheckFailedError(f"the simulated Verilog {_FAULTS[status]}")


def _load(path: str) -> ctypes.CDLL:
    library = ctypes.CDLL(path)
    library.array_open.restype = c_void_p
    library.array_close.argtypes = [c_void_p]
    library.array_close.restype = None
    library.array_gemm.argtypes = [
        c_void_p,
        c_int,
        *[c_void_p] * 3,
        *[c_size_t] * 3,
        *[c_int] * 2,
        _Mode,
        c_void_p,
        POINTER(c_uint64),
        POINTER(c_uint32),
    ]
    library.array_convert.argtypes = [
        c_void_p,
        c_int,
        c_void_p,
        c_size_t,
        _Mode,
        c_void_p,
        POINTER(c_uint64),
        POINTER(c_uint32),
    ]
    for function in (library.array_read_state, library.array_write_state):
        function.argtypes = [c_void_p, c_void_p]
        function.restype = None
    return library
