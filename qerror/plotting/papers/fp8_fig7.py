"""Kuzmin et al. 2022, figure 7: the SQNR of products over pairs of formats."""

# matplotlib leaves its keyword arguments untyped.
# pyright: reportUnknownMemberType=false

import numpy as np
from matplotlib.figure import Figure

from qerror.densities import density_name
from qerror.plotting.papers._figure import (
    canvas,
    panel,
    register,
)
from qerror.plotting.papers._heat import heat_map
from qerror.reporting import Document
from qerror.studies.eight_bits import EIGHT_BITS
from qerror.studies.fp8_quantization.fig7 import PAIRS
from qerror.studies.study import column, select


def draw(document: Document) -> Figure:
    """Draw a heat map a pair of densities; every cell says its value, the best is framed."""
    figure = canvas(4.6)
    all_values = column(document.rows, "sqnr_db")
    limits = min(all_values), max(all_values)
    for ax, letter, (weight_density, activation_density) in zip(
        figure.subplots(2, 1), "ab", PAIRS, strict=True
    ):
        names = density_name(weight_density), density_name(activation_density)
        rows = select(document, weight_density=names[0], activation_density=names[1])
        values = np.array(column(rows, "sqnr_db")).reshape(len(EIGHT_BITS), -1)
        heat_map(ax, values, EIGHT_BITS, EIGHT_BITS, limits=limits, size=6.5)
        weight, activation = (_SHORT.get(name, name) for name in names)
        panel(ax, letter, f"w {weight}, x {activation}")
    return figure


_SHORT = {"gaussian": "Gaussian", "student-t(nu=3)": "t(3)"}


register("fp8-fig7", draw)
