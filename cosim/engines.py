"""Engines by name."""

from pysim import ArrayConfig, Engine, GoldenEngine, InputError

ENGINES = ("golden", "fast", "rtl")
SIMULATORS = ("verilator",)


def open_engine(
    name: str, config: ArrayConfig | None = None, *, simulator: str | None = None
) -> Engine:
    """Open an engine; close it when done, or use it as a context manager.

    Parameters
    ----------
    name : str
        ``"golden"`` (NumPy, the reference), ``"fast"`` (compiled kernels, the same bits), or
        ``"rtl"`` (the generated Verilog in a simulator).
    config : ArrayConfig, optional
        The array; 8 x 8 by default.
    simulator : str, optional
        For `rtl` only: ``"verilator"``.

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
    if simulator is not None and name != "rtl":
        raise InputError(f"engine {name!r} has no simulator: only 'rtl' has, not {simulator!r}")
    if simulator is not None and simulator not in SIMULATORS:
        raise InputError(f"unknown simulator {simulator!r}: allowed are {', '.join(SIMULATORS)}")
    if name == "golden":
        return GoldenEngine(config)
    if name == "fast":
        from pysim.fast import FastEngine

        return FastEngine(config)
    from cosim.rtl import RtlEngine

    return RtlEngine(config)
