"""Importing this module registers every command."""

from cosim.cli import bench, compare, demo, generate, regress, train  # noqa: F401
