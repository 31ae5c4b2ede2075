"""The commands of tiles, against the schedule written as loops."""

import pytest

from hw.sequencer import TileSequencer

ROWS, COLS = 3, 4


@pytest.fixture
def commands(clocked):
    def run(m, n, k, stalls=0):
        block = TileSequencer(ROWS, COLS)
        taken = []

        async def bench(context):
            context.set(block.call, {"load_c": 1, "b_format": 1})
            for name, size in (("m", m), ("n", n), ("k", k)):
                context.set(getattr(block, name), size)
            assert not context.get(block.active)
            context.set(block.start, 1)
            await context.tick()
            context.set(block.start, 0)
            while context.get(block.commands.valid):
                for _ in range(stalls):
                    before = context.get(block.commands.payload.as_value())
                    await context.tick()
                    assert context.get(block.commands.payload.as_value()) == before
                offered = context.get(block.commands.payload)
                assert (offered.load_c, offered.a_format, offered.b_format) == (1, 0, 1)
                taken.append((offered.rows, offered.cols, offered.length))
                context.set(block.commands.ready, 1)
                await context.tick()
                context.set(block.commands.ready, 0)
            assert not context.get(block.active)

        clocked(block, bench)
        return taken

    return run


@pytest.mark.parametrize("stalls", [0, 2])
@pytest.mark.parametrize("m", [1, 3, 4, 7])
@pytest.mark.parametrize("n", [1, 4, 5, 12])
def test_gemm(commands, m, n, stalls):
    expected = [
        (min(ROWS, m - top), min(COLS, n - left), 9)
        for top in range(0, m, ROWS)
        for left in range(0, n, COLS)
    ]
    assert commands(m, n, 9, stalls=stalls) == expected


def test_largest_sizes(commands):
    limit = (1 << 24) - 1
    assert commands(1, 1, limit) == [(1, 1, limit)]


def test_clear(clocked):
    block = TileSequencer(ROWS, COLS)

    async def bench(context):
        for name in "mnk":
            context.set(getattr(block, name), 9)
        context.set(block.start, 1)
        await context.tick()
        context.set(block.start, 0)
        assert context.get(block.active)
        context.set(block.clear, 1)
        await context.tick()
        context.set(block.clear, 0)
        assert not context.get(block.active)
        assert not context.get(block.commands.valid)

    clocked(block, bench)
