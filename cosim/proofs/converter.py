"""The converter, against a specification of its own: IEEE 754's rounding, in a wider format.

A number is multiplied by its scale, divided by the power of two that `cosim.proofs.numbers`
explains, and rounded by the solver's theory to the format with one more bit of exponent. The code
of the result, its top bit zero, is the code sought; if it is beyond the largest finite one, the
range rules of docs/contract.md say what takes its place. For stochastic rounding the theory rounds
toward zero, and what is left is compared, exactly and as real numbers, with the share of a unit in
the last place that the draw leaves free.

Where the converter is a pipeline, a number is followed through it, whatever comes before and after.
"""

from dataclasses import dataclass

from cosim.proofs import smt
from cosim.proofs.netlist import Netlist, Trace
from cosim.proofs.numbers import (
    CANONICAL_NAN,
    FP32_SORT,
    FP64_SORT,
    NARROW,
    Format,
    fp32,
    fp64,
    is_finite,
    power_of_two,
)
from cosim.proofs.problem import Problem, Shown
from cosim.proofs.statement import Statement, View
from pysim import ArrayConfig

ROUNDINGS = {"nearest": 0, "stochastic": 1, "toward_zero": 2}
"""The hardware's numbers of them."""

PART_NAMES = ("coarse", "normalised", "placed", "halfway", "shifted", "decided")
"""How names of registers in a pipeline begin, in the order of the parts that they end."""

PARTS = len(PART_NAMES)
"""Registers on the way through a pipeline; the draw is looked at before the last one."""

SCALE, SCALE_BITS = 6, 8
"""Where a mode has the exponent of the scale."""

INVALID, OVERFLOW, UNDERFLOW, INEXACT = range(4)
"""Places of the status flags."""


def module(config: ArrayConfig) -> str:
    """Name of the converter's module."""
    return f"fp8_converter_{config.random_bits}"


def statements(config: ArrayConfig) -> list[Statement]:
    """Return the statements about the converter of an array."""
    unit = module(config)
    view = (View(unit),)
    conversions = [
        Statement(
            f"convert/{fmt}-{rounding}",
            unit,
            f"every FP32 number, scaled, becomes the {fmt} code and flags that the contract says, "
            f"rounding {rounding.replace('_', ' ')}, saturating or not",
            view,
            lambda netlist, target=target, rounding=rounding: {
                "": _conversion(netlist, target, rounding)
            },
        )
        for target, fmt in NARROW.items()
        for rounding in ROUNDINGS
    ]
    fp32_result = Statement(
        "convert/fp32",
        unit,
        "as FP32 every number passes on unchanged, every NaN as the canonical one, without flags",
        view,
        lambda netlist: {"": _pass_on(netlist)},
    )
    properties = [
        Statement(
            f"{name}/{fmt}",
            unit,
            says.format(fmt=fmt),
            view,
            lambda netlist, target=target, make=make: {"": make(netlist, target)},
        )
        for name, says, make in (
            ("exact", "a number that {fmt} holds never moves, in any mode", _exact),
            ("neighbours", "the result is one of the two neighbours in {fmt}", _neighbours),
            ("sign", "a result in {fmt} has the sign of the number", _sign),
            ("draws", "a larger draw never gives a smaller magnitude in {fmt}", _ordered_draws),
        )
        for target, fmt in NARROW.items()
    ]
    held = Statement(
        "convert/waits",
        unit,
        "what waits in a part of the pipeline that does not move stays as it is",
        view,
        lambda netlist: {"": _waits(netlist)},
    )
    return [fp32_result, *conversions, *properties, *([held] if config.latency else [])]


@dataclass(frozen=True)
class _Unit:
    """The converter as a number passes it, and the terms that statements about it share."""

    netlist: Netlist
    target: int
    name: str = "unit"

    @property
    def parts(self) -> int:
        """Registers on the way."""
        return PARTS if "move" in self.netlist.widths else 0

    @property
    def trace(self) -> Trace:
        return Trace(self.netlist, self.name, self.parts)

    def wire(self, name: str) -> str:
        """A port, in the clock in which it is that of the number."""
        late = {"draw": self.parts - 1, "code": self.parts, "flags": self.parts}
        return self.trace.vector(name, max(0, late.get(name, 0)))

    @property
    def text(self) -> list[str]:
        """The states, and that the number moves in the mode of the first."""
        moves = [
            smt.assume(smt.bit(self.trace.wire("move", clock), clock))
            for clock in range(self.parts)
        ]
        modes = [
            smt.assume(smt.equal(self.trace.wire("mode", clock), self.wire("mode")))
            for clock in range(1, self.parts + 1)
        ]
        return [self.trace.text, *moves, *modes]

    @property
    def format(self) -> Format:
        return NARROW[self.target]

    @property
    def code(self) -> str:
        """The code found; what is above it in the port is stated to be zero."""
        return smt.bits(self.wire("code"), 0, self.format.width)

    @property
    def magnitude(self) -> str:
        """The code found without its sign, as one of the wider format."""
        width = self.format.width - 1
        return smt.extend(smt.bits(self.wire("code"), 0, width), width, width + 2)

    @property
    def sign(self) -> str:
        return smt.bits(self.wire("value"), 31, 1)

    def rounding_is(self, rounding: str) -> str:
        mode = smt.bits(self.wire("mode"), 3, 2)
        return smt.equal(mode, smt.const(ROUNDINGS[rounding], 2))

    @property
    def saturates(self) -> str:
        return smt.bit(self.wire("mode"), 5)

    def flag(self, place: int) -> str:
        return smt.bit(self.wire("flags"), place)

    def number(self, wider_code: str) -> str:
        """What a code of the wider format stands for there, in FP64."""
        return fp64(f"((_ to_fp {self.format.wider}) {wider_code})")

    @property
    def setting(self) -> list[str]:
        """The target, any rounding that exists, and names for the number in question."""
        target = smt.bits(self.wire("mode"), 0, 3)
        scale = smt.bits(self.wire("mode"), SCALE, SCALE_BITS)
        exponent = f"(bvadd ((_ sign_extend {11 - SCALE_BITS}) {scale})"
        exponent += f" {smt.const(1023 - self.format.bias_gain, 11)})"
        return [
            self.netlist.text,
            *self.text,
            smt.assume(smt.equal(target, smt.const(self.target, 3))),
            smt.assume(smt.disjunction(self.rounding_is(rounding) for rounding in ROUNDINGS)),
            smt.define("x", FP32_SORT, fp32(self.wire("value"))),
            # The magnitude as the wider format sees it.
            smt.define(
                "size",
                FP64_SORT,
                f"(fp.mul RNE {fp64('(fp.abs x)')} (fp #b0 {exponent} {smt.const(0, 52)}))",
            ),
        ]

    @property
    def shown(self) -> dict[str, Shown]:
        return {
            "value": Shown(self.wire("value"), "fp32"),
            "scale": Shown(smt.bits(self.wire("mode"), SCALE, SCALE_BITS)),
            "draw": Shown(self.wire("draw")),
            "saturate": Shown(self.saturates),
            "got": Shown(self.code, self.format.name),
            "flags": Shown(self.wire("flags")),
        }


FINITE = is_finite("x")


def _conversion(netlist: Netlist, target: int, rounding: str) -> Problem:
    unit = _Unit(netlist, target)
    fmt = unit.format
    sort = smt.bit_vector(fmt.wider_width)
    toward = "RNE" if rounding == "nearest" else "RTZ"
    text = [
        *unit.setting,
        smt.assume(unit.rounding_is(rounding)),
        # Some code is that of the rounded number.
        smt.declare("low", sort),
        smt.assume(
            smt.equal(f"((_ to_fp {fmt.wider}) low)", f"((_ to_fp {fmt.wider}) {toward} size)")
        ),
    ]
    if rounding == "stochastic":
        text += _random_part(unit)
        one_more = f"(bvadd low {smt.const(1, fmt.wider_width)})"
        text.append(smt.define("rounded", sort, smt.choose("up", one_more, "low")))
    else:
        text.append(smt.define("rounded", sort, "low"))
    text.append(
        smt.define("beyond", "Bool", f"(bvugt rounded {smt.const(fmt.largest, fmt.wider_width)})")
    )

    width = fmt.width
    largest = smt.concat(unit.sign, smt.const(fmt.largest, width - 1))
    if fmt.infinity is None:
        infinity = smt.const(fmt.nan, width)
    else:
        infinity = smt.concat(unit.sign, smt.const(fmt.infinity, width - 1))
    limit = smt.choose(unit.saturates, largest, infinity)
    beyond = largest if rounding == "toward_zero" else limit
    in_range = smt.concat(unit.sign, smt.bits("rounded", 0, width - 1))
    want = smt.choose(
        "(fp.isNaN x)",
        smt.const(fmt.nan, width),
        smt.choose("(fp.isInfinite x)", limit, smt.choose("beyond", beyond, in_range)),
    )
    lost_infinity = "true" if fmt.infinity is None else unit.saturates
    overflow = smt.choose(FINITE, "beyond", f"(and (fp.isInfinite x) {lost_infinity})")
    rounded_away = smt.conjunction([FINITE, f"(not (fp.eq {unit.number('low')} size))"])
    least_normal = power_of_two(2 - (1 << fmt.exponent))
    text += [
        smt.define("want", smt.bit_vector(width), want),
        smt.define("overflow", "Bool", overflow),
        smt.define("rounded-away", "Bool", rounded_away),
    ]
    return Problem(
        "\n".join(text),
        {
            "the code": smt.equal(unit.wire("code"), smt.extend("want", width, 32)),
            "the invalid flag": smt.negation(unit.flag(INVALID)),
            "the overflow flag": smt.equal(unit.flag(OVERFLOW), "overflow"),
            "the underflow flag": smt.equal(
                unit.flag(UNDERFLOW), f"(and rounded-away (fp.lt size {least_normal}))"
            ),
            "the inexact flag": smt.equal(unit.flag(INEXACT), "(or rounded-away overflow)"),
        },
        {**unit.shown, "expected": Shown("want", fmt.name)},
    )


def _random_part(unit: _Unit) -> list[str]:
    """Define `up`: whether the fraction left, cut to r bits, and the draw R make 2**r or more.

    For an integer T, ``floor(z) >= T`` is ``z >= T``; so with the rest d and the unit in the last
    place u, the question is ``2**r d >= (2**r - R) u``. Every term of it is exact in FP64.
    """
    fmt = unit.format
    r = unit.netlist.widths["draw"]
    field = smt.extend(smt.bits("low", fmt.fraction, fmt.exponent + 1), fmt.exponent + 1, 11)
    lifted = smt.choose(smt.equal(field, smt.const(0, 11)), smt.const(1, 11), field)
    # From the exponent field of the wider format to that of its unit in the last place in FP64.
    rebias = smt.const(1023 - ((1 << fmt.exponent) - 1) - fmt.fraction, 11)
    ulp = f"(fp #b0 (bvadd {lifted} {rebias}) {smt.const(0, 52)})"
    draw = smt.extend(unit.wire("draw"), r, r + 1)
    threshold = f"(bvsub {smt.const(1 << r, r + 1)} {draw})"
    return [
        smt.define("rest", FP64_SORT, f"(fp.sub RNE size {unit.number('low')})"),
        smt.define("ulp", FP64_SORT, ulp),
        smt.define(
            "up",
            "Bool",
            f"(fp.geq (fp.mul RNE rest {power_of_two(r)})"
            f" (fp.mul RNE ((_ to_fp_unsigned 11 53) RNE {threshold}) ulp))",
        ),
    ]


def _pass_on(netlist: Netlist) -> Problem:
    unit = _Unit(netlist, 0)
    value, code, mode = unit.wire("value"), unit.wire("code"), unit.wire("mode")
    text = [
        netlist.text,
        *unit.text,
        smt.assume(smt.equal(smt.bits(mode, 0, 3), smt.const(0, 3))),
        smt.assume(smt.equal(smt.bits(mode, SCALE, SCALE_BITS), smt.const(0, SCALE_BITS))),
    ]
    want = smt.choose(f"(fp.isNaN {fp32(value)})", CANONICAL_NAN, value)
    return Problem(
        "\n".join(text),
        {
            "the code": smt.equal(code, want),
            "the flags": smt.equal(unit.wire("flags"), smt.const(0, 4)),
        },
        {
            "value": Shown(value, "fp32"),
            "expected": Shown(want, "fp32"),
            "got": Shown(code, "fp32"),
        },
    )


def _exact(netlist: Netlist, target: int) -> Problem:
    unit = _Unit(netlist, target)
    fmt = unit.format
    text = [
        *unit.setting,
        smt.declare("held", smt.bit_vector(fmt.wider_width)),
        smt.assume(f"(bvule held {smt.const(fmt.largest, fmt.wider_width)})"),
        smt.assume(smt.equal("size", unit.number("held"))),
    ]
    want = smt.concat(unit.sign, smt.bits("held", 0, fmt.width - 1))
    return Problem(
        "\n".join(text),
        {
            "the code": smt.equal(unit.code, want),
            "the flags": smt.equal(unit.wire("flags"), smt.const(0, 4)),
        },
        {**unit.shown, "expected": Shown(want, fmt.name)},
    )


def _neighbours(netlist: Netlist, target: int) -> Problem:
    unit = _Unit(netlist, target)
    fmt = unit.format
    got, one = unit.magnitude, smt.const(1, fmt.wider_width)
    in_range = f"(bvule {got} {smt.const(fmt.largest, fmt.wider_width)})"
    next_above, next_below = f"(bvadd {got} {one})", f"(bvsub {got} {one})"
    text = [
        *unit.setting,
        smt.assume(FINITE),
        smt.assume(smt.negation(unit.flag(OVERFLOW))),
    ]
    return Problem(
        "\n".join(text),
        {
            "the range": in_range,
            "the neighbour above": f"(fp.lt size {unit.number(next_above)})",
            "the neighbour below": smt.disjunction(
                [
                    smt.equal(got, smt.const(0, fmt.wider_width)),
                    f"(fp.gt size {unit.number(next_below)})",
                ]
            ),
            "no growth toward zero": smt.implies(
                unit.rounding_is("toward_zero"), f"(fp.leq {unit.number(got)} size)"
            ),
        },
        unit.shown,
    )


def _sign(netlist: Netlist, target: int) -> Problem:
    unit = _Unit(netlist, target)
    is_nan = smt.equal(unit.code, smt.const(unit.format.nan, unit.format.width))
    sign = smt.bits(unit.code, unit.format.width - 1, 1)
    return Problem(
        "\n".join(unit.setting),
        {"the sign": smt.disjunction([is_nan, smt.equal(sign, unit.sign)])},
        unit.shown,
    )


def _ordered_draws(netlist: Netlist, target: int) -> Problem:
    unit = _Unit(netlist, target)
    other = _Unit(netlist, target, "other")
    text = [
        *unit.setting,
        *other.text,
        *(smt.assume(smt.equal(unit.wire(port), other.wire(port))) for port in ("value", "mode")),
        smt.assume(unit.rounding_is("stochastic")),
        smt.assume(f"(bvult {unit.wire('draw')} {other.wire('draw')})"),
    ]
    return Problem(
        "\n".join(text),
        {"the order": f"(bvule {unit.magnitude} {other.magnitude})"},
        {
            **unit.shown,
            "larger draw": Shown(other.wire("draw")),
            "got with it": Shown(other.code, unit.format.name),
        },
    )


def _waits(netlist: Netlist) -> Problem:
    unit = Trace(netlist, "unit", 1)
    registers = {
        name: part for name in netlist.widths for part in PART_NAMES if name.startswith(f"{part}_")
    }
    goals, shown = {}, {}
    for name, part in registers.items():
        stays = smt.equal(unit.wire(name, 1), unit.wire(name))
        moves = smt.bit(unit.wire("move"), PART_NAMES.index(part))
        goals[name] = smt.disjunction([moves, stays])
        shown[name] = Shown(unit.wire(name), goal=name)
        shown[f"{name} after"] = Shown(unit.wire(name, 1), goal=name)
    return Problem("\n".join([netlist.text, unit.text]), goals, shown)
