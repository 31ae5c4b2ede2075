"""The skew: lane i is i clocks late."""

import pytest

from hw.skew import Skew


@pytest.mark.parametrize("lanes", [2, 5])
def test_delays(clocked, lanes):
    skew = Skew(lanes)
    width = len(skew.aligned) // lanes
    words = [
        [(7 * clock + lane + 1) % (1 << width) for lane in range(lanes)] for clock in range(12)
    ]

    async def bench(context):
        for clock, word in enumerate(words):
            context.set(skew.aligned, sum(value << width * i for i, value in enumerate(word)))
            out = context.get(skew.skewed)
            for lane in range(lanes):
                expected = words[clock - lane][lane] if clock >= lane else 0
                assert out >> width * lane & ((1 << width) - 1) == expected
            await context.tick()

    clocked(skew, bench)


def test_one_lane_is_not_delayed(evaluate):
    assert evaluate(Skew(1), [{"aligned": 5}, {"aligned": 9}], ["skewed"]) == [(5,), (9,)]
