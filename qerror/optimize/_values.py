"""Best ranges for rounding modes other than to the nearest.

There the slope is not (2/s) E[Q e] (`qerror.analysis.mode_slope`), and with point masses the MSE
jumps. A scan by values brackets the minima, between the scales at which it jumps, of which it
visits both sides; the slope closes in on them (`_slopes`). With very many levels or jumps golden
sections do first, which find a minimum to the square root of what the MSE is known to.
"""

import math
from collections.abc import Callable
from typing import TypeAlias

import numpy as np

from qerror._arrays import FloatArray, IntArray
from qerror.analysis.single import quantization_error
from qerror.densities.density import Density
from qerror.densities.piece import Piece
from qerror.formats.format import ScalarFormat
from qerror.optimize._scan import PER_OCTAVE, nodes

Mse: TypeAlias = Callable[[FloatArray], FloatArray]

_COARSE = 4  # points per octave of the first look
_WITHIN = 4.0  # times the least MSE of the first look: there the second looks
_MOST = 24  # minima that are refined
_GOLDEN = (math.sqrt(5) - 1) / 2
_STEPS = 60  # sections of an eighth of an octave, to 3e-14: a jump is found so
_ROUNDING = 1e-14  # of the MSE
_SAME = 1e-9  # of the MSE: minima that may be the least one
_NARROW = 16  # spreads from 0 from which a component is one
_REACH, _ASIDE, _PASSED = 8.0, 33, 2**12  # spreads about it, places there, and quotients
_CROSSINGS = 2**14  # quotients of value and level that are all tried
_BESIDE = 2.0**-51  # of a scale: on the other side of a jump for certain, quotients being rounded
_FARTHEST = 256  # octaves
_SECTIONS, _ROUNDS = 16, 14  # parts of a gap, and how often it is cut


def mse_of(form: ScalarFormat, density: Density, rounding: str) -> Mse:
    """Return the function from scales to the MSE."""

    def mse(scales: FloatArray) -> FloatArray:
        return quantization_error(form, density, scales, rounding=rounding).mse

    return mse


def minima(
    form: ScalarFormat, density: Density, rounding: str, low: float, high: float
) -> tuple[FloatArray, FloatArray]:
    """Return the scales and the MSE of the lowest minima between two scales, ascending."""
    from qerror.optimize import _slopes  # noqa: PLC0415 - not needed to the nearest

    mse = mse_of(form, density, rounding)
    count = max(3, math.ceil(math.log2(high / low) * _COARSE) + 1)
    coarse = np.geomspace(low, high, count)
    found = mse(coarse)
    ends = low, high
    if not (narrow := _narrow(density)):
        near = np.flatnonzero(found <= _WITHIN * found.min())
        first, last = max(int(near[0]) - 1, 0), min(int(near[-1]) + 1, count - 1)
        ends = float(coarse[first]), float(coarse[last])
    scales = nodes(form, density, *ends)
    jumps, smooth = _jumps(form, density, rounding, *ends)
    scales = np.unique(np.concatenate([scales, jumps, _about(form, narrow, *ends)]))
    values = mse(scales)
    at = _lowest_inside(values, _MOST)
    if not at.size:
        return np.empty(0), np.empty(0)
    slope = _slopes.slope_of(form, density, rounding)
    below, above = _beside(scales, scales[at])
    if slope is not None and smooth and _slopes.is_quick(form):
        found = _slopes.roots(slope, below, scales[at], above)
        return _better(found, mse(found), scales[at], values[at])
    found, least = _sections(mse, below, scales[at], above, values[at])
    if slope is not None:
        close = least <= least.min() * (1 + _SAME)
        moved = _slopes.polished(slope, found[close])
        found[close], least[close] = _better(moved, mse(moved), found[close], least[close])
    return found, least


def _better(
    scales: FloatArray, mse: FloatArray, others: FloatArray, least: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Return scales, or the others where those are lower by more than rounding."""
    lost = mse > least * (1 + _ROUNDING)
    return np.where(lost, others, scales), np.where(lost, least, mse)


def _sections(
    mse: Mse, low: FloatArray, middle: FloatArray, high: FloatArray, known: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Close in on a minimum in every bracket together, in log s; the best seen is kept."""
    a, b = np.log(low), np.log(high)
    best, value = middle.copy(), known.copy()

    def seen(u: FloatArray) -> FloatArray:
        scales = np.exp(u)
        found = mse(scales)
        better = found < value
        best[better], value[better] = scales[better], found[better]
        return found

    left, right = b - _GOLDEN * (b - a), a + _GOLDEN * (b - a)
    f_left, f_right = seen(left), seen(right)
    for _ in range(_STEPS):
        lower = f_left <= f_right
        a, b = np.where(lower, a, left), np.where(lower, right, b)
        moved = np.where(lower, b - _GOLDEN * (b - a), a + _GOLDEN * (b - a))
        f_moved = seen(moved)
        left, right = np.where(lower, moved, right), np.where(lower, left, moved)
        f_left, f_right = np.where(lower, f_moved, f_right), np.where(lower, f_left, f_moved)
    return best, value


def _lowest_inside(values: FloatArray, most: int) -> IntArray:
    """Return where values are lower than both their neighbours, the lowest so many, ascending."""
    at = 1 + np.flatnonzero((values[1:-1] <= values[:-2]) & (values[1:-1] < values[2:]))
    found: IntArray = np.sort(at[np.argsort(values[at], kind="stable")[:most]])
    return found


def _beside(scales: FloatArray, middle: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return the next scales to both sides that are not the same but for the side of a jump."""
    below = np.searchsorted(scales, middle * (1 - 4 * _BESIDE)) - 1
    above = np.searchsorted(scales, middle * (1 + 4 * _BESIDE), "right")
    return scales[np.maximum(below, 0)], scales[np.minimum(above, scales.size - 1)]


def _narrow(density: Density) -> list[Piece]:
    """Return the components that are little wider than a point mass away from 0.

    As a level passes one, the MSE jumps by the square of the step, and is least beside it.
    """
    pieces = density.pieces()
    return [piece for piece in pieces if piece.spread * _NARROW < abs(piece.location) < np.inf]


def _jumps(
    form: ScalarFormat, density: Density, rounding: str, low: float, high: float
) -> tuple[FloatArray, bool]:
    """Return scales at which a point mass passes a threshold, and beside, and if these are all."""
    from qerror.optimize._slopes import turns  # noqa: PLC0415 - not needed to the nearest

    x = density.atoms().positions
    if not x.size:
        return np.empty(0), True
    levels, all_of_them = turns(form, rounding, _CROSSINGS // x.size)
    found = _ratios(x, levels, low, high)
    beside = np.multiply.outer(np.array([1 - _BESIDE, 1.0, 1 + _BESIDE]), found).ravel()
    return beside, all_of_them


def _about(form: ScalarFormat, narrow: list[Piece], low: float, high: float) -> FloatArray:
    """Return the scales at which places about a narrow component are levels; none if too many."""
    if not narrow:
        return np.empty(0)
    grid = form.grid()
    levels = grid.points if grid.size <= _CROSSINGS else grid.edges * grid.factor
    aside = min(_ASIDE, max(5, _PASSED // (levels.size * len(narrow))))
    about = np.linspace(-_REACH, _REACH, aside | 1)
    x = np.concatenate([piece.location + piece.spread * about for piece in narrow])
    return _ratios(x, levels, low, high) if levels.size * x.size <= _CROSSINGS else np.empty(0)


def _ratios(x: FloatArray, levels: FloatArray, low: float, high: float) -> FloatArray:
    """Return the quotients of places and levels between two scales."""
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        found = np.divide.outer(x, levels).ravel()
    return found[(found >= low) & (found <= high)]


def interval(mse: Mse, best: float, most: float) -> tuple[float, float]:
    """Return the connected interval of scales about the best one with an MSE of at most `most`."""
    return end(mse, best, most, -1), end(mse, best, most, 1)


def end(mse: Mse, best: float, most: float, side: int) -> float:
    """Return where the MSE first exceeds `most` on one side; 0 or inf if nowhere."""
    inner = best
    for _ in range(_FARTHEST):
        outer = inner * 2.0**side
        scales = np.geomspace(inner, outer, PER_OCTAVE + 1)
        over = mse(scales) > most
        over[0] = False
        if over.any():
            i = int(np.argmax(over))
            return _root(mse, float(scales[i - 1]), float(scales[i]), most)
        inner = outer
    return 0.0 if side < 0 else math.inf


def _root(mse: Mse, inside: float, outside: float, most: float) -> float:
    """Cut a gap into parts again and again; the last scale inside is returned."""
    for _ in range(_ROUNDS):
        scales = np.geomspace(inside, outside, _SECTIONS + 1)
        over = mse(scales) > most
        over[0], over[-1] = False, True
        i = int(np.argmax(over))
        inside, outside = float(scales[i - 1]), float(scales[i])
    return inside


def octaves(mse: Mse, best: float, most: float) -> tuple[float, float]:
    """Return the first and the last of the neighbouring power-of-two scales, likewise."""
    found: list[float] = []
    for side in (-1, 1):
        scale = best
        for _ in range(_FARTHEST):
            further = math.ldexp(scale, side)
            if mse(np.array([further]))[0] > most:
                break
            scale = further
        found.append(scale)
    return found[0], found[1]
