"""Kuzmin et al. 2022, figure 4: how floating point is simulated, by a scale for each element."""

# matplotlib leaves its keyword arguments untyped.
# pyright: reportUnknownMemberType=false

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from qerror.plotting._style import COLORS, LINES
from qerror.plotting.papers._figure import canvas, panel, register
from qerror.reporting import Document
from qerror.studies.fp8_quantization.fig4 import BIASES, FORM, HIGH, LOW
from qerror.studies.study import column, select

_SHOWN = 16.0  # of the linear axis


def draw(document: Document) -> Figure:
    """Draw the scale of an element, the quotient that is rounded, and the level it becomes."""
    figure = canvas(6.4)
    top, middle, bottom = figure.subplots(3, 1)
    for k, bias in enumerate(BIASES):
        style = {"color": COLORS[k], "linestyle": LINES[k], "linewidth": 1.3 - 0.3 * k}
        rows = select(document, panel="scale", bias=bias)
        edges = [LOW, *column(rows, "high")]
        top.stairs(column(rows, "scale"), edges, baseline=None, label=f"bias {bias:g}", **style)
        quotients = select(document, panel="rounded", bias=bias)
        middle.plot(column(quotients, "x"), column(quotients, "quotient"), **style)
    top.set_yscale("log", base=2)
    top.set_ylabel("scale s of an element")
    panel(top, "a", f"{FORM.name}: the scale that |x| picks")
    top.legend()
    middle.set_yscale("log", base=2)
    middle.set_ylim(0.9, 9)
    middle.set_yticks((1, 2, 4, 8), ("1", "2", "4", "8"))
    middle.set_ylabel("|x| / s, then rounded")
    panel(middle, "b", "what is rounded to a whole number")
    for ax in (top, middle):
        ax.set_xscale("log", base=2)
        ax.set_xlim(LOW, HIGH)
        ax.set_xlabel("|x|")
    _draw_levels(bottom, document)
    return figure


def _draw_levels(ax: Axes, document: Document) -> None:
    rows = select(document, panel="result")
    levels = column(rows, "level")
    ax.plot([0, _SHOWN], [0, _SHOWN], color="#777777", linewidth=0.5, label="x")
    edges = [0.0, *column(rows, "high")]
    ax.stairs(levels, edges, baseline=None, color=COLORS[0], linewidth=1.2, label="s round(x / s)")
    ax.set_xlim(0, _SHOWN)
    ax.set_ylim(0, _SHOWN)
    ax.set_yticks(range(0, 17, 4))
    ax.set_xlabel("x")
    ax.set_ylabel("rounded value")
    panel(ax, "c", f"the result, at bias {BIASES[0]:g}")
    ax.legend(loc="upper left")


register("fp8-fig4", draw)
