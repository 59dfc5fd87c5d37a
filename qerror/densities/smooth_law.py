"""Exact local integrals of smooth laws by Gauss-Legendre panels with positive integrands.

The density is never evaluated at a rounded absolute node. Each panel has an exact reference
r (the centre of the interval, or a panel's edge) and nodes at exact small offsets u, and
p(r + u) = p(r) exp(log_ratio(r, u)). Squares are then summed with positive weights, so there
is nothing to cancel, and intervals 1e-12 wide are as accurate as wide ones.
"""

import math
from abc import abstractmethod
from functools import lru_cache

import numpy as np

from qerror._arrays import BoolArray, FloatArray, IntArray, frozen
from qerror.densities._panels import Part, Sums, cut_at, parts_of, width_of
from qerror.densities.law import Law, LocalIntegrals
from qerror.densities.quadrature import by_nodes, moment_rule

_MOST_BREAKS = 5000  # panels that are kept of a law
_LEAST = float(np.finfo(np.float64).tiny)


class SmoothLaw(Law):
    """A law that is symmetric about 0 and analytic away from it.

    A member fills the hooks below; integration is written once, here. A law that is not
    symmetric is a density of two pieces, one for each side.
    """

    kink_at_zero: bool = False
    branch_at_zero: bool = False
    """Whether 0 is a singular point from both sides, as for |x|^beta."""
    root_at_zero: bool = False
    """Whether that is a root's: the density times sqrt(|x|) is analytic in sqrt(|x|)."""
    panels_shrink: bool = False
    """Whether panel widths never grow outwards."""
    spent: float = math.inf
    """Beyond it the second moment is below 1e-24; infinite for heavy tails."""
    faint: float = math.inf
    """Beyond it the density is below 1e-13 of its peak; infinite where nobody asked."""
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

    @property
    def kinks(self) -> tuple[float, ...]:
        return (0.0,) if self.kink_at_zero else ()

    @property
    def branches(self) -> tuple[float, ...]:
        return (0.0,) if self.branch_at_zero else ()

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

    def outer_at(self, a: float) -> tuple[float, float, float]:
        """Return the three integrals of `outer` at a single place; a hook for those in a hurry."""
        mass, first, second = self.outer(np.array([a]))
        return float(mass[0]), float(first[0]), float(second[0])

    def fold_reach(self, q: FloatArray, width: FloatArray) -> FloatArray:
        """Return the half-width up to which [q - t, q + t] is one panel; width is that at q."""
        return np.minimum(0.5 * width, q) if self.kink_at_zero else 0.5 * width

    def breaks(self, start: float, stop: float) -> FloatArray:
        """Return the panel edges that cover [start, stop], stop finite, from one global list.

        What has been found is remembered: an array that is never changed, only replaced as a
        whole by a longer one, so that threads may do so at any time.
        """
        del start
        known: FloatArray | None = self.__dict__.get("_known_breaks")
        if known is None or (known[-1] < stop and known.size < _MOST_BREAKS):
            known = self._breaks_up_to(stop, [self.origin_width()] if known is None else known)
            object.__setattr__(self, "_known_breaks", known)
        return known

    def _breaks_up_to(self, stop: float, known: FloatArray | list[float]) -> FloatArray:
        """Return the known breaks and those that follow until `stop` is passed."""
        found = [float(x) for x in known]
        while found[-1] < stop and len(found) < _MOST_BREAKS:
            last = found[-1]
            found.append(last + float(self.panel_width(np.array([last]))[0]))
        return frozen(np.array(found))

    def integrals(
        self,
        q: FloatArray,
        left: FloatArray,
        right: FloatArray,
        ends: tuple[FloatArray, FloatArray] | None = None,
    ) -> LocalIntegrals:
        sums = Sums(q.size)
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
        for part in parts_of(Part(live, q, left, right, start, stop, sign), fold):
            self._add_part(sums, part)
        return sums.result()

    def _add_folds(  # noqa: PLR0917 - one cell's description
        self,
        sums: Sums,
        owner: IntArray,
        q: FloatArray,
        half: FloatArray,
        width: FloatArray,
        sign: FloatArray,
    ) -> None:
        """Add the symmetric intervals [q - half, q + half].

        The odd part of the density is small for narrow cells, and accurate as it is.
        """
        for nodes, weights, at in by_nodes(half / width):
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

    def _add_part(self, sums: Sums, part: Part) -> None:
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

    def _add_origin(self, sums: Sums, part: Part, width: float) -> Part:
        """Add [0, width] where an interval begins at 0; returns what is left of them all."""
        at = np.flatnonzero(part.inner == 0)
        edge = np.minimum(part.outer[at], width)
        sums.add_signed(part.owner[at], self.origin(edge, part.q[at]), part.sign[at])
        start, inner = part.start.copy(), part.inner.copy()
        start[at], inner[at] = edge - part.q[at], edge
        rest = part._replace(start=start, inner=inner)
        return rest.at(rest.outer > rest.inner)

    def _add_panels(self, sums: Sums, part: Part) -> None:
        """Cut intervals at the law's breaks and add each panel, referenced at its inner edge."""
        width = width_of(part.start, part.stop, part.inner, part.outer)
        single = self.panel_width(part.inner)
        if (width > single).any():
            part = cut_at(part, width > single, self.breaks)
            width = width_of(part.start, part.stop, part.inner, part.outer)
            single = self.panel_width(part.inner)
        # Next to a branch point the law's panels are narrower than float64 has numbers.
        for nodes, weights, at in by_nodes(width / np.maximum(single, _LEAST)):
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


def geometric_breaks(start: float, inner: float, growth: float, upper: FloatArray) -> FloatArray:
    """Return breaks that shrink towards a singular 0, from `start` to `inner`, before `upper`."""
    if not 0 < start < inner:
        return upper
    count = math.ceil((math.log(inner) - math.log(start)) / math.log(growth)) + 1
    return np.concatenate([inner * np.power(growth, -np.arange(count, 0, -1.0)), upper])


def one_panel_outer(law: SmoothLaw, a: FloatArray, count: int) -> LocalIntegrals:
    """Integrate over [a, inf) by one panel, for tails that are gone at the law's reach."""
    nodes, moments = outer_moments(count)
    width = law.reach(a) - a
    p = np.exp(law.log_ratio(a[:, None], np.multiply.outer(width, nodes)))
    mass, first, second = (p @ moments).T
    level = law.pdf(a) * width
    return LocalIntegrals(level * mass, level * width * first, level * width * width * second)


@lru_cache(maxsize=64)
def outer_moments(count: int) -> tuple[FloatArray, FloatArray]:
    """Return nodes t on [0, 1] and the weights of int f, int t f and int t^2 f as columns."""
    rule = moment_rule(count)
    return rule.nodes, frozen(np.stack([rule.zeroth, rule.first, rule.second], axis=-1))
