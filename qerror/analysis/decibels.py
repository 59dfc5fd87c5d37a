"""The one difference of errors in decibels."""

import math


def decibels_above(mse: float, least: float) -> float:
    """Return how far one mean squared error lies above another, 10 log10(mse / least) in dB.

    Of logarithms, so that no ratio leaves float64: 0 where both are equal, inf above 0, -inf
    for 0 above something, inf for an infinite one, nan above one that is not finite.
    """
    if math.isnan(mse) or not math.isfinite(least):
        return math.nan
    if mse == math.inf:
        return math.inf
    if mse == least:
        return 0.0
    if least <= 0:
        return math.inf
    return 10 * (math.log10(mse) - math.log10(least)) if mse > 0 else -math.inf
