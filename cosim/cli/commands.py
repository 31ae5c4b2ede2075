"""Importing this module registers every command."""

from cosim.cli import compare, generate, train  # noqa: F401
