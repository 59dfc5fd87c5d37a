"""Jin et al. 2022 (F8Net), figure 3: relative error against std for every fractional length."""

import math
from collections.abc import Iterator

import numpy as np

from qerror._arrays import FloatArray
from qerror.analysis import quantization_error
from qerror.densities import Gaussian, Rectified
from qerror.formats import FixedPoint, Integer
from qerror.optimize import optimal_scale
from qerror.reporting import Document, Row
from qerror.studies.study import STUDIES, Study, figure_data

_PER_OCTAVE = 6
_OCTAVES = 10  # on either side of 1
SHOWN_STDS: tuple[float, ...] = tuple(
    2.0 ** (k / _PER_OCTAVE) for k in range(-_OCTAVES * _PER_OCTAVE, _OCTAVES * _PER_OCTAVE + 1)
)


def data() -> Document:
    """Return sqrt(MSE) / std over std for every legal fractional length of 8 bits.

    Signed codes hold a Gaussian, unsigned ones its positive half; std is the Gaussian's own in
    both cases, as in the paper.
    """
    return figure_data(
        {"word_length": 8}, [*_curves(True), *_minima(True), *_curves(False), *_minima(False)]
    )


def _curves(signed: bool) -> Iterator[Row]:
    for length, errors in enumerate(relative_errors(signed)):
        for std, error in zip(SHOWN_STDS, errors.tolist(), strict=True):
            yield {
                "panel": "curve",
                "signed": signed,
                "std": std,
                "fractional_length": length,
                "relative_error": error,
            }


def _minima(signed: bool) -> Iterator[Row]:
    """Return the exact minimum of every curve: one of the whole numbers, moved by octaves."""
    density = Gaussian() if signed else Rectified(Gaussian())
    best = optimal_scale(Integer(8, signed=signed), density)
    for length in range(9 - signed):
        yield {
            "panel": "minimum",
            "signed": signed,
            "std": 2.0**-length / best.scale,
            "fractional_length": length,
            "relative_error": math.sqrt(best.report.mse),
        }


def relative_errors(signed: bool) -> list[FloatArray]:
    """Return the errors at all `SHOWN_STDS` for every legal fractional length, from 0 up.

    Only std 2^FL matters, so that one length is another one moved by an octave.
    """
    most = 8 - signed
    density = Gaussian() if signed else Rectified(Gaussian())
    first, last = -_OCTAVES * _PER_OCTAVE, (_OCTAVES + most) * _PER_OCTAVE
    scales = np.exp2(-np.arange(first, last + 1) / _PER_OCTAVE)
    errors = np.sqrt(quantization_error(FixedPoint(8, 0, signed), density, scales).mse)
    moved = range(0, (most + 1) * _PER_OCTAVE, _PER_OCTAVE)
    return [errors[start : start + len(SHOWN_STDS)] for start in moved]


STUDIES.register(
    "f8net-fig3",
    Study(
        "Relative error of 8-bit fixed point against the standard deviation",
        "Jin et al. 2022 (F8Net), figure 3",
        data,
        "Relative error of 8-bit fixed point over the standard deviation, one curve a "
        "fractional length (FL): (a) signed codes on a Gaussian, (b) unsigned codes on its "
        "ReLU. Stars mark the minimum of each curve, the same for all; the dotted line is the "
        "1% that the paper states.",
    ),
)
