"""Random bits: the leap of the register, its polynomial, and the state that it never takes."""

from functools import reduce

from cosim.proofs import smt
from cosim.proofs.netlist import Netlist, Trace
from cosim.proofs.problem import Facts, Problem, Shown
from cosim.proofs.statement import Statement, View
from pysim import ArrayConfig
from pysim.lfsr import TAPS

POLYNOMIALS = {
    8: (8, 4, 3, 2, 0),
    16: (16, 5, 3, 2, 0),
    24: (24, 7, 2, 1, 0),
    32: (32, 7, 6, 2, 0),
    48: (48, 9, 7, 4, 0),
    64: (64, 4, 3, 1, 0),
}
"""Exponents of the polynomial of each width, as docs/contract.md lists them."""


LANE_DISTANCE = 0x9E3779B97F4A7C15
"""2^64 over the golden ratio; its top bits, the last one set, are the distance between lanes."""


def module(config: ArrayConfig) -> str:
    """Name of the module of a lane."""
    return f"fp8_lfsr_{config.lfsr_width}x{config.random_bits}"


def statements(config: ArrayConfig) -> list[Statement]:
    """Return the statements about a lane of random bits, and the polynomials behind it."""
    unit = module(config)
    view = (View(unit),)
    r, width = config.random_bits, config.lfsr_width
    return [
        Statement(
            "lfsr/leap",
            unit,
            f"taking a draw steps the register {r} times; a load wins over it, and reset over both",
            view,
            lambda netlist: {"": _leap(netlist, width, r)},
        ),
        Statement(
            "lfsr/draw",
            unit,
            f"a draw is the next {r} bits of the sequence",
            view,
            lambda netlist: {"": _draw(netlist, r)},
        ),
        Statement(
            "lfsr/zero",
            unit,
            "no input ever brings the register to zero, by induction from any seed but zero",
            view,
            _never_zero,
        ),
        *(
            Statement(
                f"polynomial/{offered}",
                unit,
                f"the polynomial of width {offered} is primitive: x has the order 2^{offered} - 1",
                (),
                lambda offered=offered: {"": _primitive(offered)},
            )
            for offered in TAPS
        ),
    ]


def step(state: str, width: int) -> str:
    """A state after one step: bit 0 leaves, and the parity of the tapped bits enters at the top."""
    taps = [smt.bits(state, e, 1) for e in POLYNOMIALS[width] if e < width]
    parity = reduce(lambda x, y: f"(bvxor {x} {y})", taps)
    return smt.concat(parity, smt.bits(state, 1, width - 1))


def leap(state: str, width: int, steps: int, name: str) -> list[str]:
    """Return commands that define a state step by step, and last the term of the state reached."""
    sort = smt.bit_vector(width)
    states = [state, *(f"{name}-{i + 1}" for i in range(steps))]
    return [
        *(smt.define(states[i + 1], sort, step(states[i], width)) for i in range(steps)),
        states[-1],
    ]


def advance(state: int, steps: int, width: int) -> int:
    """Return a state after any number of steps.

    Bit i of it is the sequence's term ``steps + i``. With ``x**n`` modulo the polynomial as
    coefficients, the sum of the state's bits is term n, by the recurrence.
    """
    polynomial = sum(1 << e for e in POLYNOMIALS[width])
    bits = (
        (_power_of_x(steps + i, polynomial, width) & state).bit_count() & 1 for i in range(width)
    )
    return sum(bit << i for i, bit in enumerate(bits))


def lane_wires(unit: Trace, config: ArrayConfig) -> dict[str, tuple[str, str]]:
    """Return wires of the columns of a module, and what is expected of them, by what they say.

    Each lane starts from its own seed, and is read and loaded by its number.
    """
    width = unit.netlist.widths["lfsr_lane"]
    distance = (LANE_DISTANCE >> (64 - config.lfsr_width)) | 1
    pairs = {}
    for j in range(config.cols):
        name = f"column_{j}"
        seed = advance(config.seed, j * distance, config.lfsr_width)
        selected = smt.equal(unit.vector("lfsr_lane"), smt.const(j, width))
        load = smt.conjunction([unit.wire("lfsr_load"), selected])
        seen, state = unit.wire("lfsr_state"), unit.wire(f"{name}.state")
        pairs |= {
            f"seed of lane {j}": (unit.wire(f"{name}.seed"), smt.const(seed, config.lfsr_width)),
            f"load of lane {j}": (unit.wire(f"{name}.load"), load),
            f"state to load into lane {j}": (
                unit.wire(f"{name}.load_state"),
                unit.wire("lfsr_load_state"),
            ),
            f"state of lane {j}": (smt.choose(selected, seen, state), state),
        }
    return pairs


def _leap(netlist: Netlist, width: int, r: int) -> Problem:
    unit = Trace(netlist, "unit", 1)
    *steps, leapt = leap(unit.wire("state"), width, r, "step")
    text = [netlist.text, unit.text, *steps]
    load = smt.conjunction(
        [unit.wire("load"), f"(not {smt.equal(unit.wire('load_state'), smt.const(0, width))})"]
    )
    drawn = smt.choose(unit.wire("advance"), leapt, unit.wire("state"))
    loaded = smt.choose(load, unit.wire("load_state"), drawn)
    want = smt.choose(unit.wire("rst"), unit.wire("seed"), loaded)
    got = unit.wire("state", 1)
    shown = ("state", "advance", "load", "load_state", "rst", "seed")
    return Problem(
        "\n".join(text),
        {"the next state": smt.equal(got, want)},
        {
            **{name: Shown(unit.wire(name)) for name in shown},
            "expected": Shown(want),
            "got": Shown(got),
        },
    )


def _draw(netlist: Netlist, r: int) -> Problem:
    unit = Trace(netlist)
    want = smt.bits(unit.wire("state"), 0, r)
    return Problem(
        "\n".join([netlist.text, unit.text]),
        {"the draw": smt.equal(unit.vector("draw"), want)},
        {
            "state": Shown(unit.wire("state")),
            "expected": Shown(want),
            "got": Shown(unit.vector("draw")),
        },
    )


def _never_zero(netlist: Netlist) -> dict[str, Problem]:
    unit = Trace(netlist, "unit", 1)
    zero = smt.const(0, netlist.widths["state"])
    is_zero = [smt.equal(unit.wire("state", clock), zero) for clock in (0, 1)]
    seeded = smt.assume(smt.negation(smt.equal(unit.wire("seed"), zero)))
    text = [netlist.text, unit.text, seeded]
    goal = {"the next state": smt.negation(is_zero[1])}
    shown = {name: Shown(unit.wire(name)) for name in ("state", "seed", "load", "load_state")}
    reset = smt.assume(unit.wire("rst"))
    return {
        "after reset": Problem("\n".join([*text, reset]), goal, shown),
        "after any other state": Problem(
            "\n".join([*text, smt.assume(smt.negation(is_zero[0]))]), goal, shown
        ),
    }


def _primitive(width: int) -> Facts:
    """What arithmetic modulo the polynomial, over GF(2), says of the order of x."""
    polynomial = sum(1 << e for e in POLYNOMIALS[width])
    period = (1 << width) - 1
    primes = prime_factors(period)
    goals = {
        "the polynomial is the one that the hardware is made from": sorted({width, *TAPS[width], 0})
        == sorted(POLYNOMIALS[width]),
        f"x^(2^{width} - 1) is 1": _power_of_x(period, polynomial, width) == 1,
    }
    goals |= {
        f"x^((2^{width} - 1) / {p}) is not 1": _power_of_x(period // p, polynomial, width) != 1
        for p in primes
    }
    return Facts(goals)


def prime_factors(number: int) -> list[int]:
    """Prime factors of a number, each once, by trial division.

    For 2**w - 1 with w up to 64 that is quick: all factors but the largest are small.
    """
    factors = []
    divisor = 2
    while divisor * divisor <= number:
        if number % divisor == 0:
            factors.append(divisor)
            while number % divisor == 0:
                number //= divisor
        divisor += 1
    return [*factors, number] if number > 1 else factors


def _power_of_x(exponent: int, polynomial: int, degree: int) -> int:
    """x**exponent modulo a polynomial over GF(2), both as bits of an integer."""
    power, square = 1, 2
    while exponent:
        if exponent & 1:
            power = _multiply(power, square, polynomial, degree)
        square = _multiply(square, square, polynomial, degree)
        exponent >>= 1
    return power


def _multiply(a: int, b: int, polynomial: int, degree: int) -> int:
    product = 0
    while b:
        if b & 1:
            product ^= a
        a <<= 1
        if a >> degree & 1:
            a ^= polynomial
        b >>= 1
    return product
