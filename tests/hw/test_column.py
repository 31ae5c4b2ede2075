"""The foot of a column: it converts what it accepts, and draws only for that."""

from amaranth.hdl import Value

from hw.column import ResultColumn
from hw.converter import PARTS
from pysim.convert import ROUNDINGS, Rounding
from pysim.formats import E5M2, FP32, OUTPUT_FORMATS
from pysim.lfsr import Lfsr

START = 0xACE1


def mode(fmt, rounding):
    return {
        "target": OUTPUT_FORMATS.index(fmt),
        "rounding": ROUNDINGS.index(rounding),
        "saturate": 0,
    }


def test_accepts_converts_and_draws(clocked):
    column = ResultColumn(16, 8)
    lfsr = Lfsr(16)

    async def bench(context):
        context.set(column.load_state, START)
        context.set(column.load, 1)
        await context.tick()
        context.set(column.load, 0)

        context.set(column.value, 0x3F900000)  # 1.125, half way between two numbers of E5M2
        context.set(column.mode, mode(E5M2, Rounding.STOCHASTIC))
        await context.tick()
        assert context.get(column.state) == START
        assert context.get(Value.cast(column.flags)) == 0

        state = START
        context.set(column.accept, 1)
        for _ in range(20):
            assert context.get(column.flags.inexact) == 1
            await context.tick()
            assert context.get(column.code) == 0x3C + (state & 0xFF >= 0x80)
            state = lfsr.advance(state, 8)
            assert context.get(column.state) == state

        for fmt, rounding, code in (
            (E5M2, Rounding.NEAREST, 0x3C),
            (FP32, Rounding.STOCHASTIC, 0x3F900000),
        ):
            context.set(column.mode, mode(fmt, rounding))
            await context.tick()
            assert context.get(column.code) == code
            assert context.get(column.state) == state

        context.set(column.accept, 0)
        context.set(column.value, 0)
        await context.tick()
        assert context.get(column.code) == 0x3F900000

    clocked(column, bench)


def test_pipeline_draws_in_order(clocked):
    """Numbers come with gaps, and stop on the way; each draw belongs to the next number."""
    column = ResultColumn(16, 8, pipelined=True)
    lfsr = Lfsr(16)
    accepts = [1, 0, 1, 1, 0, 0, 1, 1, 1, 0, 1] + [0] * len(PARTS)
    found = []

    async def bench(context):
        context.set(column.load_state, START)
        context.set(column.load, 1)
        await context.tick()
        context.set(column.load, 0)
        context.set(column.value, 0x3F900000)
        context.set(column.mode, mode(E5M2, Rounding.STOCHASTIC))
        for clock, accept in enumerate(accepts):
            for advance in (0, 1) if clock % 3 == 0 else (1,):
                context.set(column.advance, advance)
                context.set(column.accept, accept & advance)
                code = context.get(column.code)
                leaves = context.get(column.flags.inexact)
                await context.tick()
                if not advance:
                    assert (context.get(column.code), leaves) == (code, 0)
            assert context.get(column.kept) == leaves
            if leaves:
                found.append(context.get(column.code))
        assert context.get(column.state) == state

    expected, state = [], START
    for _ in range(sum(accepts)):
        expected.append(0x3C + (state & 0xFF >= 0x80))
        state = lfsr.advance(state, 8)
    clocked(column, bench)
    assert found == expected
