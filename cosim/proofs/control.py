"""Tile control."""

from pysim import ArrayConfig


def module(config: ArrayConfig) -> str:
    """Name of the module of tile control."""
    return f"fp8_tile_control_{config.rows}x{config.cols}"
