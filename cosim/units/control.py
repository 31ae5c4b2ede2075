"""The tile control: its phases, clock by clock, as the architecture page tells them."""

from dataclasses import dataclass, field

import numpy as np

from cosim.units.check import Progress, Result, Wrong, first
from cosim.units.datapath import pack
from cosim.units.harness import Unit
from hw.control import Command, TileControl
from rtl_gen import Design

Signals = dict[str, int]

_OUTPUTS = ("commands_ready", "a_ready", "b_ready", "c_ready", "compute", "load", "shift")
_OUTPUTS += ("accept", "bypass", "busy")


@dataclass
class _Tile:
    """What the control must do: a phase, the steps left in it, and the command in work."""

    rows: int
    cols: int
    phase: str = "idle"
    left: int = 0
    loaded: int = 0
    command: dict[str, int] = field(default_factory=dict)

    def outputs(self, inputs: Signals) -> Signals:
        """What the outputs are in a clock; those not named are low."""
        free = inputs["result_ready"]
        match self.phase:
            case "idle":
                return {"commands_ready": 1}
            case "load":
                padding = self.loaded >= self.command["rows"]
                load = int(not padding) & inputs["c_valid"]
                return {"c_ready": int(not padding), "load": load, "shift": load | padding}
            case "compute":
                both = inputs["a_valid"] & inputs["b_valid"]
                ready = {"a_ready": inputs["b_valid"], "b_ready": inputs["a_valid"]}
                return {**ready, "compute": both}
            case "drain":
                return {"accept": free, "shift": free, "last": free and self.left == 1}
            case "convert":
                taken = inputs["c_valid"] & free
                last = taken and self.left == 1
                return {"bypass": 1, "c_ready": free, "accept": taken, "last": last}
        return {}

    def clock(self, inputs: Signals, command: dict[str, int]) -> None:
        """Go on to the next clock."""
        made = self.outputs(inputs)
        advance = {
            "load": made.get("shift"),
            "compute": made.get("compute"),
            "flush": 1,
            "drain": made.get("accept"),
            "convert": made.get("accept"),
        }.get(self.phase)
        if inputs["rst"]:
            self.phase, self.command = "idle", dict.fromkeys(command, 0)
        elif self.phase == "idle" and inputs["commands_valid"]:
            self.command = command
            if command["operation"]:
                self._begin("convert", command["length"])
            elif command["load_c"]:
                self.loaded = 0
                self._begin("load", self.rows)
            else:
                self._compute()
        elif advance:
            self.loaded += 1
            self.left -= 1
            if self.left == 0:
                self._next()

    def _begin(self, phase: str, steps: int) -> None:
        self.phase, self.left = phase, steps

    def _compute(self) -> None:
        if self.command["length"]:
            self._begin("compute", self.command["length"])
        else:
            self._begin("drain", self.command["rows"])

    def _next(self) -> None:
        match self.phase:
            case "load":
                self._compute()
            case "compute":
                self._begin("flush", self.rows + self.cols - 1)
            case "flush":
                self._begin("drain", self.command["rows"])
            case _:
                self.phase = "idle"


def check_control(
    design: Design, count: int = 8000, progress: Progress = lambda done, total: None
) -> Result:
    """Clock the control with random commands, handshakes, and resets."""
    rng = np.random.default_rng(3)
    rows, cols = design.config.rows, design.config.cols
    # Eager at times, slow at others, so that phases end in every way.
    eagerness = rng.choice([0.2, 0.7, 1.0], size=count // 50 + 1).repeat(50)[:count]
    handshakes = ("commands_valid", "a_valid", "b_valid", "c_valid", "result_ready")
    inputs = {name: (rng.random(count) < eagerness).astype(np.int64) for name in handshakes}
    inputs["rst"] = (rng.random(count) < 0.004).astype(np.int64)
    inputs["rst"][0] = 1
    layout = Command.as_shape()
    fields = {
        "operation": rng.integers(2, size=count),
        "load_c": rng.integers(2, size=count),
        "a_format": rng.integers(2, size=count),
        "b_format": rng.integers(2, size=count),
        "mode": rng.integers(1 << layout["mode"].width, size=count),
        "rows": rng.integers(1, rows + 1, size=count),
        "cols": rng.integers(1, cols + 1, size=count),
        "length": rng.integers(6, size=count),
    }
    # A conversion of no rows is not allowed.
    fields["length"] = np.maximum(fields["length"], fields["operation"])
    words = pack(Command, fields)
    with Unit.of_block(design, TileControl(rows, cols)) as unit:
        got = unit.run(commands_payload=words, **inputs)
    progress(1, 1)

    model = _Tile(rows, cols)
    model.command = dict.fromkeys(fields, 0)
    expected = {name: np.zeros(count, dtype=np.int64) for name in (*_OUTPUTS, "last")}
    taken = np.zeros(count, dtype=np.uint64)
    phases = []
    for i in range(count):
        now = {name: int(values[i]) for name, values in inputs.items()}
        phases.append(model.phase)
        expected["busy"][i] = model.phase != "idle"
        taken[i] = pack(Command, {name: np.array(v) for name, v in model.command.items()})
        for name, value in model.outputs(now).items():
            expected[name][i] = value
        model.clock(now, {name: int(values[i]) for name, values in fields.items()})

    # Before the reset nothing is known, and `last` counts only where a row is accepted.
    wrong = {name: got[name][1:] != expected[name][1:] for name in _OUTPUTS}
    wrong["last"] = (got["last"][1:] != expected["last"][1:]) & (expected["accept"][1:] == 1)
    wrong["command"] = got["command"][1:] != taken[1:]
    earliest = min(
        ((i, name) for name, where in wrong.items() if (i := first(where)) is not None),
        default=None,
    )
    if earliest is None:
        return Result("control", count, None)
    i, name = earliest
    should = taken[i + 1] if name == "command" else expected[name][i + 1]
    sentence = (
        f"in phase {phases[i + 1]} output {name} is {got[name][i + 1]:#x} instead of {should:#x}"
    )
    return Result("control", i + 1, Wrong(unit.name, sentence))
