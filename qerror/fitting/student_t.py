"""Student's t by maximum likelihood."""

import math
from collections.abc import Sequence

import numpy as np
from scipy import special

from qerror._arrays import FloatArray
from qerror.densities.student_t import StudentT
from qerror.fitting.family import Climb, Shape, register
from qerror.fitting.summary import Summary

NU = Shape("nu", start=4.0, low=0.2, high=1e4)
"""Beyond its largest value a Gaussian is as likely."""


def _objective(data: Summary, theta: FloatArray, x: FloatArray) -> tuple[float, FloatArray]:
    nu, loc, scale = math.exp(theta[0]), theta[1], math.exp(theta[2])
    z = (x - loc) / scale
    q = z * z / nu
    logs, share = np.log1p(q), q / (1 + q)
    peak = special.gammaln(0.5 * (nu + 1)) - special.gammaln(0.5 * nu)
    level = peak - 0.5 * math.log(nu * math.pi) - theta[2]
    mean_log, mean_share = data.average(logs), data.average(share)
    gap = special.digamma(0.5 * (nu + 1)) - special.digamma(0.5 * nu) - 1 / nu
    by_nu = 0.5 * (gap - mean_log + (nu + 1) / nu * mean_share)
    by_loc = (nu + 1) / (nu * scale) * data.average(z / (1 + q))
    by_scale = (nu + 1) * mean_share - 1
    return level - 0.5 * (nu + 1) * mean_log, np.array([nu * by_nu, by_loc, by_scale])


def _make(shapes: Sequence[float], loc: float, scale: float) -> StudentT:
    return StudentT(shapes[0], loc, scale)


register("student-t", Climb(_objective, _make, (NU,)))
