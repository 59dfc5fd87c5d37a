"""The best quantizer with equal steps."""

import math
from dataclasses import dataclass

import numpy as np

from qerror._arrays import FloatArray, integer
from qerror.analysis._inputs import as_density
from qerror.analysis.report import ErrorReport
from qerror.analysis.single import quantization_error
from qerror.densities._base import Density
from qerror.exceptions import InvalidValue
from qerror.formats.codebook import Codebook
from qerror.optimize._centroids import Cells, Source, curvature_of, measure

MOST_LEVELS = 2**12
_TAILS = 0.5 * 4.0 ** -np.arange(26.0)  # probabilities left out at either end by the first ranges
_STEPS = 100
_SETTLED = 1e-17  # of the MSE: a step that gains less is the last
_SLACK = 1e-15  # of the MSE: what a step may seem to lose to rounding
_HALVINGS = 40


@dataclass(frozen=True)
class UniformQuantizer:
    """Equally spaced levels and their errors."""

    lowest: float
    """The smallest level."""
    step: float
    """The distance between levels; 0 where there is only one."""
    codebook: Codebook
    report: ErrorReport[float]


def best_uniform(density: Density | str, levels: int) -> UniformQuantizer:
    """Return the best quantizer with so many equally spaced levels, wherever they lie.

    For a density symmetric about 0 and an even number of levels it is the best mid-rise
    quantizer of Max 1960, levels at odd multiples of half a step. Integer formats, whose
    levels include 0, belong to `optimal_scale`.

    Ranges between quantiles are tried; from the best of them Newton's method on the exact
    gradient in lowest level and step leads to a local minimum. With point masses there can be
    many, and a better one elsewhere.

    Parameters
    ----------
    density : Density or str
        What is quantized; E[X^2] must be finite.
    levels : int
        Number of levels, 1 .. 4096.

    Raises
    ------
    InvalidValue
        If `levels` is outside its range, E[X^2] is infinite, or all probability is in one point.

    References
    ----------
    Max 1960, Quantizing for minimum distortion, table II.

    Examples
    --------
    >>> from qerror import Gaussian
    >>> from qerror.optimize import best_uniform
    >>> round(best_uniform(Gaussian(), 16).step, 9)
    0.335200612
    """
    density = as_density(density)
    levels = integer("levels", levels, 1, MOST_LEVELS)
    if not math.isfinite(density.second_moment):
        raise InvalidValue(
            "E[X^2] is infinite, and so is the MSE of every quantizer; clip or truncate the "
            "density first"
        )
    lowest, step = _best(Source.of(density), density, levels)
    points = lowest + step * np.arange(levels)
    if density.is_symmetric and abs(points[0] + points[-1]) <= 1e-9 * step:
        points = step * (np.arange(levels) - 0.5 * (levels - 1))
    codebook = Codebook(points.tolist())
    return UniformQuantizer(float(points[0]), step, codebook, quantization_error(codebook, density))


def _best(source: Source, density: Density, levels: int) -> tuple[float, float]:
    origin = source.continuous.origin
    if levels == 1:
        return density.mean, 0.0
    ends = density.ppf(np.concatenate([_TAILS, 1 - _TAILS])) - origin
    low, high = ends[: _TAILS.size], ends[_TAILS.size :]
    ranges = [(a, b) for a, b in _pairs(density, low, high) if b > a]
    if not ranges:
        raise InvalidValue("all probability is in one point: no step is better than another")
    starts = [np.array([a + 0.5 * (b - a) / levels, (b - a) / levels]) for a, b in ranges]
    cells = min((_cells(source, start, levels) for start in starts), key=_mse)
    lowest, step = _descend(source, cells)
    return lowest + origin, step


def _pairs(density: Density, low: FloatArray, high: FloatArray) -> list[tuple[float, float]]:
    """Return the ranges to try: those about the centre where it is one of symmetry, else all."""
    if density.is_symmetric:
        return list(zip((-high).tolist(), high.tolist(), strict=True))
    return [(a, b) for a in low.tolist() for b in high.tolist()]


def _mse(cells: Cells) -> float:
    return cells.mse


def _cells(source: Source, place: FloatArray, levels: int) -> Cells:
    """Return the cells of the levels place[0] + k place[1]."""
    return measure(source, place[0] + place[1] * np.arange(levels))


def _descend(source: Source, cells: Cells) -> tuple[float, float]:
    """Follow Newton's steps in lowest level and step, halved until they lose nothing."""
    levels = cells.levels.size
    place = np.array([cells.levels[0], cells.levels[1] - cells.levels[0]])
    ranks = np.vstack([np.ones(levels), np.arange(levels, dtype=np.float64)])
    for _ in range(_STEPS):
        fall = ranks @ cells.first
        move = _direction(source, cells, ranks, fall)
        gain = float(move @ fall)
        if gain <= _SETTLED * cells.mse:
            place = place + move  # the MSE no longer shows it, but the gradient does
            break
        for halving in range(_HALVINGS):
            trial_place = place + move / 2**halving
            if trial_place[1] > 0:
                trial = _cells(source, trial_place, levels)
                if trial.mse <= cells.mse * (1 + _SLACK):
                    cells, place = trial, trial_place
                    break
        else:
            break
    return float(place[0]), float(place[1])


def _direction(source: Source, cells: Cells, ranks: FloatArray, fall: FloatArray) -> FloatArray:
    """Return Newton's step, or a safer one where the MSE does not curve upwards."""
    curvature = curvature_of(source, cells)
    bent = ranks * curvature.diagonal
    bent[:, 1:] += curvature.beside * ranks[:, :-1]
    bent[:, :-1] += curvature.beside * ranks[:, 1:]
    hessian, lloyd = bent @ ranks.T, (ranks * cells.mass) @ ranks.T
    if hessian[0, 0] <= 0 or np.linalg.det(hessian) <= 0:
        hessian = lloyd  # the quadratic bound that keeps every cell as it is
    return np.asarray(np.linalg.solve(hessian, fall), dtype=np.float64)
