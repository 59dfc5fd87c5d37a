"""The uniform density's fit: the limits of the data."""

import math

from qerror.densities.uniform import Uniform
from qerror.fitting.family import CONSTANT, Fitted, register
from qerror.fitting.summary import Summary


def fit_uniform(data: Summary) -> Fitted | str:
    """Fit both limits exactly."""
    if not data.high > data.low:
        return CONSTANT
    return Fitted(Uniform(data.low, data.high), -data.size * math.log(data.high - data.low), 2)


register("uniform", fit_uniform)
