"""Kuzmin et al. 2022, figure 1: the grids of the formats and how densely their values lie."""

# matplotlib leaves its keyword arguments untyped.
# pyright: reportUnknownMemberType=false

from matplotlib.figure import Figure

from qerror.plotting._style import COLORS, line_style
from qerror.plotting.papers._figure import canvas, format_index, register
from qerror.reporting import Document
from qerror.studies.eight_bits import EIGHT_BITS
from qerror.studies.study import column, select


def draw(document: Document) -> Figure:
    """Draw every level as a stroke, and the density of the levels as a staircase."""
    figure = canvas(10, 3.8)
    left, right = figure.subplots(1, 2)
    for i, name in enumerate(EIGHT_BITS):
        levels = column(select(document, panel="levels", format=name), "level")
        left.vlines(levels, i - 0.36, i + 0.36, colors=COLORS[i], linewidth=0.7)
        steps = select(document, panel="density", format=name)
        edges = [column(steps, "step")[0], *column(steps, "high")]
        share = column(steps, "share_per_unit")
        style = line_style(format_index(name))
        right.plot(
            edges, [*share, share[-1]], drawstyle="steps-post", label=name, **style, markevery=0.12
        )
    left.set_yticks(range(len(EIGHT_BITS)), EIGHT_BITS)
    left.set_ylim(len(EIGHT_BITS) - 0.5, -0.5)
    left.grid(visible=False)
    left.set_xlabel("level / largest level")
    left.set_title("levels (positive half)")
    right.set_xscale("log", base=2)
    right.set_yscale("log")
    right.set_xlabel("value / largest level")
    right.set_ylabel("share of the levels per unit")
    right.set_title("density of the levels")
    right.legend(handlelength=3.5)
    return figure


register("fp8-fig1", draw)
