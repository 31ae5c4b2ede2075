"""Engines by name."""

from typing import Any

from pysim import ArrayConfig, Engine, GoldenEngine, InputError

ENGINES = ("golden", "fast", "gpu", "rtl", "audit")
SIMULATORS = ("vector", "verilator")
DEFAULT_SIMULATOR = "vector"
WITH_SIMULATOR = ("rtl", "audit")


def checked_simulator(engine: str, simulator: str | None) -> str | None:
    """Return the simulator that an engine runs: `simulator`, or its usual one; None if it has none.

    Raises
    ------
    InputError
        If the simulator is unknown, or one is named for another engine.
    """
    if engine not in WITH_SIMULATOR:
        if simulator is not None:
            raise InputError(
                f"engine {engine!r} has no simulator {simulator!r}: "
                f"only {' and '.join(WITH_SIMULATOR)} have"
            )
        return None
    if simulator not in (None, *SIMULATORS):
        raise InputError(f"unknown simulator {simulator!r}: allowed are {', '.join(SIMULATORS)}")
    return simulator or DEFAULT_SIMULATOR


def open_engine(
    name: str,
    config: ArrayConfig | None = None,
    *,
    simulator: str | None = None,
    **settings: Any,
) -> Engine:
    """Open an engine; close it when done, or use it as a context manager.

    Parameters
    ----------
    name : str
        ``"golden"`` (NumPy, the reference), ``"fast"`` (compiled kernels, the same bits),
        ``"gpu"`` (CUDA kernels, the same bits),
        ``"rtl"`` (the generated Verilog in a simulator), or ``"audit"`` (`fast`, with a sample of
        its calls replayed on the Verilog).
    config : ArrayConfig, optional
        The array; 8 x 8 by default.
    simulator : str, optional
        For `rtl` and `audit` only: ``"vector"`` by default, which computes identical instances as
        SIMD lanes, or ``"verilator"``, the reference, with the same results.
    **settings
        For `audit` only: `rate`, `seed`, `budget`, and `folder` (see `cosim.audit.AuditEngine`).

    Raises
    ------
    InputError
        If the engine or the simulator is unknown, or a simulator is named for another engine.
    MissingToolError
        If the engine needs a tool that is absent.
    """
    config = config or ArrayConfig()
    if name not in ENGINES:
        raise InputError(f"unknown engine {name!r}: allowed are {', '.join(ENGINES)}")
    simulator = checked_simulator(name, simulator)
    if settings and name != "audit":
        raise InputError(f"engine {name!r} has no setting {next(iter(settings))!r}: only audit has")
    if name == "golden":
        return GoldenEngine(config)
    if name == "fast":
        from pysim.fast import FastEngine

        return FastEngine(config)
    if name == "gpu":
        from cosim.gpu import GpuEngine

        return GpuEngine(config)
    if simulator is not None:
        settings["simulator"] = simulator
    if name == "audit":
        from cosim.audit import AuditEngine

        return AuditEngine(config, **settings)
    from cosim.rtl import RtlEngine

    return RtlEngine(config, **settings)
