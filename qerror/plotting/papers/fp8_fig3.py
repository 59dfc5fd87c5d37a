"""Kuzmin et al. 2022, figure 3: the SQNR of 8-bit formats on ever heavier tails."""

# matplotlib leaves its keyword arguments untyped.
# pyright: reportUnknownMemberType=false

from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter, StrMethodFormatter

from qerror.plotting.papers._figure import canvas, curve, format_index, grouped_bars, register
from qerror.reporting import Document
from qerror.studies.eight_bits import EIGHT_BITS
from qerror.studies.study import select


def draw(document: Document) -> Figure:
    """Draw bars for a few densities, and curves over Student-t's degrees of freedom."""
    figure = canvas(12.5, 4.4)
    left, right = figure.subplots(1, 2, width_ratios=(1.5, 1))
    bars = select(document, panel="bars")
    labels = ("uniform", "Gaussian", "t(8)", "t(5)", "t(3)")
    grouped_bars(left, bars, group="density", member="format", value="sqnr_db")
    left.set_xticks(range(len(labels)), labels)
    left.set_ylabel("SQNR in dB")
    left.set_title("each format at its best range", fontsize=10)
    left.legend(ncols=3, loc="upper right", fontsize=8)
    left.set_ylim(0, 66)
    for name in EIGHT_BITS:
        rows = select(document, panel="nu", format=name)
        curve(right, rows, "nu", "sqnr_db", index=format_index(name), label=name)
    right.set_xscale("log")
    right.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    right.xaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
    right.xaxis.set_minor_formatter(NullFormatter())
    right.set_xlabel("degrees of freedom of Student's t")
    right.set_ylabel("SQNR in dB")
    right.set_title("Student-t data", fontsize=10)
    right.legend(handlelength=3.5, fontsize=8)
    return figure


register("fp8-fig3", draw)
