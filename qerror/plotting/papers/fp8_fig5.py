"""Kuzmin et al. 2022, figure 5: the landscape of the toy experiment, MSE against c and m."""

# matplotlib leaves its keyword arguments untyped.
# pyright: reportUnknownMemberType=false

from matplotlib.figure import Figure

from qerror.plotting._style import line_style
from qerror.plotting.papers._figure import canvas, curve, register
from qerror.reporting import Document
from qerror.studies.fp8_quantization.fig5 import LEARNT, START
from qerror.studies.study import column, select


def draw(document: Document) -> Figure:
    """Draw the MSE over c for every m, with each optimum, and the best of them closer."""
    figure = canvas(11.5, 4.4)
    left, right = figure.subplots(1, 2)
    for m in range(6, 0, -1):
        rows = select(document, panel="landscape", m=m)
        curve(left, rows, "c", "mse", index=6 - m, label=f"m = {m}: {rows[0]['format']}")
        near = select(document, panel="near", m=m)
        if near:
            label = f"m = {m}: {near[0]['format']}"
            curve(right, near, "c", "mse", index=6 - m, label=label)
        best = select(document, panel="optimum", m=m)
        for ax in (left, right) if near else (left,):
            color = line_style(6 - m)["color"]
            ax.plot(column(best, "c"), column(best, "mse"), "*", color=color, ms=13, mec="white")
    left.axvline(START, ymin=0.25, color="#555555", linewidth=0.8, linestyle=":")
    left.annotate(
        "start: 3M4E,\nc = 240",
        (START, 2.4),
        xytext=(-4, 0),
        ha="right",
        va="top",
        textcoords="offset points",
        fontsize=8,
    )
    left.set_xscale("log", base=2)
    left.set_yscale("log")
    left.set_ylabel("MSE on N(0, 1)")
    left.legend(handlelength=3.5, fontsize=8, loc="lower right", ncols=2)
    left.set_ylim(4e-6, 4)
    left.set_title("mean squared error by mantissa bits m; stars: best c")
    right.axvline(LEARNT, color="#555555", linewidth=0.8, linestyle=":")
    right.annotate(
        "paper: c = 4.35",
        (LEARNT, 2.5e-4),
        xytext=(4, 0),
        va="top",
        textcoords="offset points",
        fontsize=8,
    )
    right.set_ylim(0, 3e-4)
    right.ticklabel_format(axis="y", style="sci", scilimits=(0, 0))
    right.set_title("near the optimum")
    right.legend(handlelength=3.5, fontsize=8, loc="upper right")
    for ax in (left, right):
        ax.set_xlabel("c, the largest level")
    return figure


register("fp8-fig5", draw)
