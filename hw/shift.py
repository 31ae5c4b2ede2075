"""Shifting and counting, in binary stages as hardware does it."""

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value


def shift_right_jamming(
    m: Module, value: Value, amount: Value, name: str, unit: int = 1
) -> tuple[Value, Value]:
    """Shift right by `amount` times `unit`; return that, and whether a set bit was shifted out.

    Any amount is allowed: from the width of `value` on, everything is shifted out.
    """
    lost = Const(0, 1)
    for stage in range(len(amount)):
        distance = unit << stage
        shifted = Signal(len(value), name=f"{name}_by_{distance}")
        sticky = Signal(name=f"{name}_lost_{distance}")
        m.d.comb += [
            shifted.eq(Mux(amount[stage], value >> distance, value)),
            sticky.eq(lost | (amount[stage] & value[:distance].any())),
        ]
        value, lost = shifted, sticky
    return value, lost


def normalise(
    m: Module, value: Value, name: str, distances: tuple[int, ...] | None = None
) -> tuple[Value, Value]:
    """Shift left until the top bit is set; return the shifted value and the shift.

    A value of zero stays zero; its shift means nothing. With `distances`, powers of two, it is
    shifted by these alone, the largest first, each as long as the top bits are clear; of the shift
    there is a bit for each, the least one first.
    """
    width = len(value)
    if distances is None:
        distances = tuple(1 << stage for stage in reversed(range((width - 1).bit_length())))
    amount = []
    for distance in distances:
        empty = Signal(name=f"{name}_top_{distance}_empty")
        shifted = Signal(width, name=f"{name}_by_{distance}")
        m.d.comb += [
            empty.eq(~value[width - distance :].any()),
            shifted.eq(Mux(empty, value << distance, value)),
        ]
        amount.insert(0, empty)
        value = shifted
    return value, Cat(amount)
