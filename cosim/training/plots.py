"""Pictures of a run: each a panel, alone or beside others."""

from collections.abc import Callable
from io import BytesIO
from itertools import pairwise

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from cosim.training.metrics import score_name
from pysim.formats import FloatFormat

ARRAY_COLOUR, FP32_COLOUR, LIMIT_COLOUR = "#0b6e99", "#d9730d", "#b3261e"
ROLE_COLOURS = {
    "weight": "#0b6e99",
    "activation": "#3a9b5c",
    "error": "#b3261e",
    "gradient": "#7a4fb5",
}
SMOOTHING = 20
"""Steps that a curve of the loss is averaged over."""

Panel = Callable[[Axes], None]


def picture(*panels: Panel) -> bytes:
    """Draw panels side by side.

    Parameters
    ----------
    *panels : callable
        Each draws on the axes that it is given.

    Returns
    -------
    bytes
        PNG.
    """
    figure = Figure(figsize=(5.2 * len(panels), 3.5), layout="constrained")
    for axes, draw in zip(figure.subplots(1, len(panels), squeeze=False)[0], panels, strict=True):
        draw(axes)
        axes.grid(alpha=0.25)
        axes.spines[["top", "right"]].set_visible(False)
        if axes.get_legend_handles_labels()[0]:
            axes.legend(frameon=False)
    buffer = BytesIO()
    figure.savefig(buffer, format="png", dpi=150)
    return buffer.getvalue()


def loss(lines: list[dict], engine: str) -> Panel:
    """Return the panel of the training loss of a run and of its twin.

    Parameters
    ----------
    lines : list of dict
        Of ``metrics.jsonl``.
    engine : str
        What the run is called.
    """

    def draw(axes: Axes) -> None:
        for prefix, label, colour, width in _both(engine):
            steps, losses = _series(lines, f"{prefix}loss")
            if len(steps):
                axes.plot(steps, losses, color=colour, alpha=0.2, linewidth=0.8)
                axes.plot(steps, _smooth(losses), color=colour, linewidth=width, label=label)
        axes.set(xlabel="step", ylabel="training loss", yscale="log")

    return draw


def score(lines: list[dict], engine: str, metric: str) -> Panel:
    """Return the panel of the scores, which `metric` is the name of, against the steps."""
    return _evaluated(lines, engine, score_name(metric), f"{metric} (%)", factor=100)


def squared_weights(lines: list[dict], engine: str) -> Panel:
    """Return the panel of the sums of squared weights."""
    return _evaluated(lines, engine, "squared_weights", "sum of squared weights")


def loss_scale(lines: list[dict]) -> Panel:
    """Return the panel of the loss scale, its floor, and the steps that were skipped."""

    def draw(axes: Axes) -> None:
        steps, scales = _series(lines, "loss_scale")
        _, floors = _series(lines, "loss_scale_floor")
        axes.step(steps, scales, where="mid", color=ARRAY_COLOUR, label="loss scale")
        if (floors > 0).any():
            shown = np.where(floors > 0, floors, np.nan)
            axes.step(steps, shown, "--", where="mid", color=LIMIT_COLOUR, label="its floor")
        _, skipped = _series(lines, "skipped")
        lost = np.diff(skipped, prepend=0) > 0
        if lost.any():
            axes.plot(steps[lost], scales[lost], "x", color="black", label="step skipped")
        axes.set_yscale("log", base=2)
        axes.set(xlabel="step", ylabel="loss scale")
        if scales.min() == scales.max():
            axes.set_ylim(scales[0] / 4, scales[0] * 4)

    return draw


def left_range(lines: list[dict], what: str) -> Panel:
    """Return the panel of the share of each role's numbers that left the range of their format.

    Each point is about the steps since the one before.

    Parameters
    ----------
    lines : list of dict
        Of ``metrics.jsonl``; those with ``roles`` hold counts since the start.
    what : str
        ``"overflowed"`` or ``"underflowed"``.
    """

    def draw(axes: Axes) -> None:
        counted = [line for line in lines if "roles" in line]
        for role, colour in ROLE_COLOURS.items():
            steps, shares = [], []
            for before, after in pairwise(counted):
                elements = after["roles"][role]["elements"] - before["roles"][role]["elements"]
                happened = after["roles"][role][what] - before["roles"][role][what]
                if elements:
                    steps.append(after["step"])
                    shares.append(100 * happened / elements)
            axes.plot(steps, shares, marker="o", markersize=3, color=colour, label=role)
        axes.set(xlabel="step", ylabel=f"{what} (%)")
        # Room for the zero line of a role to which nothing happened.
        axes.set_ylim(bottom=-0.02 * axes.get_ylim()[1])

    return draw


def exponents(role: str, counts: dict, fmt: FloatFormat) -> Panel:
    """Return the panel of a role's exponents, before conversion and after.

    Parameters
    ----------
    role : str
    counts : dict
        From `cosim.bridge.exponents.Exponents.to_dict`.
    fmt : FloatFormat
        Whose limits are marked.
    """

    def draw(axes: Axes) -> None:
        before, after = counts["before"], counts["after"]
        total = sum(before.values())
        found = [int(name) for name in (*before, *after) if name not in ("zero", "nonfinite")]
        least, most = fmt.min_exponent - fmt.fraction_bits, int(np.frexp(fmt.max_value)[1]) - 1
        low = max(min([*found, least]), least - 24)
        high = min(max([*found, most]), most + 24)
        span = np.arange(low, high + 1)

        def shares(of: dict) -> np.ndarray:
            values = np.array([of.get(str(exponent), 0) for exponent in span], float)
            # Whatever is smaller than the picture is wide.
            values[0] += sum(n for name, n in of.items() if _is_below(name, low))
            return 100 * values / total

        colour = ROLE_COLOURS[role]
        axes.bar(span, shares(after), width=0.9, color=colour, alpha=0.35, label="after")
        axes.step(span, shares(before), where="mid", color=colour, label="before")
        edge = low - 2
        zeros = [100 * of.get("zero", 0) / total for of in (before, after)]
        axes.bar(edge, zeros[1], width=0.9, color=colour, alpha=0.35)
        axes.plot([edge - 0.45, edge + 0.45], [zeros[0]] * 2, color=colour)
        for limit in (least - 0.5, most + 0.5):
            axes.axvline(limit, color=LIMIT_COLOUR, linewidth=0.9, linestyle="--")
        axes.axvline(fmt.min_exponent - 0.5, color=LIMIT_COLOUR, linewidth=0.9, linestyle=":")
        every = max(1, (high - low) // 8)
        ticks = [e for e in range(low, high + 1) if e % every == 0 and e > low + every // 2]
        axes.set_xticks([edge, *ticks], ["0", *(f"$2^{{{e}}}$" for e in ticks)])
        axes.set(xlabel=f"magnitude: {role}s in {fmt.name.upper()}", ylabel="share (%)")

    return draw


def _both(engine: str) -> tuple[tuple[str, str, str, float], ...]:
    """Prefix of the keys, label, colour, and line width: of the twin, and of the run."""
    return ("fp32_", "FP32 twin", FP32_COLOUR, 3.5), ("", engine, ARRAY_COLOUR, 1.5)


def _evaluated(lines: list[dict], engine: str, key: str, label: str, factor: float = 1) -> Panel:
    def draw(axes: Axes) -> None:
        for prefix, name, colour, width in _both(engine):
            steps, values = _series(lines, prefix + key)
            if len(steps):
                style = {"marker": "o", "markersize": width + 2, "linewidth": width}
                axes.plot(steps, factor * values, color=colour, label=name, **style)
        axes.set(xlabel="step", ylabel=label)

    return draw


def _is_below(name: str, exponent: int) -> bool:
    return name not in ("zero", "nonfinite") and int(name) < exponent


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
