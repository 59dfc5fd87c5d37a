"""Where a range that learns by the straight-through rule stops, in theory."""

import math
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt
import torch
from scipy import special

from qerror._arrays import FloatArray
from qerror.analysis.single import quantization_error
from qerror.densities.empirical import Empirical
from qerror.densities.gaussian import Gaussian
from qerror.exceptions import InvalidValue
from qerror.formats.format import ScalarFormat
from qerror.formats.names import as_scalar_format
from qerror.optimize.scale import optimal_scale
from qerror.pytorch.calibration import Optimal, Target, calibrate

_HALVINGS = 60
_SAMPLES = 10
_OCTAVES = 12  # on either side of the power that reaches the largest value


@dataclass(frozen=True)
class Stall:
    """Where the straight-through gradient of the mean squared error vanishes."""

    max_value: float
    """The largest level c there."""
    excess: float
    """How much the MSE there exceeds the least, as a share of the latter."""


def straight_through_stall(form: ScalarFormat | str, data: npt.ArrayLike | None = None) -> Stall:
    """Return where learning the range of a symmetric format stops, with what excess.

    The loss is E[e^2]. Inside, the rule's dF/dc is e/c, and outside the sign of x, so that the
    expected gradient is 2/c E[e^2; inside] - 2 E[(|x| - c)+]. The true derivative is
    2/c E[F e]: the rule leaves out -2/c E[x e; inside], so that it vanishes elsewhere.

    Parameters
    ----------
    form : ScalarFormat or str
        With levels on both sides of 0, the same.
    data : array_like, optional
        A sample, whose expectations are means; by default N(0, 1) itself.

    Returns
    -------
    Stall

    Raises
    ------
    InvalidValue
        If the levels are not symmetric.
    """
    form = as_scalar_format(form)
    if not form.grid().is_symmetric:
        raise InvalidValue(f"{form.name} is not symmetric; the rule is worked out for such formats")
    x = None if data is None else np.asarray(data, np.float64).reshape(-1)
    density = Gaussian() if x is None else Empirical(x)
    best = _least(form, x)
    low, high = best / 8, best * 2
    for _ in range(_HALVINGS):
        middle = math.sqrt(low * high)
        rounding = quantization_error(form, density, form.scale_for(middle)).rounding
        if rounding / middle > _beyond(x, middle):  # half of the expected gradient
            high = middle
        else:
            low = middle
    c = math.sqrt(low * high)
    errors = quantization_error(form, density, np.array([form.scale_for(v) for v in (c, best)])).mse
    return Stall(c, float(errors[0] / errors[1]) - 1)


def stalls_of_samples(
    form: ScalarFormat | str, size: int = 4096, samples: int = _SAMPLES
) -> tuple[float, ...]:
    """Return the excess over each sample's own optimum, in order, on samples of N(0, 1).

    A sample's gradient differs from the density's, and its error has many minima: the excess
    spreads. The samples are those of `numpy.random.default_rng` with the seeds 0, 1, ...
    """
    return tuple(
        sorted(
            straight_through_stall(form, np.random.default_rng(seed).standard_normal(size)).excess
            for seed in range(samples)
        )
    )


def threshold_share(form: ScalarFormat | str, data: npt.ArrayLike) -> tuple[int, float]:
    """Return between which powers of two TQT hovers on a sample, and how it divides its time.

    Its threshold moves until the gradient changes its sign from one power to the next. There it
    goes to and fro, so that the mean gradient is 0.

    Parameters
    ----------
    form : ScalarFormat or str
        Integers with all codes of two's complement, or unsigned ones.
    data : array_like

    Returns
    -------
    exponent : int
        Of the smaller scale.
    share : float
        Of the time at the larger one.

    Raises
    ------
    InvalidValue
        If the format is no integer format, or no two powers of two are such neighbours.
    """
    target = Target(as_scalar_format(form))
    low, high = target.codes
    x = np.asarray(data, np.float64).reshape(-1)
    first = math.floor(math.log2(float(np.abs(x).max()) / max(high, -low))) - _OCTAVES
    slopes = [_threshold_slope(x, 2.0**k, low, high) for k in range(first, first + 2 * _OCTAVES)]
    for i, (down, up) in enumerate(pairwise(slopes)):
        if down < 0 <= up:
            return first + i, down / (down - up)
    raise InvalidValue("the gradient of the threshold changes its sign nowhere: data of zeros?")


def _threshold_slope(x: FloatArray, s: float, low: int, high: int) -> float:
    """Return the mean squared error's derivative in log2 t by TQT's rule, up to a factor."""
    v = x / s
    code = np.rint(v)
    inside = (low <= code) & (code <= high)
    code = code.clip(low, high)
    return float(((code * s - x) * s * np.where(inside, code - v, code)).mean())


def _least(form: ScalarFormat, x: FloatArray | None) -> float:
    """Return the largest level with the least error on a sample, or on N(0, 1)."""
    if x is None:
        return optimal_scale(form, Gaussian()).max_value
    return float(calibrate(torch.tensor(x), Target(form), Optimal()).scale) * form.max_value


def _beyond(x: FloatArray | None, c: float) -> float:
    """Return E[(abs(x) - c)+] of a sample, or of N(0, 1)."""
    if x is not None:
        return float(np.maximum(np.abs(x) - c, 0.0).mean())
    height = math.exp(-0.5 * c * c) / math.sqrt(2 * math.pi)
    return 2 * (height - c * float(special.ndtr(-c)))
