"""The multiplier: every pair of magnitudes."""

from itertools import product

import numpy as np
import pytest
from amaranth.hdl import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hw.multiplier import Multiplier, Product
from hw.operand import OperandDecoder
from pysim import decode
from pysim.formats import OPERAND_FORMATS


class DecodedMultiplier(wiring.Component):
    """The multiplier behind its decoders."""

    a: In(8)
    b: In(8)
    a_format: In(1)
    b_format: In(1)
    product: Out(Product)

    def elaborate(self, platform):
        m = Module()
        m.submodules.multiplier = multiplier = Multiplier()
        for side in "ab":
            m.submodules[side] = decoder = OperandDecoder()
            m.d.comb += [
                decoder.code.eq(getattr(self, side)),
                decoder.format.eq(getattr(self, f"{side}_format")),
                getattr(multiplier, side).eq(decoder.operand),
            ]
        m.d.comb += self.product.eq(multiplier.product)
        return m


@pytest.mark.parametrize("formats", list(product(range(2), repeat=2)))
def test_products(evaluate, field, formats):
    """All pairs of positive codes, and pairs of either sign at random."""
    rng = np.random.default_rng(0)
    pairs = np.array(list(product(range(128), repeat=2)))
    pairs = np.concatenate([pairs, rng.integers(256, size=(2000, 2))])
    specials = [0, 0x80, 1, 0x7B, 0x7C, 0xFC, 0x7E, 0x7F, 0xFF]
    pairs = np.concatenate([pairs, list(product(specials, repeat=2))]).astype(np.uint8)
    names = ("a_format", "b_format")
    modes = dict(zip(names, formats, strict=True))
    inputs = [{"a": a, "b": b, **modes} for a, b in pairs.tolist()]
    found = evaluate(DecodedMultiplier(), inputs, ["product"])
    a, b = (decode(pairs[:, i], OPERAND_FORMATS[formats[i]]).astype(np.float64) for i in range(2))
    with np.errstate(invalid="ignore"):
        expected = a * b
    for (word,), x, y, value in zip(found, a, b, expected, strict=True):
        get = lambda name: field(Product, word, name)  # noqa: B023, E731
        assert get("nan") == np.isnan(value)
        assert get("invalid") == (np.isnan(value) and not (np.isnan(x) or np.isnan(y)))
        if np.isnan(value):
            continue
        assert get("sign") == np.signbit(value)
        assert get("infinite") == np.isinf(value)
        if np.isinf(value):
            continue
        assert get("zero") == (value == 0)
        if value != 0:
            assert get("significand") >> 7 == 1
            assert get("significand") * 2.0 ** (get("exponent") - 134) == abs(value)
