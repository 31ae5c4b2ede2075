"""Importing this module registers every command."""

from cosim.cli import compare, demo, generate, train  # noqa: F401
