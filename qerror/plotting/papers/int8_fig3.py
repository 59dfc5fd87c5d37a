"""Van Baalen et al. 2023, figure 3: gates of a multiply-accumulate, and the SQNR they buy."""

# matplotlib leaves its keyword arguments untyped.
# pyright: reportUnknownMemberType=false

from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from qerror.densities import density_name
from qerror.plotting._style import COLORS, MARKERS
from qerror.plotting.papers._figure import (
    canvas,
    fill,
    format_index,
    panel,
    register,
)
from qerror.reporting import Document, Row
from qerror.studies.eight_bits import EIGHT_BITS
from qerror.studies.fp8_versus_int8.fig3 import DENSITIES, READ
from qerror.studies.study import column, select


def draw(document: Document) -> Figure:
    """Draw the counts in parts, and SQNR against gates, a panel a density."""
    figure = canvas(8.2)
    rows = figure.subplots(3, 2)
    for i, accumulator in enumerate(READ):
        ax = rows[i][0]
        _bars(ax, select(document, accumulator=accumulator))
        panel(ax, "abc"[i], accumulator)
        ax.set_ylabel("2-input gates")
    for i, density in enumerate(map(density_name, DENSITIES)):
        ax = rows[i][1]
        _pareto(ax, document, density)
        panel(ax, "def"[i], f"both {_SHORT.get(density, density)}")
        ax.set_ylabel("SQNR of w x in dB")
    for left, right in rows:
        left.set_xlabel("format")
        right.set_xlabel("2-input gates, as read")
    handles, labels = rows[0][0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper left")
    figure.legend(handles=_keys(), loc="outside lower center", ncols=3)
    return figure


def _keys() -> list[Line2D]:
    """Name the formats by marker and colour, the accumulators by filling."""
    none: dict[str, Any] = {"linestyle": "none", "markersize": 4}
    formats = [
        Line2D([], [], marker=MARKERS[i], color=COLORS[i], label=name, **none)
        for i, name in enumerate(EIGHT_BITS)
    ]
    style: dict[str, Any] = {
        **none,
        "marker": "o",
        "color": "#555555",
        "markerfacecoloralt": "white",
    }
    sums = [
        Line2D([], [], fillstyle=face, label=f"sum: {name}", **style)
        for face, name in zip(_FACES, READ, strict=True)
    ]
    front = Line2D([], [], color="#555555", lw=0.8, ls="--", label="not beaten in both")
    return [*formats, front, *sums]


_SHORT = {"gaussian": "Gaussian", "student-t(nu=3)": "t(3)"}
_FACES: tuple[Any, ...] = ("full", "left", "none")


def _bars(ax: Axes, rows: list[Row]) -> None:
    below = [0.0] * len(rows)
    parts = {
        "multiplier": "multiplier (computed)",
        "exponent_adder": "exponent adder (computed)",
        "accumulator_gates": "accumulator (computed)",
        "rest": "rest of the count read off the figure",
    }
    for i, (key, label) in enumerate(parts.items()):
        heights = column(rows, key)
        ax.bar(range(len(rows)), heights, 0.7, bottom=below, label=label, **fill(i))
        below = [a + b for a, b in zip(below, heights, strict=True)]
    for place, read in enumerate(column(rows, "read")):
        ax.annotate(
            f"{read:g}", (place, max(read, below[place])), xytext=(0, 1.5),
            textcoords="offset points", ha="center", fontsize=5.5,
        )  # fmt: skip
    ax.set_xticks(range(len(rows)), [str(row["format"]) for row in rows], fontsize=6, rotation=45)
    ax.grid(visible=False, axis="x")
    ax.set_ylim(0, 2650)


def _pareto(ax: Axes, document: Document, density: str) -> None:
    """Place every format and accumulator; a line joins what no other beats in both."""
    points = [
        (gates, column(select(document, panel="sqnr", format=name, density=density), "sqnr_db")[0])
        for name in EIGHT_BITS
        for gates in column(select(document, panel="gates", format=name), "read")
    ]
    front = [p for p in points if not any(q[0] <= p[0] and q[1] >= p[1] and q != p for q in points)]
    for name in EIGHT_BITS:
        (sqnr,) = column(select(document, panel="sqnr", format=name, density=density), "sqnr_db")
        for face, row in zip(_FACES, select(document, panel="gates", format=name), strict=True):
            i = format_index(name)
            ax.plot(
                column([row], "read"), [sqnr], linestyle="none", marker=MARKERS[i], ms=4,
                color=COLORS[i], markerfacecoloralt="white", fillstyle=face, mew=0.7,
            )  # fmt: skip
    ax.plot(*zip(*sorted(front), strict=True), color="#555555", lw=0.8, ls="--", zorder=0)


register("int8-fig3", draw)
