"""Kuzmin et al. 2022, figure 7: the SQNR of products over pairs of formats."""

# matplotlib leaves its keyword arguments untyped.
# pyright: reportUnknownMemberType=false

import numpy as np
from matplotlib.figure import Figure

from qerror.densities import density_name
from qerror.plotting.papers._figure import canvas, register
from qerror.plotting.papers._heat import heat_map
from qerror.reporting import Document
from qerror.studies.eight_bits import EIGHT_BITS
from qerror.studies.fp8_quantization.fig7 import PAIRS
from qerror.studies.study import column, select


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


register("fp8-fig7", draw)
