"""Exact local integrals of smooth laws by Gauss-Legendre panels with positive integrands.

The density is never evaluated at a rounded absolute node. Each panel has an exact reference
r (the centre of the interval, or a panel's edge) and nodes at exact small offsets u, and
p(r + u) = p(r) exp(log_ratio(r, u)). Squares are then summed with positive weights, so there
is nothing to cancel, and intervals 1e-12 wide are as accurate as wide ones.
"""

import math
from abc import abstractmethod
from collections.abc import Callable, Iterator
from functools import cache, cached_property
from typing import NamedTuple

import numpy as np

from qerror._arrays import BoolArray, FloatArray, IntArray
from qerror.densities.law import Law, LocalIntegrals

# Nodes that reach 1e-16 on a panel of at most this share of the law's panel width.
_NODES = ((0.005, 4), (0.06, 6), (0.2, 8), (np.inf, 12))
_MOST_BREAKS = 5000


@cache
def gauss_legendre(count: int) -> tuple[FloatArray, FloatArray]:
    """Return nodes and weights on [0, 1]."""
    nodes, weights = np.polynomial.legendre.leggauss(count)
    return (nodes + 1) / 2, weights / 2


class SmoothLaw(Law):
    """A law that is symmetric about 0 and analytic away from it.

    A member fills the hooks below; integration is written once, here. A law that is not
    symmetric is a density of two pieces, one for each side.
    """

    kink_at_zero: bool = False
    branch_at_zero: bool = False
    """Whether 0 is a singular point from both sides, as for |x|^beta."""
    panels_shrink: bool = False
    """Whether panel widths never grow outwards."""
    spent: float = math.inf
    """Beyond it the second moment is below 1e-24; infinite for heavy tails."""
    horizon: float = math.inf
    """Beyond it the density is zero in float64; infinite for power laws."""

    @abstractmethod
    def log_ratio(self, r: FloatArray, u: FloatArray) -> FloatArray:
        """Return log p(r + u) - log p(r) for r >= 0, accurate for small u of either sign.

        r + u >= 0 may be assumed where the law has a kink at 0.
        """

    @abstractmethod
    def panel_width(self, x: FloatArray) -> FloatArray:
        """Return the width at x >= 0 on which 12 Gauss-Legendre nodes reach 1e-16."""

    @abstractmethod
    def reach(self, x: FloatArray) -> FloatArray:
        """Return where integration from x >= 0 outwards may end (or `tail` take over)."""

    @abstractmethod
    def smooth_step(self, x: FloatArray) -> FloatArray:
        """Return the largest step at x >= 0 for which the Euler-Maclaurin series is exact."""

    @abstractmethod
    def derivatives(self, x: FloatArray, step: FloatArray, order: int) -> list[FloatArray]:
        """Return step^k p^(k)(x) for k = 0..order at x >= 0, from the right of a kink at 0."""

    def flat_width(self) -> float:
        """Return how far from 0 the density equals p(0) to 1e-17."""
        return 1e-18 if self.kink_at_zero else 1e-9 * float(self.panel_width(np.zeros(1))[0])

    def tail(self, start: FloatArray, stop: FloatArray, q: FloatArray) -> LocalIntegrals | None:
        """Integrate from `start` = reach to `stop`; None where nothing is left there."""
        del start, stop, q
        return None

    def origin_width(self) -> float:
        """Return the width of the interval [0, w] that `origin` integrates; 0 for none."""
        return 0.0

    def origin(self, stop: FloatArray, q: FloatArray) -> LocalIntegrals:
        """Integrate over [0, stop], stop <= origin_width(), where p is not analytic at 0."""
        raise NotImplementedError(type(self).__name__)

    def pdf_outer(self, scale: FloatArray, x: FloatArray) -> FloatArray:
        """Return the density at every scale[i] x[j], shape (scale.size, x.size)."""
        return self.pdf(np.multiply.outer(scale, x))

    def fold_terms(self, q: FloatArray, t: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return (p(q + t) + p(q - t)) / p(q) and (p(q + t) - p(q - t)) / p(q)."""
        up, down = np.expm1(self.log_ratio(q, t)), np.expm1(self.log_ratio(q, -t))
        return (up + down) + 2, up - down

    def fits_one_panel(
        self, q: FloatArray, inward: FloatArray, outward: FloatArray, width: FloatArray
    ) -> BoolArray:
        """Tell which cells [q - inward, q + outward] need no cutting; width is that at q."""
        fits = np.maximum(inward, outward) <= 0.5 * width
        return fits & (inward <= q) if self.kink_at_zero else fits

    def outer(self, a: FloatArray) -> LocalIntegrals:
        """Integrate (x - a)^k, k = 0, 1, 2, over [a, inf) for a >= 0."""
        return self.integrals(a, np.zeros(a.shape), np.full(a.shape, math.inf))

    def fold_reach(self, q: FloatArray, width: FloatArray) -> FloatArray:
        """Return the half-width up to which [q - t, q + t] is one panel; width is that at q."""
        return np.minimum(0.5 * width, q) if self.kink_at_zero else 0.5 * width

    def breaks(self, start: float, stop: float) -> FloatArray:
        """Return the panel edges that cover [start, stop], stop finite, from one global list."""
        del start
        known = self._known_breaks
        while known[-1] < stop and len(known) < _MOST_BREAKS:
            last = known[-1]
            known.append(last + float(self.panel_width(np.array([last]))[0]))
        return np.array(known)

    @cached_property
    def _known_breaks(self) -> list[float]:
        """The breaks found so far; the list grows with what is asked for."""
        return [self.origin_width()]

    def integrals(
        self,
        q: FloatArray,
        left: FloatArray,
        right: FloatArray,
        ends: tuple[FloatArray, FloatArray] | None = None,
    ) -> LocalIntegrals:
        sums = _Sums(q.size)
        start, stop = ends or (q + left, q + right)
        nearest = np.maximum(np.maximum(start, -stop), 0.0)
        live = np.flatnonzero((nearest <= self.horizon) & (right > left))
        if live.size == 0:
            return sums.result()
        if live.size < q.size:
            q, left, right, start, stop = (x[live] for x in (q, left, right, start, stop))
        mirrored = q < 0
        if mirrored.any():
            left, right = np.where(mirrored, -right, left), np.where(mirrored, -left, right)
            start, stop = np.where(mirrored, -stop, start), np.where(mirrored, -start, stop)
            q = np.abs(q)
        sign = np.where(mirrored, -1.0, 1.0)
        width = self.panel_width(q)
        fold = np.minimum(-left, right)
        fold = np.where((fold > 0) & (fold <= self.fold_reach(q, width)), fold, 0.0)
        at = np.flatnonzero(fold)
        if at.size:
            self._add_folds(sums, live[at], q[at], fold[at], width[at], sign[at])
        for part in _parts(_Part(live, q, left, right, start, stop, sign), fold):
            self._add_part(sums, part)
        return sums.result()

    def _add_folds(  # noqa: PLR0917 - one cell's description
        self,
        sums: "_Sums",
        owner: IntArray,
        q: FloatArray,
        half: FloatArray,
        width: FloatArray,
        sign: FloatArray,
    ) -> None:
        """Add the symmetric intervals [q - half, q + half].

        The odd part of the density is small for narrow cells, and accurate as it is.
        """
        for nodes, weights, at in _by_nodes(half / width):
            r, m = q[at], half[at]
            t = m[:, None] * nodes
            even, odd = self.fold_terms(r[:, None], t)
            level = self.pdf(r) * m
            sums.add(
                owner[at],
                level * (even @ weights),
                sign[at] * level * m * (odd @ (weights * nodes)),
                level * m * m * (even @ (weights * nodes * nodes)),
            )

    def _add_part(self, sums: "_Sums", part: "_Part") -> None:
        """Add intervals on one side of the origin, 0 <= inner <= outer."""
        limit = self.reach(part.inner)
        beyond = np.flatnonzero(part.outer > limit)
        if beyond.size:
            tail = self.tail(limit[beyond], part.outer[beyond], part.q[beyond])
            if tail is not None:
                sums.add_signed(part.owner[beyond], tail, part.sign[beyond])
            far = part.outer > limit
            stop = np.where(far, limit - part.q, part.stop)
            part = part._replace(stop=stop, outer=np.where(far, limit, part.outer))
        width = self.origin_width()
        if width and (part.inner == 0).any():
            part = self._add_origin(sums, part, width)
        keep = width_of(part.start, part.stop, part.inner, part.outer) > 0
        if not keep.all():
            part = part.at(keep)
        if part.owner.size:
            self._add_panels(sums, part)

    def _add_origin(self, sums: "_Sums", part: "_Part", width: float) -> "_Part":
        """Add [0, width] where an interval begins at 0; returns what is left of them all."""
        at = np.flatnonzero(part.inner == 0)
        edge = np.minimum(part.outer[at], width)
        sums.add_signed(part.owner[at], self.origin(edge, part.q[at]), part.sign[at])
        start, inner = part.start.copy(), part.inner.copy()
        start[at], inner[at] = edge - part.q[at], edge
        rest = part._replace(start=start, inner=inner)
        return rest.at(rest.outer > rest.inner)

    def _add_panels(self, sums: "_Sums", part: "_Part") -> None:
        """Cut intervals at the law's breaks and add each panel, referenced at its inner edge."""
        width = width_of(part.start, part.stop, part.inner, part.outer)
        single = self.panel_width(part.inner)
        if (width > single).any():
            part = _cut(part, width > single, self.breaks)
            width = width_of(part.start, part.stop, part.inner, part.outer)
            single = self.panel_width(part.inner)
        for nodes, weights, at in _by_nodes(width / single):
            r, w = part.inner[at], width[at]
            u = w[:, None] * nodes
            p = np.exp(self.log_ratio(r[:, None], u))
            p *= weights
            t = part.start[at][:, None] + u
            level = self.pdf(r) * w
            mass = level * p.sum(axis=1)
            p *= t
            first = level * p.sum(axis=1)
            p *= t
            sums.add(part.owner[at], mass, part.sign[at] * first, level * p.sum(axis=1))


def width_of(
    start: FloatArray, stop: FloatArray, inner: FloatArray, outer: FloatArray
) -> FloatArray:
    """Return an interval's width from its offsets or its ends, whichever round less."""
    by_offsets = np.maximum(np.abs(start), np.abs(stop)) <= np.maximum(np.abs(inner), np.abs(outer))
    with np.errstate(invalid="ignore"):  # inf - inf in the one not taken
        return np.where(by_offsets, stop - start, outer - inner)


class _Part(NamedTuple):
    """Intervals [inner, outer] with offsets start..stop from q; sign -1 for mirrored ones."""

    owner: IntArray
    q: FloatArray
    start: FloatArray
    stop: FloatArray
    inner: FloatArray
    outer: FloatArray
    sign: FloatArray

    def at(self, index: BoolArray | IntArray) -> "_Part":
        """Return some of the intervals."""
        return _Part(
            self.owner[index],
            self.q[index],
            self.start[index],
            self.stop[index],
            self.inner[index],
            self.outer[index],
            self.sign[index],
        )


class _Sums:
    """Running integrals per interval."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._mass, self._first, self._second = np.zeros((3, size))

    def add(self, owner: IntArray, mass: FloatArray, first: FloatArray, second: FloatArray) -> None:
        self._mass += np.bincount(owner, mass, self._size)
        with np.errstate(invalid="ignore"):  # inf - inf: a first moment that does not exist
            self._first += np.bincount(owner, first, self._size)
        self._second += np.bincount(owner, second, self._size)

    def add_signed(self, owner: IntArray, part: LocalIntegrals, sign: FloatArray) -> None:
        self.add(owner, part.mass, sign * part.first, part.second)

    def result(self) -> LocalIntegrals:
        return LocalIntegrals(self._mass, self._first, self._second)


class MomentRule(NamedTuple):
    """Gauss-Legendre nodes t on [0, 1] with the weights of int f, int t f and int t^2 f."""

    nodes: FloatArray
    zeroth: FloatArray
    first: FloatArray
    second: FloatArray


@cache
def _moment_rule(count: int) -> MomentRule:
    nodes, weights = gauss_legendre(count)
    return MomentRule(nodes, weights, weights * nodes, weights * nodes * nodes)


def rule_for(ratio: float) -> MomentRule:
    """Return the rule for cells whose half is at most this share of the panel width."""
    return _moment_rule(next(count for upper, count in _NODES if ratio <= upper))


def one_panel_outer(law: SmoothLaw, a: FloatArray, count: int) -> LocalIntegrals:
    """Integrate over [a, inf) by one panel, for tails that are gone at the law's reach."""
    nodes, moments = _outer_moments(count)
    width = law.reach(a) - a
    p = np.exp(law.log_ratio(a[:, None], np.multiply.outer(width, nodes)))
    mass, first, second = (p @ moments).T
    level = law.pdf(a) * width
    return LocalIntegrals(level * mass, level * width * first, level * width * width * second)


@cache
def _outer_moments(count: int) -> tuple[FloatArray, FloatArray]:
    """Return nodes t on [0, 1] and the weights of int f, int t f and int t^2 f as columns."""
    rule = _moment_rule(count)
    return rule.nodes, np.stack([rule.zeroth, rule.first, rule.second], axis=-1)


def _by_nodes(ratio: FloatArray) -> Iterator[tuple[FloatArray, FloatArray, IntArray]]:
    """Group intervals by the nodes that their relative width needs."""
    lower = -1.0
    for upper, count in _NODES:
        at = np.flatnonzero((ratio > lower) & (ratio <= upper))
        lower = upper
        if at.size:
            yield *gauss_legendre(count), at


def _parts(whole: _Part, fold: FloatArray) -> Iterator[_Part]:
    """Yield what the fold leaves: right of it, left of it down to 0, and below 0 mirrored.

    All have q >= 0, and each part that comes out has 0 <= inner <= outer.
    """
    q, left, right = whole.q, whole.start, whole.stop
    start = np.maximum(left, fold)
    at = (right > start) & (whole.outer > 0)
    if at.any():
        # To the right of q >= 0, or of an interval's start further right, there is no 0.
        inner = np.where(fold > left, q + fold, np.maximum(whole.inner, 0.0))
        yield whole._replace(start=start, inner=inner).at(at)
    top = np.minimum(right, -fold)
    end = np.where(-fold < right, q - fold, whole.outer)
    above = np.maximum(left, -q) < top
    above &= end > 0
    if above.any():
        inner = np.maximum(whole.inner, 0.0)
        yield whole._replace(start=np.maximum(left, -q), stop=top, inner=inner, outer=end).at(above)
    below = (left < np.minimum(-q, top)) & (whole.inner < 0)
    if below.any():
        # x = -y mirrors the interval: offsets from -q, and the first moment turns its sign.
        mirrored = _Part(
            whole.owner,
            -q,
            np.maximum(q, -top),
            -left,
            np.maximum(-end, 0.0),
            -whole.inner,
            -whole.sign,
        )
        yield mirrored.at(below)


def _cut(part: _Part, wide: BoolArray, breaks: Callable[[float, float], FloatArray]) -> _Part:
    """Split the wide intervals at the global breaks, keeping their own ends exact."""
    edges = breaks(float(part.inner[wide].min()), float(part.outer[wide].max()))
    first = np.searchsorted(edges, part.inner, "right")
    last = np.searchsorted(edges, part.outer, "left")
    pieces = np.where(wide, np.maximum(last - first, 0) + 1, 1)
    index = np.repeat(np.arange(pieces.size), pieces)
    rank = np.arange(index.size) - np.repeat(np.cumsum(pieces) - pieces, pieces)
    padded = np.append(edges, np.inf)
    lower = padded[np.clip(first[index] + rank - 1, 0, edges.size)]
    upper = padded[np.clip(first[index] + rank, 0, edges.size)]
    head, end = rank == 0, rank == pieces[index] - 1
    whole = part.at(index)
    return whole._replace(
        start=np.where(head, whole.start, lower - whole.q),
        stop=np.where(end, whole.stop, upper - whole.q),
        inner=np.where(head, whole.inner, lower),
        outer=np.where(end, whole.outer, upper),
    )
