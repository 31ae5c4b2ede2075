"""Values on their way through a pipeline."""

from contextlib import nullcontext
from types import SimpleNamespace

from amaranth.hdl import Module, Signal, Value


def delay(m: Module, values: SimpleNamespace, part: str, move: Value | None = None) -> None:
    """Put a register behind each value, named by the part of the pipeline and by its own name.

    With `move`, it takes what comes only then. It is not reset.
    """
    for name, value in vars(values).items():
        register = Signal(len(value), name=f"{part}_{name}", reset_less=True)
        with nullcontext() if move is None else m.If(move):
            m.d.sync += register.eq(value)
        setattr(values, name, register)
