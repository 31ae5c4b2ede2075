"""The check on packets."""

import pytest

from hw.packet import PacketCheck


@pytest.fixture
def wrong(clocked):
    """Return whether each transfer is found wrong, given `last` and `complete` of each."""

    def run(length, transfers):
        block = PacketCheck()
        found = []

        async def bench(context):
            context.set(block.length, length)
            context.set(block.start, 1)
            await context.tick()
            context.set(block.start, 0)
            for last, complete in transfers:
                context.set(block.last, last)
                context.set(block.complete, complete)
                # Nothing is wrong, and nothing counts, without a transfer.
                await context.tick()
                assert not context.get(block.wrong)
                context.set(block.transfer, 1)
                await context.delay(1e-9)
                found.append(context.get(block.wrong))
                await context.tick()
                context.set(block.transfer, 0)

        clocked(block, bench)
        return found

    return run


@pytest.mark.parametrize("length", [1, 2, 5])
def test_sound(wrong, length):
    assert wrong(length, [(i == length - 1, 1) for i in range(length)]) == [0] * length


def test_short(wrong):
    assert wrong(3, [(0, 1), (1, 1)]) == [0, 1]


def test_long(wrong):
    assert wrong(2, [(0, 1), (0, 1)]) == [0, 1]


def test_incomplete(wrong):
    assert wrong(2, [(0, 0), (1, 1)]) == [1, 0]
    assert wrong(2, [(0, 1), (1, 0)]) == [0, 1]
