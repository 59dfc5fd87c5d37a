"""Quantiles by inverting a distribution function that costs a sum over all cells."""

import math
from collections.abc import Callable

import numpy.typing as npt

from qerror._arrays import FloatArray

_FARTHEST = 1e300  # where the search outwards for an end stops


def quantile_of(
    cdf: Callable[[npt.ArrayLike], FloatArray], p: float, ends: tuple[float, float], unit: float
) -> float:
    """Return where a distribution function passes p."""
    from scipy.optimize import brentq

    if p in {0.0, 1.0}:
        return ends[int(p)]
    low, high = (_beyond(end, cdf, p, unit) for end in ends)
    if not cdf(low) < p:
        return low
    return float(brentq(lambda t: float(cdf(t)) - p, low, high, xtol=1e-16 * unit, rtol=1e-15))


def _beyond(end: float, cdf: Callable[[npt.ArrayLike], FloatArray], p: float, unit: float) -> float:
    """Return an end, or of an infinite one a place on its side of the quantile."""
    place = math.copysign(unit, end)
    while not math.isfinite(end) and abs(place) < _FARTHEST:
        if (float(cdf(place)) >= p) == (end > 0):
            return place
        place *= 4
    return end if math.isfinite(end) else place
