"""Kuzmin et al. 2022, figure 5: the landscape of the toy experiment, MSE against c and m."""

# matplotlib leaves its keyword arguments untyped.
# pyright: reportUnknownMemberType=false

from collections.abc import Iterator

import numpy as np
from matplotlib.figure import Figure

from qerror._arrays import FloatArray
from qerror.analysis import quantization_error
from qerror.densities import Gaussian
from qerror.formats import FloatingPoint
from qerror.optimize import optimal_scale
from qerror.plotting._style import line_style
from qerror.plotting.papers._figure import (
    FIGURES,
    PaperFigure,
    canvas,
    column,
    curve,
    figure_data,
    select,
)
from qerror.reporting import Document, Row

START = 240.0
"""3M4E with bias 8: where the paper's learning starts."""
LEARNT = 4.35
"""The c that the paper's learning ends at."""
_VALUES = np.exp2(np.arange(-16, 129) / 16)  # 0.5 .. 256
_NEAR = np.linspace(3, 6, 121)


def data() -> Document:
    """Return the MSE on N(0, 1) of m mantissa and 7 - m exponent bits at largest level c.

    Panels "landscape" (c over nine octaves), "near" (around the optimum) and "optimum".
    """
    rows: list[Row] = []
    for mantissa_bits in range(1, 7):
        rows += _at(mantissa_bits, "landscape", _VALUES)
    for mantissa_bits in (4, 5, 6):
        rows += _at(mantissa_bits, "near", _NEAR)
    for mantissa_bits in range(1, 7):
        best = optimal_scale(_form(mantissa_bits), Gaussian())
        rows.append(_row("optimum", mantissa_bits, best.max_value, best.report.mse))
    return figure_data({"density": "gaussian", "start": START, "learnt": LEARNT}, rows)


def _form(mantissa_bits: int) -> FloatingPoint:
    return FloatingPoint(mantissa_bits, 7 - mantissa_bits)


def _at(mantissa_bits: int, panel: str, values: FloatArray) -> Iterator[Row]:
    form = _form(mantissa_bits)
    mse = quantization_error(form, Gaussian(), values * form.scale_for(1.0)).mse
    for c, each in zip(values.tolist(), mse.tolist(), strict=True):
        yield _row(panel, mantissa_bits, c, each)


def _row(panel: str, mantissa_bits: int, c: float, mse: float) -> Row:
    name = _form(mantissa_bits).name
    return {"panel": panel, "m": mantissa_bits, "format": name, "c": c, "mse": mse}


def draw(document: Document) -> Figure:
    """Draw the MSE over c for every m, with each optimum, and the best of them closer."""
    figure = canvas(11.5, 4.4)
    left, right = figure.subplots(1, 2)
    for m in range(6, 0, -1):
        rows = select(document, panel="landscape", m=m)
        curve(left, rows, "c", "mse", index=6 - m, label=f"m = {m}: {rows[0]['format']}")
        near = select(document, panel="near", m=m)
        if near:
            label = f"m = {m}: {near[0]['format']}"
            curve(right, near, "c", "mse", index=6 - m, label=label)
        best = select(document, panel="optimum", m=m)
        for ax in (left, right) if near else (left,):
            color = line_style(6 - m)["color"]
            ax.plot(column(best, "c"), column(best, "mse"), "*", color=color, ms=13, mec="white")
    left.axvline(START, ymin=0.25, color="#555555", linewidth=0.8, linestyle=":")
    left.annotate(
        "start: 3M4E,\nc = 240",
        (START, 2.4),
        xytext=(-4, 0),
        ha="right",
        va="top",
        textcoords="offset points",
        fontsize=8,
    )
    left.set_xscale("log", base=2)
    left.set_yscale("log")
    left.set_ylabel("MSE on N(0, 1)")
    left.legend(handlelength=3.5, fontsize=8, loc="lower right", ncols=2)
    left.set_ylim(4e-6, 4)
    left.set_title("mean squared error by mantissa bits m; stars: best c")
    right.axvline(LEARNT, color="#555555", linewidth=0.8, linestyle=":")
    right.annotate(
        "paper: c = 4.35",
        (LEARNT, 2.5e-4),
        xytext=(4, 0),
        va="top",
        textcoords="offset points",
        fontsize=8,
    )
    right.set_ylim(0, 3e-4)
    right.ticklabel_format(axis="y", style="sci", scilimits=(0, 0))
    right.set_title("near the optimum")
    right.legend(handlelength=3.5, fontsize=8, loc="upper right")
    for ax in (left, right):
        ax.set_xlabel("c, the largest level")
    return figure


FIGURES.register(
    "fp8-fig5",
    PaperFigure(
        "MSE against the largest level for every number of mantissa bits: the toy experiment",
        "Kuzmin et al. 2022, figure 5",
        data,
        draw,
    ),
)
