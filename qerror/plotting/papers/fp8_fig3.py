"""Kuzmin et al. 2022, figure 3: the SQNR of 8-bit formats on ever heavier tails."""

# matplotlib leaves its keyword arguments untyped.
# pyright: reportUnknownMemberType=false

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
from qerror.studies.study import select


def draw(document: Document) -> Figure:
    """Draw bars for a few densities, and curves over Student-t's degrees of freedom."""
    figure = canvas(5.2)
    top, bottom = figure.subplots(2, 1)
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
    return figure


register("fp8-fig3", draw)
