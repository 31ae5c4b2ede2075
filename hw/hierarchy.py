"""One Verilog module per concept: components that are instantiated, not flattened."""

from typing import Protocol, runtime_checkable

from amaranth.hdl import Elaboratable, ResetInserter, Value
from amaranth.lib import wiring


class Block(wiring.Component):
    """A component that becomes one Verilog module, however often it is used.

    Amaranth emits a copy of a module for every use. A `Block` is handed to the platform instead,
    which may emit it once and return an instance of it; without such a platform (in Amaranth's
    own simulator) it is elaborated in place.
    """

    @property
    def module_name(self) -> str:
        """Name of the Verilog module; two blocks of one name must be the same hardware."""
        raise NotImplementedError


@runtime_checkable
class BlockPlatform(Protocol):
    """A platform that emits each kind of block once."""

    def instantiate(self, block: Block, reset: Value | None = None) -> Elaboratable:
        """Return an instance of the block's module, connected to the ports of `block`."""
        ...


def place(block: Block, platform: object, reset: Value | None = None) -> Elaboratable:
    """Return what a parent adds to its submodules: an instance, or the block itself.

    With `reset` the block is also reset while that is high.
    """
    if isinstance(platform, BlockPlatform):
        return platform.instantiate(block, reset)
    return block if reset is None else ResetInserter(reset)(block)
