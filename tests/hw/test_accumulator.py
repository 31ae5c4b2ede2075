"""The accumulator's adder against one step of the golden model."""

import numpy as np
import pytest
from amaranth.hdl import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hw.accumulator import AccumulatorAdder, MacFlags
from hw.multiplier import Multiplier
from hw.operand import OperandDecoder
from pysim import ArrayConfig, Flags, GoldenEngine, decode
from pysim.formats import E4M3, E5M2


class Step(wiring.Component):
    """A decoded product and the adder: E5M2 times E4M3."""

    a: In(8)
    b: In(8)
    accumulator: In(32)
    total: Out(32)
    flags: Out(MacFlags)

    def elaborate(self, platform):
        m = Module()
        m.submodules.multiplier = multiplier = Multiplier()
        m.submodules.adder = adder = AccumulatorAdder()
        for side, fmt in (("a", 0), ("b", 1)):
            m.submodules[side] = decoder = OperandDecoder()
            m.d.comb += [
                decoder.code.eq(getattr(self, side)),
                decoder.format.eq(fmt),
                getattr(multiplier, side).eq(decoder.operand),
            ]
        m.d.comb += [
            adder.product.eq(multiplier.product),
            adder.accumulator.eq(self.accumulator),
            self.total.eq(adder.total),
            self.flags.eq(adder.flags),
        ]
        return m


def anything(rng, a, b):
    return rng.integers(1 << 32, size=a.size, dtype=np.uint32)


def near_the_product(rng, a, b):
    """The product's negative, some units in the last place off: cancellation."""
    with np.errstate(invalid="ignore"):
        product = (decode(a, E5M2) * decode(b, E4M3)).view(np.uint32)
    offset = rng.integers(-4, 5, a.size)
    return ((product ^ 0x80000000).astype(np.int64) + offset & 0xFFFFFFFF).astype(np.uint32)


def ties(rng, a, b):
    """So much larger that the product's last bits fall around half a unit in the last place."""
    with np.errstate(invalid="ignore"):
        product = decode(a, E5M2) * decode(b, E4M3)
    scale = 2.0 ** rng.integers(15, 28, a.size)
    significand = 1 + rng.integers(1 << 23, size=a.size) / 2**23
    size = np.where(np.isfinite(product), np.abs(product), 1)
    exponent = np.floor(np.log2(np.maximum(size, 2.0**-30)))
    sign = rng.choice([-1.0, 1.0], a.size)
    return (sign * significand * scale * 2.0**exponent).astype(np.float32).view(np.uint32)


def specials(rng, a, b):
    patterns = [0, 1, 0x7FFFFF, 0x800000, 0x3F800000, 0x7F7FFFFF, 0x7F800000, 0x7F800001]
    patterns += [pattern | 0x80000000 for pattern in patterns]
    return rng.choice(np.array(patterns, dtype=np.uint32), a.size)


@pytest.mark.parametrize("start", [anything, near_the_product, ties, specials])
def test_step(evaluate, start):
    rng = np.random.default_rng(0)
    size = 2000
    a, b = rng.integers(256, size=(2, size), dtype=np.uint8)
    accumulators = start(rng, a, b)
    inputs = [
        {"a": x, "b": y, "accumulator": z}
        for x, y, z in zip(a.tolist(), b.tolist(), accumulators.tolist(), strict=True)
    ]
    found = evaluate(Step(), inputs, ["total", "flags"])
    engine = GoldenEngine(ArrayConfig(1, 1))
    for i, (total, flags) in enumerate(found):
        result = engine.gemm(
            a[i : i + 1, None],
            b[i : i + 1, None],
            a_format="e5m2",
            b_format="e4m3",
            c=accumulators[i : i + 1, None].view(np.float32),
        )
        assert total == result.values.view(np.uint32)[0, 0], inputs[i]
        raised = Flags(invalid=bool(flags & 1), inexact=bool(flags & 2))
        assert raised == result.flags, inputs[i]
