"""Pictures of a run."""

from io import BytesIO
from itertools import pairwise

import numpy as np
from matplotlib.figure import Figure

from cosim.training.metrics import score_name

ARRAY_COLOUR, FP32_COLOUR = "#0b6e99", "#d9730d"
SMOOTHING = 20
"""Steps that a curve of the loss is averaged over."""


def plot_curves(lines: list[dict], engine: str, metric: str) -> bytes:
    """Draw loss and score against the steps, beside the twin in FP32.

    Parameters
    ----------
    lines : list of dict
        Of ``metrics.jsonl``.
    engine : str
        What the curves of the run are called.
    metric : str
        What the score is called.

    Returns
    -------
    bytes
        PNG.
    """
    figure = Figure(figsize=(10, 3.8), layout="constrained")
    loss, accuracy = figure.subplots(1, 2)
    for prefix, label, colour, width in (
        ("fp32_", "FP32 twin", FP32_COLOUR, 3.5),
        ("", engine, ARRAY_COLOUR, 1.5),
    ):
        steps, losses = _series(lines, f"{prefix}loss")
        if len(steps):
            loss.plot(steps, losses, color=colour, alpha=0.2, linewidth=0.8)
            loss.plot(steps, _smooth(losses), color=colour, linewidth=width, label=label)
        steps, accuracies = _series(lines, prefix + score_name(metric))
        if len(steps):
            style = {"marker": "o", "markersize": width + 2, "linewidth": width}
            accuracy.plot(steps, 100 * accuracies, color=colour, label=label, **style)
    loss.set(xlabel="step", ylabel="training loss", yscale="log")
    accuracy.set(xlabel="step", ylabel=f"{metric} (%)")
    for axes in (loss, accuracy):
        axes.grid(alpha=0.3)
        axes.legend()
    return _png(figure)


def plot_numbers(lines: list[dict]) -> bytes:
    """Draw what share of the numbers of each role left the range of their format.

    Each point is about the steps since the one before.

    Parameters
    ----------
    lines : list of dict
        Of ``metrics.jsonl``; those with ``roles`` hold counts since the start.

    Returns
    -------
    bytes
        PNG.
    """
    figure = Figure(figsize=(10, 3.2), layout="constrained")
    panels = dict(zip(("underflowed", "overflowed"), figure.subplots(1, 2), strict=True))
    counted = [line for line in lines if "roles" in line]
    for what, axes in panels.items():
        for role in counted[0]["roles"] if counted else ():
            steps, shares = [], []
            for before, after in pairwise(counted):
                elements = after["roles"][role]["elements"] - before["roles"][role]["elements"]
                happened = after["roles"][role][what] - before["roles"][role][what]
                if elements:
                    steps.append(after["step"])
                    shares.append(100 * happened / elements)
            axes.plot(steps, shares, marker="o", markersize=3, label=role)
        axes.set(xlabel="step", ylabel=f"{what} (%)")
        axes.set_ylim(bottom=0)
        axes.grid(alpha=0.3)
        axes.legend()
    return _png(figure)


def _series(lines: list[dict], key: str) -> tuple[np.ndarray, np.ndarray]:
    pairs = [(line["step"], line[key]) for line in lines if key in line]
    steps, values = zip(*pairs, strict=True) if pairs else ((), ())
    return np.array(steps), np.array(values)


def _smooth(values: np.ndarray) -> np.ndarray:
    """Average over the latest steps."""
    sums = np.cumsum(np.concatenate([[0.0], values]))
    last = np.arange(1, len(values) + 1)
    first = np.maximum(last - SMOOTHING, 0)
    return (sums[last] - sums[first]) / (last - first)


def _png(figure: Figure) -> bytes:
    buffer = BytesIO()
    figure.savefig(buffer, format="png", dpi=130)
    return buffer.getvalue()
