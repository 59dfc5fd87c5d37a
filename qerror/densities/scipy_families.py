"""The families of scipy.stats that are built in: as exact and as fast as by their own names."""

import math
from collections.abc import Callable

from qerror.densities.arcsine import Arcsine
from qerror.densities.density import Density
from qerror.densities.from_scipy import SCIPY_FAMILIES
from qerror.densities.gaussian import Gaussian
from qerror.densities.generalized_gaussian import GeneralizedGaussian
from qerror.densities.half_gaussian import HalfGaussian
from qerror.densities.laplace import Laplace
from qerror.densities.log_uniform import LogUniform
from qerror.densities.logistic import Logistic
from qerror.densities.student_t import StudentT
from qerror.densities.truncated import Truncated
from qerror.densities.uniform import Uniform

_LEAST_KEPT = 1e-200  # of a law that is cut: its moments lie above 1e-308 then


def _student_t(df: float, loc: float, scale: float) -> Density:
    return StudentT(df, loc, scale) if df < math.inf else Gaussian(loc, scale)


def _cauchy(loc: float, scale: float) -> Density:
    return StudentT(1.0, loc, scale)


def _generalized_gaussian(beta: float, loc: float, scale: float) -> Density | None:
    return GeneralizedGaussian(beta, loc, scale) if 0.05 <= beta <= 1000 else None


def _uniform(loc: float, scale: float) -> Density:
    return Uniform(loc, loc + scale)


def _arcsine(loc: float, scale: float) -> Density:
    return Arcsine(loc, loc + scale)


def _log_uniform(a: float, b: float, loc: float, scale: float) -> Density:
    return LogUniform(a, b).affine(scale, loc)


def _half_gaussian(loc: float, scale: float) -> Density:
    return HalfGaussian().affine(scale, loc)


def _truncated_gaussian(a: float, b: float, loc: float, scale: float) -> Density | None:
    return _cut(Gaussian(loc, scale), loc + a * scale, loc + b * scale)


def _truncated_exponential(b: float, loc: float, scale: float) -> Density | None:
    return _cut(Laplace(loc, scale), loc, loc + b * scale)


def _cut(whole: Density, low: float, high: float) -> Density | None:
    """Return what lies in [low, high], if that is enough for float64."""
    if low == -math.inf and high == math.inf:
        return whole
    enough = not low < high or float(whole.mass(low, high)) >= _LEAST_KEPT
    return Truncated(whole, low, high) if enough else None


def _upper_half(make: Callable[..., Density | None]) -> Callable[..., Density | None]:
    """Return the family of what lies above the location."""

    def half(*given: float) -> Density | None:
        whole = make(*given)
        return None if whole is None else Truncated(whole, low=given[-2])

    return half


# Each takes the shapes in the order of scipy.stats, then loc and scale.
SCIPY_FAMILIES.register("norm", Gaussian)
SCIPY_FAMILIES.register("t", _student_t)
SCIPY_FAMILIES.register("cauchy", _cauchy)
SCIPY_FAMILIES.register("laplace", Laplace)
SCIPY_FAMILIES.register("logistic", Logistic)
SCIPY_FAMILIES.register("gennorm", _generalized_gaussian)
SCIPY_FAMILIES.register("uniform", _uniform)
SCIPY_FAMILIES.register("arcsine", _arcsine)
SCIPY_FAMILIES.register("loguniform", _log_uniform, "reciprocal")
SCIPY_FAMILIES.register("truncnorm", _truncated_gaussian)
SCIPY_FAMILIES.register("expon", _upper_half(Laplace))
SCIPY_FAMILIES.register("truncexpon", _truncated_exponential)
SCIPY_FAMILIES.register("halfnorm", _half_gaussian)
SCIPY_FAMILIES.register("halfcauchy", _upper_half(_cauchy))
SCIPY_FAMILIES.register("halflogistic", _upper_half(Logistic))
SCIPY_FAMILIES.register("halfgennorm", _upper_half(_generalized_gaussian))
