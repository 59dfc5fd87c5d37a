"""Jin et al. 2022 (F8Net), figure 4: the best fractional length and where it changes."""

# matplotlib leaves its keyword arguments untyped.
# pyright: reportUnknownMemberType=false

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from qerror.plotting._style import COLORS, line_style
from qerror.plotting.papers._figure import canvas, register
from qerror.reporting import Document, Row
from qerror.studies.f8net.fig4 import SAMPLED
from qerror.studies.f8net.rule import CONSTANTS
from qerror.studies.study import column, select


def draw(document: Document) -> Figure:
    """Draw best length and error over std, and the thresholds relative to the rule's."""
    figure = canvas(11.5, 7)
    axes = figure.subplots(2, 2, width_ratios=(1.5, 1))
    for (left, right), signed in zip(axes, (True, False), strict=True):
        _draw_best(left, select(document, panel="best", signed=signed), signed)
        _draw_thresholds(right, select(document, panel="threshold", signed=signed), signed)
    return figure


def _draw_best(ax: Axes, rows: list[Row], signed: bool) -> None:
    std = column(rows, "std")
    lengths = column(rows, "fractional_length")
    ax.plot(std, lengths, drawstyle="steps-post", color=COLORS[0], label="best FL")
    ax.set_ylabel("best fractional length")
    other = ax.twinx()
    other.spines["right"].set_visible(True)
    other.plot(std, column(rows, "relative_error"), "--", color=COLORS[1], label="error there")
    other.plot(
        std,
        column(rows, "rule_relative_error"),
        ":",
        color=COLORS[4],
        label="error by F8Net's rule",
    )
    other.axhline(0.01, color="#777777", linewidth=0.8)
    other.set_yscale("log")
    other.set_ylim(2.5e-3, 1.3)
    other.grid(visible=False)
    other.set_ylabel("relative error: RMSE / std")
    ax.set_xscale("log")
    ax.set_xlabel("standard deviation" + ("" if signed else " before the ReLU"))
    ax.set_title("8-bit signed" if signed else "8-bit unsigned, after a ReLU")
    handles = [*ax.get_lines(), *other.get_lines()[:2]]
    ax.legend(handles=handles, loc="lower left", fontsize=8)


def _draw_thresholds(ax: Axes, rows: list[Row], signed: bool) -> None:
    lengths = column(rows, "fractional_length")
    at_zero = {
        key: [x * 2**n for x, n in zip(column(rows, key), lengths, strict=True)]
        for key in ("threshold", "rule_threshold", "sampled_threshold")
    }
    kinds = {
        "threshold": f"exact: {at_zero['threshold'][0]:.2f}",
        "rule_threshold": f"F8Net's rule: {CONSTANTS[signed]:g}",
        "sampled_threshold": f"its samples: {SAMPLED[signed]:.2f}",
    }
    for i, (key, label) in enumerate(kinds.items()):
        ax.plot(lengths, at_zero[key], label=label, **line_style(i))
    ax.margins(y=0.7)
    ax.set_xlabel("fractional length")
    ax.set_ylabel("threshold of the std times $2^{FL}$")
    ax.set_title("where FL gives way to FL - 1")
    ax.legend(fontsize=8, handlelength=3.5)


register("f8net-fig4", draw)
