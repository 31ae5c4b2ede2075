"""Pictures of what the checks of random numbers measured."""

from io import BytesIO

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from cosim.units.probability import SHOWN_BITS, SHOWN_FORMAT, Probabilities
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
    left.set_ylim(-1.2 * found.threshold, 1.6 * found.threshold)
    left.legend(ncols=4, fontsize="x-small", loc="upper center")
    between = np.abs(found.between).max(axis=2)
    for axes, values, title, what in (
        (middle, np.abs(found.by_bit).max(axis=(0, 1)), "Bits, up to 8 draws apart", "bit"),
        (right, np.maximum(between, between.T), "Draws of two lanes", "lane"),
    ):
        image = axes.imshow(values, vmin=0, vmax=found.threshold, cmap="viridis", origin="lower")
        axes.set(title=f"{title}: largest magnitude", xlabel=what, ylabel=what)
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_major_locator(MaxNLocator(integer=True))
        figure.colorbar(image, ax=axes, label="standard deviations")
    figure.suptitle(
        f"{found.draws:,} draws a lane, {found.tests:,} tests, {found.threshold:.1f} standard "
        "deviations allowed"
    )
    return _png(figure)


def plot_probabilities(found: Probabilities) -> bytes:
    """Draw which draws round up, and how often that is by the discarded fraction.

    Returns
    -------
    bytes
        PNG.
    """
    figure = Figure(figsize=(14, 4.4), layout="constrained")
    left, middle, right = figure.subplots(1, 3)
    if found.decisions:
        decisions = np.stack([found.decisions[count] for count in sorted(found.decisions)])
        left.imshow(decisions, cmap="Greens", vmin=-0.3, vmax=1.3, origin="lower")
    left.set(
        xlabel="draw R",
        ylabel=f"discarded fraction in units of $2^{{-{SHOWN_BITS}}}$",
        title=f"{SHOWN_FORMAT.upper()}, r = {SHOWN_BITS}: dark rounds up",
    )
    measured = {
        bits: np.concatenate(parts, axis=1) for bits, parts in sorted(found.by_bits.items())
    }
    few = [bits for bits in measured if bits <= SHOWN_BITS]
    for bits in sorted({few[(len(few) - 1) // 2], few[-1]} if few else set()):
        middle.plot(*measured[bits], "o", markersize=4, label=f"r = {bits}", alpha=0.8)
    middle.plot([0, 1], [0, 1], color="black", linewidth=0.8, label="the fraction itself")
    middle.set(
        xlabel="discarded fraction f", ylabel="share of draws", title="Probability of rounding up"
    )
    middle.legend()
    sizes = list(measured)
    shortfalls = [fractions - shares for fractions, shares in measured.values()]
    right.plot(sizes, [2.0**-bits for bits in sizes], "--", color="black", label="$2^{-r}$")
    right.plot(sizes, [part.max() for part in shortfalls], "o", label="largest")
    right.plot(sizes, [part.min() for part in shortfalls], "o", label="least")
    # Below the smallest power of two on the axis, zero is shown as zero.
    right.set_yscale("symlog", base=2, linthresh=2.0 ** -(max(sizes) + 2))
    right.set_yticks([0, *(2.0**-bits for bits in range(1, max(sizes) + 2, 2))])
    right.set(xlabel="r", ylabel="f less share of draws", title="What is lost by r bits")
    right.legend()
    counted = sum(part.shape[1] << bits for bits, part in measured.items())
    figure.suptitle(f"{counted:,} conversions, every draw of each size")
    return _png(figure)


PLOTS = {
    Correlations: ("correlations.png", plot_correlations),
    Probabilities: ("probability.png", plot_probabilities),
}
"""File and function of the picture of each kind of `Result.detail`."""


def _png(figure: Figure) -> bytes:
    buffer = BytesIO()
    figure.savefig(buffer, format="png", dpi=110)
    return buffer.getvalue()
