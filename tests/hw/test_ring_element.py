"""The element with a ring: sums in turns, and what changes places with them."""

import numpy as np
import pytest

from hw.ring_element import RingElement

ONE_AND_A_HALF = {"sign": 0, "exponent": 15, "significand": 12, "infinite": 0, "nan": 0}
TWO = {"sign": 0, "exponent": 16, "significand": 8, "infinite": 0, "nan": 0}


def bits(number):
    return int(np.float32(number).view(np.uint32))


@pytest.mark.parametrize("latency", [1, 2, 4, 6])
def test_a_sum_for_each_slot(clocked, latency):
    """Slot i adds i + 1 times three to what waited there, then gives it back."""
    element = RingElement(latency)

    async def shift(context, slot, value):
        context.set(element.slot, slot)
        before = context.get(element.above.value)
        context.set(element.below, {"value": value, "flags": {"invalid": 0, "inexact": 1}})
        context.set(element.shift, 1)
        await context.tick()
        context.set(element.shift, 0)
        return before

    async def pass_through(context, counts, first):
        for slot in range(latency):
            valid = counts[slot] > 0
            context.set(
                element.west,
                {"operand": ONE_AND_A_HALF, "valid": valid, "first": first, "slot": slot},
            )
            context.set(element.north, {"operand": TWO, "valid": 1})
            await context.tick()
            assert context.get(element.east.valid) == valid
            assert context.get(element.east.first) == first
            assert context.get(element.east.slot) == slot
            assert context.get(element.south.operand.exponent) == TWO["exponent"]
            counts[slot] -= 1

    async def bench(context):
        for slot in range(latency):
            assert await shift(context, slot, bits(10 * slot)) == 0
        counts = [slot + 1 for slot in range(latency)]
        for k in range(latency):
            await pass_through(context, counts, first=k == 0)
        await pass_through(context, [0] * latency, first=1)
        context.set(element.west, {"operand": TWO, "valid": 0, "first": 0, "slot": 0})
        await context.tick()
        for slot in range(latency):
            context.set(element.slot, slot)
            await context.delay(1e-10)
            assert context.get(element.above.value) == bits(10 * slot + 3 * (slot + 1))
            assert context.get(element.above.flags.inexact) == 1

    clocked(element, bench)


def test_no_product_without_two_valid_operands(clocked):
    element = RingElement(1)

    async def bench(context):
        for west, north in ((0, 1), (1, 0), (0, 0)):
            lane = {"operand": TWO, "valid": west, "first": 0, "slot": 0}
            context.set(element.west, lane)
            context.set(element.north, {"operand": TWO, "valid": north})
            await context.tick()
        context.set(element.west, {"operand": TWO, "valid": 0, "first": 1, "slot": 0})
        await context.tick()
        context.set(element.west, {"operand": TWO, "valid": 0, "first": 0, "slot": 0})
        await context.tick()
        assert context.get(element.above.value) == 0

    clocked(element, bench)
