"""Decoder, multiplier, adder, the chain of the three, and the processing element.

The adder is `fp8_accumulator_adder` in the bare array, and `fp8_step_L` in an engine: a pipeline
that takes a case in each clock.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from itertools import product

import numpy as np
from amaranth.hdl import Shape
from amaranth.lib import data

from cosim.calls import Call
from cosim.units import specification
from cosim.units.accumulators import (
    any_accumulators,
    pack_accumulator,
    pack_flags,
    unpack_accumulator,
)
from cosim.units.boundaries import accumulators_near
from cosim.units.chains import in_turns, out_of_turns
from cosim.units.check import Part, Progress, Result, Wrong, first, run_chunks
from cosim.units.harness import Unit, declared_ports
from cosim.units.sums import Sums
from hw.accumulator import Accumulator, AccumulatorAdder
from hw.kind import Kind
from hw.multiplier import Multiplier, Product
from hw.operand import Operand, OperandDecoder
from hw.pe import OperandLane, ProcessingElement
from hw.step import PipelinedStep
from pysim import ArrayConfig
from pysim.engine import MAX_LENGTH
from pysim.lfsr import Lfsr
from rtl_gen import Design

FORMATS = ("e5m2", "e4m3")
"""Operand formats; the position is the hardware's encoding of the choice."""

Pair = tuple[int, int]
"""Positions of the formats of A and of B."""

CODES = np.arange(256)

MAC_SUMS = 64
"""Accumulators for each pair of codes where all are sums, which take many steps."""

_STEP = "fp8_mac_step"
_CLOCKS = 1 << 18
"""Of one simulation of a long sum."""

_OPERAND_BIAS, _PRODUCT_BIAS = 18, 134
_LEAST_EXPONENT = {"e5m2": -14, "e4m3": -6}

Fields = dict[str, np.ndarray]


def check_decoder(design: Design, progress: Progress = lambda done, total: None) -> Result:
    """Decode every code of each format."""
    formats = positions(design.config)
    cases = len(formats) * CODES.size
    with Unit.of_block(design, OperandDecoder(design.config.multiplied)) as unit:
        for done, position in enumerate(formats):
            fmt = FORMATS[position]
            chosen = {"format": position} if "format" in unit.inputs else {}
            got = unpack(Operand, unit.run(code=CODES, **chosen)["operand"])
            expected, matters = _operands(fmt, CODES)
            wrong = _differ(got, expected, matters)
            if (i := first(wrong)) is not None:
                sentence = (
                    f"code {i:#04x} of {fmt.upper()} ({specification.values(fmt)[i]:g}) "
                    f"decodes to {_say(got, i)} instead of {_say(expected, i)}"
                )
                call = _step_call(design.config, (position, position), i, _code_of_one(fmt))
                return Result("decoder", cases, Wrong(unit.name, sentence, call))
            progress(done + 1, len(formats))
    return Result("decoder", cases, None)


def positions(config: ArrayConfig) -> list[int]:
    """Return the positions in `FORMATS` of what can be multiplied."""
    return [FORMATS.index(fmt.name) for fmt in config.multiplied]


def _pairs(config: ArrayConfig) -> list[Pair]:
    return [(a, b) for a, b in product(positions(config), repeat=2)]


def check_multiplier(design: Design, progress: Progress = lambda done, total: None) -> Result:
    """Multiply every operand by every operand, for each pair of formats."""
    latency = _multiplying(design)
    pairs = _pairs(design.config)
    with Unit.of_block(design, Multiplier(latency, design.config.multiplied)) as unit:
        for done, (a_format, b_format) in enumerate(pairs):
            a, b = (codes.reshape(-1) for codes in np.meshgrid(CODES, CODES, indexing="ij"))
            left, right = (
                pack(Operand, _operands(FORMATS[fmt], codes)[0])
                for fmt, codes in ((a_format, a), (b_format, b))
            )
            left, right = (np.pad(side, (0, latency)) for side in (left, right))
            got = unpack(Product, unit.run(a=left, b=right)["product"][latency:])
            x, y = (
                specification.values(FORMATS[a_format])[a],
                specification.values(FORMATS[b_format])[b],
            )
            expected, matters = _products(x, y)
            if (i := first(_differ(got, expected, matters))) is not None:
                sentence = (
                    f"{x[i]:g} x {y[i]:g} ({FORMATS[a_format].upper()} {a[i]:#04x}, "
                    f"{FORMATS[b_format].upper()} {b[i]:#04x}) gives {_say(got, i)} "
                    f"instead of {_say(expected, i)}"
                )
                call = _step_call(design.config, (a_format, b_format), a[i], b[i])
                return Result("multiplier", (done + 1) * a.size, Wrong(unit.name, sentence, call))
            progress(done + 1, len(pairs))
    return Result("multiplier", len(pairs) * 256 * 256, None)


def _multiplying(design: Design) -> int:
    """Return the clocks of the multiplier of an element: that of an engine takes one."""
    return int(design.config.latency > 0)


def check_adder(
    design: Design,
    accumulators: int | None = None,
    longest: int = MAX_LENGTH,
    progress: Progress = lambda done, total: None,
) -> Result:
    """Add each product there is to accumulators around it, and to special ones.

    Without C, accumulators are sums that each case begins with; then there are sums of `longest`
    products, too, which go as far as sums can.
    """
    config = design.config
    distinct = _distinct_products(config)
    x, y = distinct.x, distinct.y
    products = pack(Product, _products(x, y)[0])
    chunks = []
    for pair in _pairs(config):
        members = np.flatnonzero((distinct.pairs == pair).all(axis=1))
        parts = np.array_split(members, 1 + (len(members) >> 7))
        chunks += [(pair, part) for part in parts if part.size]

    def check(unit: Unit, chunk: tuple[Pair, np.ndarray]) -> Part:
        pair, chosen = chunk
        with np.errstate(invalid="ignore", over="ignore"):
            exact = (x[chosen] * y[chosen]).astype(np.float32)
        starts = _starts(config, pair, exact, accumulators)
        repeated = np.repeat(chosen, starts.shape[1])
        flat = starts.reshape(-1)
        got = _step(unit, config, pair, flat, {"product": products[repeated]})
        a, b = (side[repeated].astype(np.float32) for side in (x, y))
        total, invalid, inexact = specification.step(flat, a, b)
        flags = pack_flags(invalid, inexact)
        i = first((got["total"] != total) | (got["flags"] != flags))
        if i is None:
            return flat.size, None
        sentence = _say_step(flat[i], a[i], b[i], total[i], flags[i], got, i)
        a_code, b_code = distinct.codes[repeated[i]]
        call = _step_call(config, pair, a_code, b_code, flat[i])
        return i + 1, Wrong(unit.name, sentence, call)

    cases, wrong = run_chunks(lambda: _open_adder(design), chunks, check, progress)
    if config.latency and wrong is None:
        wrong = _wrong_hold(design)
    if not config.load_c and wrong is None:
        cases += longest
        wrong = _wrong_long_sum(design, longest)
    return Result("adder", cases, wrong)


def _open_adder(design: Design) -> Unit:
    config = design.config
    block = PipelinedStep(config.latency, Kind.of(config)) if config.latency else AccumulatorAdder()
    return Unit.of_block(design, block)


def _starts(config: ArrayConfig, pair: Pair, products: np.ndarray, count: int | None) -> np.ndarray:
    """Return accumulators around products of a pair of formats."""
    if config.load_c:
        return accumulators_near(products, count)
    return _sums(pair).near(products, count)


def _sums(pair: Pair) -> Sums:
    return Sums(*(FORMATS[fmt] for fmt in pair))


def _step(
    unit: Unit, config: ArrayConfig, pair: Pair, starts: np.ndarray, last: Fields, **others: int
) -> Fields:
    """Return the sum of each accumulator and product, and the flags that it raises.

    Parameters
    ----------
    unit : Unit
        An adder, or what multiplies, too.
    config : ArrayConfig
    pair : tuple of int
    starts : numpy.ndarray of float32
        The accumulators.
    last : dict of str to numpy.ndarray
        The products, or codes whose products are added: ``product``, or ``a`` and ``b``.
    **others : int
        Inputs that do not change.
    """
    latency, kind = config.latency, Kind.of(config)
    bits = starts.view(np.uint32)
    if not latency:
        return unit.run(accumulator=bits, **last, **others)
    steps: Fields = {name: np.asarray(values)[:, None] for name, values in last.items()}
    if config.load_c:
        others |= {"fresh": 0}
        steps["start"] = pack_accumulator(kind, bits)[:, None]
    else:
        a, b = _sums(pair).addends(starts)
        begins = {"product": _table(pair)[a, b]} if "product" in last else {"a": a, "b": b}
        steps = {name: np.hstack([begins[name], step]) for name, step in steps.items()}
    after = _run_chains(unit, latency, steps, **others)[:, -1]
    total, flags = unpack_accumulator(kind, after)
    return {"total": total, "flags": flags}


def _run_chains(unit: Unit, latency: int, steps: Fields, **others: int) -> np.ndarray:
    """Return each accumulator after each of its steps, [count, steps]; the first starts a sum.

    Products, and whether they count, come to a step when it begins, all else a clock before.
    """
    count, length = next(iter(steps.values())).shape
    begins = np.broadcast_to(np.arange(length) == 0, (count, length)).astype(np.uint64)
    inputs = {}
    for name, chains in {"first": begins, **steps}.items():
        clocks = in_turns(chains, latency)
        late = name in ("product", "valid")
        inputs[name] = np.pad(clocks, (1, latency) if late else (0, 1 + latency))
    if "valid" in unit.inputs and "valid" not in steps:
        others |= {"valid": 1}
    return out_of_turns(unit.run(**inputs, **others)["after"][1 + latency :], count, latency)


def _wrong_hold(design: Design, count: int = 1 << 16) -> Wrong | None:
    """Look whether accumulators and flags come through where no step is valid, bit by bit."""
    config, kind = design.config, Kind.of(design.config)
    rng = np.random.default_rng(4)
    minus_zero = pack(Product, {"sign": np.array(1), "zero": np.array(1)})
    with _open_adder(design) as unit:
        if config.load_c:
            # Valid steps around them, with whatever product.
            starts = _telling_accumulators(rng, kind, count)
            products = rng.integers(1 << Shape.cast(Product).width, size=count, dtype=np.uint64)
            valid = np.arange(count) % 2
            steps = {
                "start": starts[:, None],
                "product": np.where(valid == 1, products, minus_zero)[:, None],
                "valid": valid[:, None],
            }
            before, after = starts, _run_chains(unit, config.latency, steps, fresh=0)[:, 0]
            before, after = before[valid == 0], after[valid == 0]
        else:
            # Of any accumulator that two products make of a sum, with its flags.
            pair = _pairs(config)[0]
            sums, table = _sums(pair), _table(pair)
            near = sums.near(np.ones(1, dtype=np.float32)).reshape(-1)
            a, b = sums.addends(rng.choice(near, size=count >> 4))
            steps = table[a, b], rng.choice(table.reshape(-1), size=(len(a), 2))
            chains = np.hstack([*steps, np.full((len(a), 1), minus_zero)])
            valid = np.broadcast_to(np.arange(chains.shape[1]) < chains.shape[1] - 1, chains.shape)
            found = _run_chains(unit, config.latency, {"product": chains, "valid": valid})
            before, after = found[:, -2], found[:, -1]
    i = first(after != before)
    if i is None:
        return None
    return Wrong(
        unit.name,
        f"without a valid step accumulator and flags {before[i]:#011x} become {after[i]:#011x} "
        f"instead of {before[i]:#011x}",
    )


def _telling_accumulators(rng: np.random.Generator, kind: Kind, count: int) -> np.ndarray:
    """Return accumulators of any bits, many of them zeros, infinities, and NaNs, with flags."""
    words = any_accumulators(kind, rng, count)
    # Both ends of the exponents and of the fractions.
    for low, width in ((23, 8), (0, 23)):
        mask = np.uint64((1 << width) - 1 << low)
        ends = rng.choice(np.array([0, mask], dtype=np.uint64), size=count)
        words = np.where(rng.random(count) < 0.4, words & ~mask | ends, words)
    return words


def _wrong_long_sum(design: Design, longest: int) -> Wrong | None:
    """Add products up, for the most part the largest there is, as long as a GEMM can."""
    config, kind = design.config, Kind.of(design.config)
    latency, rng = config.latency, np.random.default_rng(6)
    products = _distinct_products(config)
    finite = np.isfinite(products.x) & np.isfinite(products.y)
    x, y = products.x[finite], products.y[finite]
    numbers, words = (x * y).astype(np.float32), pack(Product, _products(x, y)[0])
    ends = numbers.argmax(), numbers.argmin()
    # Slots in turns go up and down; a part of the steps takes any product.
    end = np.array([ends[slot % 2] for slot in range(latency)])[:, None]
    total = np.zeros((latency, 1), dtype=np.float32)
    due = np.zeros(1 + latency, dtype=np.uint32)
    word = words[:1]
    with _open_adder(design) as unit:
        for start in range(0, longest, _CLOCKS):
            shape = latency, min(_CLOCKS, longest - start)
            chosen = np.where(rng.random(shape) < 0.25, rng.integers(len(numbers), size=shape), end)
            sums = np.add.accumulate(np.hstack([total, numbers[chosen]]), axis=1)
            total = sums[:, -1:]
            entering = np.append(word, in_turns(words[chosen], latency))
            word = entering[-1:]
            begins = (np.arange(chosen.size) < latency) & (start == 0)
            after = unit.run(first=begins, product=entering[:-1], valid=1)["after"]
            due = np.append(due, in_turns(sums[:, 1:], latency).view(np.uint32))
            expected, due = np.split(due, [chosen.size])
            got, _ = unpack_accumulator(kind, after)
            wrong = got != expected
            if start == 0:
                wrong[: 1 + latency] = False
            if (i := first(wrong)) is not None:
                found, right = (np.uint32(bits[i]).view(np.float32) for bits in (got, expected))
                step = start + (i - 1 - latency) // latency
                sentence = f"product {step} of a long sum makes it {found!s} instead of {right!s}"
                return Wrong(unit.name, sentence)
    return None


def check_steps(
    design: Design, accumulators: int | None = None, progress: Progress = lambda done, total: None
) -> Result:
    """Every pair of codes of each pair of formats, added to accumulators around their product.

    The module under test is two decoders, a multiplier, and an adder, connected as in an element.
    """
    config = design.config
    chunks = [(pair, code) for pair in _pairs(config) for code in range(256)]
    if accumulators is None and not config.load_c:
        accumulators = MAC_SUMS

    def check(unit: Unit, chunk: tuple[Pair, int]) -> Part:
        pair, code = chunk
        a_name, b_name = (FORMATS[fmt] for fmt in pair)
        a = np.float32(specification.values(a_name)[code])
        b = specification.values(b_name).astype(np.float32)
        with np.errstate(invalid="ignore"):
            starts = _starts(config, pair, a * b, accumulators)
        codes = np.repeat(CODES, starts.shape[1])
        flat = starts.reshape(-1)
        formats = dict(zip(("a_format", "b_format"), pair, strict=True))
        formats = {name: fmt for name, fmt in formats.items() if name in unit.inputs}
        last = {"a": np.full(codes.shape, code), "b": codes}
        got = _step(unit, config, pair, flat, last, **formats)
        y = b[codes]
        total, invalid, inexact = specification.step(flat, a, y)
        flags = pack_flags(invalid, inexact)
        i = first((got["total"] != total) | (got["flags"] != flags))
        if i is None:
            return flat.size, None
        sentence = (
            _say_step(flat[i], a, y[i], total[i], flags[i], got, i)
            + f" (A {a_name.upper()} {code:#04x}, B {b_name.upper()} {codes[i]:#04x})"
        )
        call = _step_call(config, pair, code, codes[i], flat[i])
        return i + 1, Wrong("decoder, multiplier, and adder together", sentence, call)

    cases, wrong = run_chunks(lambda: _step_unit(design), chunks, check, progress)
    return Result("mac", cases, wrong)


def check_element(
    design: Design, count: int = 1 << 14, progress: Progress = lambda done, total: None
) -> Result:
    """Load a random accumulator into an element, make a step where both operands are valid, hold.

    Operands must pass on a clock later, and flags add up.
    """
    rng = np.random.default_rng(0)
    lanes = random_lanes(rng, count, positions(design.config))
    numbers, both = lanes.numbers, lanes.valid[0] & lanes.valid[1]
    starts = random_starts(rng, *numbers)
    carried = rng.integers(4, size=count, dtype=np.uint64)
    below = pack(Accumulator, {"value": starts.view(np.uint32), "flags": carried})
    # Three clocks a case: load, step, look. What is not used is noise.
    width = Shape.cast(OperandLane).width
    valid_bit = OperandLane.as_shape()["valid"].offset
    noise = rng.integers(1 << width, size=(2, 3, count), dtype=np.uint64)
    noise &= ~(np.uint64(1) << np.uint64(valid_bit))
    west, north = noise
    west[1], north[1] = (
        pack(OperandLane, {"operand": operand, "valid": valid})
        for operand, valid in zip(lanes.operands, lanes.valid, strict=True)
    )
    inputs = {
        "west": west.T.reshape(-1),
        "north": north.T.reshape(-1),
        "shift": np.tile([1, 0, 0], count),
        "below": np.repeat(below, 3),
        "rst": 0,
    }
    with Unit.of_block(design, ProcessingElement()) as unit:
        got = unit.run(**inputs)
        expected = pack(Accumulator, add_steps(starts, carried, numbers, both))
        above = got["above"].reshape(count, 3)
        progress(1, 1)
        if (i := first(above[:, 1] != below)) is not None:
            sentence = f"an accumulator of {starts[i]:g} shifted in comes out as {above[i, 1]:#x}"
            return Result("element", count, Wrong(unit.name, sentence))
        if (i := first(above[:, 2] != expected)) is not None:
            sentence = (
                f"{starts[i]:g} + {numbers[0][i]:g} x {numbers[1][i]:g} with operands "
                f"{'both' if both[i] else 'not both'} valid becomes {above[i, 2]:#011x} with its "
                f"flags instead of {expected[i]:#011x}"
            )
            return Result("element", count, Wrong(unit.name, sentence))
        if wrong := wrong_passing(unit, inputs, got):
            return Result("element", count, wrong)
    return Result("element", count, None)


@dataclass(frozen=True)
class Lanes:
    """Random operands for both sides of an element.

    Attributes
    ----------
    numbers : list of float32 arrays, [A, B]
    operands : list of uint64 arrays
        The same, decoded and packed.
    valid : array of bool, shape [2, ...]
    """

    numbers: list[np.ndarray]
    operands: list[np.ndarray]
    valid: np.ndarray


def random_starts(rng: np.random.Generator, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Return an accumulator around the product of each pair of numbers."""
    with np.errstate(invalid="ignore"):
        near = accumulators_near((a * b).reshape(-1), 256)
    return near[np.arange(len(near)), rng.integers(near.shape[1], size=len(near))].reshape(a.shape)


def random_lanes(rng: np.random.Generator, count: int, formats_there: list[int]) -> Lanes:
    """Return random operands of formats, of positions in `FORMATS`, for the most part valid."""
    formats, codes = rng.choice(formats_there, (2, count)), rng.integers(256, size=(2, count))
    valid = rng.random((2, count)) < 0.7
    numbers = [
        np.where(
            fmt == 0, specification.values("e5m2")[code], specification.values("e4m3")[code]
        ).astype(np.float32)
        for fmt, code in zip(formats, codes, strict=True)
    ]
    operands = []
    for side in range(2):
        operand = np.empty(count, dtype=np.uint64)
        for position, fmt in enumerate(FORMATS):
            members = formats[side] == position
            operand[members] = pack(Operand, _operands(fmt, codes[side][members])[0])
        operands.append(operand)
    return Lanes(numbers, operands, valid)


def add_steps(
    starts: np.ndarray, carried: np.ndarray, numbers: list[np.ndarray], both: np.ndarray
) -> Fields:
    """Return value and flags of accumulators after a step, which is one only where both count."""
    total, invalid, inexact = specification.step(starts, *numbers)
    raised = pack_flags(invalid, inexact)
    return {
        "value": np.where(both, total, starts.view(np.uint32)),
        "flags": np.where(both, carried | raised, carried),
    }


def wrong_passing(unit: Unit, inputs: Mapping[str, np.ndarray | int], got: Fields) -> Wrong | None:
    """Look whether what enters an element in the west and north leaves it a clock later."""
    for side, passed in (("west", "east"), ("north", "south")):
        entered = np.asarray(inputs[side])
        if (i := first(got[passed][1:] != entered[:-1])) is not None:
            sentence = f"{side} {entered[i]:#x} passes on as {got[passed][i + 1]:#x}"
            return Wrong(unit.name, sentence)
    return None


def pack(struct: type[data.Struct], fields: Mapping[str, np.ndarray]) -> np.ndarray:
    """Pack fields as the hardware's layout says; fields that are absent are zero."""
    layout = struct.as_shape()
    words = np.zeros((), dtype=np.uint64)
    for name, value in fields.items():
        words = words | np.asarray(value).astype(np.uint64) << np.uint64(layout[name].offset)
    return words


def unpack(struct: type[data.Struct], words: np.ndarray) -> Fields:
    """Take the fields of a layout out of packed words."""
    found = {}
    for name, field in struct.as_shape():
        mask = np.uint64((1 << field.width) - 1)
        found[name] = words >> np.uint64(field.offset) & mask
    return found


def _operands(fmt: str, codes: np.ndarray) -> tuple[Fields, Fields]:
    """Decoded operands by the number of each code, and which of their fields matter."""
    number = specification.values(fmt)[codes]
    finite, nan = np.isfinite(number), np.isnan(number)
    magnitude = np.where(finite, np.abs(number), 0)
    least = _LEAST_EXPONENT[fmt]
    exponent = np.maximum(np.frexp(np.maximum(magnitude, 2.0**-40))[1] - 1, least)
    significand = np.ldexp(magnitude, 3 - exponent)
    infinite = np.isinf(number)
    fields = {
        "sign": codes >> 7,
        "exponent": exponent + _OPERAND_BIAS - 3,
        # All that matters in an infinity is that it is not zero.
        "significand": np.where(infinite, 8, significand),
        "infinite": infinite,
        "nan": nan,
    }
    matters = {"sign": ~nan, "exponent": finite, "significand": ~nan, "infinite": ~nan}
    return {name: np.asarray(value).astype(np.uint64) for name, value in fields.items()}, matters


def _products(x: np.ndarray, y: np.ndarray) -> tuple[Fields, Fields]:
    """Products as the multiplier gives them, and which of their fields matter."""
    with np.errstate(invalid="ignore"):
        number = x * y
    finite, nan = np.isfinite(number), np.isnan(number)
    counts = finite & (number != 0)
    magnitude = np.where(counts, np.abs(number), 1.0)
    exponent = np.frexp(magnitude)[1] - 1
    fields = {
        "sign": np.signbit(x) ^ np.signbit(y),
        "exponent": np.where(counts, exponent + _PRODUCT_BIAS - 7, 0),
        "significand": np.where(counts, np.ldexp(magnitude, 7 - exponent), 0),
        "zero": finite & (number == 0),
        "infinite": np.isinf(number),
        "nan": nan,
        "invalid": nan & ~np.isnan(x) & ~np.isnan(y),
    }
    matters = {"sign": ~nan, "exponent": finite, "significand": finite, "zero": finite}
    return {name: np.asarray(value).astype(np.uint64) for name, value in fields.items()}, matters


@dataclass(frozen=True)
class _Distinct:
    """Every product there is, once: its factors, and formats and codes of these, [count, 2]."""

    x: np.ndarray
    y: np.ndarray
    pairs: np.ndarray
    codes: np.ndarray


def _distinct_products(config: ArrayConfig) -> _Distinct:
    codes = np.stack(np.meshgrid(CODES, CODES, indexing="ij"), axis=-1).reshape(-1, 2)
    pairs = np.repeat(_pairs(config), len(codes), axis=0)
    codes = np.tile(codes, (len(_pairs(config)), 1))
    values = np.stack([specification.values(name) for name in FORMATS])
    x, y = values[pairs, codes].T
    fields, _ = _products(x, y)
    _, chosen = np.unique(pack(Product, fields), return_index=True)
    return _Distinct(x[chosen], y[chosen], pairs[chosen], codes[chosen])


@cache
def _table(pair: Pair) -> np.ndarray:
    """Return the product of each pair of codes, [256, 256]."""
    x, y = (specification.values(FORMATS[fmt]) for fmt in pair)
    return pack(Product, _products(x[:, None], y[None, :])[0])


def _differ(got: Fields, expected: Fields, matters: Fields) -> np.ndarray:
    wrong = np.zeros(len(got["sign"]), dtype=bool)
    for name, value in expected.items():
        wrong |= (got[name] != value) & matters.get(name, True)
    return wrong


def _say(fields: Fields, i: int) -> str:
    parts = ["-" if fields["sign"][i] else "+"]
    parts += [f"{name} {fields[name][i]}" for name in ("exponent", "significand")]
    parts += [
        name
        for name in ("zero", "infinite", "nan", "invalid")
        if name in fields and fields[name][i]
    ]
    return " ".join(parts)


def _say_step(start, a, b, total, flags, got, i) -> str:
    found, expected = (np.uint64(bits).astype(np.uint32) for bits in (got["total"][i], total))
    return (
        f"{start!s} ({start.view(np.uint32):#010x}) + {a!s} x {b!s} gives "
        f"{found.view(np.float32)!s} ({found:#010x}), flags {got['flags'][i]:02b}, instead of "
        f"{expected.view(np.float32)!s} ({expected:#010x}), flags {flags:02b}"
    )


def _code_of_one(fmt: str) -> int:
    return int(np.flatnonzero(specification.values(fmt) == 1)[0])


def _step_call(
    config: ArrayConfig, pair: Pair, a: int, b: int, start: np.float32 | float = 0.0
) -> Call:
    """Return the call of one step on one element, behind those that lead to its accumulator."""
    operands: dict[str, np.ndarray] = {
        "a": np.array([[a]], dtype=np.uint8),
        "b": np.array([[b]], dtype=np.uint8),
    }
    accumulator = np.array([start], dtype=np.float32)
    if config.load_c:
        operands["c"] = accumulator[:, None]
    else:
        first_a, first_b = _sums(pair).addends(accumulator)
        operands["a"] = np.hstack([first_a, operands["a"]])
        operands["b"] = np.vstack([first_b.T, operands["b"]])
    arguments = {
        "a_format": FORMATS[pair[0]],
        "b_format": FORMATS[pair[1]],
        "out_format": "fp32",
        "rounding": "nearest",
        "saturate": True,
    }
    state = Lfsr(config.lfsr_width).lanes(config.seed, config.cols)
    return Call(config, "gemm", operands, arguments, state)


def _step_unit(design: Design) -> Unit:
    """Two decoders, a multiplier, and an adder as one module."""
    config, kind = design.config, Kind.of(design.config)
    decoder = "fp8_operand_decoder"
    multiplier = "fp8_pipelined_multiplier" if _multiplying(design) else "fp8_multiplier"
    operand, product_width = (Shape.cast(struct).width for struct in (Operand, Product))
    accumulator = Shape.cast(kind.accumulator).width
    inputs = {"a": 8, "b": 8}
    if len(kind.formats) > 1:
        inputs |= {"a_format": 1, "b_format": 1}
    if config.latency:
        adder = f"fp8_step_{config.latency}"
        inputs |= {"rst": 1, "first": 1}
        if kind.load_c:
            inputs |= {"start": accumulator, "fresh": 1}
        outputs = {"after": accumulator}
    else:
        adder = "fp8_accumulator_adder"
        inputs |= {"accumulator": 32}
        outputs = {"total": 32, "flags": 2}

    def connected(module: str, **ports: str) -> str:
        """Return an instance; ports that are not named are connected with those of the top."""
        ports = {name: ports.get(name, name) for name in declared_ports(design.modules[module])}
        return ", ".join(f".{name}({wire})" for name, wire in ports.items())

    declared = [f"input [{width - 1}:0] {name}" for name, width in inputs.items()]
    declared += [f"output [{width - 1}:0] {name}" for name, width in outputs.items()]
    text = f"""module {_STEP}({"input clk, " * bool(config.latency)}{", ".join(declared)});
  wire [{operand - 1}:0] left, right;
  wire [{product_width - 1}:0] product;
  wire valid = 1'b1;
  {decoder} a_decoder({connected(decoder, code="a", format="a_format", operand="left")});
  {decoder} b_decoder({connected(decoder, code="b", format="b_format", operand="right")});
  {multiplier} multiplier({connected(multiplier, a="left", b="right")});
  {adder} adder({connected(adder)});
endmodule
"""
    return Unit({**design.modules, _STEP: text}, _STEP, inputs, outputs, bool(config.latency))
