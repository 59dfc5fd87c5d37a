"""What every density is: continuous pieces and point masses."""

import math
import reprlib
from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple, final

import numpy as np
import numpy.typing as npt

from qerror._arrays import FloatArray, Immutable, integer, numbers, real
from qerror.densities._quantiles import bracketed
from qerror.densities.atoms import NO_ATOMS, Atoms
from qerror.densities.law import MirroredLaw
from qerror.densities.piece import Piece, joined_pdf
from qerror.densities.prefix_sums import PrefixSums
from qerror.exceptions import InvalidType, InvalidValue, QErrorException
from qerror.registry import Registry


class Density(Immutable, ABC):
    """A probability density, possibly with point masses: frozen, checked at construction.

    A member is a frozen dataclass. It says what it is made of, by `pieces` and `atoms`;
    everything else is derived here. Where a member knows better, a closed form say, it fills one
    of the hooks, which are named like the public methods with an underscore in front: `_pdf`,
    `_cdf`, `_ppf`, `_sample`, `_variance`, `_second_moment`, `_support`, `_kinks`,
    `_is_symmetric`, `_differential_entropy`, `_cube_root_integral`, `_affine`; and the property
    `mean`, which may be a parameter.

    To add a density in your own module, subclass this and return pieces of existing laws,
    subclass `SmoothLaw` and `LocationScale` for a new shape, or wrap a distribution of
    `scipy.stats` by `FromScipy`.
    """

    @abstractmethod
    def pieces(self) -> tuple[Piece, ...]:
        """Return the continuous part as pieces whose probabilities and atoms add up to 1."""

    def atoms(self) -> Atoms:
        """Return the point masses."""
        return NO_ATOMS

    @cached_property
    def atom_sums(self) -> PrefixSums:
        """The running sums over the point masses."""
        x, probability = self.atoms()
        return PrefixSums(x, probability)

    @final
    @property
    def kinks(self) -> tuple[float, ...]:
        """Points where the continuous part is not smooth: cuts and the laws' own kinks."""
        return self._kinks()

    @final
    @property
    def support(self) -> tuple[float, float]:
        """The smallest interval that holds all probability."""
        return self._support()

    @final
    @property
    def is_symmetric(self) -> bool:
        """Whether the density is seen to be its own mirror image in 0."""
        return self._is_symmetric()

    @final
    @property
    def whole_piece(self) -> Piece | None:
        """The only piece of a density that is one whole law, else None."""
        pieces = self.pieces()
        single = len(pieces) == 1 and pieces[0].is_whole and pieces[0].weight == 1
        return pieces[0] if single else None

    @final
    @property
    def differential_entropy(self) -> float | None:
        """-int p ln p in nats, where there is a closed form."""
        return self._differential_entropy()

    @final
    @property
    def cube_root_integral(self) -> float | None:
        """The integral of p^(1/3), where it is finite and there is a closed form."""
        return self._cube_root_integral()

    @property
    def mean(self) -> float:
        """E[X]; nan where the integral does not exist (Student-t with nu <= 1)."""
        x, probability = self.atoms()
        total = float(probability @ x)
        for piece in self.pieces():
            mass, first, _ = piece.integrals_at(piece.centre)
            total += piece.centre * mass + first
        return total

    @final
    @property
    def second_moment(self) -> float:
        """E[X^2], the signal's power; may be infinite."""
        return self._second_moment()

    @final
    @property
    def variance(self) -> float:
        """E[(X - E[X])^2]; infinite or nan where the moments are."""
        return self._variance()

    @final
    def pdf(self, x: npt.ArrayLike) -> FloatArray:
        """Return the density of the continuous part at x, any shape; nan at nan."""
        x = numbers("x", x)
        with np.errstate(over="ignore", under="ignore", invalid="ignore"):
            return np.where(np.isnan(x), np.nan, self._pdf(x))

    @final
    def cdf(self, x: npt.ArrayLike) -> FloatArray:
        """Return P(X <= x), any shape; nan at nan."""
        x = numbers("x", x)
        unknown = np.isnan(x)
        with np.errstate(over="ignore", under="ignore", invalid="ignore"):
            if not unknown.any():
                return self._cdf(x.reshape(-1)).reshape(x.shape)
            known = np.where(unknown, 0.0, x).reshape(-1)
            return np.where(unknown, np.nan, self._cdf(known).reshape(x.shape))

    @final
    def ppf(self, probability: npt.ArrayLike) -> FloatArray:
        """Return the smallest x with P(X <= x) >= probability, any shape.

        Raises
        ------
        InvalidValue
            If a probability lies outside [0, 1].
        """
        p = numbers("probability", probability)
        if not ((p >= 0) & (p <= 1)).all():
            raise InvalidValue(f"a probability must lie in [0, 1], got {probability!r}")
        with np.errstate(over="ignore", under="ignore", invalid="ignore", divide="ignore"):
            return self._ppf(p.reshape(-1)).reshape(p.shape)

    @final
    def mass(self, low: npt.ArrayLike, high: npt.ArrayLike) -> FloatArray:
        """Return P(low <= X <= high), to relative accuracy however far out the interval lies.

        The two broadcast against each other; either may be infinite.

        Raises
        ------
        InvalidValue
            If a limit is nan or low is above high.
        """
        try:
            a, b = np.broadcast_arrays(numbers("low", low), numbers("high", high))
        except ValueError as error:
            if isinstance(error, QErrorException):
                raise
            raise InvalidValue(f"low and high must broadcast against each other: {error}") from None
        if not (a <= b).all():
            raise InvalidValue(f"low must not be above high, got low={low!r}, high={high!r}")
        shape, a, b = a.shape, a.reshape(-1), b.reshape(-1)
        total = np.zeros(a.shape)
        for piece in self.pieces():
            total += piece.mass_between(a, b)
        return (total + self.atom_sums.mass(a, b)).reshape(shape)

    @final
    def affine(self, scale: float = 1.0, shift: float = 0.0) -> "Density":
        """Return the density of scale X + shift: of the same family where it has a member.

        Parameters
        ----------
        scale : float
            Not 0; a negative one mirrors the density.
        shift : float
            Added afterwards.

        Raises
        ------
        InvalidValue
            If `scale` is 0, or one of the two is not finite.
        """
        scale, shift = real("scale", scale), real("shift", shift)
        if scale == 0:
            raise InvalidValue("scale must not be 0: all probability would be in one point")
        return self._affine(scale, shift)

    @final
    def sample(self, size: int, rng: np.random.Generator) -> FloatArray:
        """Draw `size` independent values with the generator `rng`, shape (size,).

        Another `rng` raises InvalidType.
        """
        integer("size", size, 0, _MOST_SAMPLES)
        if not isinstance(rng, np.random.Generator):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise InvalidType(
                f"rng must be a generator such as np.random.default_rng(1), got {reprlib.repr(rng)}"
            )
        return self._sample(size, rng)

    def _pdf(self, x: FloatArray) -> FloatArray:
        return joined_pdf(self.pieces(), x)

    def _cdf(self, x: FloatArray) -> FloatArray:
        """Return P(X <= x) at a vector of points."""
        total = np.zeros(x.size)
        for piece in self.pieces():
            total += piece.mass_below(x)
        total += self.atom_sums.mass(np.full(x.size, -np.inf), x)
        return np.where(x >= self.support[1], 1.0, np.clip(total, 0.0, 1.0))

    def _ppf(self, p: FloatArray) -> FloatArray:
        """Invert the distribution function at a vector of probabilities."""
        return bracketed(self.cdf, p, self.support)

    def _sample(self, size: int, rng: np.random.Generator) -> FloatArray:
        """Draw through the quantile function."""
        return self._ppf(rng.uniform(size=size))

    def _affine(self, scale: float, shift: float) -> "Density":
        """Return the density of scale X + shift, scale != 0."""
        return Affine(self, scale, shift)

    def _differential_entropy(self) -> float | None:
        piece = self.whole_piece
        known = piece.law.differential_entropy if piece else None
        return None if piece is None or known is None else known + math.log(piece.spread)

    def _cube_root_integral(self) -> float | None:
        piece = self.whole_piece
        known = piece.law.cube_root_integral if piece else None
        return None if piece is None or known is None else known * math.cbrt(piece.spread) ** 2

    def _second_moment(self) -> float:
        return self._moment_about(0.0)

    def _variance(self) -> float:
        mean = self.mean
        return self._moment_about(mean) if math.isfinite(mean) else math.nan

    def _moment_about(self, q: float) -> float:
        x, probability = self.atoms()
        away = x - q
        total = float(probability @ (away * away))
        return total + sum(piece.moment_about(q) for piece in self.pieces())

    def _support(self) -> tuple[float, float]:
        ends = [(piece.low, piece.high) for piece in self.pieces()]
        x = self.atoms().positions
        ends += [(float(x[0]), float(x[-1]))] if x.size else []
        return min(low for low, _ in ends), max(high for _, high in ends)

    def _kinks(self) -> tuple[float, ...]:
        found = {edge for piece in self.pieces() for edge in (piece.low, piece.high)}
        found |= {
            at
            for piece in self.pieces()
            for at in (piece.location + piece.spread * kink for kink in piece.law.kinks)
            if piece.low < at < piece.high
        }
        return tuple(sorted(x for x in found if math.isfinite(x)))

    def _is_symmetric(self) -> bool:
        return self.atom_sums.is_symmetric and all(piece.is_symmetric for piece in self.pieces())


# Not in a file of its own: every density can become one.
@final
@dataclass(frozen=True)
class Affine(Density):
    """The density of factor X + shift, X of `density`: where its family has no such member.

    Raises
    ------
    InvalidValue
        If a number is not finite, or the factor 0.
    """

    density: Density
    factor: float
    shift: float = 0.0

    def __post_init__(self) -> None:
        factor, shift = real("factor", self.factor), real("shift", self.shift)
        if factor == 0:
            raise InvalidValue("factor must not be 0: all probability would be in one point")
        object.__setattr__(self, "factor", factor)
        object.__setattr__(self, "shift", shift)

    def pieces(self) -> tuple[Piece, ...]:
        return self._pieces

    @cached_property
    def _pieces(self) -> tuple[Piece, ...]:
        return tuple(self._image(piece) for piece in self.density.pieces())

    def _image(self, piece: Piece) -> Piece:
        law = piece.law
        if self.factor < 0 and not law.symmetric:
            law = law.law if isinstance(law, MirroredLaw) else MirroredLaw(law)
        low, high = self._interval(piece.low, piece.high)
        location = self.factor * piece.location + self.shift
        return Piece(law, piece.weight, location, abs(self.factor) * piece.spread, low, high)

    def _interval(self, low: float, high: float) -> tuple[float, float]:
        ends = sorted((self.factor * low + self.shift, self.factor * high + self.shift))
        return ends[0], ends[1]

    def atoms(self) -> Atoms:
        x, probability = self.density.atoms()
        turn = slice(None, None, 1 if self.factor > 0 else -1)
        return Atoms(self.factor * x[turn] + self.shift, probability[turn])

    @property
    def mean(self) -> float:
        return self.factor * self.density.mean + self.shift

    def _variance(self) -> float:
        return self.factor * (self.factor * self.density.variance)

    def _ppf(self, p: FloatArray) -> FloatArray:
        if self.factor < 0:  # 1 - p would lose the digits of a small p
            return super()._ppf(p)
        return self.factor * self.density.ppf(p) + self.shift

    def _sample(self, size: int, rng: np.random.Generator) -> FloatArray:
        return self.factor * self.density.sample(size, rng) + self.shift

    def _support(self) -> tuple[float, float]:
        return self._interval(*self.density.support)

    def _affine(self, scale: float, shift: float) -> Density:
        return self.density.affine(scale * self.factor, scale * self.shift + shift)


class Family(NamedTuple):
    """A registered family: how to make it and an example for tables and laws."""

    make: type[Density]
    example: Density
    summary: str


_MOST_SAMPLES = 2**40  # at once: 8 TiB, more than any machine holds
DENSITIES: Registry[Family] = Registry("density", "qerror densities")
