"""Roots of the slope of the MSE, closed in on in many brackets together."""

import numpy as np

from qerror._arrays import BoolArray, FloatArray, IntArray
from qerror.analysis.single import quantization_error
from qerror.densities.density import Density
from qerror.formats.format import ScalarFormat
from qerror.optimize._curve import Scan, slope

_FLAT = 1e-14  # of the MSE: what the last step may still gain
_FIRST_REACH = 0.02  # of a gap of the scan: how far off the cubic's minimum may be
_NOTHING = 1e-13  # of the MSE
_STEPS = 60  # Newton's, kept between brackets: some five do, so that this ends a fault
_APART = 1e-3  # of a bracket
_ASIDE = np.array([-1.0, 0.0, 1.0])


class Brackets:
    """Intervals of ln s that hold a root of the slope each, and what is known of it."""

    def __init__(self, low: FloatArray, high: FloatArray, guess: FloatArray) -> None:
        self.low, self.high, self.guess = low, high, guess
        self.value, self.near = np.full((2, low.size), np.inf)
        self.open: IntArray = np.arange(low.size)
        self.reach = _FIRST_REACH * (high - low)
        self._keep_inside(self.open)

    @classmethod
    def of(cls, scan: Scan, at: IntArray) -> "Brackets":
        """Begin with gaps of a scan at whose ends the slope changes its sign."""
        low, high = np.log(scan.scales[at]), np.log(scan.scales[at + 1])
        rise = 2 * scan.rise * scan.mse
        width = high - low
        a, b, fall = rise[at] * width, rise[at + 1] * width, np.diff(scan.mse)[at]
        # The cubic's derivative a + 2 (3 fall - 2 a - b) t + 3 (a + b - 2 fall) t^2
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            linear, square = 3 * fall - 2 * a - b, 3 * (a + b - 2 * fall)
            t = -a / (linear + np.sqrt(linear * linear - a * square))
        t = np.where((t >= 0) & (t <= 1), t, a / (a - b))
        return cls(low, high, low + t * width)

    def narrow(self, i: IntArray, points: FloatArray, rise: FloatArray, mse: FloatArray) -> None:
        """Take in what was found at three ascending points each of the brackets i."""
        before = self.high[i] - self.low[i]
        for x, f in zip(points, rise, strict=True):
            self.low[i] = np.where((f < 0) & (x > self.low[i]), x, self.low[i])
        for x, f in zip(points[::-1], rise[::-1], strict=True):
            self.high[i] = np.where(
                (f >= 0) & (x > self.low[i]) & (x < self.high[i]), x, self.high[i]
            )
        row = np.argmin(mse, axis=0)
        column = np.arange(i.size)
        self.value[i] = np.minimum(self.value[i], mse[row, column])
        least = np.argmin(np.abs(rise), axis=0)
        root = _inverse_root(points, rise)
        width = self.high[i] - self.low[i]
        inside = (root >= self.low[i]) & (root <= self.high[i])
        near = np.abs(rise[least, column])
        slow = ~inside | ((width > 0.5 * before) & (near > 0.5 * self.near[i]))
        self.near[i] = near
        moved = np.abs(root - points[least, column])
        self.guess[i] = np.where(slow, 0.5 * (self.low[i] + self.high[i]), root)
        self.reach[i] = np.where(slow, 0.25 * width, np.minimum(4 * moved, 0.25 * width))
        self._keep_inside(i)
        settled = ~slow & (near * moved <= _FLAT)
        self.guess[i] = np.where(settled, root, self.guess[i])
        # At a kink the slope never gets small, but what is left to gain does.
        left = width * np.abs(rise).max(axis=0)
        tiny = (left <= _NOTHING) | (width <= 4e-16 * np.abs(self.low[i]))
        self.open = i[~(settled | tiny)]

    def _keep_inside(self, i: IntArray) -> None:
        """Keep the three points within the bracket, and apart from each other."""
        low, high, guess = self.low[i], self.high[i], self.guess[i]
        room = np.minimum(guess - low, high - guess)
        self.reach[i] = np.maximum(np.minimum(self.reach[i], room), _APART * (high - low))


def closed_in(
    form: ScalarFormat, density: Density, brackets: Brackets
) -> tuple[FloatArray, FloatArray]:
    for _ in range(_STEPS):
        i = brackets.open
        if not i.size:
            break
        points = brackets.guess[i] + brackets.reach[i] * _ASIDE[:, None]
        found = quantization_error(form, density, np.exp(points))
        brackets.narrow(i, points, slope(found), found.mse)
    return np.exp(brackets.guess), brackets.value


def followed(
    form: ScalarFormat, density: Density, places: FloatArray, reach: FloatArray, sure: BoolArray
) -> tuple[FloatArray, FloatArray] | None:
    """Return scales and MSE of the minima within `reach` of the places in ln s.

    None if the slope does not change its sign about one of those that are sure, or a place
    without a minimum has a lower MSE than all that were found.
    """
    points = places + reach * _ASIDE[:, None]
    found = quantization_error(form, density, np.exp(points))
    rise, mse = slope(found), found.mse
    there = (rise[0] < 0) & (rise[2] >= 0)
    if not there[sure].all():
        return None
    brackets = Brackets((places - reach)[there], (places + reach)[there], places[there])
    brackets.narrow(brackets.open, points[:, there], rise[:, there], mse[:, there])
    scales, least = closed_in(form, density, brackets)
    if mse[:, ~there].min(initial=np.inf) < least.min():
        return None
    return scales, least


def _inverse_root(x: FloatArray, f: FloatArray) -> FloatArray:
    """Return x at f = 0 on the parabola x(f) through three points a column; nan for none."""
    with np.errstate(divide="ignore", invalid="ignore"):
        first = (x[1] - x[0]) / (f[1] - f[0])
        second = (x[2] - x[1]) / (f[2] - f[1])
        bend = (second - first) / (f[2] - f[0])
        root: FloatArray = x[1] - f[1] * (first - bend * f[0])
        return root
