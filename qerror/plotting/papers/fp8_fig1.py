"""Kuzmin et al. 2022, figure 1: the grids of the formats and how densely their values lie."""

# matplotlib leaves its keyword arguments untyped.
# pyright: reportUnknownMemberType=false

from collections.abc import Iterator

from matplotlib.figure import Figure

from qerror.formats import as_scalar_format
from qerror.plotting._style import COLORS, line_style
from qerror.plotting.papers._figure import (
    EIGHT_BITS,
    FIGURES,
    PaperFigure,
    canvas,
    column,
    figure_data,
    format_index,
    select,
)
from qerror.reporting import Document, Row


def data() -> Document:
    """Return levels >= 0 and, per run of equal steps, the share of them per unit.

    Everything is divided by the format's largest level; the shares of a format integrate to 1.
    """
    rows = [row for name in EIGHT_BITS for row in (*_levels(name), *_densities(name))]
    return figure_data({"formats": list(EIGHT_BITS)}, rows)


def _levels(name: str) -> Iterator[Row]:
    grid = as_scalar_format(name).grid()
    for x in grid.points.tolist():
        if x >= 0:
            yield {"panel": "levels", "format": name, "level": x / grid.max}


def _densities(name: str) -> Iterator[Row]:
    grid = as_scalar_format(name).grid()
    levels = sum(x > 0 for x in grid.points.tolist())
    for segment in grid.segments:
        if segment.stop > 0:
            yield {
                "panel": "density",
                "format": name,
                "low": max(segment.start, 0.0) / grid.max,
                "high": segment.stop / grid.max,
                "step": segment.step / grid.max,
                "share_per_unit": grid.max / segment.step / levels,
            }


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


FIGURES.register(
    "fp8-fig1",
    PaperFigure(
        "Grids of 8-bit formats and the density of their levels",
        "Kuzmin et al. 2022, figure 1",
        data,
        draw,
    ),
)
