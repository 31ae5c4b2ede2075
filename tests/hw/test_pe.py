"""The processing element: it adds valid products, passes operands on, and shifts."""

from hw.pe import ProcessingElement

ONE_AND_A_HALF = {"sign": 0, "exponent": 15, "significand": 12, "infinite": 0, "nan": 0}


def test_steps(clocked):
    pe = ProcessingElement()

    async def bench(context):
        lane = {"operand": ONE_AND_A_HALF, "valid": 1}
        for west, north, expected in (
            (1, 1, 0x40100000),  # 2.25
            (0, 1, 0x40100000),
            (1, 0, 0x40100000),
            (1, 1, 0x40900000),  # 4.5
        ):
            context.set(pe.west, {**lane, "valid": west})
            context.set(pe.north, {**lane, "valid": north})
            await context.tick()
            assert context.get(pe.above.value) == expected
            assert context.get(pe.east.valid) == west
            assert context.get(pe.south.valid) == north
            assert context.get(pe.east.operand.significand) == 12
        context.set(pe.west, {**lane, "valid": 0})
        context.set(pe.below, {"value": 0x12345678, "flags": {"invalid": 1, "inexact": 1}})
        context.set(pe.shift, 1)
        await context.tick()
        assert context.get(pe.above.value) == 0x12345678
        assert context.get(pe.above.flags.invalid) == 1
        context.set(pe.below, {"value": 0, "flags": {"invalid": 0, "inexact": 0}})
        await context.tick()
        # Flags go with their accumulator: the next tile starts without.
        assert context.get(pe.above.flags.invalid) == 0

    clocked(pe, bench)


def test_flags_stick(clocked):
    pe = ProcessingElement()
    infinite = {**ONE_AND_A_HALF, "infinite": 1}
    zero = {**ONE_AND_A_HALF, "exponent": 1, "significand": 0}

    async def bench(context):
        for west, north, invalid in ((zero, infinite, 1), (ONE_AND_A_HALF, ONE_AND_A_HALF, 1)):
            context.set(pe.west, {"operand": west, "valid": 1})
            context.set(pe.north, {"operand": north, "valid": 1})
            await context.tick()
            assert context.get(pe.above.flags.invalid) == invalid
            assert context.get(pe.above.value) == 0x7FC00000

    clocked(pe, bench)
