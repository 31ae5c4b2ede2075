"""Pictures of what the checks of random numbers measured."""

from io import BytesIO

import numpy as np
from matplotlib.figure import Figure

from cosim.units.randomness import LAGS, Correlations


def plot_correlations(found: Correlations) -> bytes:
    """Draw correlations by lag and between lanes, in standard deviations of random draws.

    Returns
    -------
    bytes
        PNG.
    """
    figure = Figure(figsize=(14, 4), layout="constrained")
    left, middle, right = figure.subplots(1, 3)
    lags = np.arange(1, LAGS + 1)
    for lane, values in enumerate(found.by_lag):
        left.plot(lags, values, ".", label=f"lane {lane}")
    for side in (-1, 1):
        left.axhline(side * found.threshold, color="black", linestyle="--", linewidth=1)
    left.set(xlabel="lag in draws", ylabel="standard deviations", title="Draws of one lane")
    left.legend(ncols=2, fontsize="x-small")
    for axes, values, title, what in (
        (middle, np.abs(found.by_bit).max(axis=(0, 1)), "Draws up to 8 apart", "bit"),
        (right, np.abs(found.between).max(axis=2), "Two lanes", "lane"),
    ):
        image = axes.imshow(values, vmin=0, vmax=found.threshold, cmap="viridis", origin="lower")
        axes.set(title=f"{title}: largest magnitude", xlabel=what, ylabel=what)
        figure.colorbar(image, ax=axes, label="standard deviations")
    figure.suptitle(
        f"{found.draws:,} draws a lane, {found.tests:,} tests, {found.threshold:.1f} standard "
        "deviations allowed"
    )
    buffer = BytesIO()
    figure.savefig(buffer, format="png", dpi=110)
    return buffer.getvalue()
