"""Laplace's fit: the median and the mean distance from it."""

import math

import numpy as np

from qerror.densities.laplace import Laplace
from qerror.fitting.family import CONSTANT, Fitted, register
from qerror.fitting.summary import Summary


def fit_laplace(data: Summary) -> Fitted | str:
    """Fit both parameters in closed form; of binned data but for the median's own bin."""
    (median,) = data.quantiles(0.5)
    distance = data.average(np.abs(data.points - median))
    if not distance > 0:
        return CONSTANT
    scale = data.unit.length(distance)
    density = Laplace(data.unit.value(median), scale)
    return Fitted(density, -data.size * (math.log(2) + math.log(scale) + 1), 2)


register("laplace", fit_laplace)
