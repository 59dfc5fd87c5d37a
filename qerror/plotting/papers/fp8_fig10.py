"""Kuzmin et al. 2022, figure 10: the best exponent width as the min-max range grows."""

# matplotlib leaves its keyword arguments untyped.
# pyright: reportUnknownMemberType=false

from matplotlib.figure import Figure

from qerror.plotting._style import line_style
from qerror.plotting.papers._figure import canvas, curve, format_index, register
from qerror.reporting import Document
from qerror.studies.fp8_quantization.fig10 import FORMATS, HIGH, LOW, SHOWN
from qerror.studies.study import column, distinct, select


def draw(document: Document) -> Figure:
    """Draw the SQNR of every format, and the best exponent width as a staircase per nu."""
    figure = canvas(11.5, 4.2)
    left, right = figure.subplots(1, 2)
    for name in FORMATS:
        rows = select(document, panel="curves", format=name)
        curve(left, rows, "r", "sqnr_db", index=format_index(name), label=name)
    switches = select(document, panel="switches")
    for i, nu in enumerate(distinct(switches, "nu")):
        own = [row for row in switches if row["nu"] == nu]
        x = [LOW, *column(own, "r"), HIGH]
        y = [*column(own, "exponent_bits_below"), *column(own[-1:], "exponent_bits_above")]
        style = line_style(i)
        shifted = [bits + 0.06 * (i - 1.5) for bits in [*y, y[-1]]]
        right.plot(x, shifted, drawstyle="steps-post", label=f"nu = {nu:g}", **style)
    left.set_title(f"SQNR on t({SHOWN:g}) clipped at r")
    left.set_ylabel("SQNR in dB")
    left.legend(handlelength=3.5, fontsize=8, ncols=2)
    right.set_title("best exponent width; markers at the exact switches")
    right.set_ylabel("exponent bits (0: INT8)")
    right.set_yticks([0, 2, 3, 4, 5])
    right.legend(handlelength=3.5, fontsize=8)
    for ax in (left, right):
        ax.set_xscale("log")
        ax.set_xlabel("r = largest level = where the data are clipped")
    return figure


register("fp8-fig10", draw)
