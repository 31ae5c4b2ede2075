"""The elements of the engine: a step in a pipeline, sums that take turns, and what waits.

The units are those of the bare array but for the step. It is followed through its whole latency: an
accumulator and a product enter, and any others may follow in the next clocks.
"""

from collections.abc import Callable
from itertools import product as pairs

from cosim.proofs import smt
from cosim.proofs.layout import (
    ACCUMULATOR_BITS,
    LANE_BITS,
    PRODUCT_BITS,
    AccumulatorForm,
    Operand,
    Product,
)
from cosim.proofs.netlist import Netlist, Trace
from cosim.proofs.numbers import (
    CANONICAL_NAN,
    E5M2,
    FP32_SORT,
    RANGE,
    Format,
    fp32,
    in_range,
    inexact,
    is_finite,
    is_multiple,
    operand,
    same_fp32,
)
from cosim.proofs.operands import DECODER, format_is, multiplied
from cosim.proofs.problem import Problem, Shown
from cosim.proofs.statement import Statement, View
from cosim.proofs.wires import delays, same_wires
from pysim import ArrayConfig

MULTIPLIER = "fp8_pipelined_multiplier"

FIRST, FRESH, SLOT, SLOT_BITS = LANE_BITS, LANE_BITS + 1, LANE_BITS + 2, 3
"""Where a lane of A says what its clock means, above operand and valid bit."""

START_BITS = SLOT + SLOT_BITS

MINUS_ZERO = smt.const(1 << 17 | 1, PRODUCT_BITS)
"""A product of -0, which changes no accumulator: its sign and the mark of a zero are set."""

KEPT = "; with any operands it is that, or the canonical NaN, or infinite where products may be"
"""What `RANGE` goes on with where C is not built in."""

MULTIPLIED = 2
"""Clock edges from operands to the product that enters a step."""


def step_module(config: ArrayConfig) -> str:
    """Name of the module of a step."""
    return f"fp8_step_{config.latency}"


def element_module(config: ArrayConfig) -> str:
    """Name of the module of an element."""
    return f"fp8_ring_element_{config.latency}"


def array_module(config: ArrayConfig) -> str:
    """Name of the module of the elements and their skews."""
    return f"fp8_ring_array_{config.rows}x{config.cols}_{config.latency}"


def _any_accumulator(config: ArrayConfig) -> str:
    """Return what a step adds a product to."""
    return "any FP32 number" if config.load_c else "any number that products may add up to"


def statements(config: ArrayConfig) -> list[Statement]:
    """Return the statements about elements and the wires between them, but for `steps`."""
    latency = config.latency
    step, element = step_module(config), element_module(config)
    row = f"fp8_ring_row_{config.cols}_{latency}"
    array = array_module(config)
    a_skew, b_skew = f"fp8_skew_{config.rows}_of_{START_BITS}", f"fp8_skew_{config.cols}"
    shell = View(element, (MULTIPLIER, step))
    return [
        Statement(
            "step/sum",
            step,
            f"{_any_accumulator(config)} and any product add up to IEEE 754's sum, to nearest "
            f"even, {latency} clocks later, whatever follows",
            (View(step),),
            lambda unit: {"": _sum(unit, config)},
        ),
        Statement(
            "step/flags",
            step,
            "flags stick; inexact says that a sum was rounded, invalid that it has no meaning",
            (View(step),),
            lambda unit: {"": _flags(unit, config)},
        ),
        Statement(
            "step/holds",
            step,
            "without a valid product an accumulator and its flags stay as they are, in every bit",
            (View(step),),
            lambda unit: {"": _holds(unit, config)},
        ),
        Statement(
            "step/turns",
            step,
            "what comes out of the pipeline goes round, or another number takes its place: +0 "
            "without flags, or the one that is handed in",
            (View(step),),
            lambda unit: {"": _takes_turns(unit, config)},
        ),
        Statement(
            "range/step",
            step,
            RANGE if config.load_c else RANGE + KEPT,
            (View(step),),
            lambda unit: _range(unit, config),
        ),
        Statement(
            "ring/turns",
            element,
            "another sum begins in the ring with the first step of a tile, from what waits in its "
            "slot, or from +0 if the tile has no C; only two valid operands make a product",
            (shell,),
            lambda unit: {"": _turns(unit, config)},
        ),
        Statement(
            "ring/waits",
            element,
            "what waits is replaced by a finished sum of its slot, or by the southern neighbour's "
            "while no sum begins, and by nothing else",
            (shell,),
            lambda unit: {"": _waits(unit, latency)},
        ),
        Statement(
            "ring/passes",
            element,
            "operands and marks pass to the eastern and southern neighbour, unchanged, a clock "
            "later; no mark does after reset",
            (shell,),
            lambda unit: {"": _passes(unit, config), "after reset": _passes_no_mark(unit)},
        ),
        Statement(
            f"skew/{config.rows} of A",
            a_skew,
            f"lane i leaves i clocks after it entered, for each of {config.rows} lanes",
            (View(a_skew),),
            lambda unit: {"": delays(unit, config.rows, START_BITS, _lane_form(config))},
        ),
        Statement(
            f"skew/{config.cols} of B",
            b_skew,
            f"lane i leaves i clocks after it entered, for each of {config.cols} lanes",
            (View(b_skew),),
            lambda unit: {"": delays(unit, config.cols, LANE_BITS, _lane_form(config))},
        ),
        Statement(
            "row/wiring",
            row,
            "each element takes A from its western neighbour and B from its own column, and shifts "
            "in its own column",
            (View(row, (element,)),),
            lambda unit: {"": _row(unit, config)},
        ),
        Statement(
            "ring/wiring",
            array,
            "a row takes A from its lane and B from the row above, and shifts from the row below",
            (View(array, tuple({row, a_skew, b_skew})),),
            lambda unit: {"": _array(unit, config)},
        ),
    ]


def steps(config: ArrayConfig) -> list[Statement]:
    """Return the statements about the step of an element; they take longest."""
    element = element_module(config)
    return [
        Statement(
            f"mac/{a}-{b}",
            element,
            f"a step adds the product of any {a} code and any {b} code to "
            f"{_any_accumulator(config)} as IEEE 754's fused multiply-add does, {config.latency} "
            "clocks after the product",
            (View(element), View(DECODER)),
            lambda unit, decoder, a=a, b=b: {"": _mac(unit, decoder, config, a, b)},
            short=(a, b) == (multiplied(config)[0], multiplied(config)[-1]),
        )
        for a, b in pairs(multiplied(config), repeat=2)
    ]


def _no_reset(unit: Trace) -> list[str]:
    return [smt.assume(smt.negation(unit.wire("rst", t))) for t in range(unit.clocks)]


def _lane_form(config: ArrayConfig) -> Callable[[str], str]:
    """Return what is supposed of the operand in a lane: bits that its format lacks are clear."""
    formats = multiplied(config)

    def form(lane: str) -> str:
        return Operand(lane).has_form_of(formats[0]) if len(formats) == 1 else "true"

    return form


def _is_sum(config: ArrayConfig, code: str) -> str:
    """Whether an accumulator may be a sum of products: what it starts from without C is +0."""
    finite = smt.conjunction([in_range(code), smt.negation(f"(fp.isNegative {fp32(code)})")])
    signed = smt.conjunction([in_range(code), smt.negation(f"(fp.isZero {fp32(code)})")])
    allowed = [finite, signed, smt.equal(code, CANONICAL_NAN)]
    if E5M2 in multiplied(config):
        allowed.append(f"(fp.isInfinite {fp32(code)})")
    return smt.disjunction(allowed)


def _step(
    netlist: Netlist, config: ArrayConfig, *, valid: bool = True, sums_only: bool = False
) -> tuple[Trace, list[str], dict]:
    """A step from its first clock to the one in which its outcome is there.

    With `sums_only`, and always without C, the accumulator is a sum of products of codes, and the
    product is one of codes.
    """
    unit = Trace(netlist, "unit", config.latency)
    form = AccumulatorForm(config.load_c)
    product = Product(unit.wire("product"))
    is_valid = unit.wire("valid")
    before = form.fp32(unit.wire("before"))
    supposed = [smt.equal(product.term, MINUS_ZERO)]
    if valid:
        supposed = [product.well_formed, product.has_form_of(multiplied(config))]
    if sums_only or not config.load_c:
        multiple = smt.implies(is_finite("addend"), is_multiple("addend"))
        supposed += [multiple, _is_sum(config, before)]
    text = [
        netlist.text,
        unit.text,
        *_no_reset(unit),
        smt.define("addend", FP32_SORT, product.number),
        smt.assume(is_valid if valid else smt.negation(is_valid)),
        *map(smt.assume, supposed),
        smt.define("before", FP32_SORT, fp32(before)),
        smt.define("sum", FP32_SORT, "(fp.add RNE before addend)"),
    ]
    shown = {
        "accumulator": Shown(before, "fp32"),
        "flags": Shown(form.flags(unit.wire("before"))),
        "product": Shown("addend", "number"),
    }
    return unit, text, shown


def _range(netlist: Netlist, config: ArrayConfig) -> dict[str, Problem]:
    unit, text, shown = _step(netlist, config, sums_only=True)
    got = AccumulatorForm(config.load_c).fp32(unit.wire("after", config.latency))
    shown |= {"got": Shown(got, "fp32")}
    finite = [smt.assume(is_finite(number)) for number in ("addend", "before")]
    problems = {
        "finite operands": Problem("\n".join(text + finite), {"the range": in_range(got)}, shown)
    }
    if not config.load_c:
        any_operands = {"the range": _is_sum(config, got)}
        problems["any operands"] = Problem("\n".join(text), any_operands, shown)
    return problems


def _sum(netlist: Netlist, config: ArrayConfig) -> Problem:
    unit, text, shown = _step(netlist, config)
    got = AccumulatorForm(config.load_c).fp32(unit.wire("after", config.latency))
    shown |= {"expected": Shown("sum", "number"), "got": Shown(got, "fp32")}
    return Problem("\n".join(text), {"the sum": same_fp32(got, "sum")}, shown)


def _flags(netlist: Netlist, config: ArrayConfig) -> Problem:
    unit, text, shown = _step(netlist, config)
    form = AccumulatorForm(config.load_c)
    product = Product(unit.wire("product"))
    # A NaN among the operands is quiet. Infinity times zero comes as a NaN with a flag of its own.
    no_meaning = smt.conjunction(["(not (fp.isNaN addend))", "(fp.isNaN sum)"])
    invalid = smt.conjunction(
        ["(not (fp.isNaN before))", smt.disjunction([product.invalid, no_meaning])]
    )
    raised = smt.concat(smt.as_bit(inexact("before", "addend")), smt.as_bit(invalid))
    expected = f"(bvor {form.flags(unit.wire('before'))} {raised})"
    got = form.flags(unit.wire("after", config.latency))
    shown |= {"expected flags": Shown(expected), "got flags": Shown(got)}
    return Problem("\n".join(text), {"the flags": smt.equal(got, expected)}, shown)


def _holds(netlist: Netlist, config: ArrayConfig) -> Problem:
    unit, text, shown = _step(netlist, config, valid=False)
    got = unit.wire("after", config.latency)
    return Problem(
        "\n".join(text),
        {"the accumulator": smt.equal(got, unit.wire("before"))},
        {**shown, "got": Shown(got)},
    )


def _mark(unit: Trace) -> tuple[str, str, str]:
    """Whether the lane of A marks a first step, whether from zero, and the slot it names."""
    west = unit.wire("west")
    return smt.bit(west, FIRST), smt.bit(west, FRESH), smt.bits(west, SLOT, SLOT_BITS)


def _takes_turns(netlist: Netlist, config: ArrayConfig) -> Problem:
    unit = Trace(netlist, "unit", 1)
    before, after = unit.wire("before", 1), unit.wire("after", 1)
    start = smt.const(0, AccumulatorForm(config.load_c).bits)
    supposed = []
    if config.load_c:
        given = unit.wire("start")
        start = smt.choose(unit.wire("fresh"), start, given)
        if E5M2 not in multiplied(config):
            # Without infinities nothing is invalid.
            supposed = [smt.assume(smt.negation(smt.bit(given, ACCUMULATOR_BITS - 2)))]
    expected = smt.choose(unit.wire("first"), start, after)
    text = [netlist.text, unit.text, *_no_reset(unit), *supposed]
    return Problem(
        "\n".join(text),
        {"the next accumulator": smt.equal(before, expected)},
        {"expected": Shown(expected), "got": Shown(before)},
    )


def _turns(netlist: Netlist, config: ArrayConfig) -> Problem:
    unit = Trace(netlist, "unit", MULTIPLIED)
    first, fresh, slot = _mark(unit)
    goals = {"a sum begins": smt.equal(unit.wire("step.first", 1), first)}
    if config.load_c:
        goals["from zero"] = smt.equal(unit.wire("step.fresh", 1), fresh)
        for i in range(config.latency):
            starts = smt.conjunction([first, smt.equal(slot, smt.const(i, SLOT_BITS))])
            same = smt.equal(unit.wire("step.start", 1), unit.wire(f"waiting[{i}]", 1))
            goals[f"slot {i} starts"] = smt.implies(starts, same)
    both = smt.conjunction(smt.bit(unit.wire(side), LANE_BITS - 1) for side in ("west", "north"))
    product = smt.choose(both, unit.wire("multiplier.product", 1), MINUS_ZERO)
    goals |= {
        "a product counts": smt.equal(unit.wire("step.valid", MULTIPLIED), both),
        "the product": smt.equal(unit.wire("step.product", MULTIPLIED), product),
    }
    form = Product(unit.wire("multiplier.product", 1)).has_form_of(multiplied(config))
    text = [netlist.text, unit.text, *_no_reset(unit), smt.assume(form)]
    shown = {"west": Shown(unit.wire("west")), "north": Shown(unit.wire("north"))}
    return Problem("\n".join(text), goals, shown)


def _waits(netlist: Netlist, latency: int) -> Problem:
    unit = Trace(netlist, "unit", MULTIPLIED + 1)
    first, _, finished = _mark(unit)
    between = smt.bit(unit.wire("west", 1), FIRST)
    shift, shifted = unit.wire("shift", MULTIPLIED), unit.wire("slot", MULTIPLIED)
    # A shift has the array for itself: no mark is on its way to the memory. Slots are those there.
    quiet = smt.implies(shift, smt.negation(smt.disjunction([first, between])))
    last = smt.const(latency - 1, SLOT_BITS)
    there = [smt.assume(f"(bvule {named} {last})") for named in (finished, shifted)]
    goals = {}
    for i in range(latency):
        here = smt.const(i, SLOT_BITS)
        gives = smt.conjunction([first, smt.equal(finished, here)])
        held = unit.wire(f"waiting[{i}]", MULTIPLIED)
        expected = smt.choose(
            smt.conjunction([shift, smt.equal(shifted, here)]),
            unit.wire("below", MULTIPLIED),
            smt.choose(gives, unit.wire("step.after", MULTIPLIED), held),
        )
        goals[f"slot {i}"] = smt.equal(unit.wire(f"waiting[{i}]", MULTIPLIED + 1), expected)
        seen = smt.conjunction([smt.equal(shifted, here), smt.negation(between)])
        above = smt.equal(unit.wire("above", MULTIPLIED), held)
        goals[f"slot {i} as others see it"] = smt.implies(seen, above)
    shown = {"west": Shown(unit.wire("west")), "shift": Shown(shift), "slot": Shown(shifted)}
    text = [netlist.text, unit.text, *_no_reset(unit), smt.assume(quiet), *there]
    return Problem("\n".join(text), goals, shown)


def _passes(netlist: Netlist, config: ArrayConfig) -> Problem:
    unit = Trace(netlist, "unit", 1)
    form = _lane_form(config)
    supposed = [smt.assume(form(unit.wire(side))) for side in ("west", "north")]
    sides = (("west", "east"), ("north", "south"))
    return Problem(
        "\n".join([netlist.text, unit.text, *_no_reset(unit), *supposed]),
        {out: smt.equal(unit.wire(out, 1), unit.wire(entering)) for entering, out in sides},
        {name: Shown(unit.wire(name)) for name in ("west", "north")},
    )


def _passes_no_mark(netlist: Netlist) -> Problem:
    unit = Trace(netlist, "unit", 1)
    east = unit.wire("east", 1)
    return Problem(
        "\n".join([netlist.text, unit.text, smt.assume(unit.wire("rst"))]),
        {"the mark": smt.negation(smt.bit(east, FIRST))},
        {"east": Shown(east)},
    )


def _mac(
    element: Netlist, decoder: Netlist, config: ArrayConfig, a_format: Format, b_format: Format
) -> Problem:
    form, latency = AccumulatorForm(config.load_c), config.latency
    a, b = Trace(decoder, "a"), Trace(decoder, "b")
    unit = Trace(element, "unit", MULTIPLIED + latency)
    before = form.fp32(unit.wire("step.before", MULTIPLIED))
    after = unit.wire("step.after", MULTIPLIED + latency)
    west, north = unit.wire("west"), unit.wire("north")
    text = [
        decoder.text,
        element.text,
        a.text,
        b.text,
        unit.text,
        format_is(a, a_format),
        format_is(b, b_format),
        *_no_reset(unit),
        smt.assume(smt.equal(smt.bits(west, 0, LANE_BITS), smt.concat("#b1", a.wire("operand")))),
        smt.assume(smt.equal(north, smt.concat("#b1", b.wire("operand")))),
        smt.define("x", FP32_SORT, operand(a.wire("code"), a_format)),
        smt.define("y", FP32_SORT, operand(b.wire("code"), b_format)),
        *([] if config.load_c else [smt.assume(_is_sum(config, before))]),
        smt.define("before", FP32_SORT, fp32(before)),
        smt.define("want", FP32_SORT, "(fp.add RNE before (fp.mul RNE x y))"),
    ]
    got = form.fp32(after)
    return Problem(
        "\n".join(text),
        {"the sum": same_fp32(got, "want")},
        {
            "accumulator": Shown(before, "fp32"),
            "a": Shown(a.wire("code"), a_format.name),
            "b": Shown(b.wire("code"), b_format.name),
            "expected": Shown("want", "number"),
            "got": Shown(got, "fp32"),
        },
    )


def _row(netlist: Netlist, config: ArrayConfig) -> Problem:
    unit = Trace(netlist)
    cols, waiting = config.cols, AccumulatorForm(config.load_c).bits

    def part(port: str, col: int, width: int) -> str:
        return smt.bits(unit.wire(port), col * width, width)

    pairs_of_wires = {}
    for col in range(cols):
        name = f"element_{col}"
        west = unit.wire(f"element_{col - 1}.east") if col else unit.wire("west")
        above = part("above", col, waiting)
        pairs_of_wires |= {
            f"A into {name}": (unit.wire(f"{name}.west"), west),
            f"B into {name}": (unit.wire(f"{name}.north"), part("north", col, LANE_BITS)),
            f"B out of {name}": (part("south", col, LANE_BITS), unit.wire(f"{name}.south")),
            f"what shifts into {name}": (
                unit.wire(f"{name}.below"),
                part("below", col, waiting),
            ),
            f"what shifts out of {name}": (above, unit.wire(f"{name}.above")),
            **{
                f"{port} of {name}": (unit.wire(f"{name}.{port}"), unit.wire(port))
                for port in ("shift", "slot", "rst")
            },
        }
    return same_wires(unit, pairs_of_wires)


def _array(netlist: Netlist, config: ArrayConfig) -> Problem:
    unit = Trace(netlist)
    nothing = smt.const(0, config.cols * AccumulatorForm(config.load_c).bits)
    bottom = unit.wire("bottom") if config.load_c else nothing
    pairs_of_wires = {
        "A into its skew": (unit.wire("a_skew.aligned"), unit.wire("a")),
        "B into its skew": (unit.wire("b_skew.aligned"), unit.wire("b")),
        "what shifts out": (unit.wire("top"), unit.wire("row_0.above")),
    }
    for row in range(config.rows):
        name = f"row_{row}"
        lane = smt.bits(unit.wire("a_skew.skewed"), row * START_BITS, START_BITS)
        north = unit.wire(f"row_{row - 1}.south") if row else unit.wire("b_skew.skewed")
        last = row == config.rows - 1
        below = bottom if last else unit.wire(f"row_{row + 1}.above")
        pairs_of_wires |= {
            f"A into {name}": (unit.wire(f"{name}.west"), lane),
            f"B into {name}": (unit.wire(f"{name}.north"), north),
            f"what shifts into {name}": (unit.wire(f"{name}.below"), below),
            **{
                f"{port} of {name}": (unit.wire(f"{name}.{port}"), unit.wire(port))
                for port in ("shift", "slot", "rst")
            },
        }
    return same_wires(unit, pairs_of_wires)
