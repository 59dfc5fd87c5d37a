"""The expected errors in long uniform runs, with a bound of what is left out.

With B the periodic Bernoulli polynomials and u the place of x in its interval of length D,
rounding at a threshold 1 - s has e = D (s - 1/2 - B_1(u + s)), s = 0, 1/2, 1 for down, nearest, up,
and e^2 = D^2 ((s - 1/2)^2 + 1/12 - 2 (s - 1/2) B_1 + B_2). Repeated integration by parts gives

    int B_n(u + s) f = sum_j<J (-1)^j D^(j+1) n!/(n+1+j)! [B_(n+1+j)(s) f^(j)] + R,
    |R| <= 4 n! D^J / (2 pi)^(n+J) int |f^(J)| <= 4 n! J! (D / (2 pi r))^J M W / (2 pi)^n

since |B_m| <= 4 m!/(2 pi)^m (DLMF 24.9.5) and, by Cauchy, |f^(J)| <= J! M / r^J where |f| <= M
within r of the run, W its width. A run that is too coarse for this is cut in two, down to intervals
that are visited one by one.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from itertools import pairwise

from qerror.exceptions import TooLarge
from qerror.grids import Grid
from qerror.rigorous._context import Balls, Context, Number
from qerror.rigorous._continued import bound, derivatives
from qerror.rigorous._laws import Part
from qerror.rigorous._sums import Inner, Levels, boundary_of
from qerror.rounding import RoundingRule

_FEW = 32  # intervals that are visited one by one
_MOST = 2**17  # of them in all
_TOLERANCE = 2.0**-72  # of the rounding error: what a run may leave out
_ORDERS = (4, 6, 8, 12, 16, 24, 32, 48)  # J
_SHARES = {"down": 0, "up": 1}


@dataclass(frozen=True)
class Run:
    """Equally spaced levels start, start + step, ..., and whether the first has an even code."""

    start: Fraction
    step: Fraction
    count: int
    even_first: bool

    def point(self, i: int) -> Fraction:
        """Return a level."""
        return self.start + i * self.step

    def part(self, first: int, last: int) -> "Run":
        """Return the intervals from one level to another."""
        even = self.even_first == (first % 2 == 0)
        return Run(self.point(first), self.step, last - first, even)


@dataclass(frozen=True)
class LongLevels:
    """The levels of a scaled grid as runs of exact rationals."""

    runs: tuple[Run, ...]
    rule: RoundingRule

    @classmethod
    def of(cls, grid: Grid, rule: RoundingRule) -> "LongLevels":
        """Take a grid's segments, for rounding to the nearest, up, down or toward zero."""
        factor, index, runs = Fraction(grid.factor), 0, list[Run]()
        lists = (grid.edges[:-1].tolist(), grid.steps.tolist(), grid.counts.tolist())
        for start, step, count in zip(*lists, strict=True):
            even = (index % 2 == 0) == grid.even_first
            runs.append(Run(factor * Fraction(start), factor * Fraction(step), count, even))
            index += count
        return cls(tuple(runs), rule)

    @property
    def lowest(self) -> Fraction:
        """The first level."""
        return self.runs[0].start

    @property
    def highest(self) -> Fraction:
        """The last level."""
        return self.runs[-1].point(self.runs[-1].count)

    def level(self, x: Fraction) -> Fraction:
        """Return the level that a single value goes to, ties by the rule."""
        if x >= self.highest:
            return self.highest
        if x <= self.lowest:
            return self.lowest
        run = next(run for run in self.runs if x < run.point(run.count))
        i = math.floor((x - run.start) / run.step)
        return self._listed(run.part(i, i + 1)).level(x)

    def inside(self, part: Part, c: Context) -> Inner:
        """Return int e^2 p, int e p and int x e p within the range."""
        if not isinstance(c, Balls):
            raise TooLarge(
                "high precision visits every level, at most 2^16 + 1 of them; of more, "
                "method='enclosure' gives the figures by runs"
            )
        sides = [side for run in self.runs for side in self._sides(run, part)]
        size = c.number(0.0)
        masses = [_mass(run, part, c) for run in sides]
        for run, mass in zip(sides, masses, strict=True):
            size += c.number(run.step * run.step) * mass / 12
        total = Inner(c.number(0.0), c.number(0.0), c.number(0.0))
        allowed = max(float(size.upper()), 5e-324) * _TOLERANCE
        visited = 0
        for run in sides:
            for found, alone in self._cut(run, part, c, allowed):
                total, visited = total.plus(found), visited + alone
                if visited > _MOST:
                    raise _too_coarse()
        return total

    def _sides(self, run: Run, part: Part) -> Iterator[Run]:
        """Cut a run at the limits of a piece, at its centre and at 0, and drop what is beyond."""
        spread, middle = float(part.spread.mid()), float(part.location.mid())
        places = [part.low, part.high, middle, 0.0, middle - spread, middle + spread]
        cuts = {0, run.count}
        for place in places:
            if math.isfinite(place):
                at = (Fraction(place) - run.start) / run.step
                cuts |= set(range(math.floor(at) - 1, math.ceil(at) + 2))
        inner = sorted(i for i in cuts if 0 <= i <= run.count)
        for first, last in pairwise(inner):
            low, high = run.point(first), run.point(last)
            if high > part.low and low < part.high:
                yield run.part(first, last)

    def _cut(self, run: Run, part: Part, c: Balls, allowed: float) -> Iterator[tuple[Inner, int]]:
        """Yield the sums of a run, or of its parts, and how many intervals were visited for it."""
        left = [run]
        while left:
            each = left.pop()
            found = _negligible(each, part, c, allowed)
            if found is None and each.count > _FEW:
                found = _smooth(each, part, c, allowed, self._share(each))
            if found is not None:
                yield found, 0
                continue
            if each.count <= _FEW:
                yield self._listed(each).inside(part, c), each.count
                continue
            middle = each.count // 2
            left += [each.part(0, middle), each.part(middle, each.count)]

    def _share(self, run: Run) -> Fraction:
        """Return s: where in its interval a threshold lies, counted from above."""
        if self.rule.mode == "toward-zero":
            return Fraction(0 if run.start >= 0 else 1)
        return Fraction(_SHARES.get(self.rule.mode, Fraction(1, 2)))

    def _listed(self, run: Run) -> Levels:
        points = [run.point(i) for i in range(run.count + 1)]
        even = [run.even_first == (i % 2 == 0) for i in range(run.count + 1)]
        ends = zip(points, points[1:], even[1:], strict=False)
        return Levels(points, [boundary_of(*each, self.rule) for each in ends], even, self.rule)


def _too_coarse() -> TooLarge:
    return TooLarge(
        f"more than {_MOST:,} intervals of this grid are too coarse for the density to be taken "
        "together, and are not visited one by one; take a format of at most 16 bits"
    )


def _mass(run: Run, part: Part, c: Balls) -> Number:
    """Return the probability of a run; not below 0."""
    return (part.weight * _between(part, c, *_within(run, part), 0)).nonnegative_part()


def _between(part: Part, c: Balls, low: Fraction, high: Fraction, k: int) -> Number:
    """Return int z^k p(z) dz; below the centre by the mirror image, whose tail loses no digits."""
    ends = [(c.number(x) - part.location) / part.spread for x in (low, high)]
    mirrored = bool(ends[1] <= 0)
    if mirrored:
        ends = [-ends[1], -ends[0]]
    one, other = (part.shape.antiderivative(c, z, k) for z in ends)
    return one - other if mirrored and k % 2 else other - one


def _within(run: Run, part: Part) -> tuple[Fraction, Fraction]:
    """Return the ends of a run, or of the piece in it."""
    low, high = run.point(0), run.point(run.count)
    if low < part.low:
        low = Fraction(part.low)
    return low, Fraction(part.high) if high > part.high else high


def _negligible(run: Run, part: Part, c: Balls, allowed: float) -> Inner | None:
    """Return balls that contain what a run may contribute, where that is next to nothing."""
    mass, step = _mass(run, part, c), c.number(run.step)
    far = c.number(max(abs(run.point(0)), abs(run.point(run.count))))
    first, square = step * mass, step * step * mass
    lever = far * first
    root = math.sqrt(allowed) * math.sqrt(_TOLERANCE)
    small = float(square.upper()) <= allowed and float(lever.upper()) <= allowed
    if not (small and float(first.upper()) <= root):
        return None
    zero = c.number(0.0)
    # A square is none below zero: the ball is about the middle.
    return Inner(c.ball(square / 2, square / 2), c.ball(zero, first), c.ball(zero, lever))


def _smooth(run: Run, part: Part, c: Balls, allowed: float, share: Fraction) -> Inner | None:
    """Return the sums of a run by its ends, if the bound of the rest allows it."""
    low, high = run.point(0), run.point(run.count)
    if low < part.low or high > part.high:
        return None
    w, s = part.weight, part.spread
    ends: list[Number] = [(c.number(x) - part.location) / s for x in (low, high)]
    if not (ends[0] >= 0 or ends[1] <= 0):
        return None
    width = ends[1] - ends[0]
    r, d = width / 2, c.number(run.step) / s
    most = bound(c, part.shape, ends[0], ends[1], r)
    if most is None:
        return None
    far = c.number(max(abs(low), abs(high))) + s * r
    step = c.number(run.step)
    small = d / (2 * c.pi() * r)
    root = math.sqrt(allowed) * math.sqrt(_TOLERANCE)
    for order in _ORDERS:
        rest: Number = 4 * math.factorial(order) * small**order * most * width * w / (2 * c.pi())
        # |s - 1/2| <= 1/2, and n!/(2 pi)^n of B_2 is less than that of B_1.
        square, first, lever = 2 * step * step * rest, step * rest, step * far * rest
        sizes = [float(each.upper()) for each in (square, first, lever)]
        if sizes[0] <= allowed and sizes[1] <= root and sizes[2] <= allowed:
            found = _by_ends(run, part, c, order, share)
            return Inner(
                *(c.ball(a, b) for a, b in zip(found, (square, first, lever), strict=True))
            )
    return None


def _by_ends(run: Run, part: Part, c: Balls, order: int, share: Fraction) -> Inner:
    """Return the three sums without their remainders."""
    s, step = part.spread, c.number(run.step)
    d, zero = step / s, c.number(0.0)
    mass, moment = (_between(part, c, run.point(0), run.point(run.count), k) for k in (0, 1))
    one, two, lever = zero, zero, zero
    for side, x in ((-1, run.point(0)), (1, run.point(run.count))):
        at = c.number(x)
        p = derivatives(c, part.shape, (at - part.location) / s, order)
        power = c.number(1.0)
        for j in range(order):
            power = -power * d if j else d
            g = at * p[j] + (s * j * p[j - 1] if j else zero)
            b1, b2 = (c.number(_term(n, j, share)) for n in (1, 2))
            one += side * power * b1 * p[j]
            two += side * power * b2 * p[j]
            lever += side * power * b1 * g
    lean = c.number(share - Fraction(1, 2))
    w = part.weight
    square = (lean * lean + c.number(Fraction(1, 12))) * mass - 2 * lean * one + two
    x_mass = part.location * mass + s * moment
    return Inner(
        w * step * step * square,
        w * step * (lean * mass - one),
        w * step * (lean * x_mass - lever),
    )


@lru_cache(maxsize=512)
def _term(n: int, j: int, share: Fraction) -> Fraction:
    """Return n!/(n+1+j)! B_(n+1+j)(s)."""
    m = n + 1 + j
    value = sum(
        (math.comb(m, k) * _bernoulli(k) * share ** (m - k) for k in range(m + 1)), Fraction(0)
    )
    return value * math.factorial(n) / math.factorial(m)


@lru_cache(maxsize=128)
def _bernoulli(n: int) -> Fraction:
    """Return B_n, with B_1 = -1/2."""
    if n == 0:
        return Fraction(1)
    total = sum((math.comb(n + 1, k) * _bernoulli(k) for k in range(n)), Fraction(0))
    return -total / (n + 1)
