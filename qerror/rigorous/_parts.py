"""Densities taken apart into laws and point masses, from their parameters alone."""

import math
from fractions import Fraction
from functools import singledispatch
from typing import NamedTuple

from qerror.densities.arcsine import Arcsine
from qerror.densities.clipped import Clipped
from qerror.densities.density import Affine, Density
from qerror.densities.discrete import Discrete
from qerror.densities.empirical import Empirical
from qerror.densities.gaussian import Gaussian
from qerror.densities.generalized_gaussian import GeneralizedGaussian
from qerror.densities.half_gaussian import HalfGaussian
from qerror.densities.laplace import Laplace
from qerror.densities.log_uniform import LogUniform
from qerror.densities.logistic import Logistic
from qerror.densities.mixture import Mixture
from qerror.densities.names import density_name
from qerror.densities.rectified import Rectified
from qerror.densities.student_t import StudentT
from qerror.densities.truncated import Truncated
from qerror.densities.uniform import Uniform
from qerror.exceptions import InvalidValue
from qerror.rigorous._context import Context, Number
from qerror.rigorous._laws import Part, Shape


class Parts(NamedTuple):
    """A density at the present precision."""

    pieces: list[Part]
    atoms: dict[Fraction, Number]

    def within(self, low: float, high: float) -> "Parts":
        """Return what lies in [low, high]."""
        pieces = [part.within(low, high) for part in self.pieces]
        atoms = {x: p for x, p in self.atoms.items() if low <= x <= high}
        return Parts([part for part in pieces if part.low < part.high], atoms)

    def total(self, c: Context) -> Number:
        """Return the probability of all."""
        masses = [*(part.mass(c) for part in self.pieces), *self.atoms.values()]
        return sum(masses, c.number(0.0))

    def times(self, factor: Number) -> "Parts":
        """Return the parts with their weights multiplied."""
        pieces = [part._replace(weight=part.weight * factor) for part in self.pieces]
        return Parts(pieces, {x: p * factor for x, p in self.atoms.items()})


@singledispatch
def parts_of(density: Density, c: Context) -> Parts:
    """Return the parts of a density; register another family's by `parts_of.register`."""
    del c
    raise InvalidValue(
        f"there are no formulas for {density_name(density)}: enclosures and high precision are "
        "for the built-in densities and what wraps them"
    )


def _single(  # noqa: PLR0917 - one law's place
    c: Context,
    shape: Shape,
    location: float,
    spread: float,
    low: float = -math.inf,
    high: float = math.inf,
) -> Parts:
    part = Part(shape, c.number(1.0), c.number(location), c.number(spread), low, high)
    return Parts([part], {})


@parts_of.register
def _(density: Gaussian, c: Context) -> Parts:
    return _single(c, Shape("gaussian"), density.mean, density.std)


@parts_of.register
def _(density: HalfGaussian, c: Context) -> Parts:
    return _single(c, Shape("gaussian"), 0.0, density.std, 0.0).times(c.number(2.0))


@parts_of.register
def _(density: Laplace, c: Context) -> Parts:
    return _single(c, Shape("laplace"), density.loc, density.scale)


@parts_of.register
def _(density: Logistic, c: Context) -> Parts:
    return _single(c, Shape("logistic"), density.loc, density.scale)


@parts_of.register
def _(density: GeneralizedGaussian, c: Context) -> Parts:
    shape = Shape("generalized-gaussian", density.beta)
    return _single(c, shape, density.loc, density.scale)


@parts_of.register
def _(density: StudentT, c: Context) -> Parts:
    return _single(c, Shape("student-t", density.nu), density.loc, density.scale)


@parts_of.register
def _(density: Uniform, c: Context) -> Parts:
    low, high = density.low, density.high
    whole = _single(c, Shape("flat"), 0.0, 1.0, low, high)
    return whole.times(1 / (c.number(high) - c.number(low)))


@parts_of.register
def _(density: LogUniform, c: Context) -> Parts:
    low, high = density.low, density.high
    whole = _single(c, Shape("reciprocal"), 0.0, 1.0, low, high)
    return whole.times(1 / c.log(c.number(high) / c.number(low)))


@parts_of.register
def _(density: Arcsine, c: Context) -> Parts:
    low, high = Fraction(density.low), Fraction(density.high)
    centre, half = c.number((low + high) / 2), c.number((high - low) / 2)
    shape = Shape("arcsine")
    return Parts([Part(shape, c.number(1.0), centre, half, density.low, density.high)], {})


@parts_of.register
def _(density: Discrete, c: Context) -> Parts:
    pairs = zip(density.values, density.probabilities, strict=True)
    return Parts([], {Fraction(x): c.number(p) for x, p in pairs})


@parts_of.register
def _(density: Empirical, c: Context) -> Parts:
    x, share = density.atoms()
    counts = [round(p * density.size) for p in share.tolist()]
    size = c.number(float(density.size))
    pairs = zip(x.tolist(), counts, strict=True)
    return Parts([], {Fraction(value): c.number(float(n)) / size for value, n in pairs})


@parts_of.register
def _(density: Mixture, c: Context) -> Parts:
    pieces: list[Part] = []
    atoms: dict[Fraction, Number] = {}
    for component, weight in zip(density.components, density.weights, strict=True):
        part = parts_of(component, c).times(c.number(weight))
        pieces += part.pieces
        for x, p in part.atoms.items():
            atoms[x] = atoms.get(x, c.number(0.0)) + p
    return Parts(pieces, atoms)


@parts_of.register
def _(density: Truncated, c: Context) -> Parts:
    kept = parts_of(density.density, c).within(density.low, density.high)
    return kept.times(1 / kept.total(c))


@parts_of.register
def _(density: Clipped, c: Context) -> Parts:
    return _clipped(parts_of(density.density, c), density.low, density.high, c)


@parts_of.register
def _(density: Rectified, c: Context) -> Parts:
    return _clipped(parts_of(density.density, c), 0.0, math.inf, c)


def _clipped(whole: Parts, low: float, high: float, c: Context) -> Parts:
    inside = whole.within(low, high)
    atoms = {x: p for x, p in inside.atoms.items() if low < x < high}
    for limit, start, stop in ((low, -math.inf, low), (high, high, math.inf)):
        if math.isfinite(limit):
            atoms[Fraction(limit)] = whole.within(start, stop).total(c)
    return Parts(inside.pieces, atoms)


@parts_of.register
def _(density: Affine, c: Context) -> Parts:
    del c
    raise InvalidValue(
        f"{density_name(density)} was moved by rounded numbers: give the density itself, with its "
        "own parameters, and scale the format instead"
    )
