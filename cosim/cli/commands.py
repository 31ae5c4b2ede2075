"""Importing this module registers every command."""

from cosim.cli import compare  # noqa: F401
