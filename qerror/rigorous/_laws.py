"""Antiderivatives of p, z p and z^2 p of the standard laws, as formulas.

Each is given for z >= 0. Below 0 the symmetry of p continues it: an antiderivative of an even
function is odd about its value at 0, one of an odd function is even.
"""

import math
from collections.abc import Callable, Mapping
from typing import NamedTuple, TypeAlias

from qerror._arrays import FrozenMapping
from qerror.rigorous._context import Context, Number

Formula: TypeAlias = Callable[[Context, float, Number, int], Number]


class Shape(NamedTuple):
    """A standard law: its name and its parameter."""

    name: str
    parameter: float = 0.0

    def antiderivative(self, c: Context, z: Number, k: int) -> Number:
        """Return an antiderivative of z^k p(z) at z; always the same one."""
        formula = _FORMULAS[self.name]
        if z >= 0:
            return formula(c, self.parameter, z, k)
        mirrored = formula(c, self.parameter, -z, k)
        return mirrored if k % 2 else 2 * formula(c, self.parameter, c.number(0.0), k) - mirrored

    def at_infinity(self, c: Context, k: int, side: int) -> Number | None:
        """Return its limit at infinity, or None where the moment does not exist."""
        if self.name == "student-t" and not self.parameter > k:
            return None
        if side > 0 or k % 2:
            return c.number(0.0)
        return 2 * _FORMULAS[self.name](c, self.parameter, c.number(0.0), k)


def _gaussian(c: Context, parameter: float, z: Number, k: int) -> Number:
    del parameter
    if k == 1:
        return -_bell(c, z)
    mass = -c.erfc(z / c.sqrt(c.number(2.0))) / 2
    return mass if k == 0 else mass - z * _bell(c, z)


def _bell(c: Context, z: Number) -> Number:
    return c.exp(-z * z / 2) / c.sqrt(2 * c.pi())


def _laplace(c: Context, parameter: float, z: Number, k: int) -> Number:
    del parameter
    factor = (1, z + 1, z * z + 2 * z + 2)[k]
    return -factor * c.exp(-z) / 2


def _logistic(c: Context, parameter: float, z: Number, k: int) -> Number:
    del parameter
    e = c.exp(-z)
    mass = e / (1 + e)
    if k == 0:
        return -mass
    log = c.log1p(e)
    if k == 1:
        return -(z * mass + log)
    return -(z * z * mass + 2 * (z * log - c.dilogarithm(-e)))


def _generalized_gaussian(c: Context, parameter: float, z: Number, k: int) -> Number:
    beta = c.number(parameter)
    power = z**beta if z > 0 else c.number(0.0)
    return -c.upper_gamma((k + 1) / beta, power) / (2 * c.gamma(1 / beta))


def _student_t(c: Context, parameter: float, z: Number, k: int) -> Number:
    """By parts: int z^2 p = nu (z (1 + z^2/nu) p - int p) / (2 - nu)."""
    nu = c.number(parameter)
    peak = c.gamma((nu + 1) / 2) / (c.gamma(nu / 2) * c.sqrt(nu * c.pi()))
    base = 1 + z * z / nu
    if k == 1:
        if parameter == 1:
            return peak * c.log(base) / 2
        return peak * nu / (1 - nu) * base ** ((1 - nu) / 2)
    if k == 2 and parameter == 2:
        root = c.sqrt(c.number(2.0))
        return peak * (2 * root * c.asinh(z / root) - 2 * z / c.sqrt(base))
    half = c.number(0.5)
    if z * z < nu:  # from 0 on: the tail's series hardly converges there
        mass = (c.beta_share(half, nu / 2, z * z / (nu + z * z)) - 1) / 2
    else:
        mass = -c.beta_share(nu / 2, half, 1 / base) / 2
    if k == 0:
        return mass
    return nu * (peak * z * base ** ((1 - nu) / 2) - mass) / (2 - nu)


def _flat(c: Context, parameter: float, z: Number, k: int) -> Number:
    del c, parameter
    return z ** (k + 1) / (k + 1)


def _arcsine(c: Context, parameter: float, z: Number, k: int) -> Number:
    del parameter
    height = c.sqrt(1 - z * z)
    if k == 1:
        return -height / c.pi()
    mass = -c.angle(height, z) / c.pi()
    return mass if k == 0 else (mass - z * height / c.pi()) / 2


def _reciprocal(c: Context, parameter: float, z: Number, k: int) -> Number:
    del parameter
    return z**k / k if k else c.log(z)


_FORMULAS: Mapping[str, Formula] = FrozenMapping(
    {
        "gaussian": _gaussian,
        "laplace": _laplace,
        "logistic": _logistic,
        "generalized-gaussian": _generalized_gaussian,
        "student-t": _student_t,
        "flat": _flat,
        "arcsine": _arcsine,
        "reciprocal": _reciprocal,
    }
)


class Part(NamedTuple):
    """weight / spread * p((x - location) / spread) on [low, high], with nothing rounded."""

    shape: Shape
    weight: Number
    location: Number
    spread: Number
    low: float = -math.inf
    high: float = math.inf

    def within(self, low: float, high: float) -> "Part":
        """Return what lies in an interval; perhaps nothing, with low >= high."""
        return self._replace(low=max(low, self.low), high=min(high, self.high))

    def antiderivative(self, c: Context, x: Number, k: int) -> Number:
        """Return an antiderivative of z^k p(z), z in the law's units, at a place x."""
        return self.shape.antiderivative(c, (x - self.location) / self.spread, k)

    def end(self, c: Context, x: float, k: int) -> Number | None:
        """Return the same at a float, or at infinity: None where it does not exist."""
        if math.isinf(x):
            return self.shape.at_infinity(c, k, 1 if x > 0 else -1)
        return self.antiderivative(c, c.number(x), k)

    def mass(self, c: Context) -> Number:
        """Return the probability of the interval."""
        if not self.low < self.high:
            return c.number(0.0)
        ends: list[Number] = [self.end(c, x, 0) for x in (self.low, self.high)]
        return self.weight * (ends[1] - ends[0])
