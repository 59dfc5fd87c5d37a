"""Kuzmin et al. 2022, figure 2: the rounding error, its weight, and what the bias does."""

# matplotlib leaves its keyword arguments untyped.
# pyright: reportUnknownMemberType=false

from matplotlib.figure import Figure

from qerror.plotting._style import COLORS
from qerror.plotting.papers._figure import canvas, curve, format_index, register
from qerror.reporting import Document
from qerror.studies.fp8_quantization.fig2 import BIASED, LAST, ROUNDED
from qerror.studies.study import column, select


def draw(document: Document) -> Figure:
    """Draw errors and weighted errors format by format, and the effect of the bias beside."""
    figure = canvas(13, 6)
    grid = figure.add_gridspec(6, 3, width_ratios=(1, 1, 1.2))
    for i, name in enumerate(ROUNDED):
        rows = select(document, panel="error", format=name)
        corners = [row for row in rows if row["corner"]]
        left = figure.add_subplot(grid[2 * i : 2 * i + 2, 0])
        middle = figure.add_subplot(grid[2 * i : 2 * i + 2, 1])
        color = COLORS[format_index(name)]
        left.plot(column(corners, "w"), column(corners, "error"), color=color, linewidth=0.8)
        middle.fill_between(column(rows, "w"), column(rows, "weighted"), color=color)
        for ax, what in ((left, "R(w)"), (middle, "R(w)² p(w)")):
            ax.set_xlim(0, LAST)
            ax.set_title(f"{name}: {what}", fontsize=10)
            if i < len(ROUNDED) - 1:
                ax.tick_params(labelbottom=False)
            else:
                ax.set_xlabel("w in standard deviations")
        left.set_ylim(-0.36, 0.36)
        middle.set_ylim(0)
        middle.ticklabel_format(axis="y", style="sci", scilimits=(0, 0))
    fixed, integer = figure.add_subplot(grid[:3, 2]), figure.add_subplot(grid[3:, 2])
    for name in BIASED:
        rows = select(document, panel="bias", format=name)
        curve(fixed, rows, "std", "fixed_db", index=format_index(name), label=name)
        octave = select(document, panel="octave", format=name)
        curve(integer, octave, "std", "integer_loss_db", index=format_index(name), label=name)
    fixed.set_xscale("log", base=2)
    fixed.set_title("bias fixed at $2^{e-1}$", fontsize=10)
    fixed.set_ylabel("SQNR in dB")
    fixed.legend(handlelength=3.5, fontsize=8)
    integer.set_yscale("log")
    integer.set_ylim(2e-4, 4)
    integer.set_title("best integer bias: loss to the best real one", fontsize=10)
    integer.set_ylabel("loss in dB")
    integer.set_xlabel("standard deviation (the loss repeats every octave)")
    return figure


register("fp8-fig2", draw)
