"""The range of a format that loses least on a density."""

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from qerror._arrays import FloatArray, IntArray, positive
from qerror.analysis.report import ErrorReport
from qerror.analysis.single import quantization_error
from qerror.densities.density import Density
from qerror.densities.names import DensityLike, as_density
from qerror.exceptions import InvalidValue
from qerror.formats.fixed import FixedPoint
from qerror.formats.format import Format, ScalarFormat
from qerror.formats.names import as_scalar_format
from qerror.optimize._interval import levels_per_octave, promising, search_interval

_PER_OCTAVE = 16  # fewer than 8 pick a wrong octave for 4M3E on a Gaussian
_FLAT = 1e-12  # of the logarithmic slope, near its rounding; the MSE is long at its minimum
_TIE = 1e-13  # minima that differ by less are equal, and the smallest range wins
_STEPS = 60
_RIPPLE_POINTS = 8  # per ripple that a jump or a point mass causes
_MOST_PER_OCTAVE = 2048


class LocalMinimum(NamedTuple):
    """A range at which the MSE has a local minimum."""

    scale: float
    max_value: float
    mse: float


@dataclass(frozen=True)
class OptimalScale:
    """The best range of a format on a density.

    Where E[X^2] is infinite every scale has infinite MSE: `scale`, `max_value` and `bias` are
    nan, `at_edge` is True and there are no minima.
    """

    scale: float
    """The factor on the format's own grid."""
    max_value: float
    """The largest level at that scale."""
    bias: float | None
    """The exponent bias that gives the same grid at scale 1; None but for floating point."""
    report: ErrorReport[float]
    """The exact errors at that scale."""
    local_minima: tuple[LocalMinimum, ...]
    """The minima found, from the smallest range to the largest; one that loses more than 6 dB
    against the best range may be left out."""
    at_edge: bool
    """Whether an end of the interval beats every minimum inside: the optimum lies beyond."""
    searched: tuple[float, float]
    """The interval of largest values that was searched."""


def optimal_scale(
    format: Format | str,  # noqa: A002 - the field's word
    density: DensityLike,
    *,
    low: float | None = None,
    high: float | None = None,
) -> OptimalScale:
    """Return the scale with the least mean squared error, exact to the last few digits.

    The slope of the MSE is known in closed form, dMSE/ds = (2/s) E[Q e], so minima are roots:
    a scan of 16 points per octave brackets them and all are refined together. Where the density
    has a jump or a point mass away from 0 the scan is denser, up to 2048. Floating-point
    formats have about one per octave that nearly tie; among equal ones (to 1e-13) the smallest
    range is returned.

    Parameters
    ----------
    format : ScalarFormat or str
        A fixed-point format is scaled by powers of two: its fractional length moves.
    density : Density, str or array_like
        What is quantized.
    low, high : float, optional
        The largest values between which to search. By default chosen from the density's
        quantiles and tails, at most 2^28 of its typical size.

    Returns
    -------
    OptimalScale

    Raises
    ------
    InvalidValue
        If the limits are not 0 < low < high, or the format has no positive level.

    References
    ----------
    Kuzmin et al. 2022, section 3 and appendix C, search the range on samples.

    Examples
    --------
    >>> from qerror import Gaussian, Integer, optimal_scale
    >>> round(optimal_scale(Integer(8), Gaussian()).max_value, 6)
    3.920501
    """
    form, density = as_scalar_format(format), as_density(density)
    form.scale_for(1.0)
    for name, limit in (("low", low), ("high", high)):
        if limit is not None:
            positive(name, limit)
    if not math.isfinite(density.second_moment):
        return _undefined(form, density)
    interval = search_interval(density, low, high)
    if isinstance(form, FixedPoint):
        return search_octaves(form, density, interval)
    return _search_reals(form, density, interval)


def slope(report: ErrorReport[FloatArray]) -> FloatArray:
    """Return half of d ln MSE / d ln s, which is E[Q e] / E[e^2]; 0 where there is no error."""
    mse = report.mse
    return np.divide(report.cross_moment + mse, mse, out=np.zeros(mse.shape), where=mse > 0)


def _search_reals(
    form: ScalarFormat, density: Density, interval: tuple[float, float]
) -> OptimalScale:
    low, high = promising(form, density, interval)
    per_octave = _points_per_octave(form, density)
    count = max(3, math.ceil(math.log2(high / low) * per_octave) + 1)
    scales = np.geomspace(low, high, count) / form.max_value
    report = quantization_error(form, density, scales)
    rise = slope(report)
    at = np.flatnonzero((rise[:-1] < 0) & (rise[1:] >= 0))
    found, mse = _refine(form, density, scales, rise, at)
    edge = 0 if report.mse[0] <= report.mse[-1] else -1
    return _best(form, density, found, mse, float(scales[edge]), float(report.mse[edge]), interval)


def _points_per_octave(form: ScalarFormat, density: Density) -> int:
    """Return how densely to scan: a jump or a point mass makes a ripple per point that it passes.

    What sits at 0 never moves against the grid.
    """
    positions = [
        *density.atoms().positions,
        *(x for p in density.pieces() for x in (p.low, p.high)),
    ]
    if not any(x != 0 and math.isfinite(x) for x in positions):
        return _PER_OCTAVE
    passed = _RIPPLE_POINTS * levels_per_octave(form.grid())
    return min(max(_PER_OCTAVE, passed), _MOST_PER_OCTAVE)


def _refine(
    form: ScalarFormat, density: Density, scales: FloatArray, rise: FloatArray, at: IntArray
) -> tuple[FloatArray, FloatArray]:
    """Close in on the root of the slope in every bracket together (Illinois, in log s)."""
    a, b = np.log(scales[at]), np.log(scales[at + 1])
    fa, fb = rise[at], rise[at + 1]
    best, value = b.copy(), np.full(at.size, np.inf)
    last = np.zeros(at.size, dtype=np.int64)
    i = np.arange(at.size)
    for _ in range(_STEPS):
        if not i.size:
            break
        x = np.clip((a[i] * fb[i] - b[i] * fa[i]) / (fb[i] - fa[i]), a[i], b[i])
        report = quantization_error(form, density, np.exp(x))
        f = slope(report)
        best[i], value[i] = x, report.mse
        side = np.where(f < 0, -1, 1)
        # Illinois: an end that stays twice has its value halved, so that it moves next time.
        stale = np.where(side == last[i], 0.5, 1.0)
        a[i], fa[i] = np.where(side < 0, x, a[i]), np.where(side < 0, f, fa[i] * stale)
        b[i], fb[i] = np.where(side < 0, b[i], x), np.where(side < 0, fb[i] * stale, f)
        last[i] = side
        i = i[(np.abs(f) > _FLAT) & (b[i] - a[i] > 4e-16 * np.abs(x))]
    return np.exp(best), value


def search_octaves(
    form: ScalarFormat, density: Density, interval: tuple[float, float], offset: float = 0.0
) -> OptimalScale:
    """Try every scale 2^(k + offset) whose largest value lies in the interval."""
    first = math.ceil(math.log2(interval[0] / form.max_value) - offset)
    last = math.floor(math.log2(interval[1] / form.max_value) - offset)
    if first > last:
        raise InvalidValue(
            f"no power-of-two scale of {form.name} has its largest value in "
            f"[{interval[0]:g}, {interval[1]:g}]; widen low and high"
        )
    scales = np.ldexp(2.0**offset, np.arange(first, last + 1))
    mse = quantization_error(form, density, scales).mse
    padded = np.concatenate([[-np.inf], mse, [-np.inf]])
    at = np.flatnonzero((mse < padded[:-2]) & (mse <= padded[2:]))
    edge = 0 if mse[0] <= mse[-1] else -1
    return _best(
        form, density, scales[at], mse[at], float(scales[edge]), float(mse[edge]), interval
    )


def _best(  # noqa: PLR0917 - the candidates of one search
    form: ScalarFormat,
    density: Density,
    scales: FloatArray,
    mse: FloatArray,
    edge: float,
    edge_mse: float,
    interval: tuple[float, float],
) -> OptimalScale:
    """Choose among the minima and the better end of the interval."""
    at_edge = not (mse <= edge_mse * (1 + _TIE)).any()
    tied = scales[mse <= mse.min(initial=edge_mse) * (1 + _TIE)]
    scale = edge if at_edge else float(tied[0])
    top = form.max_value
    minima = zip(scales.tolist(), (scales * top).tolist(), mse.tolist(), strict=True)
    return OptimalScale(
        scale,
        scale * top,
        form.bias_at(scale),
        quantization_error(form, density, scale),
        tuple(LocalMinimum(*minimum) for minimum in minima),
        at_edge,
        interval,
    )


def _undefined(form: ScalarFormat, density: Density) -> OptimalScale:
    nothing = math.nan
    report = quantization_error(form, density, 1.0)
    bias = form.bias_at(nothing)
    return OptimalScale(nothing, nothing, bias, report, (), True, (nothing, nothing))
