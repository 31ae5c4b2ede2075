"""Decoder, multiplier, adder, the chain of the three, and the processing element.

The adder is `fp8_accumulator_adder` in the bare array, and `fp8_step_L` in an engine: a pipeline
that takes a case in each clock.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import product

import numpy as np
from amaranth.hdl import Shape
from amaranth.lib import data

from cosim.calls import Call
from cosim.units import specification
from cosim.units.boundaries import accumulators_near
from cosim.units.check import Part, Progress, Result, Wrong, first, run_chunks
from cosim.units.harness import Unit, declared_ports
from hw.accumulator import Accumulator, AccumulatorAdder
from hw.multiplier import Multiplier, Product
from hw.operand import Operand, OperandDecoder
from hw.pe import OperandLane, ProcessingElement
from hw.step import PipelinedStep
from pysim import ArrayConfig
from pysim.lfsr import Lfsr
from rtl_gen import Design

FORMATS = ("e5m2", "e4m3")
"""Operand formats; the position is the hardware's encoding of the choice."""

PAIRS = tuple(product(range(2), repeat=2))
CODES = np.arange(256)

_STEP = "fp8_mac_step"
_OPERAND_BIAS, _PRODUCT_BIAS = 18, 134
_LEAST_EXPONENT = {"e5m2": -14, "e4m3": -6}

Fields = dict[str, np.ndarray]


def check_decoder(design: Design, progress: Progress = lambda done, total: None) -> Result:
    """Decode every code of both formats."""
    with Unit.of_block(design, OperandDecoder()) as unit:
        for position, fmt in enumerate(FORMATS):
            got = unpack(Operand, unit.run(code=CODES, format=position)["operand"])
            expected, matters = _operands(fmt, CODES)
            wrong = _differ(got, expected, matters)
            if (i := first(wrong)) is not None:
                sentence = (
                    f"code {i:#04x} of {fmt.upper()} ({specification.values(fmt)[i]:g}) "
                    f"decodes to {_say(got, i)} instead of {_say(expected, i)}"
                )
                call = _step_call(design.config, position, position, i, _code_of_one(fmt), 0)
                return Result("decoder", 2 * 256, Wrong(unit.name, sentence, call))
            progress(position + 1, 2)
    return Result("decoder", 2 * 256, None)


def check_multiplier(design: Design, progress: Progress = lambda done, total: None) -> Result:
    """Multiply every operand by every operand, for each pair of formats."""
    latency = _multiplying(design)
    with Unit.of_block(design, Multiplier(latency)) as unit:
        for done, (a_format, b_format) in enumerate(PAIRS):
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
                call = _step_call(design.config, a_format, b_format, a[i], b[i], 0)
                return Result("multiplier", (done + 1) * a.size, Wrong(unit.name, sentence, call))
            progress(done + 1, len(PAIRS))
    return Result("multiplier", len(PAIRS) * 256 * 256, None)


def _multiplying(design: Design) -> int:
    """Return the clocks of the multiplier of an element: that of an engine takes one."""
    return int(design.config.latency > 0)


def check_adder(
    design: Design, accumulators: int | None = None, progress: Progress = lambda done, total: None
) -> Result:
    """Add each product there is to accumulators around it, and to special ones."""
    x, y, source = _distinct_products()
    products = pack(Product, _products(x, y)[0])
    chunks = np.array_split(np.arange(len(x)), len(x) >> 7)

    def check(unit: Unit, chosen: np.ndarray) -> Part:
        with np.errstate(invalid="ignore", over="ignore"):
            exact = (x[chosen] * y[chosen]).astype(np.float32)
        starts = accumulators_near(exact, accumulators)
        repeated = np.repeat(chosen, starts.shape[1])
        flat = starts.reshape(-1)
        got = _add(unit, design.config.latency, flat.view(np.uint32), products[repeated])
        a, b = (side[repeated].astype(np.float32) for side in (x, y))
        total, invalid, inexact = specification.step(flat, a, b)
        flags = invalid.astype(np.uint64) | inexact.astype(np.uint64) << np.uint64(1)
        i = first((got["total"] != total) | (got["flags"] != flags))
        if i is None:
            return flat.size, None
        sentence = _say_step(flat[i], a[i], b[i], total[i], flags[i], got, i)
        return i + 1, Wrong(
            unit.name, sentence, _step_call(design.config, *source(repeated[i]), flat[i])
        )

    latency = design.config.latency
    block = PipelinedStep(latency) if latency else AccumulatorAdder()
    cases, wrong = run_chunks(lambda: Unit.of_block(design, block), chunks, check, progress)
    if latency and wrong is None:
        wrong = _wrong_hold(design)
    return Result("adder", cases, wrong)


def _add(unit: Unit, latency: int, accumulators: np.ndarray, products: np.ndarray) -> Fields:
    """Return the sum of each accumulator and product, and the flags that it raises."""
    if not latency:
        return unit.run(accumulator=accumulators, product=products)
    start = np.pad(accumulators, (0, 1 + latency))
    product = np.pad(products, (1, latency))
    after = unit.run(start=start, first=1, fresh=0, product=product, valid=1)["after"]
    after = after[1 + latency :]
    return {"total": after & np.uint64(0xFFFFFFFF), "flags": after >> np.uint64(32)}


def _wrong_hold(design: Design, count: int = 1 << 16) -> Wrong | None:
    """Look whether accumulators and flags come through where no step is valid, bit by bit."""
    latency = design.config.latency
    rng = np.random.default_rng(4)
    before = rng.integers(1 << Shape.cast(Accumulator).width, size=count, dtype=np.uint64)
    # Both ends of the exponents and of the fractions, too: zeros, infinities, and NaNs.
    for low, width in ((23, 8), (0, 23)):
        mask = np.uint64((1 << width) - 1 << low)
        ends = rng.choice(np.array([0, mask], dtype=np.uint64), size=count)
        before = np.where(rng.random(count) < 0.4, before & ~mask | ends, before)
    products = rng.integers(1 << Shape.cast(Product).width, size=count, dtype=np.uint64)
    # A valid step before and behind each one that is none, whose product is minus zero.
    valid = np.arange(count) % 2
    minus_zero = pack(Product, {"sign": np.array(1), "zero": np.array(1)})
    products = np.where(valid == 1, products, minus_zero)
    with Unit.of_block(design, PipelinedStep(latency)) as unit:
        after = unit.run(
            start=np.pad(before, (0, 1 + latency)),
            first=1,
            fresh=0,
            product=np.pad(products, (1, latency)),
            valid=np.pad(valid, (1, latency)),
        )["after"][1 + latency :]
    i = first((after != before) & (valid == 0))
    if i is None:
        return None
    return Wrong(
        unit.name,
        f"without a valid step accumulator and flags {before[i]:#011x} become {after[i]:#011x} "
        f"instead of {before[i]:#011x}",
    )


def check_steps(
    design: Design, accumulators: int | None = None, progress: Progress = lambda done, total: None
) -> Result:
    """Every pair of codes of each pair of formats, added to accumulators around their product.

    The module under test is two decoders, a multiplier, and an adder, connected as in an element.
    """
    chunks = [(a_format, b_format, code) for a_format, b_format in PAIRS for code in range(256)]
    latency = _multiplying(design) + design.config.latency

    def check(unit: Unit, chunk: tuple[int, int, int]) -> Part:
        a_format, b_format, code = chunk
        a = np.float32(specification.values(FORMATS[a_format])[code])
        b = specification.values(FORMATS[b_format]).astype(np.float32)
        with np.errstate(invalid="ignore"):
            starts = accumulators_near(a * b, accumulators)
        codes = np.repeat(CODES, starts.shape[1])
        flat = starts.reshape(-1)
        got = unit.run(
            accumulator=np.pad(flat.view(np.uint32), (0, latency)),
            a=code,
            b=np.pad(codes, (0, latency)),
            a_format=a_format,
            b_format=b_format,
        )
        got = {name: values[latency:] for name, values in got.items()}
        y = b[codes]
        total, invalid, inexact = specification.step(flat, a, y)
        flags = invalid.astype(np.uint64) | inexact.astype(np.uint64) << np.uint64(1)
        i = first((got["total"] != total) | (got["flags"] != flags))
        if i is None:
            return flat.size, None
        sentence = (
            _say_step(flat[i], a, y[i], total[i], flags[i], got, i)
            + f" (A {FORMATS[a_format].upper()} {code:#04x}, B {FORMATS[b_format].upper()} "
            f"{codes[i]:#04x})"
        )
        call = _step_call(design.config, a_format, b_format, code, codes[i], flat[i])
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
    lanes = random_lanes(rng, count)
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


def random_lanes(rng: np.random.Generator, count: int) -> Lanes:
    """Return random operands of both formats, valid for the most part."""
    formats, codes = rng.integers(2, size=(2, count)), rng.integers(256, size=(2, count))
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
    raised = invalid.astype(np.uint64) | inexact.astype(np.uint64) << np.uint64(1)
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


def _distinct_products():
    """Factors of every product there is, each once, and the codes that they come from."""
    factors = []
    for a_format, b_format in PAIRS:
        a, b = (codes.reshape(-1) for codes in np.meshgrid(CODES, CODES, indexing="ij"))
        factors.append((np.full(a.size, a_format), np.full(a.size, b_format), a, b))
    a_format, b_format, a, b = (np.concatenate(parts) for parts in zip(*factors, strict=True))
    x, y = (
        np.stack([specification.values(name) for name in FORMATS])[fmt, code]
        for fmt, code in ((a_format, a), (b_format, b))
    )
    fields, _ = _products(x, y)
    _, chosen = np.unique(pack(Product, fields), return_index=True)

    def source(i: int) -> tuple[int, int, int, int]:
        origin = chosen[i]
        return int(a_format[origin]), int(b_format[origin]), int(a[origin]), int(b[origin])

    return x[chosen], y[chosen], source


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
    config: ArrayConfig, a_format: int, b_format: int, a: int, b: int, start: np.float32 | int
) -> Call:
    """Return the call of one step on one element."""
    operands = {
        "a": np.array([[a]], dtype=np.uint8),
        "b": np.array([[b]], dtype=np.uint8),
        "c": np.array([[start]], dtype=np.float32),
    }
    arguments = {
        "a_format": FORMATS[a_format],
        "b_format": FORMATS[b_format],
        "out_format": "fp32",
        "rounding": "nearest",
        "saturate": True,
    }
    state = Lfsr(config.lfsr_width).lanes(config.seed, config.cols)
    return Call(config, "gemm", operands, arguments, state)


def _step_unit(design: Design) -> Unit:
    """Two decoders, a multiplier, and an adder as one module."""
    multiplier = "fp8_pipelined_multiplier" if _multiplying(design) else "fp8_multiplier"
    operand, product_width = (Shape.cast(struct).width for struct in (Operand, Product))
    latency = design.config.latency

    def clocks(name: str) -> str:
        declared = declared_ports(design.modules[name])
        return "".join(f".{port}({port}), " for port in ("clk", "rst") if port in declared)

    if latency:
        name = f"fp8_step_{latency}"
        adder = (
            f"{name} step({clocks(name)}.start({{2'b00, accumulator}}), .first(1'b1), "
            ".fresh(1'b0), .product(product), .valid(1'b1), .after({flags, total}));"
        )
    else:
        adder = (
            f"{AccumulatorAdder.module_name} adder(.accumulator(accumulator), .product(product), "
            ".total(total), .flags(flags));"
        )
    text = f"""module {_STEP}({"input clk, input rst, " * bool(latency)}input [31:0] accumulator,
    input [7:0] a, input [7:0] b, input a_format, input b_format,
    output [31:0] total, output [1:0] flags);
  wire [{operand - 1}:0] left, right;
  wire [{product_width - 1}:0] product;
  {OperandDecoder.module_name} a_decoder(.code(a), .format(a_format), .operand(left));
  {OperandDecoder.module_name} b_decoder(.code(b), .format(b_format), .operand(right));
  {multiplier} multiplier({clocks(multiplier)}.a(left), .b(right), .product(product));
  {adder}
endmodule
"""
    inputs = {"accumulator": 32, "a": 8, "b": 8, "a_format": 1, "b_format": 1}
    if latency:
        inputs["rst"] = 1
    outputs = {"total": 32, "flags": 2}
    return Unit({**design.modules, _STEP: text}, _STEP, inputs, outputs, clocked=latency > 0)
