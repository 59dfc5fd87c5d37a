"""How much a measured error may be too large where values are known by their bins alone."""

import math

import numpy as np

from qerror.checkpoints.tally import Distribution
from qerror.exceptions import TooLarge
from qerror.formats.format import ScalarFormat

_MOST = 1 << 24  # pairs of a bin and a threshold in it


def most_too_large(form: ScalarFormat, found: Distribution, scale: float, mse: float) -> float:
    r"""Return by how many dB the SQNR may be above what the bins say; 0 where values are known.

    All values of a bin go to the level q of their mean m. A value x beyond a threshold t, on its
    other side, would have gone to the next level with less error, by 2 g (x - t) where g is the
    distance of the levels; and by as much more for every further threshold. So the error of the
    bins is never too small, and by Jensen's inequality for the chord of max(x - t, 0) between the
    bin's ends a < t < b it is too large by at most, per value,

        2 g (m - a) (b - t) / (b - a)   for t > m,   2 g (b - m) (t - a) / (b - a)   for t < m.

    Infinite where there are more such pairs than are visited.
    """
    if found.edges is None:
        return 0.0
    try:
        points = form.grid(scale).points
    except TooLarge:
        return math.inf
    low, high = found.edges
    middles, gaps = points[:-1] + 0.5 * np.diff(points), np.diff(points)
    first, last = np.searchsorted(middles, low, "right"), np.searchsorted(middles, high)
    times = np.maximum(last - first, 0)
    if times.sum() > _MOST:
        return math.inf
    which = np.repeat(np.arange(times.size), times)
    at = np.arange(which.size) + np.repeat(first - (np.cumsum(times) - times), times)
    a, b, m, t = low[which], high[which], found.values[which], middles[at]
    chord = np.where(t > m, (m - a) * (b - t), (b - m) * (t - a)) / (b - a)
    excess = float(np.sum(2 * gaps[at] * chord * found.counts[which])) / found.size
    return -10 * math.log10(1 - excess / mse) if excess < mse else math.inf
