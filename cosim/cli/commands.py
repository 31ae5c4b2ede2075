"""Importing this module registers every command."""

from cosim.cli import compare, demo, generate, regress, train  # noqa: F401
