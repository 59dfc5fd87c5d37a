"""Standard laws: location 0, spread 1, and exact integrals over short intervals."""

from abc import ABC, abstractmethod
from typing import NamedTuple

import numpy as np

from qerror._arrays import FloatArray
from qerror.exceptions import InvalidValue


class LocalIntegrals(NamedTuple):
    """Integrals of (x - q)^k p(x) over an interval, k = 0, 1, 2, one entry per interval."""

    mass: FloatArray
    first: FloatArray
    second: FloatArray

    def scaled(self, weight: float, spread: float) -> "LocalIntegrals":
        """Return the integrals of `weight` times the law stretched by `spread`."""
        return LocalIntegrals(
            weight * self.mass,
            (weight * spread) * self.first,
            (weight * spread) * spread * self.second,
        )


class PartialMoments(NamedTuple):
    """Antiderivatives of x^k p(x), k = 0, 1, 2, at each point: the papers' closed forms."""

    zeroth: FloatArray
    first: FloatArray
    second: FloatArray


class Law(ABC):
    """A standard density: the shape that a location and a spread turn into a family.

    All arguments are arrays of one shape, in units of the spread. A law is immutable and
    can be shared between densities.
    """

    symmetric: bool = True

    @abstractmethod
    def pdf(self, z: FloatArray) -> FloatArray:
        """Return the density."""

    @abstractmethod
    def cdf(self, z: FloatArray) -> FloatArray:
        """Return the probability at or below z."""

    @abstractmethod
    def ppf(self, probability: FloatArray) -> FloatArray:
        """Return the quantile, the inverse of `cdf`."""

    @abstractmethod
    def sample(self, size: int, rng: np.random.Generator) -> FloatArray:
        """Draw `size` independent values."""

    @abstractmethod
    def integrals(
        self,
        q: FloatArray,
        left: FloatArray,
        right: FloatArray,
        ends: tuple[FloatArray, FloatArray] | None = None,
    ) -> LocalIntegrals:
        """Integrate over x in [q + left, q + right], relative accuracy near 1e-15.

        The limits are offsets from the centre q, so that narrow intervals lose nothing;
        left <= right, either may be infinite, and q may lie outside. Where q is so far from
        the law that q + left rounds, `ends` gives both limits themselves.
        """

    def partial_moments(self, z: FloatArray) -> PartialMoments:
        """Return the closed-form antiderivatives, where the law has them."""
        del z
        raise InvalidValue(
            f"the papers give no closed form for {type(self).__name__.removeprefix('Standard')}, "
            "only for gaussian, uniform and student-t; use the default method, quadrature"
        )
