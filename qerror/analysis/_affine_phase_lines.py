"""Terms of jumps in affine blocks: integrals over pairs of extremes that have one at a given place.

A line of pairs is one integral; what it gives is a smooth function of the place r between corners
at which two jumps meet, is expanded in Legendre series, and integrated times b_k(S r).
"""

import math
from functools import lru_cache

import numpy as np

from qerror._arrays import FloatArray, IntArray
from qerror.analysis._affine_ends import Ends, first_moments
from qerror.analysis._affine_flats import masses
from qerror.analysis._affine_jumps import ORDER, Jump, damping, jumps_of_limits, periodic
from qerror.analysis._affine_panels import Lattice
from qerror.analysis._affine_place_pairs import edges_of, jumps_of, pairs_apart, pairs_beside
from qerror.analysis._affine_place_series import Series, adaptive, against_orders
from qerror.densities.density import Density
from qerror.densities.extreme import tail_exponent

_APART = 1e-9  # corners
_NODES = 8  # of panels of a line: terms of jumps are at most 1e-3 of all
_SETTLED, _LEAST = 1e-9, 8  # of series, for the same reason
_RATIO = 1.6  # of places at which series start, where lines of all lengths count
_FINE = 10.0 ** -np.arange(1.0, 6.0)  # shares of a block, where tails are heavy


def of_jump(density: Density, n: int, lattice: Lattice, jump: Jump, damped: float) -> FloatArray:
    """Return what one jump adds to the seven sums; terms of blocks wider than `damped` damped."""
    count = len(jump.by)
    series = _line_series(density, n, jump.x, count, lattice.integer, damped)
    # Functions: g w^(i + 2), g w^(i + 1) and h w^(i + 1), i = k + 1.
    found = against_orders(series, lattice.steps, periodic(count + 1))
    total = np.zeros(7)
    for i, (by, first) in enumerate(zip(jump.by, jump.first, strict=True)):
        scale = (1.0 if i % 2 else -1.0) / float(lattice.steps) ** (i + 1)
        total[0] -= 2 * scale * by * found[i + 2, i] / lattice.steps
        total[3] += scale * by * found[i + 1, count + i]
        total[4] += scale * first * found[i + 1, count + i]
        total[6] += scale * by * found[i + 1, 2 * count + i]
    return total


def of_extremes(density: Density, n: int, lattice: Lattice, damped: float) -> FloatArray:
    """Return what the extremes themselves add, limits of the integrals between levels."""
    series = _extremes_series(density, n, damped)
    found = against_orders(series, lattice.steps, periodic(ORDER + 3))
    total, count = np.zeros(7), ORDER + 1
    for k in range(count):
        # b_k(-y) = (-1)^k b_k(y)
        scale = 1.0 / float(lattice.steps) ** (k + 2)
        total[0] += 2 * scale * found[k + 3, k] / lattice.steps
        total[3] += scale * found[k + 2, count + k]
        total[4] += scale * found[k + 2, 2 * count + k]
        total[6] += scale * found[k + 2, 3 * count + k]
    return total


@lru_cache(maxsize=64)
def _line_series(  # noqa: PLR0917 - a line's description
    density: Density, n: int, x: float, count: int, integer: bool, damped: float
) -> Series:
    """Return the integrals over lines of g w^(i + 2), g w^(i + 1) and h w^(i + 1), i < count."""

    def sampled(r: FloatArray) -> FloatArray:
        row, ends = pairs_beside(density, n, x, r, integer=integer, nodes=_NODES)
        if not row.size:
            return np.zeros((r.size, 3 * count))
        inner, other = _weights(density, n, ends)
        width = ends.high - ends.low
        damp = damping(width / damped) if damped < math.inf else None
        power, parts = width, [np.empty(0)] * (3 * count)
        for i in range(count):
            parts[i], parts[count + i] = inner * power * width, inner * power
            parts[2 * count + i] = other * power
            power = power * width
            if damp is not None and i:
                power = power * damp
        return _summed(row, parts, r.size)

    corners = _line_corners(density, n, x, integer=integer)
    return adaptive(sampled, corners, _SETTLED, _LEAST)


@lru_cache(maxsize=16)
def _extremes_series(density: Density, n: int, damped: float) -> Series:
    """Return the integrals over blocks of one A of what their limits add, four kinds of terms."""
    count = ORDER + 1

    def sampled(share: FloatArray) -> FloatArray:
        row, ends = pairs_apart(density, n, share, None, nodes=_NODES)
        if not row.size:
            return np.zeros((share.size, 4 * count))
        inner, other = _weights(density, n, ends)
        by, first = jumps_of_limits(density, ends.low, ends.high)
        width = ends.high - ends.low
        damp = damping(width / damped) if damped < math.inf else None
        power, parts = width * width, [np.empty(0)] * (4 * count)
        for k in range(count):
            parts[k], parts[count + k] = inner * power * width * by[k], inner * power * by[k]
            parts[2 * count + k] = inner * power * first[k]
            parts[3 * count + k] = other * power * by[k]
            power = power * width
            if damp is not None:
                power = power * damp
        return _summed(row, parts, share.size)

    corners = _apart(np.concatenate([_shares(density), [0.0, 1.0]]))
    return adaptive(sampled, corners, _SETTLED, _LEAST)


def _summed(row: IntArray, parts: list[FloatArray], rows: int) -> FloatArray:
    sums = [np.bincount(row, part, rows) for part in parts]
    return np.stack(sums, axis=1).astype(np.float64)


def _weights(density: Density, n: int, ends: Ends) -> tuple[FloatArray, FloatArray]:
    """Return the weights g of one value between extremes, and h of another, times that one.

    Differences of distribution functions do: these terms are little.
    """
    mass = masses(density, ends.low, ends.high)
    both = ends.at_low * ends.at_high * (n - 2)
    power = mass ** (n - 3)
    other = power * both * (ends.low + ends.high)
    if n > 3:
        other += both * (n - 3) * mass ** (n - 4) * first_moments(density, ends)
    return (n - 1) * power * both, other


def _line_corners(density: Density, n: int, x: float, *, integer: bool) -> FloatArray:
    """Return the places at which both extremes can meet jumps, and where series start."""
    jumps = jumps_of(density, zero=integer)
    heavy = tail_exponent(density) < math.inf
    if not integer:
        low, high = jumps[jumps < x], jumps[jumps > x]
        found = ((x - low)[:, None] / np.subtract.outer(high, low).T).ravel()
        fine = _FINE if heavy else _FINE[:0]
        return _apart(np.concatenate([found, fine, 1 - fine, [0.0, 1.0]]))
    low, high = jumps[jumps <= 0], jumps[jumps >= 0]
    width = np.subtract.outer(high, low).ravel()
    below, above = edges_of(density, n)
    most = math.log(max(float(above[-1] - below[0]) / abs(x), 1.0)) / math.log(_RATIO)
    graded = abs(x) * _RATIO ** np.arange(math.ceil(most) + 1)
    found = np.concatenate([x / width[width > abs(x)], x / graded, [0.0]])
    return _apart(found)


def _shares(density: Density) -> FloatArray:
    """Return -l / w where both extremes are jumps."""
    jumps = jumps_of(density, zero=True)
    low, high = np.meshgrid(jumps[jumps <= 0], jumps[jumps >= 0])
    width = high - low
    found: FloatArray = -low[width > 0] / width[width > 0]
    return found


def _apart(places: FloatArray) -> FloatArray:
    """Return places in order, equal ones once."""
    places = np.sort(places)
    kept: FloatArray = places[np.append(True, np.diff(places) > _APART)]
    return kept
