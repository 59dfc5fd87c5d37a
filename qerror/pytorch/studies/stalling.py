"""Where a range that learns by the straight-through rule stops, in theory."""

import math
from dataclasses import dataclass

from scipy import special

from qerror.analysis.single import quantization_error
from qerror.densities.gaussian import Gaussian
from qerror.exceptions import InvalidValue
from qerror.formats.format import ScalarFormat
from qerror.formats.names import as_scalar_format
from qerror.optimize.scale import optimal_scale

_HALVINGS = 60


@dataclass(frozen=True)
class Stall:
    """Where the straight-through gradient of the mean squared error vanishes on N(0, 1)."""

    max_value: float
    """The largest level c there."""
    excess: float
    """How much the MSE there exceeds the least, as a share of the latter."""


def straight_through_stall(form: ScalarFormat | str) -> Stall:
    """Return where learning the range of a symmetric format stops, with what excess.

    The loss is E[e^2]. Inside, the rule's dF/dc is e/c, and outside the sign of x, so that the
    expected gradient is 2/c E[e^2; inside] - 2 E[(|x| - c)+]. It vanishes below the c with the
    least error, where 2/c E[F e] does.

    Parameters
    ----------
    form : ScalarFormat or str
        With levels on both sides of 0, the same.

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
    best = optimal_scale(form, Gaussian())
    low, high = best.max_value / 8, best.max_value * 2
    for _ in range(_HALVINGS):
        middle = math.sqrt(low * high)
        if _gradient(form, middle) > 0:
            high = middle
        else:
            low = middle
    c = math.sqrt(low * high)
    mse = quantization_error(form, Gaussian(), form.scale_for(c)).mse
    return Stall(c, mse / best.report.mse - 1)


def _gradient(form: ScalarFormat, c: float) -> float:
    """Return half of the expected straight-through gradient at c."""
    rounding = quantization_error(form, Gaussian(), form.scale_for(c)).rounding
    density = math.exp(-0.5 * c * c) / math.sqrt(2 * math.pi)
    beyond = 2 * (density - c * float(special.ndtr(-c)))
    return rounding / c - beyond
