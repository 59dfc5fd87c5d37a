"""How far the range can move for a given loss."""

import math
from collections.abc import Sequence

import numpy as np

from qerror._arrays import FloatArray
from qerror.analysis.single import quantization_error
from qerror.densities.density import Density
from qerror.formats.format import ScalarFormat
from qerror.optimize._scan import nodes

_AT_ONCE = 64  # scales looked at together on the way out
_FARTHEST = 512  # octaves
_TOLERANCE = 1e-14


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

    `known` are scales of minima; the last has a small enough MSE.
    """
    scales = np.union1d(nodes(form, density, low, known[-1]), known)
    for first in range(0, scales.size, _AT_ONCE):
        part = scales[first : first + _AT_ONCE]
        enough = quantization_error(form, density, part).mse <= most
        if enough.any():
            i = first + int(np.argmax(enough))
            return float(scales[i]) if i == 0 else _root(form, density, scales[i - 1 : i + 1], most)
    return known[-1]


def _end(form: ScalarFormat, density: Density, best: float, most: float, side: int) -> float:
    """Return where the MSE first exceeds `most` on one side; 0 or inf if nowhere."""
    inner = best
    for _ in range(_FARTHEST // 2):
        outer = inner * 4.0**side
        if not 1e-150 < outer < 1e150:
            break
        scales = nodes(form, density, min(inner, outer), max(inner, outer))[::side]
        for first in range(0, scales.size - 1, _AT_ONCE):
            part = scales[first : first + _AT_ONCE + 1]
            over = quantization_error(form, density, part).mse > most
            over[0] = False  # known to be inside: the search came from there
            if over.any():
                i = int(np.argmax(over))
                return _root(form, density, part[i - 1 : i + 1], most)
        inner = outer
    return 0.0 if side < 0 else math.inf


def _root(form: ScalarFormat, density: Density, bracket: FloatArray, most: float) -> float:
    """Return the scale between two at which the MSE is `most`."""
    from scipy.optimize import brentq

    def excess(log_scale: float) -> float:
        return quantization_error(form, density, math.exp(log_scale)).mse / most - 1

    a, b = np.log(bracket).tolist()
    fa, fb = excess(a), excess(b)
    if fa * fb >= 0:  # rounding at an end that lies on the level itself
        return math.exp(a if abs(fa) <= abs(fb) else b)
    return math.exp(float(brentq(excess, a, b, xtol=_TOLERANCE, rtol=_TOLERANCE)))
