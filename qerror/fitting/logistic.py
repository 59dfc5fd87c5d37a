"""The logistic density by maximum likelihood."""

import math
from collections.abc import Sequence

import numpy as np

from qerror._arrays import FloatArray
from qerror.densities.logistic import Logistic
from qerror.fitting.family import Climb, register
from qerror.fitting.summary import Summary


def _objective(data: Summary, theta: FloatArray, x: FloatArray) -> tuple[float, FloatArray]:
    loc, scale = theta[0], math.exp(theta[1])
    z = (x - loc) / scale
    half = np.tanh(0.5 * z)
    size = np.abs(z)
    level = data.average(-size - 2 * np.log1p(np.exp(-size))) - theta[1]
    return level, np.array([data.average(half) / scale, data.average(z * half) - 1])


def _make(_: Sequence[float], loc: float, scale: float) -> Logistic:
    return Logistic(loc, scale)


register("logistic", Climb(_objective, _make))
