"""Van Baalen et al. 2023, figure 5: effective bits, beside the values read off their figure."""

# matplotlib leaves its keyword arguments untyped.
# pyright: reportUnknownMemberType=false

from matplotlib.figure import Figure

from qerror.plotting._style import COLORS
from qerror.plotting.papers._figure import (
    canvas,
    grouped_bars,
    register,
)
from qerror.reporting import Document
from qerror.studies.eight_bits import EIGHT_BITS
from qerror.studies.fp8_versus_int8.fig5 import LEVELS
from qerror.studies.study import column, select


def draw(document: Document) -> Figure:
    """Draw bars of effective bits, the values read as strokes, the limits as lines."""
    figure = canvas(3.3)
    ax = figure.subplots()
    bars = [row for row in document.rows if row["format"] in EIGHT_BITS]
    grouped_bars(ax, bars, group="density", member="format", value="bits", digits=2, inside=True)
    width = 0.84 / len(EIGHT_BITS)
    label: str | None = "read off the paper's figure"
    for i, name in enumerate(EIGHT_BITS):
        for group, row in enumerate(select(document, format=name)):
            place, (read,) = group + (i + 0.5) * width - 0.42, column([row], "read")
            ax.plot([place - 0.07, place + 0.07], [read, read], color="black", lw=1.2, label=label)
            label = None
            if not row["agrees"]:
                ax.annotate(
                    f"paper: {read}", (place, read), xytext=(place + 0.02, 9.0), ha="center",
                    fontsize=6.5, arrowprops={"arrowstyle": "->", "color": COLORS[4], "lw": 0.6},
                )  # fmt: skip
    for name, dash, color in (("Lloyd-Max", "-", COLORS[5]), ("Panter-Dite", ":", "#7a0177")):
        for group, row in enumerate(select(document, format=name)):
            (bits,) = column([row], "bits")
            shown = f"{name}, {LEVELS} levels" if group == 0 else None
            ends = [group - 0.47, group + 0.47]
            ax.plot(ends, [bits, bits], dash, color=color, linewidth=1.3, label=shown)
    ax.set_xticks(range(3), ["uniform", "Gaussian", "t(3)"])
    ax.set_xlabel("density")
    ax.set_ylabel("effective bits: log2(std / RMSE)")
    ax.set_ylim(0, 9.8)
    handles, labels = ax.get_legend_handles_labels()
    figure.legend(handles, labels, ncols=3, loc="outside lower center", handlelength=1.6)
    return figure


register("int8-fig5", draw)
