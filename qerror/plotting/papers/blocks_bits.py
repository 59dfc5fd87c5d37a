"""Block formats of equal cost on three densities."""

# matplotlib leaves its keyword arguments untyped.
# pyright: reportUnknownMemberType=false

from matplotlib.figure import Figure

from qerror.plotting.papers._figure import canvas, fill, panel, register
from qerror.reporting import Document
from qerror.studies.blocks.bits import COSTS
from qerror.studies.blocks.measures import DENSITIES, LABELS
from qerror.studies.study import column, distinct, select


def draw(document: Document) -> Figure:
    """Draw bars side by side, a panel a cost; each says its value."""
    figure = canvas(4.8)
    axes = figure.subplots(2, 1)
    styles = distinct(document.rows, "format")
    for ax, letter, bits in zip(axes, "ab", COSTS, strict=True):
        names = list(COSTS[bits])
        width = 0.84 / len(names)
        for i, name in enumerate(names):
            heights = column(select(document, cost=bits, format=name), "sqnr_db")
            places = [k + (i + 0.5) * width - 0.42 for k in range(len(DENSITIES))]
            ax.bar(places, heights, width, label=name, **fill(styles.index(name)))
            for place, height in zip(places, heights, strict=True):
                ax.annotate(
                    f"{height:.2f}", (place, height), xytext=(0.7, 2), textcoords="offset points",
                    ha="center", va="bottom", rotation=90, fontsize=5.5,
                )  # fmt: skip
        ax.set_xticks(range(len(DENSITIES)), [LABELS[density] for density in DENSITIES])
        ax.grid(visible=False, axis="x")
        ax.set_ylim(14, 23.5)
        ax.set_xlabel("density")
        ax.set_ylabel("SQNR in dB (from 14)")
        panel(ax, letter, f"{bits:g} bits a value, scales included")
    handles = {
        label: handle
        for ax in axes
        for handle, label in zip(*ax.get_legend_handles_labels(), strict=True)
    }
    figure.legend([handles[name] for name in styles], styles, loc="outside lower center", ncols=4)
    return figure


register("blocks-bits", draw)
