"""Rules for scales that are powers of two, against where the spread lies between two powers."""

# matplotlib leaves its keyword arguments untyped.
# pyright: reportUnknownMemberType=false

from matplotlib.figure import Figure

from qerror.plotting.papers._figure import canvas, curve, panel, register
from qerror.reporting import Document
from qerror.studies.blocks.phase import DENSITIES, RULES
from qerror.studies.study import select

_TITLES = ("Gaussian", "Student-t data, nu = 5")


def draw(document: Document) -> Figure:
    """Draw a curve a rule, a panel a density."""
    figure = canvas(4.6)
    axes = figure.subplots(2, 1)
    for ax, letter, density, title in zip(axes, "ab", DENSITIES, _TITLES, strict=True):
        for i, rule in enumerate(RULES):
            rows = select(document, density=density, rule=rule)
            curve(ax, rows, "log2_scale", "sqnr_db", index=i, label=rule.upper())
        panel(ax, letter, f"MXFP4, {title}")
        ax.set_xlabel("log2 of the density's scale parameter, less a whole number")
        ax.set_ylabel("SQNR in dB")
    figure.legend(
        *axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=4, handlelength=3.5
    )
    return figure


register("blocks-phase", draw)
