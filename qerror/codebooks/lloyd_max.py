"""The best quantizer of a given number of levels."""

import math
from dataclasses import dataclass

import numpy as np

from qerror._arrays import FloatArray, integer
from qerror.analysis.report import ErrorReport
from qerror.analysis.single import quantization_error
from qerror.codebooks._centroids import Source, descend, measure
from qerror.codebooks._starts import Compander, best_cut, sites, with_atoms
from qerror.densities.names import DensityLike, as_density
from qerror.exceptions import InvalidValue
from qerror.formats.codebook import Codebook
from qerror.tables import short

MOST_LEVELS = 2**16  # a second or so
_FEW_LEVELS = 32  # up to here the start is the best cut of a fine partition, not an asymptote


@dataclass(frozen=True, repr=False)
class LloydMax:
    """A quantizer whose levels are the centroids of their cells, and its errors."""

    codebook: Codebook
    report: ErrorReport[float]

    def __repr__(self) -> str:
        levels = self.codebook.grid()
        return (
            f"<LloydMax: {levels.size} levels from {short(levels.min, 6)} to "
            f"{short(levels.max, 6)}, mse={short(self.report.mse, 6)}, "
            f"sqnr_db={short(self.report.sqnr_db, 6)}>"
        )


@np.errstate(under="ignore")
def lloyd_max(density: DensityLike, levels: int) -> LloydMax:
    """Return the best quantizer with so many levels.

    Newton's method on the exact centroid equations, safeguarded so that every step lowers the
    MSE. What is returned is a local minimum: each level is the centroid of its cell, each
    threshold the midpoint of its neighbours, and no small change of the levels helps.

    - For log-concave densities (Gaussian, Laplace, logistic, uniform, generalized Gaussian with
      beta >= 1, and cuts of these) there is no other, so it is the best of all.
    - Otherwise, up to 32 levels, the start is the best of all ways to cut a fine partition of
      the density; with more levels it is Panter and Dite's spacing, with a level on every point
      mass. Either may lie next to a minimum that is not the best.
    - For `Discrete` densities of up to 1024 values the cut itself is searched exactly. One with
      no more values than `levels` gets these values, fewer levels than asked for, and no error.

    Parameters
    ----------
    density : Density, str or array_like
        What is quantized; E[X^2] must be finite.
    levels : int
        Number of levels, 1 .. 65536.

    Returns
    -------
    LloydMax
        The codebook and its exact errors; the MSE is right to about 1e-14.

    Raises
    ------
    InvalidValue
        If `levels` is outside its range, or E[X^2] is infinite.

    References
    ----------
    .. [1] Max 1960, Quantizing for minimum distortion, eq. 4 and 5.
    .. [2] Lloyd 1982, Least squares quantization in PCM, section V.
    .. [3] Fleischer 1964, Trushkin 1982: log-concave densities have one stationary point.

    Examples
    --------
    >>> from qerror import Gaussian, lloyd_max
    >>> round(lloyd_max(Gaussian(), 16).report.mse, 12)
    0.009501008008
    """
    density = as_density(density)
    levels = integer("levels", levels, 1, MOST_LEVELS)
    if not math.isfinite(density.second_moment):
        raise InvalidValue(
            "E[X^2] is infinite, and so is the MSE of every codebook; clip or truncate the "
            "density first"
        )
    source = Source.of(density)
    values = _best_levels(source, levels) + source.continuous.origin
    if density.is_symmetric and _is_nearly_symmetric(values):
        # Rounding is all that sets the halves apart; the error is flat there.
        values = 0.5 * (values - values[::-1])
    codebook = Codebook(values.tolist())
    return LloydMax(codebook, quantization_error(codebook, density))


def _best_levels(source: Source, levels: int) -> FloatArray:
    x, probability = source.atoms
    if levels == 1:
        whole = measure(source, np.array([source.centre]))
        return whole.levels + whole.first / whole.mass
    if not source.continuous.pieces:
        if x.size <= levels:
            return x
        return descend(source, best_cut(x, probability, levels))
    few = min(levels, _FEW_LEVELS)
    found = descend(source, best_cut(*sites(source, few), few))
    if few == levels:
        return found
    start = Compander(source.continuous, levels).refined(found, levels)
    return descend(source, with_atoms(start, x))


def _is_nearly_symmetric(values: FloatArray) -> bool:
    """Tell whether the levels mirror each other to a millionth of their distances."""
    gaps = np.diff(values, prepend=-math.inf, append=math.inf)
    apart = np.abs(values + values[::-1])
    return bool((apart <= 1e-6 * np.minimum(gaps[:-1], gaps[1:])).all())
