"""Benchmarks: each figure a ratio of two things measured in turn, in one run."""

from cosim.bench.figures import FIGURES, Figure, measure

__all__ = ["FIGURES", "Figure", "measure"]
