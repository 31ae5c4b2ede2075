"""What a run says of itself, a line of JSON for each step."""

import json
from pathlib import Path

import numpy as np

from cosim.files import replacing
from pysim import InputError


def score_name(metric: str) -> str:
    """Return the key that a task's score goes by: ``"accuracy"`` or ``"bleu"``."""
    return metric.split()[-1].lower()


class Metrics:
    """The file ``metrics.jsonl``, and its lines.

    Every line has ``step``; the first is about step 0, before training. Keys that begin with
    ``fp32_`` are of the twin.

    =========================  =====================================================================
    key                        what
    =========================  =====================================================================
    loss, fp32_loss            of the batch, before the update
    loss_scale                 of this step
    loss_scale_floor           the least that it may be; 0 if there is none
    skipped                    steps without an update so far
    cycles                     simulated clock cycles of the training so far
    =========================  =====================================================================

    Lines of an evaluation have more:

    =========================  =====================================================================
    key                        what
    =========================  =====================================================================
    accuracy, fp32_accuracy    share of the test examples, 0 to 1, of models that classify
    bleu, fp32_bleu            0 to 1, of models that translate
    squared_weights,           sum over all weights
    fp32_squared_weights
    roles                      `RoleCounts` of each role since the start
    =========================  =====================================================================

    Parameters
    ----------
    path : Path
    writes : bool
        Whether the file is written; lines are kept in any case.

    Attributes
    ----------
    lines : list of dict
    """

    def __init__(self, path: Path, writes: bool = True) -> None:
        self._path = path
        self._writes = writes
        self.lines: list[dict] = []

    def clear(self) -> None:
        """Begin a new file."""
        self.lines = []
        self._rewrite()

    def cut(self, step: int) -> None:
        """Read the file, and drop the lines after a step: a resumed run writes them again.

        Raises
        ------
        InputError
            If a line up to that step is missing or damaged.
        """
        try:
            text = self._path.read_text()
            # The last line may be half written, if the run was killed.
            whole = [line for line in text.splitlines(keepends=True) if line.endswith("\n")]
            self.lines = [line for line in map(json.loads, whole) if line["step"] <= step]
            complete = [line["step"] for line in self.lines] == list(range(step + 1))
        except (OSError, ValueError, KeyError, TypeError):
            complete = False
        if not complete:
            raise InputError(f"{str(self._path)!r} does not tell of each step up to {step}")
        self._rewrite()

    def append(self, line: dict) -> None:
        """Add a line."""
        self.lines.append(line)
        if self._writes:
            with self._path.open("a") as file:
                file.write(json.dumps(line) + "\n")

    def latest(self, key: str) -> float | None:
        """Return the latest value of a key; None if there is none."""
        return next((line[key] for line in reversed(self.lines) if key in line), None)

    def closing_mean(self, key: str) -> float | None:
        """Return the mean of a key over the last tenth of its values; None if it has none."""
        values = [line[key] for line in self.lines if key in line]
        return float(np.mean(values[-max(1, len(values) // 10) :])) if values else None

    def _rewrite(self) -> None:
        if not self._writes:
            return
        with replacing(self._path) as file:
            file.write("".join(json.dumps(line) + "\n" for line in self.lines).encode())
