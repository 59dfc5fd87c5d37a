"""How far the range can move for a given loss."""

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from qerror._arrays import FloatArray
from qerror.analysis.single import quantization_error
from qerror.densities.density import Density
from qerror.exceptions import InvalidValue
from qerror.formats.floating import FloatingPoint
from qerror.formats.format import ScalarFormat
from qerror.optimize._curve import Scan, slope
from qerror.optimize._scan import nodes, ripples

_AT_FIRST, _AT_ONCE = 4, 64  # scales looked at together on the way out
_FARTHEST = 512  # octaves
_FIRST_STEP = 8  # octaves
_LAST_EXPONENT = 1022  # of float64's finite powers of two, less one
_TOLERANCE = 1e-9  # of the last step in ln s: the next one would be a multiple of its square
_ON_A_CUBIC = 5  # Newton steps, from the secant's root on
_STEPS = 100  # Newton's, kept between brackets: some five do, so that this ends a fault


class Wanted(NamedTuple):
    """An end of a connected interval of scales."""

    start: float
    """A scale within."""
    most: float
    """The MSE at the end."""
    side: int
    """-1 for the lower end, 1 for the upper one."""


class _Bracket(NamedTuple):
    """Two scales between which the MSE passes a level."""

    most: float
    u: FloatArray
    """ln s, of the inner scale and the outer one."""
    off: FloatArray
    """ln(MSE / most) there,"""
    rise: FloatArray
    """and its slope."""

    @classmethod
    def of(cls, most: float, scales: FloatArray, mse: FloatArray, rise: FloatArray) -> "_Bracket":
        """Take two points of a scan."""
        with np.errstate(divide="ignore"):
            return cls(most, np.log(scales), np.log(mse / most), 2 * rise)


def ends(
    form: ScalarFormat, density: Density, scan: Scan | None, wanted: Sequence[Wanted]
) -> list[float]:
    """Return where the MSE first passes its level; 0 or inf if nowhere.

    What a scan saw needs not be searched again. All ends are closed in on together.
    """
    seen = [_seen(form, density, scan, each) for each in wanted]
    found = [_walked(form, density, each) if isinstance(each, Wanted) else each for each in seen]
    roots = iter(_roots(form, density, [each for each in found if isinstance(each, _Bracket)]))
    return [next(roots) if isinstance(each, _Bracket) else each for each in found]


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
    """Return the smallest scale from `low` on with an MSE of at most `most`, of data.

    `known` are scales of minima; the last has a small enough MSE.
    """
    scales = np.union1d(nodes(form, density, low, known[-1]), known)
    for first in range(0, scales.size, _AT_ONCE):
        part = scales[first : first + _AT_ONCE]
        enough = quantization_error(form, density, part).mse <= most
        if enough.any():
            i = first + int(np.argmax(enough))
            if i == 0:
                return float(scales[i])
            pair = Scan.at(form, density, scales[i - 1 : i + 1])
            inner_first = (part[::-1] for part in (pair.scales, pair.mse, pair.rise))
            return _roots(form, density, [_Bracket.of(most, *inner_first)])[0]
    return known[-1]


def _seen(
    form: ScalarFormat, density: Density, scan: Scan | None, wanted: Wanted
) -> _Bracket | Wanted:
    """Return the scales of a scan about an end, or whence to walk on where it does not show it.

    It does not where it left out ripples.
    """
    start, most, side = wanted
    if scan is None:
        return wanted
    scales, mse, rise = (part[::side] for part in (scan.scales, scan.mse, scan.rise))
    inside = int(np.count_nonzero(side * scales <= side * start))
    over = mse[inside:] > most
    outer = inside + int(np.argmax(over)) if over.any() else scales.size
    # One before the start may be inside or not: what lies between was not looked at.
    if (
        not inside
        or mse[outer - 1] > most
        or ripples(form, density, scales[inside - 1 : outer + 1])
    ):
        return wanted
    if outer == scales.size:
        return wanted._replace(start=float(scales[-1])) if outer > inside else wanted
    pair = slice(outer - 1, outer + 1)
    return _Bracket.of(most, scales[pair], mse[pair], rise[pair])


def _walked(form: ScalarFormat, density: Density, wanted: Wanted) -> _Bracket | float:
    """Return two scales about an end, found on the way out; 0 or inf if there is none."""
    inner, most, side = wanted
    at_once, farthest = _AT_FIRST, inner * 2.0 ** (side * _FARTHEST)
    if side > 0 and isinstance(form, FloatingPoint):
        scan = _far_out(form, density, wanted)
        if scan is not None:
            end = _seen(form, density, scan, wanted._replace(start=float(scan.scales[0])))
            if isinstance(end, _Bracket):
                return end
            inner = end.start
    while inner != farthest:
        outer = inner * 4.0**side
        if not 0 < outer < math.inf:
            break
        scales = nodes(form, density, min(inner, outer), max(inner, outer))[::side]
        first = 0
        while first < scales.size - 1:
            part = scales[first : first + at_once + 1]
            try:
                scan = Scan.at(form, density, part)
            except InvalidValue:  # squares leave float64 somewhere in the part
                if at_once == 1:
                    return 0.0 if side < 0 else math.inf
                at_once //= 2
                continue
            first, at_once = first + at_once, min(2 * at_once, _AT_ONCE)
            over = scan.mse > most
            over[0] = False  # known to be inside: the search came from there
            if over.any():
                i = int(np.argmax(over))
                pair = slice(i - 1, i + 1)
                return _Bracket.of(most, part[pair], scan.mse[pair], scan.rise[pair])
        inner = outer
    return 0.0 if side < 0 else math.inf


def _far_out(form: FloatingPoint, density: Density, wanted: Wanted) -> Scan | None:
    """Return a scan of three octaves about an upper end; None if it lies too near for that.

    Within the range that it has at s, a floating-point grid at 2s has no points but those at s:
    what rounding costs never falls by an octave, what clipping costs never grows, and so the
    sum of both at the two ends bounds every octave between them.
    """
    scale, most, _ = wanted
    clipped = quantization_error(form, density, scale).clipping

    def is_below(octaves: int) -> bool:
        try:
            report = quantization_error(form, density, scale * 2.0**octaves)
        except InvalidValue:  # squares leave float64
            return False
        return report.rounding + clipped <= most

    farthest = min(_FARTHEST, _LAST_EXPONENT - math.frexp(scale)[1])
    count = _last(is_below, farthest)
    if not 1 < count < farthest:
        return None
    first, last = scale * 2.0 ** (count - 2), scale * 2.0 ** (count + 1)
    try:
        scan = Scan.at(form, density, nodes(form, density, first, last))
    except InvalidValue:
        return None
    octave = scan.mse[scan.scales <= 2 * first]
    return scan if octave.max() + clipped <= most else None


def _last(holds: Callable[[int], bool], most: int) -> int:
    """Return the last number from 1 to `most` of which it holds, 0 for none; it fails only once.

    Twice as far each time, then by halves of the last step.
    """
    found, step, growth = 0, _FIRST_STEP, 2.0
    while step:
        if found + step <= most and holds(found + step):
            found += step
        else:
            growth = 0.5
        step = int(step * growth)
    return found


def _roots(form: ScalarFormat, density: Density, brackets: Sequence[_Bracket]) -> list[float]:
    """Return the scale in each bracket at which the MSE is at its level.

    Newton's steps on the logarithm of the MSE, whose slope is exact, from where a cubic through
    both ends passes the level; halving where they leave the bracket.
    """
    if not brackets:
        return []
    most = np.array([each.most for each in brackets])
    inner, outer = np.array([each.u for each in brackets]).T
    x = _by_cubics(brackets)
    i = np.arange(most.size)
    for _ in range(_STEPS):
        report = quantization_error(form, density, np.exp(x[i]))
        over = report.mse > most[i]
        inner[i] = np.where(over, inner[i], x[i])
        outer[i] = np.where(over, x[i], outer[i])
        with np.errstate(divide="ignore", invalid="ignore"):
            off = np.log1p((report.mse - most[i]) / most[i])
            moved = _inside(inner[i], outer[i], x[i] - off / (2 * slope(report)))
        done = np.abs(moved - x[i]) <= _TOLERANCE
        x[i] = moved
        i = i[~done]
        if not i.size:
            break
    found: list[float] = np.exp(x).tolist()
    return found


def _by_cubics(brackets: Sequence[_Bracket]) -> FloatArray:
    """Return ln s where cubics with the values and slopes at both ends are 0 (Hermite)."""
    (a, b), off, rise = (np.array([each[part] for each in brackets]).T for part in (1, 2, 3))
    width = b - a
    with np.errstate(divide="ignore", invalid="ignore"):
        fall, left, right = off[1] - off[0], rise[0] * width, rise[1] * width
        square, cube = 3 * fall - 2 * left - right, left + right - 2 * fall
        t = -off[0] / fall
        for _ in range(_ON_A_CUBIC):
            value = off[0] + t * (left + t * (square + t * cube))
            t = t - value / (left + t * (2 * square + t * 3 * cube))
        return _inside(a, b, a + t * width)


def _inside(a: FloatArray, b: FloatArray, x: FloatArray) -> FloatArray:
    """Return x, or the middle where it does not lie between a and b."""
    inside = (x >= np.minimum(a, b)) & (x <= np.maximum(a, b))
    return np.where(inside, x, 0.5 * (a + b))
