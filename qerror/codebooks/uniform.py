"""The best quantizer with equal steps."""

import math
from dataclasses import dataclass

import numpy as np

from qerror._arrays import FloatArray, integer
from qerror.analysis.report import ErrorReport
from qerror.analysis.single import quantization_error
from qerror.codebooks._centroids import Cells, Source, curvature_of, measure
from qerror.densities.density import Density
from qerror.densities.names import as_density
from qerror.exceptions import InvalidValue
from qerror.formats.codebook import Codebook

MOST_LEVELS = 2**12  # a second or so
_TAILS = 0.5 * 4.0 ** -np.arange(26.0)  # probabilities left out at either end by the first ranges
_ASIDE = (0.0, 0.3)  # of a step: not a symmetric place, where a saddle would hold the descent
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


@np.errstate(under="ignore")
def best_uniform(density: Density | str, levels: int) -> UniformQuantizer:
    """Return the best quantizer with so many equally spaced levels, wherever they lie.

    For a Gaussian and an even number of levels it is the best mid-rise quantizer of Max 1960,
    levels at odd multiples of half a step. Symmetry of the density is no guarantee: on a
    Laplace density, levels moved aside so that one comes near 0 are better. Where the levels
    must stay in place up to their scale, as those of integer formats, use `optimal_scale`.

    Ranges between quantiles are tried, also moved aside; from the best of them Newton's method
    on the exact gradient in lowest level and step leads to a local minimum. With point masses
    there can be many, and a better one elsewhere.

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
    >>> from qerror.codebooks import best_uniform
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
    ranges = [(a, b) for a, b in dict.fromkeys(_pairs(density, low, high)) if b > a]
    if not ranges:
        raise InvalidValue("all probability is in one point: no step is better than another")
    found = [_descend(source, _first(source, ranges, levels, aside), levels) for aside in _ASIDE]
    place = min(found, key=lambda place: _cells(source, place, levels).mse)
    return float(place[0]) + origin, float(place[1])


def _first(
    source: Source, ranges: list[tuple[float, float]], levels: int, aside: float
) -> FloatArray:
    """Return lowest level and step of the best of the ranges, moved aside by a part of a step."""
    steps = np.array([(high - low) / levels for low, high in ranges])
    lows = np.array([low for low, _ in ranges]) + (0.5 + aside) * steps
    places = np.stack([lows, steps], axis=1)
    errors = [_cells(source, place, levels).mse for place in places]
    best: FloatArray = places[int(np.argmin(errors))]
    return best


def _pairs(density: Density, low: FloatArray, high: FloatArray) -> list[tuple[float, float]]:
    """Return the ranges to try: those about the centre where it is one of symmetry, else all."""
    if density.is_symmetric:
        return list(zip((-high).tolist(), high.tolist(), strict=True))
    return [(a, b) for a in low.tolist() for b in high.tolist()]


def _cells(source: Source, place: FloatArray, levels: int) -> Cells:
    """Return the cells of the levels place[0] + k place[1]."""
    return measure(source, place[0] + place[1] * np.arange(levels))


def _descend(source: Source, place: FloatArray, levels: int) -> FloatArray:
    """Follow Newton's steps in lowest level and step, halved until they lose nothing."""
    cells = _cells(source, place, levels)
    for _ in range(_STEPS):
        move, gain = _newton_step(source, cells)
        if gain <= _SETTLED * cells.mse:
            return place + move  # the MSE no longer shows it, but the gradient does
        trials = (place + move / 2**halving for halving in range(_HALVINGS))
        better = next((trial for trial in trials if _is_no_worse(source, trial, cells)), None)
        if better is None:
            break
        place, cells = better, _cells(source, better, levels)
    return place


def _is_no_worse(source: Source, place: FloatArray, cells: Cells) -> bool:
    return place[1] > 0 and _cells(source, place, cells.mass.size).mse <= cells.mse * (1 + _SLACK)


def _newton_step(source: Source, cells: Cells) -> tuple[FloatArray, float]:
    """Return Newton's step and its gain, or a safer one where the MSE does not curve upwards."""
    ranks = np.vstack([np.ones(cells.mass.size), np.arange(cells.mass.size, dtype=np.float64)])
    curvature = curvature_of(source, cells)
    bent = ranks * curvature.diagonal
    bent[:, 1:] += curvature.beside * ranks[:, :-1]
    bent[:, :-1] += curvature.beside * ranks[:, 1:]
    hessian, fall = bent @ ranks.T, ranks @ cells.first
    if hessian[0, 0] <= 0 or np.linalg.det(hessian) <= 0:
        hessian = (ranks * cells.mass) @ ranks.T  # as if every cell stayed as it is
    move = np.asarray(np.linalg.solve(hessian, fall), dtype=np.float64)
    return move, float(move @ fall)
