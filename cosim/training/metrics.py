"""What a run says of itself, a line of JSON for each step."""

import json
from pathlib import Path

import numpy as np

from cosim.files import replacing


class Metrics:
    """The file ``metrics.jsonl``, and its lines.

    Every line has ``step``; the others have the keys that there was something to say about, such
    as ``loss``, ``fp32_loss``, ``cycles``, ``accuracy``.

    Parameters
    ----------
    path : Path

    Attributes
    ----------
    lines : list of dict
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self.lines: list[dict] = []

    def clear(self) -> None:
        """Begin a new file."""
        self.lines = []
        self._rewrite()

    def cut(self, step: int) -> None:
        """Read the file, and drop the lines after a step: a resumed run writes them again."""
        text = self._path.read_text() if self._path.exists() else ""
        # The last line may be half written, if the run was killed.
        whole = [line for line in text.splitlines(keepends=True) if line.endswith("\n")]
        self.lines = [line for line in map(json.loads, whole) if line["step"] <= step]
        self._rewrite()

    def append(self, line: dict) -> None:
        """Add a line."""
        self.lines.append(line)
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
        with replacing(self._path) as file:
            file.write("".join(json.dumps(line) + "\n" for line in self.lines).encode())
