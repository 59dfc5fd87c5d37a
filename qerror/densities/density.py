"""What every density is: continuous pieces and point masses."""

import math
from abc import ABC, abstractmethod
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from qerror._arrays import FloatArray, IntArray, integer
from qerror.densities.piece import Piece
from qerror.exceptions import InvalidValue
from qerror.registry import Registry


class Atoms(NamedTuple):
    """Point masses: positions, strictly increasing, and their probabilities."""

    positions: FloatArray
    probabilities: FloatArray


_LARGEST = float(np.finfo(np.float64).max)
NO_ATOMS = Atoms(np.empty(0), np.empty(0))


class Density(ABC):
    """A probability density, possibly with point masses: frozen, checked at construction.

    A member says what it is made of, by `pieces` and `atoms`; everything else is derived here,
    and overridden only where a closed form is at hand. To add a density in your own module,
    subclass this and return pieces of existing laws, subclass `SmoothLaw` for a new shape, or
    wrap a distribution of `scipy.stats` by `FromScipy`.
    """

    @abstractmethod
    def pieces(self) -> tuple[Piece, ...]:
        """Return the continuous part as pieces whose probabilities and atoms add up to 1."""

    def atoms(self) -> Atoms:
        """Return the point masses."""
        return NO_ATOMS

    @property
    def kinks(self) -> tuple[float, ...]:
        """Points where the continuous part is not smooth: cuts and the laws' own kinks."""
        found = {edge for piece in self.pieces() for edge in (piece.low, piece.high)}
        found |= {
            piece.location
            for piece in self.pieces()
            if getattr(piece.law, "kink_at_zero", False) and piece.low < piece.location < piece.high
        }
        return tuple(sorted(x for x in found if math.isfinite(x)))

    @property
    def support(self) -> tuple[float, float]:
        """The smallest interval that holds all probability."""
        ends = [(piece.low, piece.high) for piece in self.pieces()]
        ends += [(float(x), float(x)) for x in self.atoms().positions]
        return min(low for low, _ in ends), max(high for _, high in ends)

    @property
    def is_symmetric(self) -> bool:
        """Whether the density is seen to be its own mirror image in 0."""
        x, probability = self.atoms()
        mirrored = (x == -x[::-1]).all() and (probability == probability[::-1]).all()
        return bool(mirrored) and all(piece.is_symmetric for piece in self.pieces())

    @property
    def mean(self) -> float:
        """E[X]; nan where the integral does not exist (Student-t with nu <= 1)."""
        x, probability = self.atoms()
        total = float(probability @ x)
        for piece in self.pieces():
            mass, first, _ = piece.integrals_at(piece.centre)
            total += piece.centre * mass + first
        return total

    @property
    def second_moment(self) -> float:
        """E[X^2], the signal's power; may be infinite."""
        return self._moment_about(0.0)

    @property
    def variance(self) -> float:
        """E[(X - E[X])^2]; infinite or nan where the moments are."""
        mean = self.mean
        return self._moment_about(mean) if math.isfinite(mean) else math.nan

    def pdf(self, x: npt.ArrayLike) -> FloatArray:
        """Return the density of the continuous part at x, any shape."""
        x = np.asarray(x, dtype=np.float64)
        with np.errstate(over="ignore", under="ignore"):
            return sum((piece.pdf(x) for piece in self.pieces()), np.zeros(x.shape))

    def cdf(self, x: npt.ArrayLike) -> FloatArray:
        """Return P(X <= x), any shape."""
        x = np.asarray(x, dtype=np.float64)
        flat = x.reshape(-1)
        total = np.zeros(flat.size)
        with np.errstate(over="ignore", under="ignore"):
            for piece in self.pieces():
                total += _mass_below(piece, flat)
        positions, probabilities = self.atoms()
        total += (positions[None, :] <= flat[:, None]) @ probabilities
        total = np.where(flat >= self.support[1], 1.0, np.clip(total, 0.0, 1.0))
        return total.reshape(x.shape)

    def ppf(self, probability: npt.ArrayLike) -> FloatArray:
        """Return the smallest x with P(X <= x) >= probability, any shape.

        Raises
        ------
        InvalidValue
            If a probability lies outside [0, 1].
        """
        p = np.asarray(probability, dtype=np.float64)
        if not ((p >= 0) & (p <= 1)).all():
            raise InvalidValue(f"a probability must lie in [0, 1], got {probability!r}")
        return self._ppf(p.reshape(-1)).reshape(p.shape)

    def sample(self, size: int, rng: np.random.Generator) -> FloatArray:
        """Draw `size` independent values with the generator `rng`, shape (size,)."""
        integer("size", size, 0, 2**62)
        return self._sample(size, rng)

    def _sample(self, size: int, rng: np.random.Generator) -> FloatArray:
        """Draw through the quantile function; members override it where they know better."""
        return self._ppf(rng.uniform(size=size))

    def _ppf(self, p: FloatArray) -> FloatArray:
        """Invert the distribution function by bracketing; members override it."""
        low, high = self.support
        lower = np.full(p.shape, max(low, -_LARGEST))
        upper = np.full(p.shape, min(high, _LARGEST))
        for _ in range(66):  # float64 has 2^64 values, and each step halves those left
            middle = _between(lower, upper)
            below = self.cdf(middle) < p
            lower, upper = np.where(below, middle, lower), np.where(below, upper, middle)
        found = np.where(self.cdf(lower) >= p, lower, upper)
        return np.where(p <= 0, low, np.where(p >= 1, high, found))

    def _moment_about(self, q: float) -> float:
        x, probability = self.atoms()
        total = float(probability @ (x - q) ** 2)
        return total + sum(piece.moment_about(q) for piece in self.pieces())


def _between(lower: FloatArray, upper: FloatArray) -> FloatArray:
    """Halve intervals by counting the float64 values in them, so every magnitude is near."""
    a, b = _ordinal(lower), _ordinal(upper)
    middle = (a >> 1) + (b >> 1) + (a & b & 1)
    size: FloatArray = np.abs(middle).view(np.float64)
    signed: FloatArray = np.where(middle < 0, -size, size)
    return signed


def _ordinal(x: FloatArray) -> IntArray:
    """Return the number of each float64 value in their order, 0.0 being 0."""
    bits = np.abs(x).view(np.int64)
    return np.where(x < 0, -bits, bits)


def _mass_below(piece: Piece, x: FloatArray) -> FloatArray:
    if piece.is_whole:
        return piece.weight * piece.law.cdf(piece.standard(x))
    top = np.clip(x, piece.low, piece.high)
    if piece.low == -math.inf:
        return piece.weight * piece.law.cdf(piece.standard(top))
    start = np.full(x.size, piece.low)
    return piece.integrals(start, np.zeros(x.size), top - piece.low).mass


class Family(NamedTuple):
    """A registered family: how to make it and an example for tables and laws."""

    make: type[Density]
    example: Density
    summary: str


DENSITIES: Registry[Family] = Registry("density", "qerror densities")
