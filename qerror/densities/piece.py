"""A piece: a standard law with a weight, a place, a spread and limits."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from qerror._arrays import BoolArray, FloatArray, IntArray, two_sum
from qerror.densities.law import Law, LocalIntegrals, PartialMoments

_NARROW = 8.0  # widths: intervals further from their centre are integrated about an end
FAR = 8.0
"""Spreads: what lies farther off is integrated about a place of its own."""


@dataclass(frozen=True)
class Piece:
    """A part of a density: weight times a law, moved, stretched and cut to [low, high].

    Its density at x is ``weight / spread * law.pdf((x - location) / spread)`` inside the limits
    and 0 outside; the weight is that of the uncut law.
    """

    law: Law
    weight: float = 1.0
    """The probability of the law before it is cut."""
    location: float = 0.0
    """Where the law's 0 lies."""
    spread: float = 1.0
    """What the law's unit is worth; positive."""
    low: float = -math.inf
    """The lower end of the piece."""
    high: float = math.inf
    """Its upper end."""

    def within(self, low: float, high: float) -> "Piece | None":
        """Return what of the piece lies in [low, high], or None."""
        low, high = max(low, self.low), min(high, self.high)
        if not low < high:
            return None
        return Piece(self.law, self.weight, self.location, self.spread, low, high)

    def weighted(self, factor: float) -> "Piece":
        """Return the piece with its weight multiplied."""
        weight = self.weight * factor
        return Piece(self.law, weight, self.location, self.spread, self.low, self.high)

    @property
    def is_symmetric(self) -> bool:
        """Whether the piece is its own mirror image in 0."""
        return self.law.symmetric and self.location == 0 and self.low == -self.high

    @property
    def is_whole(self) -> bool:
        """Whether the law is not cut at all."""
        return self.low == -math.inf and self.high == math.inf

    def standard(self, x: FloatArray) -> FloatArray:
        """Return x in the law's own units."""
        with np.errstate(over="ignore"):  # an infinite z is right where x is that large
            return (x - self.location) / self.spread

    def pdf(self, x: FloatArray) -> FloatArray:
        """Return the piece's density at x."""
        inside = (x >= self.low) & (x <= self.high)
        level = self.weight / self.spread
        return np.where(inside, level * self.law.pdf(self.standard(x)), 0.0)

    @np.errstate(under="ignore")
    def integrals(  # noqa: PLR0917 - an interval
        self,
        q: FloatArray,
        left: FloatArray,
        right: FloatArray,
        q_low: FloatArray | float = 0.0,
        limits: tuple[FloatArray, FloatArray] | None = None,
        lost: tuple[FloatArray | float, FloatArray | float] = (0.0, 0.0),
    ) -> LocalIntegrals:
        """Integrate (x - q)^k, k = 0, 1, 2, times the density over x - q in [left, right].

        Parameters
        ----------
        q : ndarray, shape (n,)
            Centres, in the units of x; ``q + q_low`` where the product that made them was
            inexact.
        left, right : ndarray, shape (n,)
            Offsets from the centre; infinite allowed.
        limits : pair of ndarray, shape (n,), optional
            Further limits on x, besides the piece's own.
        lost : pair of ndarray, shape (n,), optional
            What rounding took from the offsets: the interval ends there, however far q is.
        """
        if limits is None and self.is_whole:
            return self._within(q, left, right, q_low, None, lost)
        low, high = (np.full(q.shape, end) for end in (self.low, self.high))
        if limits is not None:
            low, high = np.maximum(low, limits[0]), np.minimum(high, limits[1])
        return self._cut(q, left, right, q_low, (low, high), lost)

    def far_crosses(
        self,
        q: FloatArray,
        left: FloatArray,
        right: FloatArray,
        limits: tuple[FloatArray, FloatArray] | None = None,
    ) -> tuple[IntArray, FloatArray]:
        """Integrate x (q - x) times the density where -(q first + second) would lose x.

        That is where 0 lies in an interval whose q is far from all that the density is: there
        the moments are taken about 0. Returns which intervals these are, and their integrals.
        """
        size = FAR * max(abs(self.location), self.spread)
        begin, end = q + left, q + right
        far = np.flatnonzero((np.abs(q) > size) & (begin <= 0) & (end >= 0) & np.isfinite(q))
        if not far.size:
            return far, np.empty(0)
        some = limits and (limits[0][far], limits[1][far])
        about_0 = self.integrals(np.zeros(far.size), begin[far], end[far], 0.0, some)
        return far, q[far] * about_0.first - about_0.second

    def _cut(  # noqa: PLR0917 - an interval
        self,
        q: FloatArray,
        left: FloatArray,
        right: FloatArray,
        q_low: FloatArray | float,
        limits: tuple[FloatArray, FloatArray],
        lost: tuple[FloatArray | float, FloatArray | float],
    ) -> LocalIntegrals:
        """Integrate where limits cut, narrow intervals about their own lower ends."""
        local = self._within(q, left, right, q_low, limits, lost)
        offsets = [(limit - q) - q_low for limit in limits]
        ends = _moved(q, left, q_low + lost[0]), _moved(q, right, q_low + lost[1])
        # Seen from far off both ends may have one offset, seen from near one place.
        near = _Kept.of(left, right, *offsets)
        far = _Kept.of(*ends, *limits)
        kept = far.where(near.size <= far.size, near)
        away = np.minimum(np.abs(near.start), np.abs(near.stop))
        narrow = (kept.width > 0) & (_NARROW * kept.width < away) & (kept.at_low | kept.at_high)
        if not narrow.any():
            return local
        # Offsets from a far centre would lose eps |offset| / width.
        at = np.flatnonzero(narrow)
        from_low, width = kept.at_low[at], kept.width[at]
        origin = np.where(from_low, limits[0][at], limits[1][at])
        moved = np.where(from_low, offsets[0][at], offsets[1][at])
        behind, ahead = np.where(from_low, 0.0, -width), np.where(from_low, width, 0.0)
        mass, first, second = self._within(origin, behind, ahead, 0.0, None)
        about_q = LocalIntegrals(
            mass, first + moved * mass, second + moved * (2 * first + moved * mass)
        )
        for whole, part in zip(local, about_q, strict=True):
            whole[at] = part
        return local

    def _within(  # noqa: PLR0917 - an interval
        self,
        q: FloatArray,
        left: FloatArray,
        right: FloatArray,
        q_low: FloatArray | float,
        limits: tuple[FloatArray, FloatArray] | None,
        lost: tuple[FloatArray | float, FloatArray | float] = (0.0, 0.0),
    ) -> LocalIntegrals:
        shifted, rest = two_sum(q, -self.location)
        rest = rest + q_low
        start = _moved(shifted, left, rest + lost[0]) / self.spread
        stop = _moved(shifted, right, rest + lost[1]) / self.spread
        if limits is not None:
            low, high = limits
            left = np.maximum(left, (low - q) - q_low)
            start = np.maximum(start, (low - self.location) / self.spread)
            right = np.minimum(right, (high - q) - q_low)
            stop = np.minimum(stop, (high - self.location) / self.spread)
        left = np.minimum(left, right)
        local = self.law.integrals(
            (shifted + rest) / self.spread,
            left / self.spread,
            right / self.spread,
            (np.minimum(start, stop), stop),
        )
        return local.scaled(self.weight, self.spread)

    def integrals_at(self, q: float) -> tuple[float, float, float]:
        """Integrate (x - q)^k, k = 0, 1, 2, over the whole piece."""
        whole = np.array([-math.inf]), np.array([math.inf])
        with np.errstate(over="ignore", under="ignore"):
            mass, first, second = self.integrals(np.array([q]), *whole)
        return float(mass[0]), float(first[0]), float(second[0])

    def moment_about(self, q: float) -> float:
        """Integrate (x - q)^2 over the whole piece."""
        away = self.centre - q
        if abs(away) <= FAR * self.spread:
            return self.integrals_at(q)[2]
        # A centre far from the law would be rounded in the law's units.
        mass, first, second = self.integrals_at(self.centre)
        # An infinite second moment settles it, whatever inf - inf gives.
        return second if math.isinf(second) else second + away * (2 * first + away * mass)

    def partial_moments(self, x: FloatArray) -> PartialMoments:
        """Return the antiderivatives of x^k times the density at x, within the limits."""
        z = self.standard(np.clip(x, self.low, self.high))
        m0, m1, m2 = self.law.partial_moments(z)
        a, s = self.location, self.spread
        first = a * m0 + s * m1
        second = a * a * m0 + 2 * a * s * m1 + s * s * m2
        return PartialMoments(self.weight * m0, self.weight * first, self.weight * second)

    @property
    def centre(self) -> float:
        """The point of the piece nearest to the law's centre."""
        return min(max(self.location, self.low), self.high)

    def mass_below(self, x: FloatArray) -> FloatArray:
        """Return the probability at or below x."""
        if self.is_whole:
            return self.weight * self.law.cdf(self.standard(x))
        top = np.clip(x, self.low, self.high)
        if self.low == -math.inf:
            return self.weight * self.law.cdf(self.standard(top))
        start = np.full(x.size, self.low)
        return self.integrals(start, np.zeros(x.size), top - self.low).mass

    def mass_between(self, low: FloatArray, high: FloatArray) -> FloatArray:
        """Integrate a piece from its point nearest to its location, where rounding costs least."""
        low, high = np.clip(low, self.low, self.high), np.clip(high, self.low, self.high)
        at = np.flatnonzero(low < high)
        found = np.zeros(low.size)
        if at.size:
            a, b = low[at], high[at]
            q = np.clip(self.location, a, b)
            with np.errstate(over="ignore", under="ignore", invalid="ignore"):
                found[at] = self.integrals(q, a - q, b - q).mass
        return found


class _Kept(NamedTuple):
    """What limits leave of intervals, as offsets or as places."""

    start: FloatArray
    stop: FloatArray
    at_low: BoolArray
    """Where it begins at the lower limit,"""
    at_high: BoolArray
    """and where it ends at the upper."""

    @classmethod
    def of(cls, left: FloatArray, right: FloatArray, low: FloatArray, high: FloatArray) -> "_Kept":
        """Cut [left, right] to [low, high]."""
        return cls(np.maximum(left, low), np.minimum(right, high), low > left, high < right)

    def where(self, at: BoolArray, other: "_Kept") -> "_Kept":
        """Return the other's where `at`, and these elsewhere."""
        return _Kept(*(np.where(at, b, a) for a, b in zip(self, other, strict=True)))

    @property
    def width(self) -> FloatArray:
        """How much is left: not above 0 where nothing is."""
        with np.errstate(invalid="ignore"):
            return self.stop - self.start

    @property
    def size(self) -> FloatArray:
        """The larger of both ends, of which their difference has the rounding."""
        return np.maximum(np.abs(self.start), np.abs(self.stop))


def _moved(q: FloatArray, offset: FloatArray, q_low: FloatArray | float) -> FloatArray:
    """Return q + q_low + offset, rounded once."""
    total, rest = two_sum(q, offset)
    return total + (rest + q_low)


def joined_pdf(pieces: Sequence[Piece], x: FloatArray) -> FloatArray:
    """Return the sum of the pieces' densities at x.

    Both limits belong to a piece; where one begins at the end of another, the point counts once.
    """
    ends = {piece.high for piece in pieces if piece.high < math.inf}
    total = np.zeros(x.shape)
    for piece in pieces:
        level = piece.pdf(x)
        total += np.where(x == piece.low, 0.0, level) if piece.low in ends else level
    return total
