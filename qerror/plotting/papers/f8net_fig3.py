"""Jin et al. 2022 (F8Net), figure 3: relative error against std for every fractional length."""

# matplotlib leaves its keyword arguments untyped.
# pyright: reportUnknownMemberType=false

from collections.abc import Iterator

import numpy as np
from matplotlib.figure import Figure

from qerror.analysis import quantization_error
from qerror.densities import Gaussian, Rectified
from qerror.formats import FixedPoint
from qerror.plotting.papers._figure import (
    FIGURES,
    PaperFigure,
    canvas,
    curve,
    figure_data,
    select,
)
from qerror.reporting import Document, Row

_STDS = np.geomspace(1e-3, 1e3, 241)


def data() -> Document:
    """Return sqrt(MSE) / std over std for every legal fractional length of 8 bits.

    Signed codes hold a Gaussian, unsigned ones its positive half; std is the Gaussian's own in
    both cases, as in the paper.
    """
    rows = [
        row
        for signed in (True, False)
        for length in range(9 - signed)
        for row in _curve(signed, length)
    ]
    return figure_data({"word_length": 8}, rows)


def _curve(signed: bool, length: int) -> Iterator[Row]:
    form = FixedPoint(8, length, signed)
    density = Gaussian() if signed else Rectified(Gaussian())
    # Only std 2^FL matters: the levels over std, on the standard Gaussian.
    mse = quantization_error(form, density, 1 / _STDS).mse
    for std, error in zip(_STDS.tolist(), np.sqrt(mse).tolist(), strict=True):
        yield {"signed": signed, "std": std, "fractional_length": length, "relative_error": error}


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


FIGURES.register(
    "f8net-fig3",
    PaperFigure(
        "Relative error of 8-bit fixed point against the standard deviation",
        "Jin et al. 2022 (F8Net), figure 3",
        data,
        draw,
    ),
)
