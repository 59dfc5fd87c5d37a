"""The standard laws' densities as analytic functions: power series at a place, bounds in a box.

Each is given for Re z > 0 and continued from there; below 0 the symmetry of p mirrors it. A bound
holds only where the function has no singularity, so every formula says where it is analytic.
"""

import math
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, TypeAlias

from qerror._arrays import FrozenMapping
from qerror.rigorous._context import Balls, Number
from qerror.rigorous._laws import Shape

Formula: TypeAlias = Callable[[Balls, float, Any], Any]
"""p of balls, of boxes in the complex plane, or of power series."""


def _gaussian(c: Balls, parameter: float, z: Any) -> Any:
    del parameter
    return (-z * z / 2).exp() / (2 * c.pi()).sqrt()


def _laplace(c: Balls, parameter: float, z: Any) -> Any:
    del c, parameter
    return (-z).exp() / 2


def _logistic(c: Balls, parameter: float, z: Any) -> Any:
    del c, parameter
    e = (-z).exp()
    return e / ((1 + e) * (1 + e))


def _generalized_gaussian(c: Balls, parameter: float, z: Any) -> Any:
    beta = c.number(parameter)
    return beta / (2 * c.gamma(1 / beta)) * (-(beta * z.log()).exp()).exp()


def _student_t(c: Balls, parameter: float, z: Any) -> Any:
    nu = c.number(parameter)
    peak = c.gamma((nu + 1) / 2) / (c.gamma(nu / 2) * (nu * c.pi()).sqrt())
    return peak * (-(nu + 1) / 2 * (1 + z * z / nu).log()).exp()


def _flat(c: Balls, parameter: float, z: Any) -> Any:
    del parameter
    return 0 * z + c.number(1.0)


def _arcsine(c: Balls, parameter: float, z: Any) -> Any:
    del parameter
    return (1 - z * z).rsqrt() / c.pi()


def _reciprocal(c: Balls, parameter: float, z: Any) -> Any:
    del c, parameter
    return 1 / z


def _itself(parameter: float, z: Any) -> Any:
    del parameter
    return z


def _below_one(parameter: float, z: Any) -> Any:
    del parameter
    return 1 - z * z


def _above_minus_nu(parameter: float, z: Any) -> Any:
    return parameter + z * z


class _Law(NamedTuple):
    formula: Formula
    sheet: Callable[[float, Any], Any] | None
    """What must have a positive real part: there the function has one sheet. None if entire, or
    if a pole shows as a division by a box around 0."""


_LAWS: Mapping[str, _Law] = FrozenMapping(
    {
        "gaussian": _Law(_gaussian, None),
        "laplace": _Law(_laplace, None),
        "logistic": _Law(_logistic, None),
        "generalized-gaussian": _Law(_generalized_gaussian, _itself),
        "student-t": _Law(_student_t, _above_minus_nu),
        "flat": _Law(_flat, None),
        "arcsine": _Law(_arcsine, _below_one),
        "reciprocal": _Law(_reciprocal, _itself),
    }
)


def derivatives(c: Balls, shape: Shape, z: Number, order: int) -> list[Number]:
    """Return p^(j) at a place, j = 0 .. order - 1."""
    below = bool(z < 0)
    formula = _LAWS[shape.name].formula
    place, one = -z if below else z, c.number(1.0)
    found = c.expanded(lambda t: formula(c, shape.parameter, t), [place, one], order)
    found += [c.number(0.0)] * (order - len(found))
    return [(-1 if below and j % 2 else 1) * math.factorial(j) * found[j] for j in range(order)]


def bound(c: Balls, shape: Shape, low: Number, high: Number, margin: Number) -> Number | None:
    """Return what |p| does not exceed within a margin of [low, high], one side of 0; else None.

    The branch of the side is continued, past 0 too where it has no singularity there.
    """
    if bool(high <= 0):
        low, high = -high, -low
    law = _LAWS[shape.name]
    middle, half = (low + high) / 2, (high - low) / 2 + margin
    box = c.box(middle, half, margin)
    if law.sheet is not None and not law.sheet(shape.parameter, box).real > 0:
        return None
    value = law.formula(c, shape.parameter, box)
    return c.largest(value) if value.is_finite() else None
