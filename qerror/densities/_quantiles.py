"""The inverse of a distribution function that is known by its values alone."""

from collections.abc import Callable

import numpy as np

from qerror._arrays import FloatArray, IntArray

_LARGEST = float(np.finfo(np.float64).max)


def bracketed(
    cdf: Callable[[FloatArray], FloatArray], p: FloatArray, support: tuple[float, float]
) -> FloatArray:
    """Return the smallest float64 with cdf(x) >= p, by halving; 0 and 1 give the support's ends."""
    low, high = support
    lower = np.full(p.shape, max(low, -_LARGEST))
    upper = np.full(p.shape, min(high, _LARGEST))
    for _ in range(66):  # float64 has 2^64 values, and each step halves those left
        middle = _between(lower, upper)
        below = cdf(middle) < p
        lower, upper = np.where(below, middle, lower), np.where(below, upper, middle)
    found = np.where(cdf(lower) >= p, lower, upper)
    return np.where(p <= 0, low, np.where(p >= 1, high, found))


def _between(lower: FloatArray, upper: FloatArray) -> FloatArray:
    """Halve intervals by counting the float64 values in them, so every magnitude is near."""
    a, b = _ordinal(lower), _ordinal(upper)
    middle = (a >> 1) + (b >> 1) + (a & b & 1)
    size: FloatArray = np.abs(middle).view(np.float64)
    signed: FloatArray = np.where(middle < 0, -size, size)
    return signed


def _ordinal(x: FloatArray) -> IntArray:
    """Return the number of each float64 value in their order, 0.0 being 0."""
    bits = np.abs(x).view(np.int64)
    return np.where(x < 0, -bits, bits)
