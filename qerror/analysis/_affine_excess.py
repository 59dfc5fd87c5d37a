"""Rows of affine levels that lie far apart: errors from the expected excess over thresholds.

Let q be the level nearest to the law's centre, s the step and t_k the thresholds. Rounding to the
nearest level takes 2 s (x - t_k) off (x - q)^2 beyond every threshold above q, and likewise below:

    e(x)^2 = (x - q)^2 - 2 s sum_k (x - t_k)_+ - 2 s sum_k (t_k - x)_+ .

So a row costs one function of the distribution at each of its thresholds, E[(X - t)_+], whatever
its cells look like. The sum cancels where steps are short against the law; there cells are
integrated. The function is kept as polynomials between the law's panels.
"""

import math
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from qerror._arrays import BoolArray, FloatArray, IntArray, frozen
from qerror.analysis._affine_rows import Rows
from qerror.densities.piece import Piece
from qerror.densities.smooth_law import SmoothLaw

_DEGREE = 17
_PART = 0.5  # of the law's panels: interpolation needs shorter ones than integration
# Spreads that the polynomials reach, for tails with a variance and for others.
_FARTHEST = (1e12, 1e28)
_NO_VARIANCE = 2.5  # or hardly: of the exponent of the tail
_CHUNK = 2**13  # thresholds handled together


class Excess(NamedTuple):
    """P(X > x), E[(X - x)_+] and the second moment of 0 < X < x, as polynomials in panels."""

    edges: FloatArray
    centres: FloatArray
    halves: FloatArray
    mass: FloatArray
    """Coefficients of the powers, highest first, shape (degree + 1, panels)."""
    above: FloatArray
    second: FloatArray

    @property
    def end(self) -> float:
        """The largest x."""
        return float(self.edges[-1])

    def place(self, x: FloatArray) -> tuple[IntArray, FloatArray]:
        """Return the panel of each x and where in it x lies, -1 to 1; beyond the end, the end."""
        x = np.minimum(x, self.end)
        at = np.clip(np.searchsorted(self.edges, x, "right") - 1, 0, self.centres.size - 1)
        return at, (x - self.centres[at]) / self.halves[at]


def _value(coefficients: FloatArray, place: tuple[IntArray, FloatArray]) -> FloatArray:
    at, y = place
    found: FloatArray = coefficients[0][at]
    for power in coefficients[1:]:
        found *= y
        found += power[at]
    return found


@lru_cache(maxsize=32)
def excess_of(law: SmoothLaw) -> Excess:
    """Return the polynomials of a law that is symmetric about 0."""
    end = min(law.horizon, _FARTHEST[law.tail_exponent(1.0) <= _NO_VARIANCE])
    edges = [0.0]
    while edges[-1] < end:
        width = _PART * float(law.panel_width(np.array([edges[-1]]))[0])
        edges.append(min(end, edges[-1] + width))
    ends = np.array(edges)
    low, high = ends[:-1], ends[1:]
    y = np.cos(np.pi * (np.arange(_DEGREE, -1, -1) + 0.5) / (_DEGREE + 1))
    centres, halves = 0.5 * (low + high), 0.5 * (high - low)
    x = centres[:, None] + halves[:, None] * y
    x = np.concatenate([low[:, None], x], axis=1)
    nothing = np.zeros(x.size)
    stop = np.broadcast_to(high[:, None], x.shape)
    mass, first, _ = law.integrals(x.ravel(), nothing, (stop - x).ravel())
    start = np.broadcast_to(low[:, None], x.shape)
    _, _, second = law.integrals(nothing, start.ravel(), x.ravel())
    mass, first, second = (part.reshape(x.shape) for part in (mass, first, second))
    beyond, excess, _ = law.outer_at(end)
    mass, first = _from_above(x, high, mass, first, (beyond, excess))
    _, _, whole = law.integrals(np.zeros(low.size), low, high)
    second += np.concatenate([[0.0], np.cumsum(whole)[:-1]])[:, None]
    parts = (frozen(_powers(y, part[:, 1:].T)) for part in (mass, first, second))
    return Excess(frozen(ends), frozen(centres), frozen(halves), *parts)


def _powers(y: FloatArray, values: FloatArray) -> FloatArray:
    """Return coefficients of powers, highest first, of what has these values at Chebyshev nodes.

    By way of Chebyshev polynomials, whose coefficients fall before they are multiplied: any matrix
    from values to powers would lose five digits.
    """
    count = y.size
    chebyshev = np.zeros((count, count))
    chebyshev[0, 0] = chebyshev[1, 1] = 1.0
    for k in range(2, count):
        chebyshev[k, 1:] = 2 * chebyshev[k - 1, :-1]
        chebyshev[k] -= chebyshev[k - 2]
    at_nodes = np.cos(np.multiply.outer(np.arange(count), np.arccos(y)))
    series = at_nodes @ values * (2 / count)
    series[0] *= 0.5
    found: FloatArray = (chebyshev.T @ series)[::-1]
    return found


def _from_above(
    x: FloatArray,
    high: FloatArray,
    mass: FloatArray,
    first: FloatArray,
    beyond: tuple[float, float],
) -> tuple[FloatArray, FloatArray]:
    """Add what lies above each panel, from the last one inwards: all terms are positive."""
    at, excess = beyond
    mass, first = mass.copy(), first.copy()
    for k in range(high.size - 1, -1, -1):
        first[k] += excess + (high[k] - x[k]) * at
        mass[k] += at
        at, excess = float(mass[k, 0]), float(first[k, 0])
    return mass, first


def reaches(piece: Piece, rows: Rows) -> BoolArray:
    """Tell which rows have the law's centre between their limits, and those among the panels."""
    law = piece.law
    if not (isinstance(law, SmoothLaw) and law.symmetric and piece.is_whole):
        return np.zeros(rows.low.size, dtype=bool)
    low, high = piece.standard(_lowest(rows)), piece.standard(_highest(rows))
    found: BoolArray = (low <= 0) & (high >= 0)
    if law.horizon == math.inf:
        found &= np.maximum(-low, high) < excess_of(law).end
    return found


def _lowest(rows: Rows) -> FloatArray:
    return np.maximum(rows.low, rows.anchor)


def _highest(rows: Rows) -> FloatArray:
    return np.minimum(rows.high, rows.top)


def excess_moments(piece: Piece, rows: Rows) -> FloatArray:
    """Return int e^2 p, int e p, int x e p and int x p between the outermost levels, (4, k)."""
    size = max(1, _CHUNK // rows.steps)
    parts = [
        _some(piece, rows.at(slice(start, start + size))) for start in range(0, rows.low.size, size)
    ]
    return np.concatenate(parts, axis=1)


class _Side(NamedTuple):
    """Sums over the thresholds on one side of the nearest level, in units of the spread."""

    masses: FloatArray
    """Of the probabilities beyond them, up to the limit."""
    excess: FloatArray
    """Of E[(|X| - t)_+], up to the limit."""
    moment: FloatArray
    """Of E[|X|] beyond them, up to the limit."""
    beyond: FloatArray
    """P beyond the limit."""
    first: FloatArray
    """int |x| p from the centre to the limit."""
    second: FloatArray


def _side(table: Excess, limit: FloatArray, thresholds: FloatArray, live: BoolArray) -> _Side:
    at_limit, middle = table.place(limit), table.place(np.zeros(1))
    over, more = _value(table.mass, at_limit), _value(table.above, at_limit)
    row, k = np.nonzero(live)
    t = np.clip(thresholds[row, k], 0.0, limit[row])
    place = table.place(t)
    mass = _value(table.mass, place) - over[row]
    excess = _value(table.above, place) - more[row] - (limit[row] - t) * over[row]
    parts = (mass, excess, excess + t * mass)
    masses, above, moment = np.stack([np.bincount(row, x, limit.size) for x in parts]) * 1.0
    first = _value(table.above, middle) - more - limit * over
    return _Side(masses, above, moment, over, first, _value(table.second, at_limit))


def _some(piece: Piece, rows: Rows) -> FloatArray:
    assert isinstance(piece.law, SmoothLaw)
    table = excess_of(piece.law)
    step, anchor = rows.step / piece.spread, piece.standard(rows.anchor)
    nearest = np.clip(np.rint(-anchor / step), 0, rows.steps)
    q = anchor + nearest * step
    k = np.arange(rows.steps)
    thresholds = anchor[:, None] + (k + 0.5) * step[:, None]
    above = k >= nearest[:, None]
    up = _side(table, piece.standard(_highest(rows)), thresholds, above)
    down = _side(table, -piece.standard(_lowest(rows)), -thresholds, ~above)
    mass = 1 - up.beyond - down.beyond
    first, second = up.first - down.first, up.second + down.second
    square = second + q * (q * mass - 2 * first) - 2 * step * (up.excess + down.excess)
    error = q * mass - first + step * (up.masses - down.masses)
    crossed = q * first - second + step * (up.moment + down.moment)
    spread, place = piece.spread, piece.location
    return piece.weight * np.stack(
        [
            spread * spread * square,
            spread * error,
            spread * (spread * crossed + place * error),
            place * mass + spread * first,
        ]
    )
