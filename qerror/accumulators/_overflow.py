"""How far sums stray: the law of their largest value on the way, and of their end.

The largest of a walk's partial sums follows that of a Brownian motion of the same drift and
variance above a barrier moved outward by 0.5826 standard deviations of a step, which is what a
walk jumps over it on average (Siegmund 1979). The end's own law, which may have heavier tails than
a Gaussian's, enters as the ratio of both tails there.
"""

import math
from collections.abc import Callable
from typing import TypeAlias

import numpy as np
from scipy.special import log_ndtr, ndtr

from qerror.accumulators._sums import Mesh, Sums

Tail: TypeAlias = Callable[[float], float]
_OVERSHOOT = 0.5825971579390106  # -zeta(1/2) / sqrt(2 pi)
_LIKELY = 1e-2  # from where on both sides are taken together
_IMAGES = 40


def end_beyond(law: Mesh, low: float, high: float) -> float:
    """Return P(S < low or S > high)."""
    return min(law.tail(high) + law.mirrored().tail(-low), 1.0)


def way_beyond(sums: Sums, count: int, low: float, high: float) -> float:
    """Return the probability that one of the first `count` partial sums leaves [low, high]."""
    terms = sums.terms
    if terms.largest * count <= min(-low, high):
        return 0.0
    mean, spread = terms.mean, math.sqrt(terms.variance)
    if spread == 0:
        return float(not low <= count * mean <= high)
    half = 2.0 ** (terms.finest - 1)  # sums are multiples of their lattice: beyond is half above
    low, high = low - half, high + half
    law = sums.of(count)
    up = one_side(law, mean, spread, count, high)
    down = one_side(law.mirrored(), -mean, spread, count, -low)
    if max(up, down) < _LIKELY:
        return up + down
    shift = _OVERSHOOT * spread
    both = 1 - _stays(mean, spread, count, low - shift, high + shift)
    return min(max(both, up, down), 1.0)


def one_side(law: Mesh, mean: float, spread: float, count: int, barrier: float) -> float:
    """Return P(max of the partial sums > barrier), `law` that of the last one."""
    end = law.tail(barrier)
    total, drift = spread * math.sqrt(count), mean * count
    moved = barrier + _OVERSHOOT * spread
    straight = log_ndtr((drift - moved) / total)
    mirrored = 2 * mean * moved / spread**2 + log_ndtr((-drift - moved) / total)
    way = float(np.logaddexp(straight, mirrored))
    # heavier tails than a Gaussian's: what the end's own law says
    own = float(log_ndtr((drift - barrier) / total))
    ratio = math.exp(min(way - own, math.log(2.0)))
    return min(max(ratio, 1.0) * end, 1.0)


def _stays(mean: float, spread: float, count: int, low: float, high: float) -> float:
    """Return the probability that a Brownian motion stays in (low, high), by images."""
    total, drift = spread * math.sqrt(count), mean * count
    width = high - low
    tilt = mean / spread**2
    found = 0.0
    for k in range(-_IMAGES, _IMAGES + 1):
        for sign, image in ((1.0, 2 * k * width), (-1.0, 2 * high + 2 * k * width)):
            ends = [(edge - image - drift) / total for edge in (low, high)]
            inside = float(ndtr(ends[1]) - ndtr(ends[0]))
            if inside > 0:
                found += sign * math.exp(min(tilt * image, 600.0)) * inside
    return min(max(found, 0.0), 1.0)


def excess(
    law: Mesh, mean: float, spread: float, count: int, barrier: float
) -> tuple[float, float]:
    """Return E[Y] and E[Y^2] of Y = max(0, largest partial sum - barrier), from its tail."""
    return _tail_moments(
        lambda y: one_side(law, mean, spread, count, barrier + y), spread * math.sqrt(count)
    )


def end_excess(law: Mesh, barrier: float) -> tuple[float, float]:
    """Return E[Y] and E[Y^2] of Y = max(0, S - barrier)."""
    beyond = np.maximum(law.points - barrier, 0.0)
    return float(law.mass @ beyond), float(law.mass @ beyond**2)


def _tail_moments(tail: Tail, unit: float) -> tuple[float, float]:
    """Return int P(Y > y) dy and int 2 y P(Y > y) dy."""
    y = unit * np.linspace(0.0, 12.0, 481)
    p = np.array([tail(float(each)) for each in y])
    return float(np.trapezoid(p, y)), float(np.trapezoid(2 * y * p, y))
