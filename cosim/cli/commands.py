"""Importing this module registers every command."""

from cosim.cli import compare, generate  # noqa: F401
