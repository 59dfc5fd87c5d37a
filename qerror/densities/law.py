"""Standard laws: location 0, spread 1, and exact integrals over short intervals."""

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import NamedTuple, final

import numpy as np

from qerror._arrays import FloatArray, Immutable, frozen
from qerror.exceptions import InvalidValue

_NOWHERE = frozen(np.zeros(0))
_FAR = 1e40  # a power law shows its exponent there, all others are gone


class LocalIntegrals(NamedTuple):
    """Integrals of (x - q)^k p(x) over an interval, k = 0, 1, 2, one entry per interval."""

    mass: FloatArray
    """The integral of p over each interval."""
    first: FloatArray
    """The integral of (x - q) p."""
    second: FloatArray
    """The integral of (x - q)^2 p."""

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


class Law(Immutable, ABC):
    """A standard density: the shape that a location and a spread turn into a family.

    A member is a frozen dataclass whose fields are its parameters, so that it can be shared
    between densities, compared, hashed and pickled; what it remembers (`cached_property`) is
    read-only. All arguments are arrays of one shape, in units of the spread.

    Besides the functions, a law states its facts: those that it does not know stay None, and
    whoever asks then integrates.
    """

    symmetric: bool = True
    """Whether the law is its own mirror image in 0."""

    @property
    def kinks(self) -> tuple[float, ...]:
        """The points inside its support where the law is not smooth."""
        return ()

    @property
    def branches(self) -> tuple[float, ...]:
        """The points, ends of its support included, about which it varies as a power."""
        return ()

    @property
    def places(self) -> FloatArray:
        """Ascending points between which the law varies moderately, where only it knows them."""
        return _NOWHERE

    @property
    def differential_entropy(self) -> float | None:
        """-int p ln p in nats, where there is a closed form."""
        return None

    @property
    def cube_root_integral(self) -> float | None:
        """The integral of p^(1/3), where it is finite and there is a closed form."""
        return None

    def tail_exponent(self, side: float) -> float:
        """Return the a of P(side Z > t) ~ t^-a; infinite where the tail falls faster.

        Moments of order a and above are infinite. Unless a member knows better, it is read off
        the density far out.

        Parameters
        ----------
        side : float
            1.0 for the right tail, -1.0 for the left one.
        """
        with np.errstate(all="ignore"):
            near, far = self.pdf(side * np.array([_FAR, 4 * _FAR]))
        if not (near > 0 and far > 0):
            return math.inf
        # Rounded: whether the fourth moment of t(4) exists must not hang on the last bit.
        return round(-math.log(far / near) / math.log(4.0) - 1, 6)

    def characteristic(self, t: FloatArray) -> FloatArray:
        """Return a bound of |E[e^(itZ)]| at t >= 0: 1 unless a member knows better.

        It says how much of the law's place within a step, t = 2 pi / step, is left in the error.
        """
        return np.ones(t.shape)

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
        """Return the closed-form antiderivatives, where the law has them.

        Raises
        ------
        InvalidValue
            If the papers give no closed form for the law.
        """
        del z
        raise InvalidValue(
            f"the papers give no closed form for {type(self).__name__.removeprefix('Standard')}, "
            "only for gaussian, uniform and student-t; use the default method, quadrature"
        )


@final
@dataclass(frozen=True)
class MirroredLaw(Law):
    """The law of -Z."""

    law: Law

    @property
    def symmetric(self) -> bool:  # type: ignore[override]  # pyright: ignore[reportIncompatibleVariableOverride] - frozen: read-only too
        """Whether the law is its own mirror image in 0."""
        return self.law.symmetric

    @property
    def kinks(self) -> tuple[float, ...]:
        return tuple(-x for x in reversed(self.law.kinks))

    @property
    def branches(self) -> tuple[float, ...]:
        return tuple(-x for x in reversed(self.law.branches))

    @property
    def places(self) -> FloatArray:
        return -self.law.places[::-1]

    @property
    def differential_entropy(self) -> float | None:
        return self.law.differential_entropy

    @property
    def cube_root_integral(self) -> float | None:
        return self.law.cube_root_integral

    def tail_exponent(self, side: float) -> float:
        return self.law.tail_exponent(-side)

    def characteristic(self, t: FloatArray) -> FloatArray:
        return self.law.characteristic(t)

    def pdf(self, z: FloatArray) -> FloatArray:
        return self.law.pdf(-z)

    def cdf(self, z: FloatArray) -> FloatArray:
        """Integrate the other tail: 1 - cdf(-z) would lose the digits of the left one."""
        nothing = np.zeros(z.shape)
        finite = np.clip(z, -1e300, 1e300)
        return self.law.integrals(-finite, nothing, np.full(z.shape, math.inf)).mass

    def ppf(self, probability: FloatArray) -> FloatArray:
        """Return the quantile, right to the rounding of 1 - probability."""
        return -self.law.ppf(1 - probability)

    def sample(self, size: int, rng: np.random.Generator) -> FloatArray:
        return -self.law.sample(size, rng)

    def integrals(
        self,
        q: FloatArray,
        left: FloatArray,
        right: FloatArray,
        ends: tuple[FloatArray, FloatArray] | None = None,
    ) -> LocalIntegrals:
        turned = None if ends is None else (-ends[1], -ends[0])
        mass, first, second = self.law.integrals(-q, -right, -left, turned)
        return LocalIntegrals(mass, -first, second)
