"""The Gaussian's fit: the mean and the standard deviation of the data."""

import math

from qerror.densities.gaussian import Gaussian
from qerror.fitting.family import CONSTANT, Fitted, register
from qerror.fitting.summary import Summary


def fit_gaussian(data: Summary) -> Fitted | str:
    """Fit both parameters in closed form, from exact moments."""
    std = data.std
    if not std > 0:
        return CONSTANT
    level = -0.5 * (math.log(2 * math.pi) + 1) - math.log(std)
    return Fitted(Gaussian(data.mean, std), data.size * level, 2)


register("gaussian", fit_gaussian)
