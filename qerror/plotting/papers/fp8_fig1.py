"""Kuzmin et al. 2022, figure 1: the grids of the formats and how densely their values lie."""

# matplotlib leaves its keyword arguments untyped.
# pyright: reportUnknownMemberType=false

from matplotlib.figure import Figure

from qerror.plotting._style import COLORS
from qerror.plotting.papers._figure import (
    canvas,
    format_index,
    panel,
    register,
    thin,
)
from qerror.reporting import Document
from qerror.studies.eight_bits import EIGHT_BITS
from qerror.studies.study import column, select


def draw(document: Document) -> Figure:
    """Draw every level as a stroke, and the density of the levels as a staircase."""
    figure = canvas(4.2)
    top, bottom = figure.subplots(2, 1, height_ratios=(1, 1.3))
    for i, name in enumerate(EIGHT_BITS):
        levels = column(select(document, panel="levels", format=name), "level")
        top.vlines(levels, i - 0.36, i + 0.36, colors=COLORS[i], linewidth=0.4)
        steps = select(document, panel="density", format=name)
        edges = [column(steps, "step")[0], *column(steps, "high")]
        share = column(steps, "share_per_unit")
        style = thin(format_index(name))
        bottom.plot(
            edges, [*share, share[-1]], drawstyle="steps-post", label=name, **style, markevery=0.12
        )
    top.set_yticks(range(len(EIGHT_BITS)), EIGHT_BITS)
    top.set_ylim(len(EIGHT_BITS) - 0.5, -0.5)
    top.grid(visible=False)
    top.set_xlabel("level / largest level")
    top.set_ylabel("format")
    panel(top, "a", "levels from 0 up")
    bottom.set_xscale("log", base=2)
    bottom.set_yscale("log")
    bottom.set_xlabel("value / largest level")
    bottom.set_ylabel("share of the levels per unit")
    panel(bottom, "b", "density of the levels")
    bottom.legend(handlelength=3.5)
    return figure


register("fp8-fig1", draw)
