"""Any continuous distribution of scipy.stats, by adaptive quadrature."""

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol, TypeGuard, final

import numpy as np
import numpy.typing as npt

from qerror._arrays import FloatArray, frozen
from qerror.densities._panels import width_of
from qerror.densities.density import Density
from qerror.densities.law import Law, LocalIntegrals
from qerror.densities.piece import Piece
from qerror.densities.quadrature import gauss_legendre
from qerror.exceptions import InvalidType

_TOLERANCE = 2e-14
_DEEPEST = 48  # halvings of a panel: a kink or a cusp is closed in to 1e-14 of its width
_DOUBLINGS = 340  # 100 decimal orders beyond the quantiles
_WANTED = ("pdf", "cdf", "ppf", "isf", "support", "var", "mean")
_QUANTILES = (1e-14, 1e-10, 1e-6, 1e-3, 0.02, 0.1, 0.25, 0.5)


class Frozen(Protocol):
    """What is used of a frozen distribution of `scipy.stats`."""

    def pdf(self, x: FloatArray, /) -> npt.ArrayLike: ...
    def cdf(self, x: FloatArray, /) -> npt.ArrayLike: ...
    def ppf(self, q: FloatArray, /) -> npt.ArrayLike: ...
    def isf(self, q: FloatArray, /) -> npt.ArrayLike: ...
    def support(self) -> tuple[float, float]: ...
    def var(self) -> float: ...
    def mean(self) -> float: ...


@final
@dataclass(frozen=True, eq=False)
class AdaptiveLaw(Law):
    """A density known by its values alone: 16-node panels, halved until they agree.

    Two are equal where their distributions have the same class, name, arguments and quantiles.
    """

    source: Frozen

    symmetric = False

    @cached_property
    def low(self) -> float:
        """Where the support begins."""
        return float(self.source.support()[0])

    @cached_property
    def high(self) -> float:
        """Where the support ends."""
        return float(self.source.support()[1])

    @cached_property
    def _mean_exists(self) -> bool:
        return math.isfinite(float(self.source.mean()))

    @cached_property
    def _variance_exists(self) -> bool:
        return math.isfinite(float(self.source.var()))

    @cached_property
    def _key(self) -> tuple[object, ...]:
        """What identifies it; the edges tell apart distributions with data of their own."""
        dist = getattr(self.source, "dist", None)
        given: dict[str, object] = getattr(self.source, "kwds", {})
        pairs = [*enumerate(getattr(self.source, "args", ())), *sorted(given.items())]
        arguments = tuple((key, repr(value)) for key, value in pairs)
        return type(dist), getattr(dist, "name", None), arguments, self._breaks.tobytes()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, AdaptiveLaw) and self._key == other._key

    def __hash__(self) -> int:
        return hash(self._key)

    def pdf(self, z: FloatArray) -> FloatArray:
        inside = np.clip(z, self.low, self.high)
        with np.errstate(all="ignore"):  # what scipy.stats computes far out is its own affair
            value = np.asarray(self.source.pdf(inside), dtype=np.float64)
        return np.where((z >= self.low) & (z <= self.high), value, 0.0)

    def cdf(self, z: FloatArray) -> FloatArray:
        return np.asarray(self.source.cdf(z), dtype=np.float64)

    def ppf(self, probability: FloatArray) -> FloatArray:
        return np.asarray(self.source.ppf(probability), dtype=np.float64)

    def sample(self, size: int, rng: np.random.Generator) -> FloatArray:
        return self.ppf(rng.uniform(size=size))

    def integrals(
        self,
        q: FloatArray,
        left: FloatArray,
        right: FloatArray,
        ends: tuple[FloatArray, FloatArray] | None = None,
    ) -> LocalIntegrals:
        start, stop = ends or (q + left, q + right)
        moments = self._adaptive(q.size, *self._cut(q, left, right, start, stop))
        unbounded = ((start == -np.inf) & (self.low == -np.inf)) | (
            (stop == np.inf) & (self.high == np.inf)
        )
        if not self._mean_exists:
            moments[1] = np.where(unbounded, np.copysign(np.inf, moments[1]), moments[1])
        if not self._variance_exists:
            moments[2] = np.where(unbounded, np.inf, moments[2])
        return LocalIntegrals(*moments)

    @cached_property
    def _breaks(self) -> FloatArray:
        """Return quantiles, then steps that double until the density ends."""
        p = np.array(_QUANTILES)
        inner = np.concatenate([self.ppf(p), np.asarray(self.source.isf(p), dtype=np.float64)])
        inner = np.unique(inner[np.isfinite(inner)])
        width = max(float(inner[-1] - inner[0]), 1e-300) / 16
        with np.errstate(over="ignore"):
            steps = np.ldexp(width, np.arange(_DOUBLINGS))
        steps = steps[np.isfinite(steps)]
        below = self._alive(inner[0] - steps) if self.low == -np.inf else [self.low]
        above = self._alive(inner[-1] + steps) if self.high == np.inf else [self.high]
        return frozen(np.unique(np.concatenate([below, inner, above])))

    def _alive(self, x: FloatArray) -> FloatArray:
        """Return the points up to the first one where nothing is left."""
        dead = np.flatnonzero(self.pdf(x) <= 0)
        return x[: dead[0] + 1] if dead.size else x

    def _cut(
        self,
        q: FloatArray,
        left: FloatArray,
        right: FloatArray,
        start: FloatArray,
        stop: FloatArray,
    ) -> tuple[npt.NDArray[np.intp], FloatArray, FloatArray, FloatArray]:
        """Split intervals at the panel edges; returns owners, offsets, inner ends and widths."""
        edges = self._breaks
        first = np.searchsorted(edges, start, "right")
        last = np.searchsorted(edges, stop, "left")
        pieces = np.maximum(last - first, 0) + 1
        owner = np.repeat(np.arange(q.size), pieces)
        rank = np.arange(owner.size) - np.repeat(np.cumsum(pieces) - pieces, pieces)
        padded = np.concatenate([[-np.inf], edges, [np.inf]])
        lower, upper = padded[first[owner] + rank], padded[first[owner] + rank + 1]
        head, end = rank == 0, rank == pieces[owner] - 1
        inner = np.where(head, start[owner], lower)
        outer = np.where(end, stop[owner], upper)
        offset = np.where(head, left[owner], lower - q[owner])
        last_offset = np.where(end, right[owner], upper - q[owner])
        keep = (inner >= edges[0]) & (outer <= edges[-1]) & (outer > inner)
        owner, offset, inner = owner[keep], offset[keep], inner[keep]
        width = width_of(offset, last_offset[keep], inner, outer[keep])
        return owner, offset, inner, width

    def _adaptive(
        self,
        size: int,
        owner: npt.NDArray[np.intp],
        offset: FloatArray,
        inner: FloatArray,
        width: FloatArray,
    ) -> FloatArray:
        total, scale = np.zeros((3, size)), np.zeros((3, size))
        coarse = self._panel(offset, inner, width)
        for k in range(3):
            scale[k] = np.bincount(owner, np.abs(coarse[k]), size)
        for depth in range(_DEEPEST + 1):
            half = 0.5 * width
            lower = self._panel(offset, inner, half)
            upper = self._panel(offset + half, inner + half, half)
            gap = np.abs(lower + upper - coarse)[[0, 2]]
            within = gap <= _TOLERANCE * scale[[0, 2]][:, owner]
            settled = within.all(axis=0) | (depth == _DEEPEST)
            for k in range(3):
                total[k] += np.bincount(owner[settled], (lower + upper)[k][settled], size)
            if settled.all():
                break
            split = ~settled
            owner = np.concatenate([owner[split], owner[split]])
            coarse = np.concatenate([lower[:, split], upper[:, split]], axis=1)
            offset = np.concatenate([offset[split], (offset + half)[split]])
            inner = np.concatenate([inner[split], (inner + half)[split]])
            width = np.concatenate([half[split], half[split]])
        return total

    def _panel(self, offset: FloatArray, inner: FloatArray, width: FloatArray) -> FloatArray:
        nodes, weights = gauss_legendre(16)
        u = width[:, None] * nodes
        t = offset[:, None] + u
        p = self.pdf(inner[:, None] + u) * weights
        return np.array([width * p.sum(1), width * (p * t).sum(1), width * (p * t * t).sum(1)])


def is_frozen_distribution(value: object) -> TypeGuard[Frozen]:
    """Tell whether something looks like a frozen continuous distribution of `scipy.stats`."""
    return hasattr(value, "dist") and all(hasattr(value, name) for name in _WANTED)


@final
@dataclass(frozen=True, eq=False, repr=False)
class FromScipy(Density):
    """A frozen continuous distribution: ``FromScipy(scipy.stats.skewnorm(4))``.

    Slower than the built-in densities (adaptive quadrature of `pdf`, about a hundred times)
    and as accurate as the distribution's own `pdf`: near 1e-13 relative for smooth ones,
    1e-10 where the density has a jump or a cusp inside its support. Two are equal where the
    distributions have the same class, name, arguments and quantiles.

    Parameters
    ----------
    distribution : scipy.stats frozen distribution
        Continuous, with `pdf`, `cdf`, `ppf`, `isf`, `support`, `mean` and `var`.

    Raises
    ------
    InvalidType
        If the object is not a frozen continuous distribution.
    """

    distribution: Frozen

    def __post_init__(self) -> None:
        if not is_frozen_distribution(self.distribution):
            raise InvalidType(
                f"FromScipy wraps a frozen continuous distribution such as scipy.stats.norm(0, 2), "
                f"got {self.distribution!r}"
            )

    @cached_property
    def _law(self) -> AdaptiveLaw:
        return AdaptiveLaw(self.distribution)

    def pieces(self) -> tuple[Piece, ...]:
        return self._pieces

    @cached_property
    def _pieces(self) -> tuple[Piece, ...]:
        return (Piece(self._law, low=self._law.low, high=self._law.high),)

    @property
    def mean(self) -> float:
        return float(self.distribution.mean())

    def _variance(self) -> float:
        return float(self.distribution.var())

    def _ppf(self, p: FloatArray) -> FloatArray:
        return self._law.ppf(p)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, FromScipy) and self._law == other._law

    def __hash__(self) -> int:
        return hash(self._law)

    def __repr__(self) -> str:
        dist = getattr(self.distribution, "dist", None)
        given = [repr(a) for a in getattr(self.distribution, "args", ())]
        given += [f"{k}={v!r}" for k, v in getattr(self.distribution, "kwds", {}).items()]
        return f"FromScipy({getattr(dist, 'name', dist)}({', '.join(given)}))"
