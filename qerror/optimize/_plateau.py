"""How far the range can move for a given loss."""

import math
from collections.abc import Sequence

import numpy as np

from qerror._arrays import FloatArray
from qerror.analysis.single import quantization_error
from qerror.densities.density import Density
from qerror.exceptions import InvalidValue
from qerror.formats.format import ScalarFormat
from qerror.optimize._scan import nodes, slope

_AT_FIRST, _AT_ONCE = 4, 64  # scales looked at together on the way out
_FARTHEST = 512  # octaves
_TOLERANCE = 1e-9  # of the last step in ln s: the next one would be a multiple of its square
_STEPS = 100


def interval(form: ScalarFormat, density: Density, best: float, most: float) -> tuple[float, float]:
    """Return the connected interval of scales about the best one with an MSE of at most `most`."""
    return _end(form, density, best, most, -1), _end(form, density, best, most, 1)


def octaves(form: ScalarFormat, density: Density, best: float, most: float) -> tuple[float, float]:
    """Return the first and the last of the neighbouring power-of-two scales, likewise."""
    found: list[float] = []
    for side in (-1, 1):
        scale = best
        while abs(math.log2(scale / best)) < _FARTHEST:
            further = math.ldexp(scale, side)
            if quantization_error(form, density, further).mse > most:
                break
            scale = further
        found.append(scale)
    return found[0], found[1]


def smallest(
    form: ScalarFormat, density: Density, low: float, known: Sequence[float], most: float
) -> float:
    """Return the smallest scale from `low` on with an MSE of at most `most`.

    `known` are scales of minima; the last has a small enough MSE. Where the density has a
    continuous part they are all that count, and the way down from the first is followed.
    """
    if density.pieces():
        enough = quantization_error(form, density, np.array(known)).mse <= most
        first = known[int(np.argmax(enough))] if enough.any() else known[-1]
        return max(low, _end(form, density, first, most, -1))
    scales = np.union1d(nodes(form, density, low, known[-1]), known)
    for first in range(0, scales.size, _AT_ONCE):
        part = scales[first : first + _AT_ONCE]
        enough = quantization_error(form, density, part).mse <= most
        if enough.any():
            i = first + int(np.argmax(enough))
            if i == 0:
                return float(scales[i])
            bracket = scales[i - 1 : i + 1]
            report = quantization_error(form, density, bracket)
            return _root(form, density, bracket, most, (report.mse / most - 1, 2 * slope(report)))
    return known[-1]


def _end(form: ScalarFormat, density: Density, best: float, most: float, side: int) -> float:
    """Return where the MSE first exceeds `most` on one side; 0 or inf if nowhere."""
    inner, at_once = best, _AT_FIRST
    for _ in range(_FARTHEST // 2):
        outer = inner * 4.0**side
        if not 0 < outer < math.inf:
            break
        scales = nodes(form, density, min(inner, outer), max(inner, outer))[::side]
        first = 0
        while first < scales.size - 1:
            part = scales[first : first + at_once + 1]
            try:
                report = quantization_error(form, density, part)
            except InvalidValue:  # squares leave float64 somewhere in the part
                if at_once == 1:
                    return 0.0 if side < 0 else math.inf
                at_once //= 2
                continue
            first, at_once = first + at_once, min(2 * at_once, _AT_ONCE)
            over = report.mse > most
            over[0] = False  # known to be inside: the search came from there
            if over.any():
                i = int(np.argmax(over))
                ends = slice(i - 1, i + 1)
                known = report.mse[ends] / most - 1, 2 * slope(report)[ends]
                return _root(form, density, part[ends], most, known)
        inner = outer
    return 0.0 if side < 0 else math.inf


def _root(
    form: ScalarFormat,
    density: Density,
    bracket: FloatArray,
    most: float,
    known: tuple[FloatArray, FloatArray],
) -> float:
    """Return the scale between two at which the MSE is `most`.

    Newton's steps on its logarithm, whose slope is exact; halving where they leave the bracket.
    The first step starts at the end that is nearer to the level. `known` are MSE / most - 1 and
    the slope of ln MSE at the ends.
    """
    u, (over, rise) = np.log(bracket), known
    nearer = int(np.argmin(np.abs(over)))
    if not over[0] * over[1] < 0:  # rounding at an end that lies on the level itself
        return float(bracket[nearer])
    first_over = over[0]
    x = _stepped(u[nearer], over[nearer], rise[nearer], u)
    for _ in range(_STEPS):
        report = quantization_error(form, density, np.exp([x]))
        off = report.mse[0] / most - 1
        # The end on the other side of the level stays.
        u[0 if off * first_over > 0 else 1] = x
        next_x = _stepped(x, off, 2 * slope(report)[0], u)
        if abs(next_x - x) <= _TOLERANCE:
            return math.exp(next_x)
        x = next_x
    return math.exp(x)


def _stepped(x: float, over: float, rise: float, u: FloatArray) -> float:
    """Return where Newton's step leads, or the middle of a bracket that it would leave."""
    next_x = x - math.log1p(over) / rise if rise and over > -1 else math.nan
    inside = min(u) <= next_x <= max(u)
    return float(next_x if inside else 0.5 * (u[0] + u[1]))
