"""The lanes of random bits: every state of the short ones, a basis and more of the long ones."""

import numpy as np

from cosim.calls import Call
from cosim.units.check import Progress, Result, Wrong, first
from cosim.units.harness import Unit
from cosim.units.specification import POLYNOMIALS, lfsr_step
from hw.lfsr import LfsrLane
from pysim import ArrayConfig
from pysim.config import MAX_RANDOM_BITS
from rtl_gen import Design
from rtl_gen.emitter import Emitter

SHORT = (8, 16)
"""Widths whose every state is tried."""

_EVERY_LANE = "fp8_every_lane"


def check_lane(
    design: Design, samples: int = 1 << 20, progress: Progress = lambda done, total: None
) -> Result:
    """Load states into the design's own lane, let it draw, and compare with single steps.

    A register of 16 bits or fewer is loaded with every state; a longer one with each single bit,
    and with random states.
    """
    config = design.config
    width = config.lfsr_width
    if width in SHORT:
        states = np.arange(1, 1 << width, dtype=np.uint64)
    else:
        rng = np.random.default_rng(2)
        high = (1 << width) - 1
        basis = np.uint64(1) << np.arange(width, dtype=np.uint64)
        random = rng.integers(1, high, size=samples, dtype=np.uint64, endpoint=True)
        states = np.concatenate([basis, random])
    with Unit.of_block(design, LfsrLane(width, config.random_bits)) as unit:
        wrong = _wrong_leap(unit, states, config)
    progress(1, 1)
    return Result("lane", states.size, wrong)


def check_periods(progress: Progress = lambda done, total: None) -> Result:
    """Generate each lane of 16 bits or fewer, with each size of a draw, and try its every state.

    Single steps of the polynomial run through all states but zero, and a draw is so many of them.
    """
    for width in SHORT:
        period = 1
        state = lfsr_step(np.array([1], dtype=np.uint64), width, POLYNOMIALS[width])
        while state[0] != 1:
            state = lfsr_step(state, width, POLYNOMIALS[width])
            period += 1
        if period != (1 << width) - 1:
            sentence = f"the polynomial of width {width} has a period of {period}"
            return Result("periods", period, Wrong(f"fp8_lfsr_{width}", sentence))
    sizes = [(w, r) for w in SHORT for r in range(1, min(w, MAX_RANDOM_BITS) + 1)]
    emitter = Emitter()
    lanes = [LfsrLane(*size) for size in sizes]
    for lane in lanes:
        emitter.emit(lane)
        lane._MustUse__used = True  # pyright: ignore[reportAttributeAccessIssue]
    modules = {**emitter.verilog(), _EVERY_LANE: _every_lane(lanes)}
    inputs = {"lane": 5, "load": 1, "load_state": 16, "advance": 1, "seed": 16, "rst": 1}
    cases = 0
    with Unit(modules, _EVERY_LANE, inputs, {"state": 16, "draw": 16}, clocked=True) as unit:
        for position, (width, bits) in enumerate(sizes):
            config = ArrayConfig(1, 1, lfsr_width=width, random_bits=bits)
            states = np.arange(1, 1 << width, dtype=np.uint64)
            wrong = _wrong_leap(unit, states, config, lane=position)
            cases += states.size
            progress(position + 1, len(sizes))
            if wrong is not None:
                return Result("periods", cases, wrong)
    return Result("periods", cases, None)


def _every_lane(lanes: list[LfsrLane]) -> str:
    """Lanes of several sizes as one module, because building each takes longer than trying it."""
    instances = []
    for i, lane in enumerate(lanes):
        states, draws = f"[{lane.width - 1}:0]", f"[{lane.random_bits - 1}:0]"
        instances.append(
            f"  wire {states} state_{i}; wire {draws} draw_{i};\n"
            f"  {lane.module_name} lane_{i}(.clk(clk), .rst(rst), .load(load), .advance(advance),"
            f" .seed(seed{states}), .load_state(load_state{states}), .state(state_{i}),"
            f" .draw(draw_{i}));\n"
        )
    cases = "".join(
        f"      {i}: begin state = 16'(state_{i}); draw = 16'(draw_{i}); end\n"
        for i in range(len(lanes))
    )
    return (
        f"module {_EVERY_LANE}(input clk, input rst, input [4:0] lane, input load, input advance,\n"
        "    input [15:0] load_state, input [15:0] seed, output reg [15:0] state,\n"
        f"    output reg [15:0] draw);\n{''.join(instances)}"
        f"  always_comb begin\n    state = 0; draw = 0;\n    case (lane)\n{cases}"
        "      default: ;\n    endcase\n  end\nendmodule\n"
    )


def _wrong_leap(
    unit: Unit, states: np.ndarray, config: ArrayConfig, **constant: int
) -> Wrong | None:
    """Load each state, then zero (which must not load), draw, hold: four clocks a state."""
    width, bits = config.lfsr_width, config.random_bits
    load_state = np.zeros((len(states), 4), dtype=np.uint64)
    load_state[:, 0] = states
    got = unit.run(
        load=np.tile([1, 1, 0, 0], len(states)),
        load_state=load_state.reshape(-1),
        advance=np.tile([1, 0, 1, 0], len(states)),
        seed=int(states[-1]),
        **constant,
    )
    after = states
    for _ in range(bits):
        after = lfsr_step(after, width, POLYNOMIALS[width])
    found, draws = (got[name].reshape(-1, 4) for name in ("state", "draw"))
    mask = np.uint64((1 << bits) - 1)
    checks = (
        (found[:, 1], states, "loaded becomes"),
        (found[:, 2], states, "becomes, when zero is loaded,"),
        (draws[:, 2], states & mask, "draws"),
        (found[:, 3], after, "becomes after a draw"),
    )
    for have, expected, what in checks:
        if (i := first(have != expected)) is not None:
            sentence = f"state {states[i]:#x} {what} {have[i]:#x} instead of {expected[i]:#x}"
            name = f"fp8_lfsr_{width}x{bits}"
            return Wrong(name, sentence, _draws_call(config, int(states[i])))
    return None


def _draws_call(config: ArrayConfig, state: int) -> Call:
    """Return a call whose two draws of lane 0 start from a state."""
    # Half a step above one: each draw of at least half the range rounds up.
    x = np.full(2 * config.cols, 1.125, dtype=np.float32)
    arguments = {"fmt": "e5m2", "rounding": "stochastic", "saturate": True}
    lanes = np.full(config.cols, state, dtype=np.uint64)
    return Call(config, "quantize", {"x": x}, arguments, lanes)
