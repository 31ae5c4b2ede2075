"""The step in a pipeline, for each latency, against the adder without."""

import numpy as np
import pytest
from amaranth.hdl import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hw.accumulator import Accumulator, AccumulatorAdder
from hw.multiplier import Multiplier, Product
from hw.operand import OperandDecoder
from hw.step import PipelinedStep
from pysim.config import MAX_LATENCY


class Both(wiring.Component):
    """A product of two codes, added by either."""

    a: In(8)
    b: In(8)
    before: In(Accumulator)
    valid: In(1)
    expected: Out(Accumulator)
    after: Out(Accumulator)
    product: Out(Product)

    def __init__(self, latency):
        self.latency = latency
        super().__init__()

    def elaborate(self, platform):
        m = Module()
        m.submodules.multiplier = multiplier = Multiplier()
        m.submodules.adder = adder = AccumulatorAdder()
        m.submodules.step = step = PipelinedStep(self.latency)
        for side, fmt in (("a", 0), ("b", 1)):
            m.submodules[side] = decoder = OperandDecoder()
            m.d.comb += [
                decoder.code.eq(getattr(self, side)),
                decoder.format.eq(fmt),
                getattr(multiplier, side).eq(decoder.operand),
            ]
        m.d.comb += [
            adder.accumulator.eq(self.before.value),
            adder.product.eq(multiplier.product),
            step.first.eq(1),
            step.start.eq(self.before),
            self.after.eq(step.after),
        ]
        # The step takes the accumulator a clock before the product; minus zero stands for none.
        m.d.sync += [
            step.product.eq(multiplier.product),
            step.valid.eq(self.valid),
        ]
        with m.If(~self.valid):
            m.d.sync += step.product.eq(Product.const({"sign": 1, "zero": 1}))
        m.d.comb += self.expected.eq(self.before)
        with m.If(self.valid):
            m.d.comb += [
                self.expected.value.eq(adder.total),
                self.expected.flags.eq(self.before.flags.as_value() | adder.flags.as_value()),
            ]
        return m


def stimulus(rng, size):
    """Codes, accumulators of any pattern, near cancellation, and special; few not valid."""
    codes = rng.integers(256, size=(size, 2)).tolist()
    any_bits = rng.integers(1 << 32, size=size)
    near = rng.integers(0x2F800000, 0x4F800000, size) | rng.integers(2, size=size) << 31
    special = rng.choice([0, 1 << 31, 0x7F800000, 0xFF800000, 0x7FC00001, 1, 0x00800000], size)
    values = np.choose(rng.integers(3, size=size), [any_bits, near, special]).tolist()
    flags = rng.integers(4, size=size).tolist()
    valid = (rng.random(size) < 0.8).astype(int).tolist()
    return list(zip(codes, values, flags, valid, strict=True))


@pytest.mark.parametrize("latency", range(1, MAX_LATENCY + 1))
def test_equals_the_adder(clocked, latency):
    block = Both(latency)
    rng = np.random.default_rng(latency)

    async def bench(context):
        waiting = []
        for (a, b), value, flags, valid in stimulus(rng, 1500):
            context.set(block.a, a)
            context.set(block.b, b)
            context.set(block.before.as_value(), flags << 32 | value)
            context.set(block.valid, valid)
            await context.delay(1e-10)
            waiting.append(context.get(block.expected.as_value()))
            await context.tick()
            if len(waiting) > latency:
                assert context.get(block.after.as_value()) == waiting.pop(0)

    clocked(block, bench)
