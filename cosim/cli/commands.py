"""Importing this module registers every command."""

from cosim.cli import ablate, bench, compare, demo, generate, paper, regress, replay, train  # noqa: F401
