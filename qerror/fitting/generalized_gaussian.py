"""The generalized Gaussian by maximum likelihood."""

import math
from collections.abc import Sequence

import numpy as np
from scipy import special

from qerror._arrays import FloatArray
from qerror.densities.generalized_gaussian import GeneralizedGaussian
from qerror.fitting.family import Climb, Shape, register
from qerror.fitting.summary import Summary

BETA = Shape("beta", start=1.5, low=0.3, high=20.0)
"""Below its least value the likelihood has a peak at every value of the data."""


def _objective(data: Summary, theta: FloatArray, x: FloatArray) -> tuple[float, FloatArray]:
    beta, loc, scale = math.exp(theta[0]), theta[1], math.exp(theta[2])
    z = (x - loc) / scale
    with np.errstate(divide="ignore"):
        logs = np.log(np.abs(z))
    power = np.exp(np.minimum(beta * logs, _MOST_LOG))
    level = math.log(beta / 2) - special.gammaln(1 / beta) - theta[2] - data.average(power)
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        weighted = np.where(z == 0, 0.0, power * logs)
        steep = np.where(z == 0, 0.0, np.sign(z) * power / np.abs(z))
    by_beta = 1 / beta + special.digamma(1 / beta) / beta**2 - data.average(weighted)
    by_loc = beta / scale * data.average(steep)
    return level, np.array([beta * by_beta, by_loc, beta * data.average(power) - 1])


def _make(shapes: Sequence[float], loc: float, scale: float) -> GeneralizedGaussian:
    return GeneralizedGaussian(shapes[0], loc, scale)


_MOST_LOG = 500.0  # a value so far out rules the parameters out without leaving float64

register("generalized-gaussian", Climb(_objective, _make, (BETA,)))
