"""Kuzmin et al. 2022, figure 3: the SQNR of 8-bit formats on ever heavier tails."""

# matplotlib leaves its keyword arguments untyped.
# pyright: reportUnknownMemberType=false

from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure

from qerror.plotting.papers._figure import (
    canvas,
    curve,
    format_index,
    grouped_bars,
    panel,
    register,
    tail_axis,
)
from qerror.reporting import Document
from qerror.studies.eight_bits import EIGHT_BITS
from qerror.studies.study import column, distinct, select


def draw(document: Document) -> Figure:
    """Draw bars for a few densities, curves over degrees of freedom, and bars for a layer."""
    figure = canvas(6.6)
    top, bottom, last = figure.subplots(3, 1)
    bars = [row for row in select(document, panel="bars") if row["format"] in EIGHT_BITS]
    labels = ("uniform", "Gaussian", "t(8)", "t(5)", "t(3)")
    grouped_bars(top, bars, group="density", member="format", value="sqnr_db")
    top.set_xticks(range(len(labels)), labels)
    top.set_xlabel("density")
    top.set_ylabel("SQNR in dB")
    panel(top, "a", "each format at its best range")
    top.legend(ncols=2, loc="upper right", borderaxespad=0)
    top.set_ylim(0, 60)
    for name in EIGHT_BITS:
        rows = select(document, panel="nu", format=name)
        curve(bottom, rows, "nu", "sqnr_db", index=format_index(name), label=name)
    tail_axis(bottom, 2.2, 100)
    bottom.set_ylabel("SQNR in dB")
    panel(bottom, "b", "Student-t data, best ranges")
    bottom.legend(handlelength=3.5)
    _draw_layer(last, document)
    return figure


def _draw_layer(ax: Axes, document: Document) -> None:
    """Draw bars for the values of a layer, and a line across each for their Gaussian."""
    rows = select(document, panel="layer")
    grouped_bars(ax, rows, group="density", member="format", value="sqnr_db", inside=True)
    width = 0.84 / len(EIGHT_BITS)
    for k, kind in enumerate(distinct(rows, "density")):
        heights = column([row for row in rows if row["density"] == kind], "gaussian_db")
        starts = [k - 0.42 + i * width for i in range(len(heights))]
        label = "" if k else "Gaussian of their mean and variance"
        ends = [start + width for start in starts]
        ax.hlines(heights, starts, ends, colors="black", linewidth=1.2, label=label)
    ax.set_xlabel("values of a layer of EfficientNet-Lite0")
    ax.set_ylabel("SQNR in dB")
    ax.set_ylim(0, 60)
    lines = [line for line in ax.get_legend_handles_labels()[0] if isinstance(line, LineCollection)]
    ax.legend(handles=lines, loc="upper right")
    panel(ax, "c", "a layer's own values, best ranges")


register("fp8-fig3", draw)
