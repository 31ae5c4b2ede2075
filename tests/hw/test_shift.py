"""Shifting: what falls out is remembered, and the top bit is found."""

import pytest
from amaranth.hdl import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hw.shift import normalise, shift_right_jamming

WIDTH = 6


class Shifter(wiring.Component):
    value: In(WIDTH)
    amount: In(4)
    shifted: Out(WIDTH)
    lost: Out(1)
    normal: Out(WIDTH)
    distance: Out(3)

    def elaborate(self, platform):
        m = Module()
        shifted, lost = shift_right_jamming(m, self.value, self.amount, "shifted")
        normal, distance = normalise(m, self.value, "normal")
        m.d.comb += [
            self.shifted.eq(shifted),
            self.lost.eq(lost),
            self.normal.eq(normal),
            self.distance.eq(distance),
        ]
        return m


@pytest.mark.parametrize("amount", range(16))
def test_every_value(evaluate, amount):
    inputs = [{"value": value, "amount": amount} for value in range(1 << WIDTH)]
    found = evaluate(Shifter(), inputs, ["shifted", "lost", "normal", "distance"])
    for value, (shifted, lost, normal, distance) in enumerate(found):
        assert shifted == value >> amount
        assert lost == (value != shifted << amount)
        if value:
            assert distance == WIDTH - value.bit_length()
            assert normal == value << distance
        else:
            assert normal == 0
