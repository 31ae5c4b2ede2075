"""The baseline is a correct adder and a correct element: against NumPy, and against `golden`."""

import numpy as np
import pytest

from cosim.synth.textbook import PRODUCT_FRACTION, TextbookAdder, TextbookElement, emit
from cosim.vector import compile_netlist, load_models, read_verilog
from pysim import ArrayConfig, GoldenEngine
from pysim.convert import CANONICAL_NAN

PAIRS = 2_000_000
DOT_LENGTH = 12
SPECIAL = np.array(
    [0, 1, 2, 0x7FFFFF, 0x800000, 0x800001, 0x3F800000, 0x7F7FFFFF, 0x7F800000, 0x7F800001,
     0x7FC00000, 0x7FFFFFFF],
    dtype=np.uint32,
)  # fmt: skip
NARROW = np.uint32(0xFFFFFFFF << (23 - PRODUCT_FRACTION) & 0xFFFFFFFF)


@pytest.fixture(scope="module")
def models():
    blocks = (TextbookAdder(), TextbookAdder(PRODUCT_FRACTION), TextbookElement())
    verilog = emit(*blocks)
    names = [block.module_name for block in blocks]
    sources = [compile_netlist(read_verilog(verilog, name)) for name in names]
    return dict(zip(names, load_models(sources), strict=True))


def numbers(rng, count):
    """FP32 numbers: random ones, of nearby exponents, tiny, huge, and special."""
    codes = rng.integers(0, 1 << 32, count, dtype=np.uint32)
    fields = rng.choice([0, 1, 2, 20, 127, 128, 140, 150, 253, 254], count).astype(np.uint32)
    near = rng.random(count) < 0.6
    codes[near] = codes[near] & np.uint32(0x807FFFFF) | fields[near] << np.uint32(23)
    special = rng.random(count) < 0.1
    signs = codes & np.uint32(0x80000000)
    codes[special] = rng.choice(SPECIAL, special.sum()) | signs[special]
    # Sums of few bits are often exact, or halfway between two numbers.
    short = rng.random(count) < 0.3
    codes[short] &= np.uint32(0xFFFF0000)
    return codes


def ieee_sum(x, y):
    """Return codes of sums, and the flags invalid and inexact."""
    x, y = x.view(np.float32), y.view(np.float32)
    with np.errstate(all="ignore"):
        total = x + y
        # What rounding took away, exactly (Knuth), but where the sum overflows.
        part = total - x
        rest = (x - (total - part)) + (y - part)
    finite = np.isfinite(x) & np.isfinite(y)
    inexact = finite & (~np.isfinite(total) | (rest != 0))
    invalid = np.isnan(total) & ~np.isnan(x) & ~np.isnan(y)
    codes = total.view(np.uint32).copy()
    codes[np.isnan(total)] = CANONICAL_NAN
    return codes, invalid | inexact << 1


@pytest.mark.parametrize("name", ["textbook_adder", f"textbook_adder_{PRODUCT_FRACTION}"])
def test_adder_is_that_of_ieee_754(models, name):
    rng = np.random.default_rng(1)
    x, y = numbers(rng, PAIRS), numbers(rng, PAIRS)
    if name != "textbook_adder":
        y &= NARROW
    model = models[name]
    inputs = {"x": x, "y": y}
    stimulus = np.stack([inputs[port.name] for port in model.source.inputs], axis=1)
    trace = model.run(stimulus)
    got = {port.name: trace[:, i] for i, port in enumerate(model.trace.ports)}
    totals, flags = ieee_sum(x, y)
    wrong = np.flatnonzero((got["total"] != totals) | (got["flags"] != flags))
    assert not wrong.size, [
        (f"{x[i]:#x} + {y[i]:#x} is {totals[i]:#x}, {flags[i]}", got["total"][i], got["flags"][i])
        for i in wrong[:5]
    ]
    tiny = (totals & np.uint32(0x7F800000) == 0) & (totals & np.uint32(0x7FFFFF) != 0)
    huge = (totals & np.uint32(0x7FFFFFFF) == 0x7F800000) & (flags == 2)
    assert tiny.sum() > 1000
    assert huge.sum() > 1000


@pytest.mark.parametrize("a_format", ["e5m2", "e4m3"])
@pytest.mark.parametrize("b_format", ["e5m2", "e4m3"])
def test_element_computes_what_golden_does(models, a_format, b_format):
    rng = np.random.default_rng(2)
    size = 32
    a = rng.integers(0, 256, (size, DOT_LENGTH), dtype=np.uint8)
    b = rng.integers(0, 256, (DOT_LENGTH, size), dtype=np.uint8)
    # Codes of NaN and infinity are frequent: most sums are to be finite.
    a[: size // 2] &= 0xBF
    b[:, : size // 2] &= 0xBF
    c = numbers(rng, size * size).reshape(size, size)
    expected = GoldenEngine(ArrayConfig()).gemm(
        a, b, c=c.view(np.float32), a_format=a_format, b_format=b_format
    )

    model = models["textbook_pe"]
    encoding = {"e5m2": 0, "e4m3": 1}
    stimulus = np.zeros((size, size, DOT_LENGTH + 2, model.inputs.words), dtype=np.uint64)
    place = {port.name: i for i, port in enumerate(model.inputs.ports)}
    stimulus[:, :, 0, place["shift"]] = 1
    stimulus[:, :, 0, place["below"]] = c
    valid = 1 << 9
    lanes = (("west", a[:, None, :], a_format), ("north", b.T[None, :, :], b_format))
    for name, codes, fmt in lanes:
        lane = codes.astype(np.uint64) | np.uint64(encoding[fmt] << 8 | valid)
        stimulus[:, :, 1:-1, place[name]] = lane
    trace = model.run(stimulus.reshape(-1, model.inputs.words))
    column = next(i for i, port in enumerate(model.trace.ports) if port.name == "above")
    above = trace[:, column].reshape(size, size, DOT_LENGTH + 2)[:, :, -1]
    np.testing.assert_array_equal(above.astype(np.uint32), expected.values.view(np.uint32))
    assert np.isfinite(expected.values).mean() > 0.2
    sticky = np.bitwise_or.reduce(above.ravel() >> np.uint64(32))
    assert bool(sticky & np.uint64(1)) == expected.flags.invalid
    assert bool(sticky & np.uint64(2)) == expected.flags.inexact
