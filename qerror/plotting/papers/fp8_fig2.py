"""Kuzmin et al. 2022, figure 2: the rounding error, its weight, and what the bias does."""

# matplotlib leaves its keyword arguments untyped.
# pyright: reportUnknownMemberType=false

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from qerror.plotting._style import COLORS
from qerror.plotting.papers._figure import (
    canvas,
    curve,
    format_index,
    panel,
    register,
)
from qerror.reporting import Document
from qerror.studies.fp8_quantization.fig2 import BIASED, LAST, ROUNDED
from qerror.studies.study import column, select


def draw(document: Document) -> Figure:
    """Draw errors and weighted errors format by format, and the effect of the bias below."""
    figure = canvas(7.2)
    grid = figure.add_gridspec(5, 2, height_ratios=(1, 1, 1, 1.7, 1.7))
    axes = [[figure.add_subplot(grid[0, j]) for j in range(2)]]
    for i in range(1, len(ROUNDED)):
        axes.append([figure.add_subplot(grid[i, j], sharex=axes[0][j]) for j in range(2)])
    for i, name in enumerate(ROUNDED):
        _draw_errors(axes[i][0], axes[i][1], document, name, is_last=i == len(ROUNDED) - 1)
        panel(axes[i][0], "abc"[i], f"{name}: error")
        panel(axes[i][1], "def"[i], f"{name}: share")
    highest = max(pair[1].get_ylim()[1] for pair in axes)
    for pair in axes:
        pair[1].set_ylim(0, highest)
    fixed, integer = figure.add_subplot(grid[3, :]), figure.add_subplot(grid[4, :])
    for name in BIASED:
        rows = select(document, panel="bias", format=name)
        curve(fixed, rows, "std", "fixed_db", index=format_index(name), label=name)
        octave = select(document, panel="octave", format=name)
        curve(integer, octave, "std", "integer_loss_db", index=format_index(name), label=name)
    fixed.set_xscale("log", base=2)
    panel(fixed, "g", "bias fixed at $2^{e-1}$, Gaussian data")
    fixed.set_ylabel("SQNR in dB")
    fixed.set_xlabel("standard deviation")
    fixed.legend(handlelength=3.5)
    integer.set_yscale("log")
    integer.set_ylim(2e-4, 4)
    panel(integer, "h", "best integer bias against the best real one")
    integer.set_ylabel("loss in dB")
    integer.set_xlabel("standard deviation; the loss repeats every octave")
    return figure


def _draw_errors(left: Axes, right: Axes, document: Document, name: str, *, is_last: bool) -> None:
    rows = select(document, panel="error", format=name)
    corners = [row for row in rows if row["corner"]]
    color = COLORS[format_index(name)]
    left.plot(column(corners, "w"), column(corners, "error"), color=color, linewidth=0.5)
    weighted = [1000 * value for value in column(rows, "weighted")]
    right.fill_between(column(rows, "w"), weighted, color=color, linewidth=0)
    for ax in (left, right):
        ax.set_xlim(0, LAST)
        ax.set_xticks(range(0, int(LAST) + 1, 2))
        ax.tick_params(labelbottom=is_last)
        if is_last:
            ax.set_xlabel("w in standard deviations")
    left.set_ylim(-0.36, 0.36)
    left.set_ylabel("R(w)")
    left.set_yticks([-0.3, 0, 0.3])
    right.set_ylabel("1000 R² p")


register("fp8-fig2", draw)
