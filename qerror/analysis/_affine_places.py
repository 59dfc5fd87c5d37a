"""Affine blocks of densities with jumps: by where a value lies between the extremes.

Let l < u be the extremes of a block, w = u - l, and x = l + r w another value. With S steps its
error is the width of a step, w / S, times a sawtooth of S r alone, so that

    E[e^2] = 1 / S^2 int_0^1 psi(S r)^2 K(r) dr,
    K(r) = int int (n-1)(n-2) P^(n-3) p(l) p(u) p(l + r w) w^3 dl du,

and likewise for what is linear in the error. With an integer zero point the same holds for
x = r w, -1 < r < 1. K knows nothing of levels: it bends only where l, u and x can meet three jumps
of the density at once, a handful of r, where thresholds meet jumps in thousands of places.
"""

import itertools
from functools import lru_cache

import numpy as np

from qerror._arrays import FloatArray, IntArray
from qerror.analysis._affine_ends import Ends, Powers, Within, first_moments, second_growth
from qerror.analysis._affine_panels import MOST_CORNERS, Lattice, marks_of
from qerror.analysis._affine_place_ends import beyond_lowest
from qerror.analysis._affine_place_pairs import (
    edges_of,
    jumps_of,
    pairs_apart,
    pairs_beside,
    place_pairs,
)
from qerror.analysis._affine_place_series import Series, adaptive, against
from qerror.analysis._affine_place_swings import inner_pairs
from qerror.densities.density import Density

_TOGETHER = 4  # places
_PAIRS = 2**9  # ends of panels of lines handled together
_APART = 1e-9  # places at which three jumps meet
_MOST_JUMPS = 9
_MOST_STEPS = 2**10


def suits_places(density: Density, lattice: Lattice) -> bool:
    """Tell whether jumps meet thresholds in too many places, and each other in few.

    Tails that never end would bend K at many scales.
    """
    jumps = jumps_of(density, zero=lattice.integer)
    few = jumps.size <= _MOST_JUMPS and lattice.steps <= _MOST_STEPS
    return bool(many_corners(density, lattice) and few and np.isfinite(density.support).all())


def many_corners(density: Density, lattice: Lattice) -> bool:
    """Tell whether jumps meet thresholds in too many places to cut panels there."""
    inside = marks_of(density).size
    return inside * (inside + 1) * lattice.steps > MOST_CORNERS


def inner_by_places(density: Density, n: int, lattice: Lattice) -> FloatArray:
    """Return the seven sums of values between extremes; clipped ones as rounded."""
    total, s = np.zeros(7), lattice.steps
    total[5] = inner_pairs(density, n, lattice)
    found = against(inner_series(density, n, integer=lattice.integer), s)
    total[0] = found.second[0] / s**2
    total[[3, 4, 6]] = -found.first[[1, 2, 3]] / s
    return total


def extremes_by_places(density: Density, n: int, lattice: Lattice) -> FloatArray:
    """Return what extremes add that need not be levels, and how values are clipped."""
    total, s = np.zeros(7), lattice.steps
    if not lattice.integer:
        return total
    low = beyond_lowest(density, n, s)
    high = beyond_lowest(density.affine(-1.0), n, s)
    ends = against(end_series(density, n), s)
    total[0] = ends.second[0] / s**2 - low - high
    total[1] = low + ends.above[0] / s**2
    total[2] = high + ends.below[0] / s**2
    total[[3, 4, 6]] = ends.first[[1, 2, 4]] / s
    total[5] = ends.second[3] / s**2
    return total


def _corners(density: Density, *, integer: bool) -> FloatArray:
    """Return the r at which three jumps can meet, and the ends."""
    jumps = jumps_of(density, zero=integer)
    if integer:
        low, high = jumps[jumps <= 0], jumps[jumps >= 0]
        width = np.subtract.outer(high, low)
        width = width[width > 0]
        found = np.divide.outer(jumps, width).ravel()
        found = np.concatenate([found, [-1.0, 0.0, 1.0]])
        found = found[np.abs(found) <= 1]
    else:
        three = np.array(list(itertools.combinations(jumps.tolist(), 3))).reshape(-1, 3)
        found = (three[:, 1] - three[:, 0]) / (three[:, 2] - three[:, 0])
        found = np.concatenate([found, [0.0, 1.0]])
    return _apart(found)


def _apart(places: FloatArray) -> FloatArray:
    """Return places in order, equal ones once."""
    places = np.sort(places)
    kept: FloatArray = places[np.append(True, np.diff(places) > _APART)]
    return kept


@lru_cache(maxsize=16)
def inner_series(density: Density, n: int, *, integer: bool) -> Series:
    """Return the law of the place of a value between the extremes, weighed with four factors.

    They are w^2, w and x w, and for a pair of values what makes E[x_1 e_2], all per dx and of
    blocks whose extremes are no point masses.
    """
    x, probability = density.atoms()

    def sampled(r: FloatArray) -> FloatArray:
        total = np.zeros((r.size, 4))
        for start in range(0, r.size, _TOGETHER):
            some = slice(start, start + _TOGETHER)
            row, ends = place_pairs(density, n, r[some], integer=integer)
            if not ends.low.size:
                continue
            width = ends.high - ends.low
            at = r[some][row] * width + (0.0 if integer else ends.low)
            inside = (at > ends.low) & (at < ends.high)
            chance = np.where(inside, density.pdf(at) * width, 0.0)
            total[some] += _weighed(density, n, row, ends, at, chance, total[some].shape[0])
        for point, p in zip(x.tolist(), probability.tolist(), strict=True):
            row, ends = pairs_beside(density, n, point, r, integer=integer)
            if ends.low.size:
                at, chance = np.full(row.size, point), np.full(row.size, p)
                total += _weighed(density, n, row, ends, at, chance, r.size)
        return total

    return adaptive(sampled, _corners(density, integer=integer))


def _weighed(  # noqa: PLR0917 - one value's description
    density: Density,
    n: int,
    row: IntArray,
    ends: Ends,
    x: FloatArray,
    chance: FloatArray,
    rows: int,
) -> FloatArray:
    """Return the sums over pairs of extremes, with a value x beside each; (rows, 4)."""
    within, width = Within.of(density, ends), ends.high - ends.low
    inner = second_growth(within, ends, n - 1) * chance * width
    pair = Powers.of(ends, within, n - 2)
    other = pair.low * ends.low + pair.high * ends.high
    if n > 3:
        other = other + pair.inner * first_moments(density, ends)
    parts = inner * width, inner, inner * x, other * chance * width
    sums = [np.bincount(row, part, rows) for part in parts]
    return np.stack(sums, axis=1).astype(np.float64)


@lru_cache(maxsize=16)
def end_series(density: Density, n: int) -> Series:
    """Return the law of A = -l / w, l < 0 < u, weighed with five factors.

    For a pair one of whose values is an extreme, or both.
    """

    def some(share: FloatArray) -> FloatArray:
        row, ends = pairs_apart(density, n, share, None)
        if not ends.low.size:
            return np.zeros((share.size, 5))
        within, width = Within.of(density, ends), ends.high - ends.low
        one = Powers.of(ends, within, n - 1)
        pair = Powers.of(ends, within, n - 2)
        other, both, middle = pair.low + pair.high, pair.low_high, ends.low + ends.high
        if n > 2:
            other = other * first_moments(density, ends)
        parts = [
            one.low * width * width,
            (one.low + one.high) * width,
            one.low * middle * width,
            2 * both * width * width,
            (other + both * middle) * width,
        ]
        sums = [np.bincount(row, part, share.size) for part in parts]
        return np.stack(sums, axis=1).astype(np.float64)

    size = max(1, _PAIRS // sum(edges.size for edges in edges_of(density, n)))

    def sampled(share: FloatArray) -> FloatArray:
        starts = range(0, share.size, size)
        return np.concatenate([some(share[start : start + size]) for start in starts])

    jumps = jumps_of(density, zero=True)
    low, high = jumps[jumps <= 0], jumps[jumps >= 0]
    width = np.subtract.outer(high, low)
    found = np.where(width > 0, -low / np.where(width > 0, width, 1.0), 0.0).ravel()
    return adaptive(sampled, _apart(np.concatenate([found, [0.0, 1.0]])))
