"""SQNR of 4-bit block formats against the size of the blocks."""

# matplotlib leaves its keyword arguments untyped.
# pyright: reportUnknownMemberType=false

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from qerror.plotting.papers._figure import canvas, curve, panel, register
from qerror.reporting import Document
from qerror.studies.blocks.sizes import DENSITIES, FORMATS, SIZES, SPREADS
from qerror.studies.study import select

_TITLES = ("Gaussian", "Student-t data, nu = 5")


def draw(document: Document) -> Figure:
    """Draw a curve a format on two densities, and one a spread without a tensor scale."""
    figure = canvas(6.8)
    axes = figure.subplots(3, 1)
    for ax, letter, density, title in zip(axes, "ab", DENSITIES, _TITLES, strict=False):
        for i, label in enumerate(FORMATS):
            rows = select(document, panel="formats", density=density, format=label)
            curve(ax, rows, "block_size", "sqnr_db", index=i, label=label)
        panel(ax, letter, title)
        ax.legend(handlelength=3.5, ncols=1 if letter == "b" else 2)
        _name_sizes(ax)
    for i, std in enumerate(SPREADS):
        rows = select(document, panel="no tensor scale", std=std)
        curve(axes[2], rows, "block_size", "sqnr_db", index=i, label=f"std {std:g}")
    panel(axes[2], "c", "NVFP4 without a tensor scale, Gaussian")
    axes[2].legend(handlelength=3.5, loc="lower right")
    _name_sizes(axes[2])
    return figure


def _name_sizes(ax: Axes) -> None:
    ax.set_xscale("log", base=2)
    ax.set_xticks(SIZES, [str(size) for size in SIZES])
    ax.set_xlabel("values in a block")
    ax.set_ylabel("SQNR in dB")


register("blocks-size", draw)
