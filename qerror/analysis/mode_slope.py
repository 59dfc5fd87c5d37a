"""How the MSE changes with the scale under every rounding mode.

With V(x) = E[e^2 | x] and thresholds that move with the scale s,

    dMSE / d ln s = int (s dV/ds) p + sum over thresholds of theta p(theta) (V(theta-) - V(theta+)).

Nearest rounding has V on both sides alike, so that 2 E[Q e] is left. Where levels are settled,
s dV/ds = -2 q t with t = x - q; a threshold of directed rounding loses the square of the step
D^2, one of k random bits D^2 (2 j / N - 1) / N, j = 1 .. N = 2^k. Where they are drawn,
V = D |t| - t^2 about the nearer level, which has no jump, and s dV/ds = D |t| -+ q (D - 2 |t|).
A point mass has s dV/ds of its own; where a threshold passes it the MSE jumps, or has a kink.
"""

from typing import NamedTuple

import numpy as np

from qerror._arrays import FloatArray, two_product
from qerror.analysis._modes import Intervals, atom_slopes, between, intervals
from qerror.analysis._patterns import LOWER, SHORT, SHORT_DOWN, UPPER, ways_of
from qerror.densities.density import Density
from qerror.densities.piece import Piece
from qerror.grids import Grid
from qerror.rounding import RoundingRule

_CHUNK = 2**14  # stretches handled together
_MOST = 2**18  # of one scale


class _Jumps(NamedTuple):
    """Thresholds before the grid's factor, and what V loses there in squares of the factor."""

    place: FloatArray
    loss: FloatArray


def has_slope(grid: Grid, rule: RoundingRule) -> bool:
    """Whether the slope is computed: on levels that are listed."""
    return grid.size > 1 and grid.size * rule.parts <= _MOST


def turning_points(grid: Grid, rule: RoundingRule) -> FloatArray:
    """Return where V may jump or have a kink: levels and thresholds, before the scale."""
    form = intervals(grid, rule, upper=False)
    ends: FloatArray = np.unique(np.concatenate([form.level - form.left, form.level + form.right]))
    return ends * grid.factor


def mse_slope(grid: Grid, density: Density, scales: FloatArray, rule: RoundingRule) -> FloatArray:
    """Return dMSE / d ln s at each scale; see `has_slope`.

    Parameters
    ----------
    grid : Grid
        Before the scale.
    density : Density
        Of a finite power. What its point masses lose as a threshold passes them is a jump of the
        MSE and no part of its slope.
    scales : ndarray, shape (k,)
        Positive.
    rule : RoundingRule
        Of any mode.

    Returns
    -------
    ndarray, shape (k,)
    """
    symmetric = rule.is_odd and grid.is_symmetric and grid.size % 2 == 1
    half = symmetric and density.is_symmetric
    form, jumps = intervals(grid, rule, upper=half), _jumps(grid, rule, half)
    base = grid.base_points
    ends = base[[-1]] if half else base[[0, -1]]
    rows = max(1, _CHUNK // form.level.size)
    found = atom_slopes(grid, density, scales, rule)
    for start in range(0, scales.size, rows):
        at = slice(start, start + rows)
        factor = (grid.factor * scales[at])[:, None]
        for piece in density.pieces():
            found[at] += _inside(piece, form, factor) + form.weight * _lost(piece, jumps, factor)
            found[at] += form.weight * _beyond(piece, ends, factor)
    return found


def _inside(piece: Piece, form: Intervals, factor: FloatArray) -> FloatArray:
    """Integrate s dV/ds stretch by stretch."""
    q, rest = two_product(factor, form.level)
    left, right = -(factor * form.left), factor * form.right
    local = piece.integrals(q.ravel(), left.ravel(), right.ravel(), rest.ravel())
    mass, first, _ = (moment.reshape(q.shape) for moment in local)
    spread, lean = factor * factor * form.variance, factor * form.lean
    settled = 2 * spread * mass - 2 * q * first
    drawn = lean * first + q * (2 * first - lean * mass)
    total: FloatArray = np.where(form.bend > 0, settled, drawn).sum(axis=1)
    return form.weight * total


def _lost(piece: Piece, jumps: _Jumps, factor: FloatArray) -> FloatArray:
    """Add up what a moving threshold takes with it."""
    place = factor * jumps.place
    total: FloatArray = (place * piece.pdf(place) * factor * factor * jumps.loss).sum(axis=1)
    return total


def _beyond(piece: Piece, ends: FloatArray, factor: FloatArray) -> FloatArray:
    """Integrate beyond the ends of the range, where V = t^2."""
    q, rest = two_product(factor, ends)
    far = np.full(q.shape, np.inf)
    left, right = np.where(ends == ends[-1], 0.0, -far), np.where(ends == ends[-1], far, 0.0)
    first = piece.integrals(q.ravel(), left.ravel(), right.ravel(), rest.ravel()).first
    total: FloatArray = (-2 * q * first.reshape(q.shape)).sum(axis=1)
    return total


def _jumps(grid: Grid, rule: RoundingRule, upper: bool) -> _Jumps:
    """List the thresholds at which V jumps; those above 0 for both halves."""
    low, high, gaps, even = between(grid, upper)
    ways = ways_of(rule, low, high, even)
    count = rule.parts
    j = np.arange(1, count + 1)
    loss = (2 * j / count - 1) / count
    upward = np.isin(ways, [LOWER, SHORT])
    downward = np.isin(ways, [UPPER, SHORT_DOWN])
    gap_up, gap_down = gaps[upward, None], gaps[downward, None]
    place = [
        low[upward, None] + gap_up * (j / count),
        high[downward, None] - gap_down * (j / count),
    ]
    size = [gap_up * gap_up * loss, -gap_down * gap_down * loss]
    return _Jumps(*(np.concatenate([x.ravel() for x in both]) for both in (place, size)))
