"""Gamma and digamma functions half a step apart, where their difference would lose digits."""

import math

# ln Gamma(x + 1/2) - ln Gamma(x) - ln(x)/2 = -sum c_k x^(1-2k), from DLMF 5.11.8:
# c_k = (1 - 4^-k) B_2k / (k (2k - 1)).
_RATIO_SERIES = (1 / 8, -1 / 192, 1 / 640, -17 / 14336, 31 / 18432, -691 / 180224)
# c_k (2k - 1): the same series, differentiated
_DIGAMMA_SERIES = (1 / 8, -3 / 192, 5 / 640, -7 * 17 / 14336, 9 * 31 / 18432, -11 * 691 / 180224)
_SERIES_FROM = 20.0  # six terms of the series are exact to 1e-17 from here on


def gamma_half_ratio(x: float) -> float:
    """Return Gamma(x + 1/2) / (Gamma(x) sqrt(x)) for x > 0, to a few units of rounding."""
    shift = 1.0
    start = x
    while x < _SERIES_FROM:
        shift *= x / (x + 0.5)
        x += 1.0
    series = sum(c * x ** (1 - 2 * k) for k, c in enumerate(_RATIO_SERIES, start=1))
    # Raising x by n multiplies Gamma(x + 1/2) / Gamma(x) by prod (x + 1/2) / x.
    return shift * math.exp(-series) * math.sqrt(x / start)


def digamma_half_difference(x: float) -> float:
    """Return digamma(x + 1/2) - digamma(x) for x > 0, to a few units of rounding."""
    total = 0.0
    while x < _SERIES_FROM:
        total += 0.5 / (x * (x + 0.5))
        x += 1.0
    series = sum(c * x ** (-2 * k) for k, c in enumerate(_DIGAMMA_SERIES, start=1))
    return total + 0.5 / x + series
