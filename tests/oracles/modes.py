"""Rigorous expected errors under every rounding mode, in ball arithmetic.

Between neighbouring levels a and b, x goes to b with a probability P(x) that is constant or, for
stochastic rounding, linear; the integrals are differences of the partial moments of `exact`, at
whatever precision it takes.
"""

from collections.abc import Iterator
from fractions import Fraction
from itertools import pairwise
from typing import NamedTuple

from qerror.densities import Density
from qerror.grids import Grid
from tests.oracles.exact import (
    INF,
    Ball,
    Exact,
    ball,
    exact_points,
    local_moments,
    precisely,
    require,
    small,
    sure,
    take_apart,
)


class Stretch(NamedTuple):
    """Where x goes to `high` with probability `share`, else to `low`; None if it is linear."""

    start: Fraction
    stop: Fraction
    low: Fraction
    high: Fraction
    share: Fraction | None


def stretches(
    points: list[Fraction], even_first: bool, mode: str, bits: int | None
) -> Iterator[Stretch]:
    """Yield how a mode rounds within the range."""
    for i, (a, b) in enumerate(pairwise(points)):
        upper_is_even = ((i + 1) % 2 == 0) == even_first
        yield from _between(a, b, upper_is_even, mode, bits)


def _between(
    a: Fraction, b: Fraction, upper_is_even: bool, mode: str, bits: int | None
) -> Iterator[Stretch]:
    middle = (a + b) / 2
    match mode:
        case "down":
            yield Stretch(a, b, a, b, Fraction(0))
        case "up":
            yield Stretch(a, b, a, b, Fraction(1))
        case "toward-zero" if a >= 0 or b <= 0:
            yield Stretch(a, b, a, b, Fraction(a < 0))
        case "to-odd":
            yield Stretch(a, b, a, b, Fraction(not upper_is_even))
        case "nearest-even" | "nearest-away" | "toward-zero":
            yield Stretch(a, middle, a, b, Fraction(0))
            yield Stretch(middle, b, a, b, Fraction(1))
        case "stochastic" if bits is None:
            yield Stretch(a, b, a, b, None)
        case "stochastic":
            count = 2 ** (bits or 0)
            for j in range(count):
                share = Fraction(j, count)
                if b <= 0:
                    start, stop = b - (b - a) * (j + 1) / count, b - (b - a) * j / count
                    yield Stretch(start, stop, a, b, 1 - share)
                else:
                    start, stop = a + (b - a) * j / count, a + (b - a) * (j + 1) / count
                    yield Stretch(start, stop, a, b, share)
        case _:
            raise AssertionError(mode)


def mode_report(
    grid: Grid, density: Density, scale: float, mode: str, bits: int | None = None
) -> Exact:
    """Return the expected errors of rounding to `grid.scaled(scale)`; continuous densities only."""
    points = exact_points(grid, scale)
    parts = sorted(stretches(points, grid.even_first, mode, bits))
    return precisely(lambda: _report(points, parts, density))


def _report(points: list[Fraction], parts: list[Stretch], density: Density) -> Exact:
    taken = take_apart(density)
    assert not taken.atoms
    edges = [-INF, *(part.start for part in parts), points[-1], INF]
    zero = ball(0)
    low, inner, high, mean, cross = (zero,) * 5
    for piece in taken.pieces:
        limits = ball(piece.low), ball(piece.high)
        inside = [piece.standard(limits[0].max(ball(edge).min(limits[1]))) for edge in edges]
        s, w, at = ball(piece.spread), piece.weight, ball(piece.location)
        rows = list(local_moments(piece.shape, inside))
        for i, moments in enumerate(rows):
            m = _in_units_of_x(moments, w, s, at)
            if i in {0, len(rows) - 1}:
                q = ball(points[0] if i == 0 else points[-1])
                square, first, lever = _to_level(m, q)
                low += square if i == 0 else zero
                high += square if i else zero
            else:
                square, first, lever = _within(m, parts[i - 1])
                inner += square
            mean += first
            cross += lever
    found = Exact(inner, low, high, mean, cross, zero, zero)
    for term in found[:3]:
        tiny = ball(2) ** -1200
        require(sure(term) or bool(term.rad() < tiny and abs(term) < tiny))
    mse = found.mse
    require(small(found.cross_moment, mse) and small(found.mean_error, mse.sqrt()))
    return found


def _in_units_of_x(moments: list[Ball], w: Ball, s: Ball, at: Ball) -> list[Ball]:
    m0, m1, m2 = moments
    return [w * m0, w * (s * m1 + at * m0), w * (s * s * m2 + 2 * s * at * m1 + at * at * m0)]


def _to_level(m: list[Ball], q: Ball) -> tuple[Ball, Ball, Ball]:
    """Return int e^2 p, int e p and int x e p, e = q - x."""
    return m[2] - 2 * q * m[1] + q * q * m[0], q * m[0] - m[1], q * m[1] - m[2]


def _within(m: list[Ball], part: Stretch) -> tuple[Ball, Ball, Ball]:
    a, b = ball(part.low), ball(part.high)
    if part.share is None:
        return (a + b) * m[1] - a * b * m[0] - m[2], ball(0), ball(0)
    share = ball(part.share)
    below, above = _to_level(m, a), _to_level(m, b)
    square, first, lever = ((1 - share) * u + share * v for u, v in zip(below, above, strict=True))
    return square, first, lever
