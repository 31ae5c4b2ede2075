"""The tokens that every vocabulary begins with, numbered as in NVIDIA's reference of GNMT."""

PAD, UNKNOWN, BEGIN, END = range(4)
"""Filling after the end of a sentence, a token not in the vocabulary, and a sentence's bounds."""
