"""Kuzmin et al. 2022, figure 10: the best exponent width as the min-max range grows."""

# matplotlib leaves its keyword arguments untyped.
# pyright: reportUnknownMemberType=false

from matplotlib.figure import Figure

from qerror.plotting.papers._figure import (
    canvas,
    curve,
    format_index,
    panel,
    register,
    thin,
)
from qerror.reporting import Document
from qerror.studies.fp8_quantization.fig10 import FORMATS, HIGH, LOW, SHOWN
from qerror.studies.study import column, distinct, select


def draw(document: Document) -> Figure:
    """Draw the SQNR of every format, and the best exponent width as a staircase per nu."""
    figure = canvas(5.2)
    top, bottom = figure.subplots(2, 1)
    for name in FORMATS:
        rows = select(document, panel="curves", format=name)
        curve(top, rows, "r", "sqnr_db", index=format_index(name), label=name)
    switches = select(document, panel="switches")
    for i, nu in enumerate(distinct(switches, "nu")):
        own = [row for row in switches if row["nu"] == nu]
        x = [LOW, *column(own, "r"), HIGH]
        y = [*column(own, "exponent_bits_below"), *column(own[-1:], "exponent_bits_above")]
        shifted = [bits + 0.06 * (i - 1.5) for bits in [*y, y[-1]]]
        bottom.plot(x, shifted, drawstyle="steps-post", label=f"nu = {nu:g}", **thin(i))
    panel(top, "a", f"Student-t data, nu = {SHOWN:g}, clipped at r")
    top.set_ylabel("SQNR in dB")
    top.legend(handlelength=3.5, ncols=2)
    panel(bottom, "b", "best format; curves shifted a little")
    bottom.set_ylabel("exponent bits (0: INT8)")
    bottom.set_yticks([0, 2, 3, 4, 5])
    bottom.legend(handlelength=3.5, loc="lower right")
    for ax in (top, bottom):
        ax.set_xscale("log")
        ax.set_xlabel("r = largest level = where the data are clipped")
    return figure


register("fp8-fig10", draw)
