"""The `rtl` engine: the generated Verilog, simulated cycle by cycle."""

from cosim.rtl.engine import RtlEngine

__all__ = ["RtlEngine"]
