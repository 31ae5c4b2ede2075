"""Long commands: what counts the steps of tiles counts as far as a length goes."""

import numpy as np

from cosim.units.check import Part, Progress, Result, Wrong, run_chunks
from cosim.units.datapath import pack
from cosim.units.harness import Unit
from cosim.units.sequencer import check_sizes
from cosim.units.tiles import check_long_tiles
from hw.control import LENGTH_BITS, Command, Operation, TileControl
from rtl_gen import Design

_CLOCKS = 1 << 18
"""Of one simulation; a command takes as many of them as it needs."""

_COUNTED = ("load", "compute", "accept", "busy")

_KINDS = (
    ("a tile without C", Operation.GEMM, False),
    ("a tile with C", Operation.GEMM, True),
    ("a conversion", Operation.CONVERT, False),
)


def check_lengths(
    design: Design, bits: int = LENGTH_BITS, progress: Progress = lambda done, total: None
) -> Result:
    """Clock the control through commands whose lengths need each number of bits, without stalls.

    In an engine, these are the schedule of tiles and the sequencer of calls. In the bare array, of
    each number of bits there is a random length for each kind of command. What counts is how
    often each thing happens: C enters, operands enter, rows leave, and clocks go by.

    Parameters
    ----------
    design : rtl_gen.Design
    bits : int
        Of the longest length.
    progress : callable
    """
    if design.config.latency:
        tried = 0
        for check_part in (check_long_tiles, check_sizes):
            cases, wrong = check_part(design, bits, progress)
            tried += cases
            if wrong is not None:
                return Result("lengths", tried, wrong)
        return Result("lengths", tried, None)
    rng = np.random.default_rng(0)
    chunks = [
        (kind, int(rng.integers(1 << width - 1, 1 << width)))
        for width in range(1, bits + 1)
        for kind in _KINDS
    ]
    rows, cols = design.config.rows, design.config.cols

    def check(unit: Unit, chunk: tuple[tuple[str, Operation, bool], int]) -> Part:
        (what, operation, load_c), length = chunk
        steps = rows if load_c else 0
        expected = (
            {"load": 0, "compute": 0, "accept": length, "busy": length}
            if operation is Operation.CONVERT
            else {
                "load": steps,
                "compute": length,
                "accept": rows,
                "busy": steps + length + (rows + cols - 1) + rows,
            }
        )
        command = {
            "operation": operation.value,
            "load_c": load_c,
            "length": length,
            "rows": rows,
            "cols": cols,
        }
        payload = int(pack(Command, {name: np.array(value) for name, value in command.items()}))
        got = _run(unit, payload, expected["busy"])
        for output, count in expected.items():
            if got[output] != count:
                sentence = (
                    f"{what}, of length {length}: output {output} is high for {got[output]} clocks "
                    f"instead of {count}"
                )
                return sum(got.values()), Wrong(unit.name, sentence)
        return got["busy"], None

    cases, wrong = run_chunks(
        lambda: Unit.of_block(design, TileControl(rows, cols)), chunks, check, progress
    )
    return Result("lengths", cases, wrong)


def _run(unit: Unit, payload: int, longest: int) -> dict[str, int]:
    """Reset, hand over a command, and count the clocks in which outputs are high while busy.

    A command that goes on for much longer than it should is not waited for.
    """
    always: dict[str, np.ndarray | int] = {
        name: 1 for name in ("a_valid", "b_valid", "c_valid", "result_ready")
    }
    unit.run(rst=1)
    unit.run(commands_valid=1, commands_payload=payload, **always)
    counts: dict[str, int] = dict.fromkeys(_COUNTED, 0)
    while counts["busy"] <= longest:
        clocks = min(_CLOCKS, longest + 1 - counts["busy"])
        got = unit.run(**always | {"a_valid": np.ones(clocks, dtype=np.uint64)})
        busy = int(np.count_nonzero(got["busy"]))
        for name in counts:
            counts[name] += int(np.count_nonzero(got[name]))
        if busy < clocks:
            break
    return counts
