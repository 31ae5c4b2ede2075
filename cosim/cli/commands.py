"""Importing this module registers every command."""

from cosim.cli import bench, compare, demo, generate, paper, prove, regress, replay, train  # noqa: F401
