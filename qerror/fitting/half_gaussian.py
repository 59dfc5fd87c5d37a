"""The half-Gaussian's fit: the root mean square of data without negative values."""

import math

from qerror.densities.half_gaussian import HalfGaussian
from qerror.fitting.family import CONSTANT, Fitted, register
from qerror.fitting.summary import Summary


def fit_half_gaussian(data: Summary) -> Fitted | str:
    """Fit the only parameter in closed form, from exact moments."""
    if data.low < 0:
        return f"a value is negative: {data.low:g}"
    std = math.hypot(data.mean, data.std)
    if not std > 0:
        return CONSTANT
    level = math.log(2) - 0.5 * (math.log(2 * math.pi) + 1) - math.log(std)
    return Fitted(HalfGaussian(std), data.size * level, 1)


register("half-gaussian", fit_half_gaussian)
