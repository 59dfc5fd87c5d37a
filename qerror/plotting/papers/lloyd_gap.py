"""How far every format stays from the best quantizer, and from Shannon's bound."""

# matplotlib leaves its keyword arguments untyped.
# pyright: reportUnknownMemberType=false

import math
from collections.abc import Iterator

from matplotlib.figure import Figure

from qerror.codebooks import lloyd_max, shannon_bound
from qerror.densities import Density, Gaussian, Laplace, StudentT, Uniform, density_name
from qerror.optimize import optimal_scale
from qerror.plotting.papers._figure import (
    EIGHT_BITS,
    FIGURES,
    PaperFigure,
    canvas,
    figure_data,
    grouped_bars,
)
from qerror.reporting import Document, Row

BITS = 8
DENSITIES: tuple[Density, ...] = (
    Uniform(-1, 1),
    Gaussian(),
    Laplace(),
    StudentT(5),
    StudentT(3),
)


def data() -> Document:
    """Return, at the best ranges, the MSE above Lloyd-Max of 256 levels and above Shannon's bound.

    The bound, at 8 bits per value, is tight for the Gaussian alone; elsewhere it is a lower one.
    """
    return figure_data({"bits": BITS, "formats": list(EIGHT_BITS)}, _rows())


def _rows() -> Iterator[Row]:
    for density in DENSITIES:
        least, bound = lloyd_max(density, 2**BITS).report.mse, shannon_bound(density, BITS)
        for name in EIGHT_BITS:
            mse = optimal_scale(name, density).report.mse
            yield {
                "density": density_name(density),
                "format": name,
                "mse": mse,
                "lloyd_max": least,
                "shannon": bound,
                "above_lloyd_max_db": 10 * math.log10(mse / least),
                "above_shannon_db": 10 * math.log10(mse / bound),
            }


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


FIGURES.register(
    "lloyd-gap",
    PaperFigure(
        "Distance of 8-bit formats to Lloyd-Max and to Shannon's bound",
        "our own",
        data,
        draw,
    ),
)
