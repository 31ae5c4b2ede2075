"""What the proofs compare the Verilog with is what others say, too."""

import math

import ml_dtypes
import numpy as np
import pytest

from cosim.errors import MissingToolError
from cosim.proofs import Outcome, lfsr, numbers, smt, solver
from cosim.proofs.problem import Facts, Problem
from pysim.lfsr import TAPS, Lfsr, lane_distance

DTYPES = {
    numbers.E5M2: ml_dtypes.float8_e5m2,
    numbers.E4M3: ml_dtypes.float8_e4m3fn,
    numbers.FP16: np.float16,
    numbers.BF16: ml_dtypes.bfloat16,
}


def codes(values):
    return np.asarray(values, dtype=np.float32).view(np.uint32).tolist()


@pytest.mark.parametrize("fmt", numbers.OPERANDS, ids=str)
def test_operands_of_the_theory(fmt):
    expected = codes(np.arange(256, dtype=np.uint8).view(DTYPES[fmt]).astype(np.float32))
    goals = {
        f"{code:02x}": smt.choose(
            f"(fp.isNaN {numbers.fp32(smt.const(value, 32))})",
            f"(fp.isNaN {numbers.operand(smt.const(code, 8), fmt)})",
            smt.equal(numbers.operand(smt.const(code, 8), fmt), numbers.fp32(smt.const(value, 32))),
        )
        for code, value in enumerate(expected)
    }
    answer = solver.decide(Problem("", goals), 60)
    assert answer.outcome is Outcome.PROVED, answer.violated


@pytest.mark.parametrize("fmt", DTYPES, ids=str)
def test_rounding_of_the_theory(fmt):
    """Nearest-even in the wider format is that of ml_dtypes, wherever the number is in range."""
    rng = np.random.default_rng(0)
    kind = DTYPES[fmt]
    unsigned = np.uint8 if fmt.width == 8 else np.uint16
    held = rng.integers(0, fmt.largest, 60).astype(unsigned)
    low, high = (c.view(kind).astype(np.float64) for c in (held, (held + 1).astype(unsigned)))
    middle = ((low + high) / 2).astype(np.float32)
    near = np.concatenate(
        [middle, np.nextafter(middle, np.float32(0)), np.nextafter(middle, np.float32(np.inf))]
    )
    expected = near.astype(kind).view(unsigned).tolist()
    goals = {}
    for code, want in zip(codes(near), expected, strict=True):
        size = (
            f"(fp.mul RNE {numbers.fp64(numbers.fp32(smt.const(code, 32)))}"
            f" {numbers.power_of_two(-fmt.bias_gain)})"
        )
        goals[f"{code:08x}"] = smt.equal(
            f"((_ to_fp {fmt.wider}) RNE {size})",
            f"((_ to_fp {fmt.wider}) {smt.const(want, fmt.wider_width)})",
        )
    answer = solver.decide(Problem("", goals), 60)
    assert answer.outcome is Outcome.PROVED, answer.violated


@pytest.mark.parametrize("fmt", DTYPES, ids=str)
def test_codes_are_told_as_numbers(fmt):
    unsigned = np.uint8 if fmt.width == 8 else np.uint16
    every = np.arange(1 << fmt.width).astype(unsigned)
    with np.errstate(invalid="ignore"):  # signalling NaNs
        expected = every.view(DTYPES[fmt]).astype(np.float64)
    got = np.array([numbers.decode(int(code), fmt) for code in every])
    np.testing.assert_array_equal(got, expected)
    np.testing.assert_array_equal(np.signbit(got), np.signbit(expected) & ~np.isnan(expected))


@pytest.mark.parametrize("width", TAPS)
def test_periods_factor(width):
    primes = lfsr.prime_factors((1 << width) - 1)
    rest = (1 << width) - 1
    for p in primes:
        assert all(p % d for d in range(2, math.isqrt(p) + 1))
        while rest % p == 0:
            rest //= p
    assert rest == 1


@pytest.mark.parametrize("width", TAPS)
def test_jumps_are_those_of_the_register(width):
    for steps in (0, 1, width, 5 * lane_distance(width)):
        assert lfsr.advance(0xA5, steps, width) == Lfsr(width).advance(0xA5, steps)


def test_a_polynomial_that_is_not_primitive(monkeypatch):
    # x^8 + x^4 + x^3 + x + 1, of AES, is irreducible, but x has the order 51.
    monkeypatch.setitem(lfsr.POLYNOMIALS, 8, (8, 4, 3, 1, 0))
    monkeypatch.setitem(TAPS, 8, (4, 3, 1))
    facts = lfsr._primitive(8)
    assert isinstance(facts, Facts)
    assert [says for says, holds in facts.goals.items() if not holds] == [
        "x^((2^8 - 1) / 5) is not 1"
    ]
    assert solver.decide(facts, 1).outcome is Outcome.REFUTED


def test_contradicting_assumptions_prove_nothing():
    text = "\n".join([smt.declare("x", "Bool"), smt.assume("x"), smt.assume("(not x)")])
    answer = solver.decide(Problem(text, {"anything": "false"}), 10)
    assert answer.outcome is Outcome.UNDECIDED
    assert answer.reason == "its assumptions contradict each other"


def test_missing_solver(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "bitwuzla", None)
    with pytest.raises(MissingToolError, match="pip install bitwuzla"):
        solver.decide(Problem("", {"nothing": "true"}), 1)
