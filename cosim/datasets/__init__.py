"""Data sets: loaders of the paper's own, and generated ones of the same shape."""
