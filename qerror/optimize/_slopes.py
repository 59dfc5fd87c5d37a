"""Minima by the slope of the MSE, for rounding modes other than to the nearest.

Values alone find a minimum to the square root of what the MSE is known to; the slope finds it to
the last digits. A bracket has a lower end from which the MSE falls and an upper one from which it
rises, or where it is higher. Where a threshold passes a point mass the MSE jumps: between two such
scales it is smooth, and the slope is that of the settled levels.
"""

from collections.abc import Callable
from typing import TypeAlias

import numpy as np

from qerror._arrays import FloatArray, IntArray
from qerror.analysis.mode_slope import has_slope, mse_slope, turning_points
from qerror.densities.density import Density
from qerror.formats.format import ScalarFormat
from qerror.rounding import as_rule

Slope: TypeAlias = Callable[[FloatArray], FloatArray]

_STEPS = 80  # of secants and halvings: some eight do, so that this ends a fault
_CLOSE = 4e-16  # of s: neighbouring scales
_QUICK = 512  # levels: of more, only the best minima are closed in on by slopes
_BESIDE = 3e-7  # of s: how far off a minimum by values may be
_HALVES = 3  # of a bracket's rounds, at most, before it is cut in the middle


def slope_of(form: ScalarFormat, density: Density, rounding: str) -> Slope | None:
    """Return the function from scales to dMSE / d ln s, where there is one."""
    grid, rule = form.grid(), as_rule(rounding)
    if not has_slope(grid, rule):
        return None
    return lambda scales: mse_slope(grid, density, scales, rule)


def is_quick(form: ScalarFormat) -> bool:
    """Whether the slope costs no more than the MSE does."""
    return form.grid().size <= _QUICK


def turns(form: ScalarFormat, rounding: str, most: int) -> tuple[FloatArray, bool]:
    """Return quotients of value and scale at which an error may jump or have a kink, and if all.

    Of more than so many the levels alone; of these the edges of segments; or none.
    """
    grid, rule = form.grid(), as_rule(rounding)
    if grid.size * rule.parts <= most:
        return turning_points(grid, rule), True
    if grid.size <= most:
        return grid.points, False
    return (grid.edges * grid.factor if grid.edges.size <= most else np.empty(0)), False


def roots(slope: Slope, low: FloatArray, middle: FloatArray, high: FloatArray) -> FloatArray:
    """Return the scale of a minimum in each bracket whose middle lies below its ends."""
    # The scales themselves, not their logarithms: a last digit may be the side of a jump.
    a, x, b = low.copy(), middle.copy(), high.copy()
    rise_a, rise_b = np.full((2, x.size), np.nan)
    aside: IntArray = np.zeros(x.size, dtype=np.int64)  # rounds in which one end has stayed
    left: IntArray = np.arange(x.size)
    for _ in range(_STEPS):
        rise = slope(x[left])
        falls = rise < 0
        i, j = left[falls], left[~falls]
        # Illinois: an end that has stayed counts for half, so that the other comes nearer.
        rise_b[i[aside[i] < 0]] /= 2
        rise_a[j[aside[j] > 0]] /= 2
        aside[i], aside[j] = np.minimum(aside[i], 0) - 1, np.maximum(aside[j], 0) + 1
        a[i], rise_a[i] = x[i], rise[falls]
        b[j], rise_b[j] = x[j], rise[~falls]
        done = (b[left] - a[left] <= _CLOSE * b[left]) | (rise == 0)
        left = left[~done]
        if not left.size:
            break
        x[left] = _between(a[left], rise_a[left], b[left], rise_b[left], aside[left])
    return x


def _between(
    a: FloatArray, rise_a: FloatArray, b: FloatArray, rise_b: FloatArray, aside: IntArray
) -> FloatArray:
    """Return where a straight line through both slopes is 0, or the middle."""
    with np.errstate(invalid="ignore", divide="ignore"):
        x = a - rise_a * (b - a) / (rise_b - rise_a)
    known = (x > a) & (x < b) & (np.abs(aside) <= _HALVES)
    return np.where(known, x, 0.5 * (a + b))


def polished(slope: Slope, scales: FloatArray) -> FloatArray:
    """Return minima known by values, closed in on by the slope where it changes its sign there."""
    low, high = scales * (1 - _BESIDE), scales * (1 + _BESIDE)
    inside = (slope(low) < 0) & (slope(high) > 0)
    found = scales.copy()
    found[inside] = roots(slope, low[inside], scales[inside], high[inside])
    return found
