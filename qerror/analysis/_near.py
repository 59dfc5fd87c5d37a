"""What lies about 0: a floating-point grid has most of its binades where the density is flat.

There p(x) = p(0) + p''(0) x^2 / 2 + p''''(0) x^4 / 24 to the last digit, and what the formula of
`_lattice` gives is a polynomial in the scale: one for all of these binades together.
"""

import numpy as np

from qerror._arrays import FloatArray
from qerror.analysis._batch import Batch
from qerror.analysis._runs import Segments
from qerror.densities.smooth_law import SmoothLaw

# b_m = B_2m(1/2) / (2m)! = -(1 - 2^(1-2m)) B_2m / (2m)!
SERIES = (
    -1 / 24,
    7 / 5760,
    -31 / 967680,
    127 / 154828800,
    -73 / 3503554560,
    1414477 / 2678117105664000,
    -8191 / 612141052723200,
)
FLATTEST = 1e300  # spreads within which a density may be constant
_SLACK = 1e-15  # of an end, for the rounding of products: 53 bits have steps of that size
_NEAR = 1e-3  # panels from 0 within which three terms of the density are enough


def nearest(
    segments: Segments, batch: Batch, law: SmoothLaw, end: float
) -> tuple[FloatArray, Segments]:
    """Sum the segments that lie about 0 at every scale, of a density about 0.

    Parameters
    ----------
    end : float
        How far from its centre the law counts.

    Returns
    -------
    sums : array, shape (3, k)
        int e^2 p, int e p and int x e p in units of the spread.
    segments : Segments
        The others that some row reaches.
    """
    piece, unit = batch.piece, batch.factors / batch.piece.spread
    nothing = np.zeros((3, unit.size))
    if piece.location != 0:
        return nothing, segments
    least, most = float(unit.min()), float(unit.max())
    flat, ends = min(_flat_width(law), FLATTEST), (-end, end)
    if batch.limits is not None:
        low, high = (limit / piece.spread for limit in batch.limits)
        ends = max(float(low.min()), -end), min(float(high.max()), end)
        flat = flat if ((low < -flat) & (high > flat)).all() else 0.0
    start, stop = segments.start, segments.start + segments.length * segments.step
    ends = (ends[0] - _SLACK * abs(ends[0]), ends[1] + _SLACK * abs(ends[1]))
    with np.errstate(over="ignore"):
        beyond = (start * np.where(start < 0, most, least) > ends[1]) | (
            stop * np.where(stop < 0, least, most) < ends[0]
        )
        near = np.maximum(np.abs(start), np.abs(stop)) * most <= flat
    if near.any():
        powers = _powers(most * start[near], most * stop[near], most * segments.step[near], law)
        nothing += _at_scales(unit / most, powers)
    kept = ~(beyond | near)
    return nothing, segments if kept.all() else Segments(*(part[kept] for part in segments))


def _flat_width(law: SmoothLaw) -> float:
    """Return how far from 0 the density is its three first terms."""
    if law.kink_at_zero or law.branch_at_zero:
        return law.flat_width()
    return _NEAR * float(law.panel_width(np.zeros(1))[0])


def _powers(start: FloatArray, stop: FloatArray, step: FloatArray, law: SmoothLaw) -> FloatArray:
    """Return what the segments add to each sum, by the power of the scale, at the largest.

    Shape (3, 3): int e^2 p by its powers 3, 5, 7, int e p by 2, 4, 6, int x e p by 3, 5, 7.
    """
    if law.kink_at_zero or law.branch_at_zero:
        p0, p2, p4 = float(law.pdf(np.zeros(1))[0]), 0.0, 0.0
    else:
        p0, _, p2, _, p4 = (float(p[0]) for p in law.derivatives(np.zeros(1), np.ones(1), 4))
    x1, x2, x3, x4, x5 = (stop**k - start**k for k in range(1, 6))
    d2, d4, d6 = step**2, step**4, step**6
    b1, b2, b3 = SERIES[:3]
    third = d2 / 12 * x1, -b1 * d2 * x1
    fifth = d2 / 12 * x3 / 6 - 2 * b2 * d4 * x1, -b1 * d2 * x3 / 2 - 3 * b2 * d4 * x1
    seventh = (
        d2 / 12 * x5 / 120 - 2 * b2 * d4 * x3 / 6 - 2 * b3 * d6 * x1,
        -b1 * d2 * x5 / 24 - 5 / 6 * b2 * d4 * x3 - 5 * b3 * d6 * x1,
    )
    mean = 0 * x2, -b1 * d2 * x2 / 2, -b1 * d2 * x4 / 24 - b2 * d4 * x2 / 2
    square, cross = zip(third, fifth, seventh, strict=True)
    found: FloatArray = np.array([square, mean, cross]).sum(axis=2)
    found *= np.array([p0, p2, p4])
    return found


def _at_scales(t: FloatArray, powers: FloatArray) -> FloatArray:
    """Return the sums at shares t of the largest scale."""
    t2 = t * t
    sums: FloatArray = powers[:, :1] + t2 * (powers[:, 1:2] + t2 * powers[:, 2:])
    sums *= np.stack([t2 * t, t2, t2 * t])
    return sums
