"""Kuzmin et al. 2022, figure 7: the SQNR of products over pairs of formats."""

# matplotlib leaves its keyword arguments untyped.
# pyright: reportUnknownMemberType=false

from collections.abc import Iterator
from functools import cache

import numpy as np
from matplotlib.figure import Figure

from qerror.analysis import ErrorReport, scalar_product_error
from qerror.densities import Density, Gaussian, StudentT, density_name
from qerror.optimize import optimal_scale
from qerror.plotting.papers._figure import (
    EIGHT_BITS,
    FIGURES,
    PaperFigure,
    canvas,
    column,
    figure_data,
    select,
)
from qerror.plotting.papers._heat import heat_map
from qerror.reporting import Document, Row

PAIRS: tuple[tuple[Density, Density], ...] = (
    (Gaussian(), Gaussian()),
    (Gaussian(), StudentT(3)),
)
"""Densities of weights and activations. Their spreads do not matter: every range follows."""


def data() -> Document:
    """Return the SQNR of w x for all pairs of formats, each side at its best range."""
    return figure_data({"formats": list(EIGHT_BITS), "length": 1}, _rows())


def _rows() -> Iterator[Row]:
    @cache
    def side(name: str, density: Density) -> ErrorReport[float]:
        return optimal_scale(name, density).report

    for weight_law, activation_law in PAIRS:
        for weight in EIGHT_BITS:
            for activation in EIGHT_BITS:
                found = scalar_product_error(
                    side(weight, weight_law), side(activation, activation_law)
                )
                yield {
                    "weight_density": density_name(weight_law),
                    "activation_density": density_name(activation_law),
                    "weight": weight,
                    "activation": activation,
                    "mse": found.mse,
                    "sqnr_db": found.sqnr_db,
                }


def draw(document: Document) -> Figure:
    """Draw a heat map a pair of densities; every cell says its value, the best is framed."""
    figure = canvas(11, 4.6)
    panels = figure.subplots(1, 2)
    for ax, (weight_law, activation_law) in zip(panels, PAIRS, strict=True):
        names = density_name(weight_law), density_name(activation_law)
        rows = select(document, weight_density=names[0], activation_density=names[1])
        values = np.array(column(rows, "sqnr_db")).reshape(len(EIGHT_BITS), -1)
        heat_map(ax, values, EIGHT_BITS, EIGHT_BITS)
        ax.set_title(f"SQNR of w x in dB: w {names[0]}, x {names[1]}", fontsize=10)
    return figure


FIGURES.register(
    "fp8-fig7",
    PaperFigure(
        "SQNR of a product over pairs of 8-bit formats",
        "Kuzmin et al. 2022, figure 7",
        data,
        draw,
    ),
)
