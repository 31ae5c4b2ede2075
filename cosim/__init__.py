"""Verilog in motion: engines, regressions, the PyTorch bridge, and training."""

from cosim.engines import open_engine

__all__ = ["open_engine"]
