"""Kuzmin et al. 2022, figure 2: the rounding error, its weight, and what the bias does."""

import math
from collections.abc import Iterator
from itertools import pairwise

import numpy as np

from qerror._arrays import FloatArray
from qerror.analysis import quantization_error
from qerror.densities import Gaussian
from qerror.formats import as_scalar_format
from qerror.optimize import optimal_scale
from qerror.reporting import Document, Row
from qerror.studies.measures import power_loss
from qerror.studies.study import STUDIES, Study, figure_data

ROUNDED = ("INT8", "4M3E", "3M4E")
BIASED = ("5M2E", "4M3E", "3M4E", "2M5E")
LAST = 6.0  # standard deviations shown
_BEYOND = 40  # points beyond the largest level
_PARTS = 2  # points of a half-cell at which the weighted error is given
_OCTAVES = np.arange(-6, 7)  # integer biases tried, around the best real one


def data() -> Document:
    """Return the error R(w) at its corners, R(w)^2 p(w), and the SQNR by the kind of bias.

    - panel "error": N(0, 1), each format at its best range; the corners of R(w) = Q(w) - w, and
      "weighted", R(w)^2 p(w), with points between them.
    - panels "bias" and, with more points, "octave": SQNR on N(0, std) with the bias fixed at
      2^(e-1), with the best integer and with the best real one.
    """
    rows: list[Row] = []
    for name in ROUNDED:
        rows += _errors(name)
    for name in BIASED:
        rows += _biases(name, "bias", np.exp2(np.arange(-80, 41) / 8))
        rows += _biases(name, "octave", _with_cusp(name, np.exp2(np.arange(97) / 96)))
    return figure_data({"density": "gaussian", "formats": list(ROUNDED)}, rows)


def _with_cusp(name: str, stds: FloatArray) -> FloatArray:
    """Add the standard deviation of the worst integer bias, where the loss has its cusp."""
    return np.sort(np.append(stds, power_loss(name).std))


def _errors(name: str) -> Iterator[Row]:
    best = optimal_scale(name, Gaussian())
    levels = [x for x in as_scalar_format(name).grid(best.scale).points.tolist() if x >= 0]
    yield _error(name, 0.0, 0.0, corner=True)
    for a, b in pairwise(levels):
        if a > LAST:
            return
        half = 0.5 * (b - a)
        for level, towards in ((a, 1), (b, -1)):
            parts = range(1, _PARTS + 1) if towards > 0 else range(_PARTS, -1, -1)
            for k in parts:
                offset = towards * half * k / _PARTS
                yield _error(name, level + offset, -offset, corner=k in {0, _PARTS})
    for k in range(1, _BEYOND + 1):
        beyond = (LAST - levels[-1]) * k / _BEYOND
        yield _error(name, levels[-1] + beyond, -beyond, corner=k == _BEYOND)


def _error(name: str, w: float, error: float, *, corner: bool) -> Row:
    return {
        "panel": "error",
        "format": name,
        "w": w,
        "error": error,
        "weighted": error * error * _density(w),
        "corner": corner,
    }


def _density(w: float) -> float:
    return math.exp(-0.5 * w * w) / math.sqrt(2 * math.pi)


def _biases(name: str, panel: str, stds: FloatArray) -> Iterator[Row]:
    best = optimal_scale(name, Gaussian())
    real = best.report.sqnr_db
    # At std s a scale of 1 is a scale of 1 / s on N(0, 1).
    fixed = quantization_error(name, Gaussian(), 1 / stds).sqnr_db.tolist()
    nearest = np.rint(np.log2(best.scale * stds)).astype(np.int64)
    scales = np.ldexp(1 / stds[:, None], nearest[:, None] + _OCTAVES)
    integers = quantization_error(name, Gaussian(), scales.reshape(-1)).sqnr_db
    most = integers.reshape(scales.shape).max(axis=1).tolist()
    for std, at_fixed, integer in zip(stds.tolist(), fixed, most, strict=True):
        yield {
            "panel": panel,
            "format": name,
            "std": std,
            "fixed_db": at_fixed,
            "integer_db": integer,
            "real_db": real,
            "integer_loss_db": real - integer,
        }


STUDIES.register(
    "fp8-fig2",
    Study(
        "Rounding error of 8-bit formats, weighted error, and the effect of the bias",
        "Kuzmin et al. 2022, figure 2",
        data,
        "Gaussian data of standard deviation 1, each format at its best range. (a) to (c): "
        "the rounding error R(w) = Q(w) - w, on one scale; beyond the largest level it falls "
        "without bound and is cut. (d) to (f): what it contributes to the mean squared error, "
        "R(w)^2 p(w), on one scale. (g) SQNR where the exponent bias is fixed at 2^(e-1) and "
        "the standard deviation varies. (h) What the best integer bias loses against the best "
        "real one, over one octave, which repeats.",
    ),
)
