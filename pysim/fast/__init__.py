"""The fast engine: the contract as compiled, vectorised, multi-threaded kernels."""

from pysim.fast.engine import FastEngine

__all__ = ["FastEngine"]
