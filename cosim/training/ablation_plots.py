"""Pictures of an ablation: what each variant reached, and how it came there."""

from dataclasses import dataclass
from io import BytesIO
from itertools import pairwise
from statistics import fmean, stdev

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from cosim.training.metrics import score_name
from cosim.training.plots import FP32_COLOUR

Series = list[tuple[int, float]]
"""Steps, and a number for each."""


@dataclass(frozen=True)
class Curve:
    """What can be drawn over the steps.

    Attributes
    ----------
    label : str
    key : str
        Of ``metrics.jsonl``; or of `RoleCounts`, where there is a role.
    role : str, optional
        Whose numbers; the curve is then their share in percent, since the point before.
    log : bool
        Whether the axis is logarithmic, with base 2.
    floor : str, optional
        Key of a limit to draw under it.
    """

    label: str
    key: str
    role: str | None = None
    log: bool = False
    floor: str | None = None

    def series(self, lines: list[dict], prefix: str = "") -> Series:
        """Return the curve of a run; with the prefix ``"fp32_"``, of its twin."""
        if self.role is not None:
            return _shares(lines, self.role, self.key) if not prefix else []
        key = prefix + self.key
        return [(line["step"], line[key]) for line in lines if key in line]


CURVES = {
    "squared weights": Curve("sum of squared weights", "squared_weights"),
    "loss scale": Curve("loss scale", "loss_scale", log=True, floor="loss_scale_floor"),
    "underflow of errors": Curve("errors flushed to zero (%)", "underflowed", "error"),
    "underflow of gradients": Curve("gradients flushed to zero (%)", "underflowed", "gradient"),
}


def plot_ablation(
    title: str, metric: str, runs: dict[str, list[list[dict]]], curves: tuple[str, ...]
) -> bytes:
    """Draw the last score of each variant and seed beside FP32's, and curves over the steps.

    Parameters
    ----------
    title : str
    metric : str
        What the score is called.
    runs : dict of str to list
        Of each variant, the lines of ``metrics.jsonl`` of each seed.
    curves : tuple of str
        Keys of `CURVES`, or ``"score"``.

    Returns
    -------
    bytes
        PNG.
    """
    figure = Figure(figsize=(4.2 * (1 + len(curves)), 3.6), layout="constrained")
    figure.suptitle(title)
    scores, *others = figure.subplots(1, 1 + len(curves))
    score = Curve(f"{metric} (share)", score_name(metric))
    _draw_scores(scores, metric, score, runs)
    for axes, name in zip(others, curves, strict=True):
        _draw_curve(axes, score if name == "score" else CURVES[name], runs)
    buffer = BytesIO()
    figure.savefig(buffer, format="png", dpi=80)
    return buffer.getvalue()


def _draw_scores(axes: Axes, metric: str, score: Curve, runs: dict[str, list[list[dict]]]) -> None:
    twins = [score.series(lines, "fp32_")[-1][1] for lines in next(iter(runs.values()))]
    mean, deviation = 100 * fmean(twins), 100 * _deviation(twins)
    axes.axhspan(mean - deviation, mean + deviation, color=FP32_COLOUR, alpha=0.15, linewidth=0)
    axes.axhline(mean, color=FP32_COLOUR, linestyle="--", label="FP32")
    for place, seeds in enumerate(runs.values()):
        reached = [100 * score.series(lines)[-1][1] for lines in seeds]
        axes.errorbar(
            place, fmean(reached), _deviation(reached), fmt="s", capsize=5, color=f"C{place}"
        )
        axes.scatter([place + 0.15] * len(reached), reached, s=12, color=f"C{place}", alpha=0.6)
    axes.set_xticks(range(len(runs)), runs, fontsize=8)
    axes.set(xlim=(-0.5, len(runs) - 0.5), ylabel=f"{metric} (%)")
    axes.grid(alpha=0.3)
    axes.legend(fontsize=8)


def _draw_curve(axes: Axes, curve: Curve, runs: dict[str, list[list[dict]]]) -> None:
    for place, (variant, seeds) in enumerate(runs.items()):
        _draw_mean(axes, [curve.series(lines) for lines in seeds], variant, f"C{place}", "-")
    anyone = next(iter(runs.values()))
    _draw_mean(axes, [curve.series(lines, "fp32_") for lines in anyone], "FP32", FP32_COLOUR, "--")
    if curve.floor is not None:
        floors = Curve("", curve.floor)
        for variant, seeds in runs.items():
            floor = [(step, scale) for step, scale in floors.series(seeds[0]) if scale > 0]
            if floor:
                axes.plot(*zip(*floor, strict=True), "k:", label=f"floor of {variant}")
    if curve.log:
        axes.set_yscale("log", base=2)
    axes.set(xlabel="step", ylabel=curve.label)
    axes.grid(alpha=0.3)
    axes.legend(fontsize=8)


def _draw_mean(axes: Axes, seeds: list[Series], label: str, color: str, style: str) -> None:
    """Draw the mean of all seeds, and the band between the least and the greatest."""
    if not all(seeds):
        return
    values = np.array([[value for _, value in series] for series in seeds])
    steps = [step for step, _ in seeds[0]]
    axes.plot(steps, values.mean(0), style, color=color, label=label)
    axes.fill_between(steps, values.min(0), values.max(0), color=color, alpha=0.15, linewidth=0)


def _deviation(values: list[float]) -> float:
    return stdev(values) if len(values) > 1 else 0.0


def _shares(lines: list[dict], role: str, key: str) -> Series:
    counted = [line for line in lines if "roles" in line]
    shares = []
    for before, after in pairwise(counted):
        elements = after["roles"][role]["elements"] - before["roles"][role]["elements"]
        happened = after["roles"][role][key] - before["roles"][role][key]
        if elements:
            shares.append((after["step"], 100 * happened / elements))
    return shares
