"""The element of an engine: accumulators that take turns, and what waits beside them."""

import numpy as np

from cosim.units.accumulators import any_accumulators, pack_accumulator
from cosim.units.check import Progress, Result, Wrong, first
from cosim.units.datapath import (
    add_steps,
    pack,
    positions,
    random_lanes,
    random_starts,
    wrong_passing,
)
from cosim.units.harness import Unit
from hw.kind import Kind
from hw.pe import OperandLane
from hw.ring_element import SLOT_BITS, RingElement, StartLane
from rtl_gen import Design

PASSES = 4
"""Steps of each accumulator in a tile."""

SHIFTS = 2
"""Shifts of what waits in each slot, between two tiles."""


def check_ring_element(
    design: Design, rounds: int = 1 << 9, progress: Progress = lambda done, total: None
) -> Result:
    """Let an element compute tile after tile, each with a random start and steps in every slot.

    In each round, what waits in a slot is shifted out, and something in, `SHIFTS` times; the last
    is the start of a sum. Then `PASSES` times come operands for each slot in turn, the first of
    them with the mark that lets the start change places with the sum of the round before. So a sum
    is shifted out two rounds later. Half of the sums start from zero instead of from what waits;
    all of them do without C.
    Operands must pass on a clock later, and flags add up.
    """
    config, kind = design.config, Kind.of(design.config)
    latency = config.latency
    rng = np.random.default_rng(0)
    # By round, pass, and slot; the first passes of a round are those of the shifts.
    passes = np.arange(SHIFTS + PASSES)
    shape = (rounds, len(passes), latency)
    count = rounds * len(passes) * latency
    lanes = random_lanes(rng, count, positions(config))
    numbers = [side.reshape(shape) for side in lanes.numbers]
    valid = lanes.valid.reshape(2, *shape) & (passes >= SHIFTS)[:, None]
    starts = random_starts(rng, *(side[:, SHIFTS] for side in numbers))
    carried = rng.integers(4, size=starts.shape, dtype=np.uint64) & np.uint64(kind.flag_bits)
    fresh = rng.integers(2, size=starts.shape) if config.load_c else np.ones_like(carried)

    slots = np.broadcast_to(np.arange(latency), shape)
    shift = np.broadcast_to((passes < SHIFTS)[:, None], shape)
    begins = np.broadcast_to((passes == SHIFTS)[:, None], shape)
    below = any_accumulators(kind, rng, shape)
    if config.load_c:
        below[:, SHIFTS - 1] = pack_accumulator(kind, starts.view(np.uint32), carried)
    noise = rng.integers(1 << SLOT_BITS, size=shape) % latency
    west = {
        "operand": lanes.operands[0].reshape(shape),
        "valid": valid[0],
        "first": begins,
        "fresh": np.where(begins, fresh[:, None], noise % 2) * config.load_c,
        "slot": np.where(begins, slots, noise),
    }
    north = {"operand": lanes.operands[1].reshape(shape), "valid": valid[1]}
    inputs = {
        "west": pack(StartLane, west).reshape(-1),
        "north": pack(OperandLane, north).reshape(-1),
        "shift": shift.reshape(-1),
        "slot": np.where(shift, slots, noise).reshape(-1),
        "below": below.reshape(-1),
    }
    with Unit.of_block(design, RingElement(latency, kind)) as unit:
        got = unit.run(**inputs)
        progress(1, 1)
        starts = np.where(fresh == 1, np.float32(0), starts)
        sums = {"value": starts.view(np.uint32), "flags": np.where(fresh == 1, 0, carried)}
        for i in range(SHIFTS, SHIFTS + PASSES):
            value = np.asarray(sums["value"]).astype(np.uint32).view(np.float32)
            step = [side[:, i] for side in numbers]
            sums = add_steps(value, sums["flags"], step, valid[0, :, i] & valid[1, :, i])
        expected = pack_accumulator(kind, sums["value"], sums["flags"])
        found = got["above"].reshape(shape)
        if (i := first((found[:, 1] != below[:, 0]).reshape(-1))) is not None:
            entered, left = (words.reshape(-1)[i] for words in (below[:, 0], found[:, 1]))
            sentence = f"what waits is shifted in as {entered:#011x}, and out as {left:#011x}"
            return Result("element", count, Wrong(unit.name, sentence))
        above = found[:, 0]
        wrong = first((above[2:] != expected[:-2]).reshape(-1))
        if wrong is not None:
            i, slot = divmod(wrong, latency)
            sentence = (
                f"of {latency} accumulators, number {slot} starts from {starts[i, slot]:g}, and "
                f"after {PASSES} steps is shifted out as {above[i + 2, slot]:#011x} with its flags "
                f"instead of {expected[i, slot]:#011x}"
            )
            return Result("element", count, Wrong(unit.name, sentence))
        return Result("element", count, wrong_passing(unit, inputs, got))
