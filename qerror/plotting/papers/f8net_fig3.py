"""Jin et al. 2022 (F8Net), figure 3: relative error against std for every fractional length."""

# matplotlib leaves its keyword arguments untyped.
# pyright: reportUnknownMemberType=false

from matplotlib.figure import Figure

from qerror.plotting.papers._figure import canvas, curve, register
from qerror.reporting import Document
from qerror.studies.study import select


def draw(document: Document) -> Figure:
    """Draw a curve a fractional length, signed and unsigned."""
    figure = canvas(11.5, 4.4)
    panels = figure.subplots(1, 2, sharey=True)
    for ax, signed in zip(panels, (True, False), strict=True):
        for length in range(9 - signed):
            rows = select(document, signed=signed, fractional_length=length)
            curve(ax, rows, "std", "relative_error", index=length, label=f"FL = {length}")
        ax.axhline(0.01, color="black", linewidth=0.8, linestyle=":")
        ax.set_xscale("log")
        ax.set_yscale("log")
        ax.set_ylim(2.5e-3, 1.3)
        ax.set_xlabel("standard deviation" + ("" if signed else " before the ReLU"))
        ax.set_title("8-bit signed, Gaussian" if signed else "8-bit unsigned, rectified Gaussian")
    panels[0].set_ylabel("relative error: RMSE / std")
    handles, labels = panels[1].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside right center", handlelength=3.5, fontsize=9)
    return figure


register("f8net-fig3", draw)
