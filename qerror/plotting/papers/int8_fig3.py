"""Van Baalen et al. 2023, figure 3: gates of a multiply-accumulate, and the SQNR they buy."""

# matplotlib leaves its keyword arguments untyped.
# pyright: reportUnknownMemberType=false

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from qerror.densities import density_name
from qerror.plotting._style import COLORS, MARKERS
from qerror.plotting.papers._figure import canvas, fill, format_index, register
from qerror.reporting import Document, Row
from qerror.studies.eight_bits import EIGHT_BITS
from qerror.studies.fp8_versus_int8.fig3 import DENSITIES, READ
from qerror.studies.study import column, select


def draw(document: Document) -> Figure:
    """Draw the counts in parts, and SQNR against gates, a panel a density."""
    figure = canvas(13, 7.4)
    axes = figure.subplots(2, 3, sharey="row")
    for i, (ax, accumulator) in enumerate(zip(axes[0], READ, strict=True)):
        _bars(ax, select(document, accumulator=accumulator))
        ax.set_title(f"accumulator: {accumulator}", fontsize=10)
        if i == 0:
            ax.set_ylabel("2-input gates")
            ax.legend(fontsize=8, loc="upper left")
    for ax, density in zip(axes[1], map(density_name, DENSITIES), strict=True):
        _pareto(ax, document, density)
    axes[1][0].set_ylabel("SQNR of a product in dB")
    handles, labels = axes[1][0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside right lower", fontsize=9)
    return figure


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
            f"{read:g}", (place, max(read, below[place])), xytext=(0, 2),
            textcoords="offset points", ha="center", fontsize=8,
        )  # fmt: skip
    ax.set_xticks(range(len(rows)), [str(row["format"]) for row in rows])
    ax.grid(visible=False, axis="x")
    ax.set_ylim(0, 2650)


def _pareto(ax: Axes, document: Document, density: str) -> None:
    """Place every format and accumulator; an outline marks what no other beats in both."""
    points = [
        (gates, column(select(document, panel="sqnr", format=name, density=density), "sqnr_db")[0])
        for name in EIGHT_BITS
        for gates in column(select(document, panel="gates", format=name), "read")
    ]
    front = [p for p in points if not any(q[0] <= p[0] and q[1] >= p[1] and q != p for q in points)]
    faces = ("full", "left", "none")
    for name in EIGHT_BITS:
        (sqnr,) = column(select(document, panel="sqnr", format=name, density=density), "sqnr_db")
        for face, row in zip(faces, select(document, panel="gates", format=name), strict=True):
            i = format_index(name)
            ax.plot(
                column([row], "read"), [sqnr], linestyle="none", marker=MARKERS[i], ms=9,
                color=COLORS[i], markerfacecoloralt="white", fillstyle=face,
                label=f"{name}, {row['accumulator']}",
            )  # fmt: skip
    ax.plot(*zip(*sorted(front), strict=True), color="#555555", lw=0.9, ls="--", zorder=0,
            label="best for the gates")  # fmt: skip
    ax.set_title(f"both factors {density}", fontsize=10)
    ax.set_xlabel("2-input gates, as read")


register("int8-fig3", draw)
