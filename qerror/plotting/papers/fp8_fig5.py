"""Kuzmin et al. 2022, figure 5: the landscape of the toy experiment, MSE against c and m."""

# matplotlib leaves its keyword arguments untyped.
# pyright: reportUnknownMemberType=false

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from qerror.plotting.papers._figure import (
    canvas,
    curve,
    panel,
    register,
    thin,
)
from qerror.reporting import Document
from qerror.studies.fp8_quantization.fig5 import LEARNT, START
from qerror.studies.study import column, select


def draw(document: Document) -> Figure:
    """Draw the MSE over c for every m, with each optimum, and the best of them closer."""
    figure = canvas(5.2)
    top, bottom = figure.subplots(2, 1, height_ratios=(1.3, 1))
    for m in range(6, 0, -1):
        rows = select(document, panel="landscape", m=m)
        label = f"m = {m}: {rows[0]['format']}"
        curve(top, rows, "c", "mse", index=6 - m, label=label)
        near = select(document, panel="near", m=m)
        if near:
            curve(bottom, near, "c", "mse", index=6 - m, label=label)
        best = select(document, panel="optimum", m=m)
        for ax in (top, bottom) if near else (top,):
            color = thin(6 - m)["color"]
            ax.plot(column(best, "c"), column(best, "mse"), "*", color=color, ms=7, mec="white")
    top.axvline(START, color="#555555", linewidth=0.6, linestyle=":")
    _say(top, "start: 3M4E,\nc = 240", (START, 2.4), -3)
    top.set_xscale("log", base=2)
    top.set_yscale("log")
    figure.legend(
        *top.get_legend_handles_labels(), handlelength=3.5, loc="outside lower center", ncols=3
    )
    top.set_ylim(2e-5, 4)
    panel(top, "a", "by mantissa bits m; stars: best c")
    bottom.axvline(LEARNT, color="#555555", linewidth=0.6, linestyle=":")
    _say(bottom, "paper: c = 4.35", (LEARNT, 2.9e-4), 3)
    bottom.set_ylim(0, 3e-4)
    bottom.ticklabel_format(axis="y", style="sci", scilimits=(0, 0), useMathText=True)
    panel(bottom, "b", "near the optimum")
    for ax in (top, bottom):
        ax.set_xlabel("c, the largest level, in standard deviations")
        ax.set_ylabel("MSE on a Gaussian of std 1")
    return figure


def _say(ax: Axes, text: str, place: tuple[float, float], shift: float) -> None:
    ax.annotate(
        text, place, xytext=(shift, 0), textcoords="offset points", fontsize=6.5, va="top",
        ha="right" if shift < 0 else "left",
    )  # fmt: skip


register("fp8-fig5", draw)
