"""A law known by the values of its density alone: adaptive quadrature with a bound on the work."""

import math
import time
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol, final

import numpy as np
import numpy.typing as npt

from qerror._arrays import BoolArray, FloatArray, frozen
from qerror.densities._panels import width_of
from qerror.densities._singular import Pole, has_cusp, power_of_tail
from qerror.densities.law import Law, LocalIntegrals
from qerror.densities.quadrature import gauss_legendre
from qerror.exceptions import InvalidValue, TooLarge

_TOLERANCE = 2e-14  # of the moments over a whole panel: some hundred roundings
_DEEPEST = 64  # halvings of a panel: a kink or a cusp is closed in to 1e-19 of its width
_DOUBLINGS = 340  # 100 decimal orders beyond the quantiles
_QUANTILES = (1e-14, 1e-10, 1e-6, 1e-3, 0.02, 0.1, 0.25, 0.5)
_PANELS = 64  # panels that may be evaluated for each that there was at first,
_MORE_PANELS = 20_000  # and as many on top
_ACCURACY = 1e-9  # relative: less is refused
_TOTAL = 1e-8  # how far from 1 the density may integrate
_SLOWEST = 5e-4  # seconds a value of the density
_AT_ZERO = 1e-16  # of the law's width: how near to a pole at 0 the density is evaluated,
_ELSEWHERE = 1e-8  # and to one at another place, where x - place is rounded
_PROBES = 16  # evaluations that tell what one costs
_EPS = float(np.finfo(np.float64).eps)


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

    Poles of the density at 0 and at the ends of the support are found and replaced by power
    laws next to them. What the panels leave open is known, and refused above 1e-9. Two laws are
    equal where their distributions have the same class, name, arguments and quantiles.
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
        dist: object = getattr(self.source, "dist", None)
        given: dict[str, object] = getattr(self.source, "kwds", {})
        places: tuple[object, ...] = getattr(self.source, "args", ())
        pairs: list[tuple[int | str, object]] = [*enumerate(places), *sorted(given.items())]
        arguments = tuple((key, repr(value)) for key, value in pairs)
        return type(dist), getattr(dist, "name", None), arguments, self._breaks.tobytes()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, AdaptiveLaw) and self._key == other._key

    def __hash__(self) -> int:
        return hash(self._key)

    @property
    def kinks(self) -> tuple[float, ...]:
        return (0.0,) if self.low < 0 < self.high and self._has_cusp else ()

    @cached_property
    def _has_cusp(self) -> bool:
        low, high = (float(x) for x in self.ppf(np.array([0.25, 0.75])))
        return has_cusp(self.pdf, high - low)

    @property
    def branches(self) -> tuple[float, ...]:
        ends = (x for x in (self.low, self.high) if math.isfinite(x))
        return tuple(sorted({*ends, *((0.0,) if self.low < 0 < self.high else ())}))

    @property
    def places(self) -> FloatArray:
        return self._edges

    def tail_exponent(self, side: float) -> float:
        return self._exponents[side < 0]

    @cached_property
    def _exponents(self) -> tuple[float, float]:
        up = power_of_tail(self.pdf, self._edges) if self.high == math.inf else math.inf
        mirrored = power_of_tail(lambda z: self.pdf(-z), -self._edges)
        return up, mirrored if self.low == -math.inf else math.inf

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
        for pole in self._poles:
            moments += pole.integrals(q, start, stop)
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
        around = [end for pole in self._poles for end in pole.interval]
        return frozen(np.unique(np.concatenate([self._edges, around])))

    @cached_property
    def _edges(self) -> FloatArray:
        """Return quantiles, then steps that double until the density ends."""
        p = np.array(_QUANTILES)
        inner = np.concatenate([self.ppf(p), np.asarray(self.source.isf(p), dtype=np.float64)])
        inner = np.unique(inner[np.isfinite(inner)])
        inner = np.unique(np.concatenate([inner, self._knots]))
        width = max(float(inner[-1] - inner[0]), 1e-300) / 16
        with np.errstate(over="ignore"):
            steps = np.ldexp(width, np.arange(_DOUBLINGS))
        steps = steps[np.isfinite(steps)]
        below = self._alive(inner[0] - steps) if self.low == -np.inf else [self.low]
        above = self._alive(inner[-1] + steps) if self.high == np.inf else [self.high]
        return frozen(np.unique(np.concatenate([below, inner, above])))

    @cached_property
    def _knots(self) -> FloatArray:
        """The bins of a histogram, and 0 where it lies inside: places of jumps and cusps."""
        bins = np.array(getattr(getattr(self.source, "dist", None), "_hbins", ()), dtype=float)
        return frozen(bins if bins.size or not self.low < 0 < self.high else np.zeros(1))

    @cached_property
    def _poles(self) -> tuple[Pole, ...]:
        ends = [(self.low, 1.0), (self.high, -1.0)]
        inside = [(0.0, 1.0), (0.0, -1.0)] if self.low < 0 < self.high else []
        found = (self._pole(place, side) for place, side in ends + inside if math.isfinite(place))
        return tuple(pole for pole in found if pole is not None)

    def _pole(self, place: float, side: float) -> Pole | None:
        """Look whether the density grows without end towards a place."""
        low, high = (float(x) for x in self.ppf(np.array([0.25, 0.75])))
        width = float(high - low) * (_AT_ZERO if place == 0 else _ELSEWHERE)
        if not 0 < width < math.inf or place + side * width == place:
            return None
        near, far = self.pdf(place + side * width * np.array([1.0, 2.0]))
        if not (math.inf > near > far > 0):
            return None
        power = 1 - math.log(near / far) / math.log(2)
        if not 0 < power < 1 - 1e-3:
            return None
        mass = float(np.abs(np.diff(self.cdf(np.array([place, place + side * width])))[0]))
        by_density = width * float(near) / power
        # A cdf that does not resolve so little is no help.
        trusted = abs(mass - by_density) < 1e-4 * by_density
        return Pole(place, side, width, power, mass if trusted else by_density)

    @property
    def _name(self) -> str:
        dist = getattr(self.source, "dist", None)
        return f"scipy.stats.{getattr(dist, 'name', None) or dist}"

    def check(self) -> None:
        """Refuse a density that is too slow, or does not integrate to one.

        Raises
        ------
        TooLarge
            If the density takes milliseconds a value.
        InvalidValue
            If it is none, or none that quadrature could resolve.
        """
        low, high = (float(x) for x in self.ppf(np.array([0.25, 0.75])))
        self.pdf(np.array([low]))  # what a first call sets up is not counted
        began = time.process_time()
        self.pdf(np.linspace(high, high + 16 * (high - low), _PROBES))
        cost = (time.process_time() - began) / _PROBES
        if cost > _SLOWEST:
            raise TooLarge(
                f"the density of {self._name} takes {1e3 * cost:.2g} ms a value, and exact "
                "integrals need many thousands; draw a sample and give it as data: Empirical(x)"
            )
        whole = np.array([self._breaks[0]]), np.array([self._breaks[-1]])
        total = float(self.integrals(np.zeros(1), *whole).mass[0])
        if not abs(total - 1) <= _TOTAL:
            raise InvalidValue(
                f"the density of {self._name} integrates to {total:.9g} over its support, "
                "not to 1, so there is no expectation to compute"
            )

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
        for low, high in (pole.interval for pole in self._poles):
            keep &= (inner < low) | (outer > high)
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
        coarse, _ = self._panel(offset, inner, width)
        for k in range(3):
            scale[k] = np.bincount(owner, np.abs(coarse[k]), size)
        left, unsettled = _PANELS * owner.size + _MORE_PANELS, np.zeros(2)
        for depth in range(_DEEPEST + 1):
            half = 0.5 * width
            lower, noise = self._panel(offset, inner, half)
            upper, more = self._panel(offset + half, inner + half, half)
            gap = np.abs(lower + upper - coarse)[[0, 2]]
            within = gap <= _TOLERANCE * scale[[0, 2]][:, owner] + noise + more
            settled: BoolArray = np.logical_and.reduce(within, axis=0)
            left -= 2 * owner.size
            if depth == _DEEPEST or left < 0:
                unsettled = gap[:, ~settled].sum(axis=1)
                unsettled[1] = unsettled[1] if self._variance_exists else 0.0
                settled[:] = True
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
        if not (unsettled <= _ACCURACY * scale[[0, 2]].sum(axis=1)).all():
            raise InvalidValue(
                f"the density of {self._name} is too noisy or too singular: quadrature leaves "
                f"more than {_ACCURACY:g} of its moments open; draw a sample and give it as "
                "data: Empirical(x)"
            )
        return total

    def _panel(
        self, offset: FloatArray, inner: FloatArray, width: FloatArray
    ) -> tuple[FloatArray, FloatArray]:
        """Return the moments of panels, and what the rounding of x may move two of them by."""
        nodes, weights = gauss_legendre(16)
        u = width[:, None] * nodes
        t = offset[:, None] + u
        p = self.pdf(inner[:, None] + u)
        size = np.maximum(np.abs(inner), np.abs(inner + width))
        noise = 2 * _EPS * size * (p.max(axis=1) - p.min(axis=1))
        far = np.maximum(np.abs(offset), np.abs(offset + width))
        p *= weights
        moments = [width * p.sum(1), width * (p * t).sum(1), width * (p * t * t).sum(1)]
        return np.array(moments), np.array([noise, noise * far * far])
