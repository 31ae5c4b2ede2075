"""The schedule of an engine's array, against an array of tags that knows of no phases.

Each accumulator bears a tag in place of a number: which tile it belongs to, which row of C it
started from, how many steps it has taken. What the schedule does at its ports moves the tags as it
would move the numbers, so that a row that leaves shows whether it is the one that should.
"""

from dataclasses import astuple, dataclass

import numpy as np

from cosim.units.check import Part, Progress, Result, Wrong, run_chunks
from cosim.units.datapath import pack
from cosim.units.harness import Unit
from hw.schedule import Job, OverlappedSchedule
from pysim import ArrayConfig
from rtl_gen import Design

ENTERS = 3
"""Clocks from a step's entering until an accumulator begins it in element (0, 0): a register at the
edge, and two of the multiplier. What waits is read a clock before."""

ZERO = -1
"""Start of a sum that is no row of C."""

NONE, SPOILT = -1, -(1 << 32)
"""The tile of what belongs to none, and the steps of what met another tile's operands."""

_HANDSHAKES = ("commands_valid", "a_valid", "b_valid", "c_valid", "result_ready")

_OF_C = {"c_ready": 0, "c_last": 0, "load": 0, "load_cols": 0, "fresh": 1}
"""What outputs that are there only with C would be without: each sum starts from zero."""

_CLOCKS = 1 << 18
"""Of one simulation; a tile takes as many of them as it needs."""

Signals = dict[str, int]


class _ViolationError(Exception):
    """The schedule does what it must not."""


def _check(good: bool, complaint: str) -> None:
    if not good:
        raise _ViolationError(complaint)


@dataclass
class _Tags:
    """Tags of accumulators in the elements of an array: of each the tile, start, and steps."""

    tile: np.ndarray
    start: np.ndarray
    steps: np.ndarray

    @classmethod
    def after_reset(cls, *shape: int) -> "_Tags":
        return cls(np.full(shape, NONE), np.full(shape, ZERO), np.zeros(shape, dtype=np.int64))

    def fields(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        return self.tile, self.start, self.steps


@dataclass(frozen=True)
class _Step:
    """What enters in a clock: to which tile and slot it belongs, and how many lanes count."""

    tile: int = NONE
    slot: int = 0
    first: bool = False
    fresh: bool = False
    rows: int = 0
    cols: int = 0


class _Array:
    """What the ring array makes of the schedule's outputs, in tags."""

    def __init__(self, rows: int, cols: int, latency: int) -> None:
        self.latency = latency
        self.ring = _Tags.after_reset(latency, rows, cols)
        self.waiting = _Tags.after_reset(latency, rows, cols)
        self.elements = np.indices((rows, cols))
        # Of the steps that are on their way, the latest first.
        self.entered = np.zeros((rows + cols + ENTERS, 6), dtype=np.int64)
        self.clocks = 0

    def clock(self, step: _Step, shift: int | None, start: int) -> None:
        """Let a clock go by; with `shift`, that slot shifts up, and `start` enters below."""
        self.entered = np.roll(self.entered, 1, axis=0)
        self.entered[0] = astuple(step)
        i, j = self.elements
        delay = ENTERS + i + j
        tile, slot, first, fresh, rows, cols = self.entered[delay].transpose(2, 0, 1)
        reads = self.entered[delay - 1][:, :, 2]
        turn = (self.clocks - delay) % self.latency
        at = first == 1
        if shift is not None:
            _check(
                not (at | (reads == 1)).any(),
                "what waits shifts while the beginning of a tile passes",
            )
            for tags, below in zip(self.waiting.fields(), (NONE, start, 0), strict=True):
                tags[shift, :-1] = tags[shift, 1:]
                tags[shift, -1] = below
        place, there = (turn[at], i[at], j[at]), (slot[at], i[at], j[at])
        for mine, theirs in zip(self.ring.fields(), self.waiting.fields(), strict=True):
            mine[place], theirs[there] = theirs[there], mine[place]
        self.ring.tile[place] = tile[at]
        from_zero = at & (fresh == 1)
        place = (turn[from_zero], i[from_zero], j[from_zero])
        self.ring.start[place], self.ring.steps[place] = ZERO, 0
        counts = (i < rows) & (j < cols)
        place = (turn[counts], i[counts], j[counts])
        # A sum that meets an operand of another tile is no sum any more.
        mixed = self.ring.tile[place] != tile[counts]
        self.ring.steps[place] = np.where(mixed, SPOILT, self.ring.steps[place] + 1)
        self.clocks += 1


@dataclass
class _Tile:
    """A tile whose command was taken, and how far it has come.

    Attributes
    ----------
    command : dict of str to int
    widths : list of int
        Columns in each slot.
    loaded, stepped, left : int
        Rows of C taken, clocks in which a slot had its step, rows of results that left.
    """

    command: Signals
    widths: list[int]
    loaded: int = 0
    stepped: int = 0
    left: int = 0

    @property
    def rows(self) -> int:
        return self.command["rows"]

    @property
    def all_rows(self) -> int:
        return self.rows * self.slots

    @property
    def slots(self) -> int:
        return sum(width > 0 for width in self.widths)

    @property
    def stepped_out(self) -> bool:
        return self.stepped == self.command["length"] * len(self.widths)


class _Order:
    """What must happen in which order, for the tiles in the order of their commands."""

    def __init__(self, rows: int, cols: int, latency: int) -> None:
        self.cols, self.latency = cols, latency
        self.array = _Array(rows, cols, latency)
        self.tiles: list[_Tile] = []
        self.began = self.gone = 0
        self.ending = 0

    def clock(self, inputs: Signals, command: Signals, got: Signals) -> None:
        """Check what the schedule does in a clock; _ViolationError if it is not right."""
        step = self._step(inputs, got) if got["step"] else _Step()
        start = self._load(got) if got["load"] else ZERO
        self._transfers(inputs, got)
        if got["accept"]:
            self._accept(inputs, got)
        self.array.clock(step, got["shift_slot"] if got["shift"] else None, start)
        if got["commands_ready"] and inputs["commands_valid"]:
            lefts = self.cols * np.arange(self.latency)
            widths = np.clip(command["cols"] - lefts, 0, self.cols).tolist()
            self.tiles.append(_Tile(command, widths))

    def _step(self, inputs: Signals, got: Signals) -> _Step:
        slot = got["step_slot"]
        if not self.ending:
            current = self.tiles[self.began - 1] if self.began else None
            if current is None or current.stepped_out:
                if self.began < len(self.tiles):
                    current = self.tiles[self.began]
                    self.began += 1
                    loads = current.all_rows if current.command["load_c"] else 0
                    _check(current.loaded == loads, "a tile begins without its rows of C")
                else:
                    _check(current is not None, "a step without a tile")
                    self.ending = self.latency
        if self.ending:
            # An empty tile brings the sums of the last one out.
            _check(slot == self.latency - self.ending, f"slot {slot} ends a tile out of order")
            _check(got["first"] == 1, "steps behind the last tile do not end it")
            _check(not got["operands"], "operands enter behind the last tile")
            self.ending -= 1
            return _Step(NONE, slot, first=True, fresh=bool(got["fresh"]))
        assert current is not None
        expected = current.stepped % self.latency
        _check(slot == expected, f"slot {slot} steps instead of slot {expected}")
        first = current.stepped < self.latency
        _check(got["first"] == first, f"first is {got['first']} in step {current.stepped}")
        width = current.widths[slot]
        entering = f"operands are {got['operands']}, step_cols {got['step_cols']}"
        _check(got["operands"] == (width > 0), f"{entering} in a slot of {width} columns")
        _check(got["step_cols"] == width, f"{entering} in a slot of {width} columns")
        formats = pack(Job, {name: np.array(value) for name, value in current.command.items()})
        _check(got["formats"] == int(formats), "the formats are not those of the tile")
        current.stepped += 1
        return _Step(self.began - 1, slot, first, bool(got["fresh"]), current.rows, width)

    def _load(self, got: Signals) -> int:
        """Check that a row of C may enter; return which it is."""
        is_due = self.began < len(self.tiles) and self.tiles[-1].command["load_c"] == 1
        _check(is_due and self.tiles[-1].loaded < self.tiles[-1].all_rows, "a row of C too many")
        tile = self.tiles[-1]
        slot, row = divmod(tile.loaded, tile.rows)
        _check(bool(got["shift"]) and got["shift_slot"] == slot, "a row of C in the wrong slot")
        _check(got["load_cols"] == tile.widths[slot], f"load_cols is {got['load_cols']}")
        tile.loaded += 1
        _check(got["c_last"] == (tile.loaded == tile.all_rows), f"c_last is {got['c_last']}")
        return row

    def _transfers(self, inputs: Signals, got: Signals) -> None:
        """B goes with each slot that has columns, A with the last of them, C with each load."""
        taken = {name: inputs[f"{name}_valid"] & got[f"{name}_ready"] for name in "abc"}
        _check(taken["b"] == got["operands"], "a row of B is taken without a step, or not with it")
        _check(taken["c"] == got["load"], "a row of C is taken without a load, or not with it")
        is_last_slot = is_last_step = False
        if got["operands"]:
            _check(bool(got["step"]) and bool(inputs["a_valid"]), "operands that are not there")
            tile = self.tiles[self.began - 1]
            is_last_slot = got["step_slot"] == tile.slots - 1
            is_last_step = tile.stepped > (tile.command["length"] - 1) * self.latency
            ends = is_last_slot and is_last_step
            _check(got["b_last"] == ends, f"b_last is {got['b_last']}")
        _check(taken["a"] == is_last_slot, "a column of A is taken in the wrong slot, or not")
        if taken["a"]:
            _check(got["a_last"] == is_last_step, f"a_last is {got['a_last']}")
        if inputs["a_valid"]:
            waits = (got["b_ready"] and not inputs["b_valid"]) or (
                got["c_ready"] and not inputs["c_valid"]
            )
            _check(got["starved"] == waits, f"starved is {got['starved']}")

    def _accept(self, inputs: Signals, got: Signals) -> None:
        """Check the row that leaves: that it is due, and that its sums are complete."""
        _check(bool(inputs["result_ready"]), "a row leaves that nobody takes")
        _check(self.gone < self.began, "a row leaves that belongs to no tile")
        tile = self.tiles[self.gone]
        slot, row = divmod(tile.left, tile.rows)
        tile.left += 1
        what = f"row {row} of slot {slot}"
        _check(bool(got["shift"]) and got["shift_slot"] == slot, f"{what} does not make way")
        width = tile.widths[slot]
        _check(got["accept_cols"] == width, f"accept_cols is {got['accept_cols']}: {width} are due")
        ends = tile.left == tile.all_rows
        _check(got["last"] == ends, f"last is {got['last']} in {what}")
        owner, start, steps = (tags[slot, 0, :width] for tags in self.array.waiting.fields())
        first = row if tile.command["load_c"] else ZERO
        _check(bool((owner == self.gone).all()), f"{what} leaves as that of another tile")
        _check(bool((start == first).all()), f"{what} did not start from what it should")
        _check(bool((steps == tile.command["length"]).all()), f"{what} lacks steps, or has others")
        self.gone += ends


def check_schedule(
    design: Design, count: int = 8000, progress: Progress = lambda done, total: None
) -> Result:
    """Clock the schedule with random commands, handshakes, and resets; at last, nothing stalls."""
    rng = np.random.default_rng(3)
    config = design.config
    rows, cols, latency = config.rows, config.cols, config.latency
    # Eager at times, slow at others, so that phases end in every way.
    eagerness = rng.choice([0.2, 0.7, 1.0], size=count // 50 + 1).repeat(50)[:count]
    handshakes = _handshakes(config)
    inputs = {name: (rng.random(count) < eagerness).astype(np.int64) for name in handshakes}
    inputs["rst"] = (rng.random(count) < 0.002).astype(np.int64)
    inputs["rst"][0] = 1
    # Until the end of what is in work then.
    end = 16 * latency * (rows + cols + 8)
    for name in handshakes:
        inputs[name] = np.append(inputs[name], np.full(end, name != "commands_valid"))
    inputs["rst"] = np.append(inputs["rst"], np.zeros(end, dtype=np.int64))
    count += end
    fields = {
        "load_c": rng.integers(2, size=count) * config.load_c,
        "a_format": rng.integers(2, size=count),
        "b_format": rng.integers(2, size=count),
        "rows": rng.integers(1, rows + 1, size=count),
        "cols": rng.integers(1, cols * latency + 1, size=count),
        "length": rng.integers(1, 6, size=count),
    }
    with Unit.of_block(design, _schedule_of(config)) as unit:
        got = unit.run(commands_payload=pack(Job, fields), **inputs)
        name = unit.name
    progress(1, 1)
    for output, value in _OF_C.items():
        got.setdefault(output, np.full(count, value))
    if not config.load_c:
        inputs["c_valid"] = np.zeros(count, dtype=np.int64)
    by_clock = [
        [dict(zip(signals, values, strict=True)) for values in zip(*columns, strict=True)]
        for signals, columns in (
            (each, [values.tolist() for values in each.values()]) for each in (inputs, fields, got)
        )
    ]
    order = _Order(rows, cols, latency)
    for i, (now, command, outputs) in enumerate(zip(*by_clock, strict=True)):
        try:
            # Before the reset nothing is known.
            if i:
                order.clock(now, command, outputs)
        except _ViolationError as error:
            return Result("control", i + 1, Wrong(name, f"in clock {i}, {error}"))
        if now["rst"]:
            order = _Order(rows, cols, latency)
    if order.gone < len(order.tiles):
        left = len(order.tiles) - order.gone
        sentence = f"{left} tiles are still in work {end} clocks after the last command"
        return Result("control", count, Wrong(name, sentence))
    return Result("control", count, None)


def check_long_tiles(
    design: Design, bits: int, progress: Progress = lambda done, total: None
) -> Part:
    """Clock the schedule through tiles whose lengths need each number of bits, without stalls.

    What counts is how often each thing happens: operands enter, C enters, and rows leave.
    """
    rng = np.random.default_rng(0)
    config = design.config
    rows, cols, latency = config.rows, config.cols, config.latency
    chunks = [
        (int(rng.integers(1 << width - 1, 1 << width)), width % 2 * config.load_c)
        for width in range(1, bits + 1)
    ]
    eager: dict[str, np.ndarray | int] = {
        name: 1 for name in _handshakes(config) if name != "commands_valid"
    }

    def check(unit: Unit, chunk: tuple[int, int]) -> Part:
        length, load_c = chunk
        slots = int(rng.integers(1, latency + 1))
        command = {"load_c": load_c, "length": length, "rows": rows, "cols": slots * cols}
        payload = int(pack(Job, {name: np.array(value) for name, value in command.items()}))
        expected = {
            "a_ready": length,
            "operands": length * slots,
            "accept": rows * slots,
            "last": 1,
        }
        if config.load_c:
            expected["load"] = rows * slots * load_c
        unit.run(rst=1)
        unit.run(commands_valid=1, commands_payload=payload, **eager)
        left = latency * length + 2 * (2 * rows * latency + rows + cols + 4 * latency + 16)
        counts = dict.fromkeys(expected, 0)
        while left:
            clocks = min(_CLOCKS, left)
            got = unit.run(**eager | {"a_valid": np.ones(clocks, dtype=np.uint64)})
            for name in counts:
                counts[name] += int(np.count_nonzero(got[name]))
            left -= clocks
        for name, count in expected.items():
            if counts[name] != count:
                sentence = (
                    f"a tile of length {length} with {slots} slots: output {name} is high for "
                    f"{counts[name]} clocks instead of {count}"
                )
                return latency * length, Wrong(unit.name, sentence)
        return latency * length, None

    return run_chunks(lambda: Unit.of_block(design, _schedule_of(config)), chunks, check, progress)


def _schedule_of(config: ArrayConfig) -> OverlappedSchedule:
    return OverlappedSchedule(config.rows, config.cols, config.latency, config.load_c)


def _handshakes(config: ArrayConfig) -> list[str]:
    """Return the inputs that say that something is there, or taken."""
    return [name for name in _HANDSHAKES if name != "c_valid" or config.load_c]
