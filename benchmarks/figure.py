"""The benchmark as a figure: ratios against their bars, and time against the size of the grid."""

# matplotlib leaves its keyword arguments untyped.
# pyright: reportUnknownMemberType=false

from collections.abc import Sequence
from typing import cast

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from benchmarks.rows import Row
from qerror.plotting._style import COLORS, drawing, line_style
from qerror.reporting import short


def benchmark_figure(rows: Sequence[Row], scaling: Sequence[dict[str, object]]) -> Figure:
    """Draw both panels."""
    with drawing():
        shown = [row for row in rows if row.other is not None]
        figure = Figure(figsize=(12.5, 0.24 * len(shown) + 1.6), layout="constrained")
        left, right = figure.subplots(1, 2, width_ratios=[1.25, 1])
        _ratios(left, shown)
        _scaling(right, scaling)
    return figure


def _ratios(ax: Axes, rows: Sequence[Row]) -> None:
    """Draw how many times faster than the other, a line a row, with the bar as a tick."""
    places = range(len(rows))
    faster = [cast("float", row.other) / row.ours for row in rows]
    colors = [COLORS[1] if row.is_met is False else COLORS[0] for row in rows]
    ax.barh(places, [value - 1 for value in faster], left=1, height=0.6, color=colors)
    for place, row, value in zip(places, rows, faster, strict=True):
        limit = 0.0
        if row.bar is not None:
            limit = row.bar if row.at_least else 1 / row.bar
            ax.plot([limit, limit], [place - 0.4, place + 0.4], color="black", linewidth=1.6)
        ax.annotate(
            short(value, 3),
            (max(value, limit, 1), place),
            xytext=(4, 0),
            textcoords="offset points",
            va="center",
            fontsize=8,
        )
    ax.set_xscale("log")
    ax.set_xlim(0.01, 30 * max(faster))
    ax.set_yticks(places, [f"{row.what} / {row.against}" for row in rows], fontsize=8)
    ax.set_ylim(len(rows) - 0.4, -0.6)
    ax.grid(visible=False, axis="y")
    ax.set_xlabel("times faster than the other (black: the bar)")


def _scaling(ax: Axes, scaling: Sequence[dict[str, object]]) -> None:
    """Draw the time of one error against the bits of the grid."""
    keys = list(dict.fromkeys((entry["family"], entry["what"]) for entry in scaling))
    for index, (family, what) in enumerate(keys):
        own = [e for e in scaling if (e["family"], e["what"]) == (family, what)]
        bits = [cast("int", entry["bits"]) for entry in own]
        microseconds = [1e6 * cast("float", entry["seconds"]) for entry in own]
        ax.plot(bits, microseconds, label=f"{what}, {family}", **line_style(index))
    ax.set_yscale("log")
    ax.set_xlabel("bits of the format (its grid has up to 2^bits points)")
    ax.set_ylabel("microseconds per error, gaussian")
    ax.legend(fontsize=8)
