"""Jin et al. 2022 (F8Net), figure 3: relative error against std for every fractional length."""

# matplotlib leaves its keyword arguments untyped.
# pyright: reportUnknownMemberType=false

from collections.abc import Iterator

import numpy as np
from matplotlib.figure import Figure

from qerror._arrays import FloatArray
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

_PER_OCTAVE = 32  # some of them between the exact thresholds and those of the paper
_SHOWN = 2  # every second one
_OCTAVES = 10  # on either side of 1
STDS: tuple[float, ...] = tuple(
    2.0 ** (k / _PER_OCTAVE) for k in range(-_OCTAVES * _PER_OCTAVE, _OCTAVES * _PER_OCTAVE + 1)
)


def data() -> Document:
    """Return sqrt(MSE) / std over std for every legal fractional length of 8 bits.

    Signed codes hold a Gaussian, unsigned ones its positive half; std is the Gaussian's own in
    both cases, as in the paper.
    """
    return figure_data({"word_length": 8}, [*_curves(True), *_curves(False)])


def _curves(signed: bool) -> Iterator[Row]:
    for length, errors in enumerate(relative_errors(signed)):
        for std, error in zip(STDS[::_SHOWN], errors[::_SHOWN].tolist(), strict=True):
            yield {
                "signed": signed,
                "std": std,
                "fractional_length": length,
                "relative_error": error,
            }


def relative_errors(signed: bool) -> list[FloatArray]:
    """Return the errors at all `STDS` for every legal fractional length, from 0 up.

    Only std 2^FL matters, so that one length is another one moved by an octave.
    """
    most = 8 - signed
    density = Gaussian() if signed else Rectified(Gaussian())
    first, last = -_OCTAVES * _PER_OCTAVE, (_OCTAVES + most) * _PER_OCTAVE
    scales = np.exp2(-np.arange(first, last + 1) / _PER_OCTAVE)
    errors = np.sqrt(quantization_error(FixedPoint(8, 0, signed), density, scales).mse)
    moved = range(0, (most + 1) * _PER_OCTAVE, _PER_OCTAVE)
    return [errors[start : start + len(STDS)] for start in moved]


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
