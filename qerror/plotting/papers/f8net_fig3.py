"""Jin et al. 2022 (F8Net), figure 3: relative error against std for every fractional length."""

# matplotlib leaves its keyword arguments untyped.
# pyright: reportUnknownMemberType=false

from matplotlib.figure import Figure

from qerror.plotting.papers._figure import (
    canvas,
    curve,
    panel,
    register,
)
from qerror.reporting import Document
from qerror.studies.study import column, select


def draw(document: Document) -> Figure:
    """Draw a curve a fractional length, signed and unsigned, with the minimum of each."""
    figure = canvas(5.0)
    for ax, letter, signed in zip(figure.subplots(2, 1), "ab", (True, False), strict=True):
        for length in range(9 - signed):
            rows = select(document, panel="curve", signed=signed, fractional_length=length)
            curve(ax, rows, "std", "relative_error", index=length, label=f"FL = {length}")
        stars = select(document, panel="minimum", signed=signed)
        ax.plot(
            column(stars, "std"), column(stars, "relative_error"), "*", color="black", ms=5,
            mec="white", mew=0.4, zorder=6, label="minimum",
        )  # fmt: skip
        ax.axhline(0.01, color="black", linewidth=0.6, linestyle=":")
        ax.annotate("1%", (2.0**-9.8, 0.0104), fontsize=6.5, va="bottom")
        ax.set_xscale("log")
        ax.set_yscale("log")
        ax.set_ylim(2.5e-3, 1.3)
        ax.set_xlabel("standard deviation" + ("" if signed else " before the ReLU"))
        ax.set_ylabel("relative error: RMSE / std")
        panel(ax, letter, "signed, Gaussian" if signed else "unsigned, rectified Gaussian")
        if not signed:
            handles, labels = ax.get_legend_handles_labels()
            figure.legend(handles, labels, loc="outside lower center", ncols=4, handlelength=2.5)
    return figure


register("f8net-fig3", draw)
