"""The engine that simulates the generated Verilog."""

import numpy as np

import rtl_gen
from cosim.engines import DEFAULT_SIMULATOR
from cosim.rtl import vector, verilator
from cosim.rtl.drivers import ArrayDriver, Driver, EngineDriver
from pysim import ArrayConfig, Engine, Flags, GemmResult, InputError
from pysim.convert import code_dtype
from pysim.engine import GemmRequest, QuantizeRequest
from pysim.fast.processors import checked_threads
from pysim.formats import FP32

SIMULATORS = {"vector": vector.build_model, "verilator": verilator.build_model}
"""Functions that turn a design into a shared library, by the simulator's name."""


class RtlEngine(Engine):
    """The Verilog of an array, or of an engine, in a shared library that takes whole GEMMs.

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
        path = str(SIMULATORS[simulator](design))
        driver = EngineDriver if design.config.latency else ArrayDriver
        self._driver: Driver | None = driver(path, design.config, self.threads)

    def close(self) -> None:
        """Release the simulated array."""
        if self._driver is not None:
            self._driver.close()
            self._driver = None

    def __del__(self) -> None:
        if getattr(self, "_driver", None) is not None:
            self.close()

    def _gemm(self, request: GemmRequest) -> GemmResult:
        m, n, _ = request.shape
        driver = self._open_driver()
        if m and n:
            d, cycles, flags = driver.gemm(request)
        else:
            d, cycles, flags = np.empty((m, n), dtype=np.uint32), 0, 0
        if request.out_format is FP32:
            values = d.view(np.float32)
        else:
            values = d.astype(code_dtype(request.out_format))
        return GemmResult(values, Flags.from_bits(flags), cycles)

    def _quantize(self, request: QuantizeRequest) -> tuple[np.ndarray, Flags, int]:
        codes, cycles, flags = self._open_driver().quantize(request)
        return codes.astype(code_dtype(request.fmt)), Flags.from_bits(flags), cycles

    def _read_state(self) -> np.ndarray:
        states = np.empty(self.config.cols, dtype=np.uint64)
        self._open_driver().read_state(states)
        return states

    def _write_state(self, states: np.ndarray) -> None:
        self._open_driver().write_state(np.ascontiguousarray(states))

    def _open_driver(self) -> Driver:
        if self._driver is None:
            raise RuntimeError("this engine is closed")
        return self._driver
