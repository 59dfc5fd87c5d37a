"""How far every format stays from the best quantizer, and from Shannon's bound."""

# matplotlib leaves its keyword arguments untyped.
# pyright: reportUnknownMemberType=false

from matplotlib.figure import Figure

from qerror.plotting.papers._figure import canvas, grouped_bars, register
from qerror.reporting import Document


def draw(document: Document) -> Figure:
    """Draw both distances, grouped by density."""
    figure = canvas(10, 6.6)
    panels = figure.subplots(2, 1, sharex=True)
    titles = {
        "above_lloyd_max_db": "above the best quantizer of 256 levels (Lloyd-Max)",
        "above_shannon_db": "above Shannon's bound at 8 bits",
    }
    for ax, (key, title) in zip(panels, titles.items(), strict=True):
        grouped_bars(ax, document.rows, group="density", member="format", value=key)
        ax.set_title(title, fontsize=10)
        ax.set_ylabel("MSE above it, in dB")
    labels = ("uniform", "Gaussian", "Laplace", "t(5)", "t(3)")
    panels[1].set_xticks(range(len(labels)), labels)
    handles, names = panels[0].get_legend_handles_labels()
    figure.legend(handles, names, loc="outside right center")
    return figure


register("lloyd-gap", draw)
