"""Kuzmin et al. 2022, figure 5: the landscape of the toy experiment, MSE against c and m."""

from collections.abc import Iterator

import numpy as np

from qerror._arrays import FloatArray
from qerror.analysis import quantization_error
from qerror.densities import Gaussian
from qerror.formats import FloatingPoint
from qerror.optimize import optimal_scale
from qerror.reporting import Document, Row
from qerror.studies.study import STUDIES, Study, figure_data

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


STUDIES.register(
    "fp8-fig5",
    Study(
        "MSE against the largest level for every number of mantissa bits: the toy experiment",
        "Kuzmin et al. 2022, figure 5",
        data,
        "Gaussian data of standard deviation 1. (a) The mean squared error of m mantissa and "
        "7 - m exponent bits over the largest level c; stars mark each minimum, the dotted "
        "line the start of the paper's learning. (b) The part around the minima, on a linear "
        "scale; the dotted line is where the paper's learning ends.",
    ),
)
