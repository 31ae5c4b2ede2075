"""Importing this module registers every command."""

from cosim.cli import bench, compare, demo, generate, regress, replay, train  # noqa: F401
