"""The `rtl` engine: the generated Verilog, simulated cycle by cycle."""

from cosim.rtl.engine import DEFAULT_SIMULATOR, RtlEngine

__all__ = ["DEFAULT_SIMULATOR", "RtlEngine"]
