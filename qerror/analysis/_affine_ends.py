"""How likely pairs of extremes are: powers of the probability between them, and differences."""

from typing import NamedTuple

import numpy as np

from qerror._arrays import FloatArray
from qerror.analysis._affine_flats import flats_of, masses
from qerror.densities.density import Density
from qerror.densities.extreme import below, beyond

_HALF = 0.5
_LEAST = 1e-300


class Ends(NamedTuple):
    """Pairs of extremes."""

    low: FloatArray
    high: FloatArray
    at_low: FloatArray
    """p(l) dl, or the point mass there."""
    at_high: FloatArray
    low_point: bool
    """Whether the lower extremes are point masses."""
    high_point: bool

    @property
    def mirrored(self) -> "Ends":
        """The pairs of -X."""
        low, high, at_low, at_high, low_point, high_point = self
        return Ends(-high, -low, at_high, at_low, high_point, low_point)


class Within(NamedTuple):
    """log P(l < X < u), and with one or both ends; shape (k,) each."""

    neither: FloatArray
    low: FloatArray
    high: FloatArray
    both: FloatArray

    @classmethod
    def of(cls, density: Density, ends: Ends) -> "Within":
        """Take the probability within from without where that is small."""
        a = ends.at_low if ends.low_point else 0.0
        b = ends.at_high if ends.high_point else 0.0
        without = below(density, ends.low) + beyond(density, ends.high)
        inside = np.zeros(ends.low.size)
        some = np.flatnonzero(without + a + b > _HALF)
        if some.size:
            inside[some] = open_mass(density, ends.low[some], ends.high[some])
        parts: list[FloatArray] = []
        for more, less in ((0.0, a + b), (a, b), (b, a), (a + b, 0.0)):
            outside = without + less
            with np.errstate(divide="ignore"):
                log = np.where(
                    outside > _HALF,
                    np.log(inside + more),
                    np.log1p(-np.minimum(outside, 0.75)),
                )
            parts.append(log)
        return cls(*parts)


def open_mass(density: Density, low: FloatArray, high: FloatArray) -> FloatArray:
    """Return P(low < X < high)."""
    total = density.atom_sums.mass(np.nextafter(low, np.inf), np.nextafter(high, -np.inf))
    total = np.where(np.nextafter(low, np.inf) < high, total, 0.0)
    for piece in density.pieces():
        q = np.clip(piece.location, low, high)
        total = total + piece.integrals(q, low - q, high - q).mass
    return total


def first_moments(density: Density, ends: Ends) -> FloatArray:
    """Return int x p between extremes, point masses included."""
    values, place = np.unique(np.concatenate([ends.low, ends.high]), return_inverse=True)
    total, nothing, width = np.zeros(values.size), np.zeros(values.size - 1), np.diff(values)
    flats = flats_of(density)
    for piece in flats.others:
        mass, first, _ = piece.integrals(values[:-1], nothing, width)
        total[1:] += values[:-1] * mass + first
    below = (np.cumsum(total) + flats.first_below(values))[place]
    found = below[ends.low.size :] - below[: ends.low.size]
    x, probability = density.atoms()
    if x.size:
        sums = np.append(0.0, np.cumsum(x * probability))
        found += sums[np.searchsorted(x, ends.high, "left")]
        found -= sums[np.searchsorted(x, ends.low, "right")]
    return found


class Powers(NamedTuple):
    """Weights of k further values that lie within, by what the extremes themselves are."""

    inner: FloatArray
    """Both extremes are other values than those that are asked for."""
    low: FloatArray
    """One that is asked for is the lower extreme, times its probability."""
    high: FloatArray
    twice_low: FloatArray
    """Two that are asked for are at the lower extreme, a point mass."""
    twice_high: FloatArray
    low_high: FloatArray
    """One is the lower extreme, the other one the upper."""

    @classmethod
    def of(cls, ends: Ends, within: Within, k: int) -> "Powers":
        """Take the differences in P that the extremes make: derivatives, but at point masses."""
        a, b = ends.at_low, ends.at_high
        zero = np.zeros(a.size)
        low = growth(within.high, within.both, a, ends.low_point, k)
        high = growth(within.low, within.both, b, ends.high_point, k)
        return cls(
            second_growth(within, ends, k),
            a * high,
            b * low,
            a * a * high if ends.low_point else zero,
            b * b * low if ends.high_point else zero,
            a * b * power(within.both, k),
        )


def power(log: FloatArray, k: float) -> FloatArray:
    """Return exp(k log); 1 for k = 0."""
    return np.exp(k * log) if k else np.ones(log.size)


def growth(log: FloatArray, grown: FloatArray, by: FloatArray, point: bool, k: int) -> FloatArray:
    """Return (P + by)^k - P^k, or its derivative times `by`, P^k = exp(k log)."""
    if k == 0:
        return np.zeros(log.size)
    if not point:
        return by * (k * power(log, k - 1))
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = np.minimum(by / np.maximum(np.exp(grown), _LEAST), 1.0)
        more: FloatArray = power(grown, k) * -np.expm1(k * np.log1p(-ratio))
        return more


def second_growth(within: Within, ends: Ends, k: int) -> FloatArray:
    """Return the mixed second difference of P^k by both extremes."""
    a, b = ends.at_low, ends.at_high
    if k < 2:
        return np.zeros(a.size)
    if not (ends.low_point and ends.high_point):
        # With at most one point mass: k times the difference, or derivative, of P^(k - 1).
        if ends.low_point:
            return b * k * growth(within.neither, within.low, a, True, k - 1)
        return a * k * growth(within.neither, within.high, b, ends.high_point, k - 1)
    inside = np.exp(within.neither)
    small = np.maximum(a, b) * (k - 1) <= np.minimum(inside + b, inside + a)
    direct = growth(within.low, within.both, b, True, k) - growth(
        within.neither, within.high, b, True, k
    )
    # (P + a)^k (P + b)^k / P^k - P^k ..., each term a product of what is small.
    p = np.where(small, np.maximum(inside, _LEAST), 1.0)
    x, y = np.where(small, a, 0.0) / p, np.where(small, b, 0.0) / p
    grown = np.expm1(k * np.log1p(x)) * np.expm1(k * np.log1p(y))
    lost = np.exp(k * np.log1p(x + y)) * np.expm1(k * np.log1p(x * y / (1 + x + y)))
    return np.where(small, power(within.neither, k) * (grown - lost), direct)


def roughly(density: Density, n: int, ends: Ends) -> FloatArray:
    """Return `second_growth` of P^(n - 1), by the difference of two distribution functions.

    Of neither extreme a point mass and n > 2; to 1e-16 n / P.
    """
    mass = masses(density, ends.low, ends.high)
    found: FloatArray = (n - 1) * (n - 2) * mass ** (n - 3) * ends.at_low * ends.at_high
    return found
