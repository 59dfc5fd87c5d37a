"""How far every format stays from the best quantizer, and from Shannon's bound."""

# matplotlib leaves its keyword arguments untyped.
# pyright: reportUnknownMemberType=false

from matplotlib.figure import Figure

from qerror.plotting.papers._figure import canvas, grouped_bars, panel, register
from qerror.reporting import Document


def draw(document: Document) -> Figure:
    """Draw both distances, grouped by density."""
    figure = canvas(4.8)
    panels = figure.subplots(2, 1, sharex=True)
    titles = {
        "above_lloyd_max_db": "above the best quantizer of 256 levels (Lloyd-Max)",
        "above_shannon_db": "above Shannon's bound at 8 bits",
    }
    for ax, letter, (key, title) in zip(panels, "ab", titles.items(), strict=True):
        grouped_bars(ax, document.rows, group="density", member="format", value=key)
        panel(ax, letter, title)
        ax.set_ylabel("MSE above it, in dB")
    labels = ("uniform", "Gaussian", "Laplace", "t(5)", "t(3)")
    panels[1].set_xticks(range(len(labels)), labels)
    panels[1].set_xlabel("density")
    handles, names = panels[0].get_legend_handles_labels()
    figure.legend(handles, names, loc="outside lower center", ncols=5)
    return figure


register("lloyd-gap", draw)
