"""Absmax blocks of Student's t, summed over ln M by closed forms of its moments, to far out."""

import math
from typing import Any

import numpy as np
from scipy import stats
from scipy.special import beta, betainc

_END = 120.0  # ln M: beyond it everything is a power
_PANEL = 0.1


def block_moments(nu: float, n: int, levels: Any) -> tuple[float, float]:
    """Return E[e^2] of a value and E[e1 e2] of two, of blocks of n values at the scale M.

    Where 0 is no level nu is above 2.
    """
    q = np.asarray(levels, dtype=float)
    law = stats.t(nu)

    def mass(x: Any) -> Any:
        return np.sign(x) * (0.5 - law.sf(np.abs(x)))

    def first(x: Any) -> Any:
        return -(nu + x * x) / (nu - 1) * law.pdf(x)

    def second(x: Any) -> Any:
        share = betainc(1.5, nu / 2 - 1, x * x / (nu + x * x))
        return np.sign(x) * nu / 2 * beta(1.5, nu / 2 - 1) / beta(0.5, nu / 2) * share

    t, w = np.polynomial.legendre.leggauss(20)
    centre = np.arange(-8.0, _END, _PANEL) + 0.5 * _PANEL
    u = (centre[:, None] + 0.5 * _PANEL * t).ravel()
    m = np.exp(u)
    dm = np.tile(0.5 * _PANEL * w, centre.size) * m
    tail = 2 * law.sf(m)
    log_below = np.where(tail < 0.5, np.log1p(-tail), np.log(2 * mass(m)))
    density = 2 * law.pdf(m)
    ends = np.concatenate([[-1.0], 0.5 * (q[1:] + q[:-1]), [1.0]])
    square, mean = np.zeros(m.size), np.zeros(m.size)
    for level, low, high in zip(q, ends[:-1], ends[1:], strict=True):
        p, x, xx = (f(high * m) - f(low * m) for f in (mass, first, second))
        square += (level * m) ** 2 * p - 2 * level * m * x + xx
        mean += level * m * p - x
    upper, lower = q[-1] - 1, q[0] + 1
    rest = np.exp((n - 2) * log_below)
    own = 0.5 * (upper**2 + lower**2) * m * m * np.exp(log_below)
    of_one = rest * density * (own + (n - 1) * square)
    of_two = rest * density * (upper + lower) * m * mean
    if n > 2:
        of_two += (n - 2) * np.exp((n - 3) * log_below) * density * mean**2
    return _whole(of_one, u, dm, nu), _whole(of_two, u, dm, nu)


def _whole(values: Any, u: Any, dm: Any, nu: float) -> float:
    """Integrate, beyond the end as m^(1 - nu)."""
    beyond = values[-1] * math.exp(u[-1]) / (nu - 2) if nu > 2 else 0.0
    return float(values @ dm) + beyond * math.exp(-(nu - 2) * (_END - u[-1]))
