"""Kuzmin et al. 2022, figure 10: the best exponent width as the min-max range grows."""

# matplotlib leaves its keyword arguments untyped.
# pyright: reportUnknownMemberType=false

from collections.abc import Iterator

import numpy as np
from matplotlib.figure import Figure

from qerror.analysis import quantization_error
from qerror.densities import Clipped, StudentT
from qerror.formats import FloatingPoint, ScalarFormat, as_scalar_format
from qerror.optimize import format_switches
from qerror.plotting._style import line_style
from qerror.plotting.papers._figure import (
    EIGHT_BITS,
    FIGURES,
    PaperFigure,
    canvas,
    column,
    curve,
    distinct,
    figure_data,
    format_index,
    select,
)
from qerror.reporting import Document, Row

FORMATS = (*EIGHT_BITS, "1M6E")
NUS = (2.0, 3.0, 5.0, 10.0)
SHOWN = 2.0
"""Degrees of freedom of the curves. The published text does not say which the paper took."""
LOW, HIGH = 0.5, 1e6


def data() -> Document:
    """Return SQNR over r of t(nu) clipped to [-r, r] at largest level r, and the switches.

    - panel "curves": t(2), every format.
    - panel "switches": per nu, where the best format changes; "exponent_bits" above and below,
      0 for INT8.
    """
    return figure_data({"nus": list(NUS), "formats": list(FORMATS)}, [*_curves(), *_switches()])


def _curves() -> Iterator[Row]:
    for r in (float(f"{r:.6g}") for r in np.geomspace(1, HIGH, 61)):
        density = Clipped(StudentT(SHOWN), -r, r)
        for name in FORMATS:
            form = as_scalar_format(name)
            report = quantization_error(form, density, form.scale_for(r))
            yield {
                "panel": "curves",
                "nu": SHOWN,
                "r": r,
                "format": name,
                "sqnr_db": report.sqnr_db,
            }


def _switches() -> Iterator[Row]:
    for nu in NUS:
        for switch in format_switches(list(FORMATS), StudentT(nu), "range", LOW, HIGH).switches:
            yield {
                "panel": "switches",
                "nu": nu,
                "r": switch.value,
                "format": switch.above.name,
                "exponent_bits_below": _exponent_bits(switch.below),
                "exponent_bits_above": _exponent_bits(switch.above),
            }


def _exponent_bits(form: ScalarFormat) -> int:
    return form.exponent_bits if isinstance(form, FloatingPoint) else 0


def draw(document: Document) -> Figure:
    """Draw the SQNR of every format, and the best exponent width as a staircase per nu."""
    figure = canvas(11.5, 4.2)
    left, right = figure.subplots(1, 2)
    for name in FORMATS:
        rows = select(document, panel="curves", format=name)
        curve(left, rows, "r", "sqnr_db", index=format_index(name), label=name)
    switches = select(document, panel="switches")
    for i, nu in enumerate(distinct(switches, "nu")):
        own = [row for row in switches if row["nu"] == nu]
        x = [LOW, *column(own, "r"), HIGH]
        y = [*column(own, "exponent_bits_below"), *column(own[-1:], "exponent_bits_above")]
        style = line_style(i)
        shifted = [bits + 0.06 * (i - 1.5) for bits in [*y, y[-1]]]
        right.plot(x, shifted, drawstyle="steps-post", label=f"nu = {nu:g}", **style)
    left.set_title(f"SQNR on t({SHOWN:g}) clipped at r")
    left.set_ylabel("SQNR in dB")
    left.legend(handlelength=3.5, fontsize=8, ncols=2)
    right.set_title("best exponent width; markers at the exact switches")
    right.set_ylabel("exponent bits (0: INT8)")
    right.set_yticks([0, 2, 3, 4, 5])
    right.legend(handlelength=3.5, fontsize=8)
    for ax in (left, right):
        ax.set_xscale("log")
        ax.set_xlabel("r = largest level = where the data are clipped")
    return figure


FIGURES.register(
    "fp8-fig10",
    PaperFigure(
        "Best exponent width of 8-bit formats as the min-max range of Student-t data grows",
        "Kuzmin et al. 2022, figure 10",
        data,
        draw,
    ),
)
