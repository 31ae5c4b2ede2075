"""Shifting and counting, in binary stages as hardware does it."""

from collections.abc import Sequence

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value


def shift_right_jamming(
    m: Module, value: Value, amount: Value, name: str, distances: Sequence[int] | None = None
) -> tuple[Value, Value]:
    """Shift right by `amount`; return the shifted value and whether a set bit was shifted out.

    Any amount is allowed: from the width of `value` on, everything is shifted out. There is a
    stage for each bit of `amount`; `distances` are those by which stages shift, if they are not
    the powers of two.
    """
    lost = Const(0, 1)
    for stage, distance in enumerate(distances or [1 << i for i in range(len(amount))]):
        shifted = Signal(len(value), name=f"{name}_by_{distance}")
        sticky = Signal(name=f"{name}_lost_{distance}")
        m.d.comb += [
            shifted.eq(Mux(amount[stage], value >> distance, value)),
            sticky.eq(lost | (amount[stage] & value[:distance].any())),
        ]
        value, lost = shifted, sticky
    return value, lost


def normalise(
    m: Module, value: Value, name: str, distances: Sequence[int] | None = None
) -> tuple[Value, Value]:
    """Shift left until the top bit is set; return the shifted value and the shift.

    A value of zero stays zero; its shift means nothing. With `distances`, there are stages for
    these powers of two alone, the largest first, and the shift has a bit for each, the least first.
    """
    width = len(value)
    found: list[tuple[int, Value]] = []

    def empty(distance: int, start: int, stages: list[tuple[int, Value]]) -> Value:
        """Tell whether `distance` bits from the top are clear after the shifts of `stages`."""
        if not stages:
            top = max(0, width - start)
            return ~value[max(0, top - distance) : top].any()
        (shift, chosen), *others = stages
        return Mux(chosen, empty(distance, start + shift, others), empty(distance, start, others))

    # Zeros are counted in what is not shifted yet, so that no stage waits for the one before.
    shifted = value
    for distance in distances or [1 << i for i in reversed(range((width - 1).bit_length()))]:
        flag = Signal(name=f"{name}_top_{distance}_empty")
        stage = Signal(width, name=f"{name}_by_{distance}")
        m.d.comb += [
            flag.eq(empty(distance, 0, found)),
            stage.eq(Mux(flag, shifted << distance, shifted)),
        ]
        found.append((distance, flag))
        shifted = stage
    return shifted, Cat(flag for _, flag in reversed(found))
