"""Pictures for the data sheet of an engine: its blocks, and its tiles over time."""

from io import StringIO

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.ticker import MaxNLocator

from pysim import ArrayConfig
from pysim.cycles import tile_clocks
from rtl_gen.datasheet import hiding_length

SHOWN_TILES = 3
_BLUE, _ORANGE, _GREY = "#0b6e99", "#d9730d", "#8a9ba3"


def block_diagram(config: ArrayConfig) -> str:
    """Return the blocks of an engine and what passes between them, as SVG."""
    rows, cols, latency = config.rows, config.cols, config.latency
    figure = Figure(figsize=(7.5, 7), layout="tight")
    axes = figure.add_subplot()
    axes.set(xlim=(-5.6, 5.6), ylim=(-2, 9.8), aspect="equal")
    axes.axis("off")
    converts = f"{cols} converters\n{cols} lanes of random bits"
    chain = (
        (8.6, 1.0, "registers\nAXI4-Lite", ""),
        (6.7, 1.0, "tile sequencer", "sizes, formats, mode"),
        (4.8, 1.0, "schedule\nload, compute, drain", "tiles"),
        (2.1, 1.8, f"{rows} x {cols} elements\n{latency} sums each, in turns", "marks, slots"),
        (0.0, 1.0, converts, f"{cols} sums a clock"),
        (-1.8, 1.0, f"streaming converter\n{converts}", ""),
    )
    for place, (bottom, height, text, enters) in enumerate(chain):
        _block(axes, bottom, height, text)
        if enters:
            above = chain[place - 1][0]
            _arrow(axes, (0, above), (0, bottom + height))
            axes.text(0.15, (above + bottom + height) / 2, enters, va="center", fontsize=8)
    entering = {
        9.1: "s_axil",
        3.6: f"s_axis_a\n{rows} codes",
        3.0: f"s_axis_b\n{cols} codes",
        -1.3: f"s_axis_x\n{cols} numbers",
    }
    if config.load_c:
        entering[2.4] = f"s_axis_c\n{cols} numbers"
    leaving = {9.1: "irq", 0.5: f"m_axis_d\n{cols} results", -1.3: f"m_axis_y\n{cols} codes"}
    for height, text in entering.items():
        _arrow(axes, (-3.6, height), (-2, height))
        axes.text(-3.75, height, text, ha="right", va="center", fontsize=8)
    for height, text in leaving.items():
        _arrow(axes, (2, height), (3.6, height))
        axes.text(3.75, height, text, va="center", fontsize=8)
    return _svg(figure)


def _block(axes: Axes, bottom: float, height: float, text: str) -> None:
    colour = _BLUE if "elements" in text else _GREY
    axes.add_patch(Rectangle((-2, bottom), 4, height, facecolor=(colour, 0.15), edgecolor="black"))
    axes.text(0, bottom + height / 2, text, ha="center", va="center", fontsize=9)


def _arrow(axes: Axes, start: tuple[float, float], end: tuple[float, float]) -> None:
    axes.annotate("", end, start, arrowprops={"arrowstyle": "-|>", "color": "black"})


def timing_diagram(config: ArrayConfig) -> str:
    """Return when the streams of a GEMM move, tile by tile, as SVG; nothing stalls.

    K is the least that hides loading and draining.
    """
    k = hiding_length(config)
    shape = (SHOWN_TILES * config.rows, config.latency * config.cols, k)
    tiles = list(tile_clocks(config, *shape, load_c=config.load_c))
    lanes = {"s_axis_a, s_axis_b": "compute", "m_axis_d": "results"}
    if config.load_c:
        lanes = {"s_axis_c": "load", **lanes}
    figure = Figure(figsize=(8, 2), layout="tight")
    axes = figure.add_subplot()
    for place, phase in enumerate(reversed(lanes.values())):
        for number, tile in enumerate(tiles):
            clocks: range = getattr(tile, phase)
            colour = (_BLUE, _ORANGE)[number % 2]
            axes.broken_barh(
                [(clocks.start, len(clocks))], (place - 0.35, 0.7), color=colour, alpha=0.75
            )
            middle = clocks.start + len(clocks) / 2
            axes.text(middle, place, str(number), ha="center", va="center", color="white")
    axes.set_yticks(range(len(lanes)), list(reversed(lanes)))
    axes.set_xlabel(f"clocks from the first command on, for {SHOWN_TILES} tiles of K = {k}")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.grid(axis="x", alpha=0.3)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.tick_params(left=False)
    return _svg(figure)


def _svg(figure: Figure) -> str:
    """Return a figure as text that is the same for the same figure."""
    text = StringIO()
    with rc_context({"svg.fonttype": "none", "svg.hashsalt": "fp8cosim"}):
        figure.savefig(text, format="svg", metadata={"Date": None, "Creator": None})
    return text.getvalue()
