"""The element with a ring: sums in turns, and what changes places with them."""

import numpy as np
import pytest

from hw.ring_element import RingElement

ONE_AND_A_HALF = {"sign": 0, "exponent": 15, "significand": 12, "infinite": 0, "nan": 0}
TWO = {"sign": 0, "exponent": 16, "significand": 8, "infinite": 0, "nan": 0}


def bits(number):
    return int(np.float32(number).view(np.uint32))


IDLE = {"operand": TWO, "valid": 0, "first": 0, "fresh": 0, "slot": 0}


async def pass_through(context, element, valid, **marks):
    """Let a lane of A enter for each slot, with 1.5 times 2 where it is valid."""
    for slot in range(element.latency):
        lane = {"operand": ONE_AND_A_HALF, "valid": valid[slot], "slot": slot, **marks}
        context.set(element.west, lane)
        context.set(element.north, {"operand": TWO, "valid": 1})
        await context.tick()
        assert context.get(element.east.as_value()) == context.get(element.west.as_value())
        assert context.get(element.south.operand.exponent) == TWO["exponent"]


async def waiting(context, element):
    """Return what waits in each slot, once marks have passed."""
    context.set(element.west, IDLE)
    await context.tick().repeat(2)
    words = []
    for slot in range(element.latency):
        context.set(element.slot, slot)
        await context.delay(1e-10)
        words.append((context.get(element.above.value), context.get(element.above.flags.inexact)))
    return words


@pytest.mark.parametrize("latency", [1, 2, 4, 6])
@pytest.mark.parametrize("fresh", [0, 1])
def test_a_sum_for_each_slot(clocked, latency, fresh):
    """Slot i adds i + 1 times three to what waited there, or to zero, then gives it back."""
    element = RingElement(latency)

    async def bench(context):
        for slot in range(latency):
            value = {"value": bits(10 * slot), "flags": {"invalid": 0, "inexact": 1}}
            context.set(element.slot, slot)
            context.set(element.below, value)
            context.set(element.shift, 1)
            await context.tick()
        context.set(element.shift, 0)
        for k in range(latency):
            valid = [k <= slot for slot in range(latency)]
            await pass_through(context, element, valid, first=k == 0, fresh=fresh)
        await pass_through(context, element, [0] * latency, first=1, fresh=1)
        start = 0 if fresh else 10
        assert await waiting(context, element) == [
            (bits(start * slot + 3 * (slot + 1)), not fresh) for slot in range(latency)
        ]

    clocked(element, bench)


def test_no_product_without_two_valid_operands(clocked):
    element = RingElement(1)

    async def bench(context):
        context.set(element.west, {**IDLE, "first": 1, "fresh": 1})
        await context.tick()
        for west, north in ((0, 1), (1, 0), (0, 0)):
            context.set(element.west, {**IDLE, "valid": west})
            context.set(element.north, {"operand": TWO, "valid": north})
            await context.tick()
        context.set(element.west, {**IDLE, "first": 1})
        await context.tick()
        assert await waiting(context, element) == [(0, 0)]

    clocked(element, bench)
