"""Rigorous expected errors in ball arithmetic, from the papers' closed forms at any precision.

Each quantity is a difference of partial moments, which cancels without mercy; the balls of Arb
say how far, and the precision is doubled until at least `BITS` correct bits are left. Nothing
here shares code with the library: from a density only its parameters are read.
"""

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from fractions import Fraction
from itertools import pairwise
from typing import Any, NamedTuple, TypeAlias, TypeVar

import flint

from qerror.densities import (
    Arcsine,
    Clipped,
    Density,
    Discrete,
    Empirical,
    Gaussian,
    GeneralizedGaussian,
    HalfGaussian,
    Laplace,
    Logistic,
    LogUniform,
    Mixture,
    Rectified,
    StudentT,
    Truncated,
    Uniform,
)
from qerror.grids import Grid

T = TypeVar("T")
Ball: TypeAlias = Any
"""A flint.arb: a midpoint and a rigorous radius."""

BITS = 110  # correct bits that an answer must keep
FIRST, LAST = 256, 2**15  # bits of working precision that are tried
INF = math.inf

flint.ctx.prec = FIRST  # what tests compute with; flint's own default is 53


class Undecided(ArithmeticError):
    """The precision does not suffice."""


class Shape(NamedTuple):
    """A standard law: its name and its parameter."""

    name: str
    parameter: float = 0.0


def ball(x: float | Fraction | Ball) -> Ball:
    """Return x as a ball; floats are exact."""
    if isinstance(x, Fraction):
        return flint.arb(flint.fmpq(x.numerator, x.denominator))
    return flint.arb(x)


def upper_moments(shape: Shape, z: Ball) -> list[Ball]:  # noqa: PLR0911 - one family a line
    """Return int_z^inf y^k p(y) dy, k = 0, 1, 2, for z >= 0 (up to a constant if infinite)."""
    match shape.name:
        case "gaussian":
            mass = (z / ball(2).sqrt()).erfc() / 2
            p = (-z * z / 2).exp() / (2 * flint.arb.pi()).sqrt()
            return [mass, p, z * p + mass]
        case "laplace":
            p = (-z).exp() / 2
            return [p, (z + 1) * p, (z * z + 2 * z + 2) * p]
        case "logistic":
            e = (-z).exp()
            mass, log = e / (1 + e), e.log1p()
            return [mass, z * mass + log, z * z * mass + 2 * (z * log - (-e).polylog(2))]
        case "generalized-gaussian":
            beta = ball(shape.parameter)
            power = z**beta if z > 0 else ball(0)
            scale = 2 * (1 / beta).gamma()
            return [power.gamma_upper((k + 1) / beta) / scale for k in range(3)]
        case "student-t":
            return [_student_upper(ball(shape.parameter), z, k) for k in range(3)]
        case "flat":
            return [-(z ** (k + 1)) / (k + 1) for k in range(3)]
        case "arcsine":
            height = (1 - z * z).nonnegative_part().sqrt()
            angle = flint.arb.atan2(height, z)
            return [x / flint.arb.pi() for x in (angle, height, (angle + z * height) / 2)]
        case "reciprocal":
            # From 1 on: a piece ends before 0, and its own limits are all that counts.
            return [-z.log() if z > 0 else ball(0), -z, -z * z / 2]
        case _:
            raise AssertionError(shape)


def _student_peak(nu: Ball) -> Ball:
    return ((nu + 1) / 2).gamma() / ((nu / 2).gamma() * (nu * flint.arb.pi()).sqrt())


def _student_upper(nu: Ball, z: Ball, k: int) -> Ball:
    peak = _student_peak(nu)
    if nu > k:
        t = nu / (nu + z * z)
        order = nu ** (ball(k + 1) / 2)
        return peak * order / 2 * t.beta_lower((nu - k) / 2, ball(k + 1) / 2)
    # Infinite: the integral from 0, with its sign turned, has the same differences.
    half = ball(k + 1) / 2
    return -peak * z ** (k + 1) / (k + 1) * (-z * z / nu).hypgeom_2f1((nu + 1) / 2, half, half + 1)


def density_at(shape: Shape, z: Ball) -> Ball:  # noqa: PLR0911 - one family a line
    """Return the standard density."""
    z = abs(z)
    match shape.name:
        case "gaussian":
            return (-z * z / 2).exp() / (2 * flint.arb.pi()).sqrt()
        case "laplace":
            return (-z).exp() / 2
        case "logistic":
            return (-z).exp() / (1 + (-z).exp()) ** 2
        case "generalized-gaussian":
            beta = ball(shape.parameter)
            power = z**beta if z > 0 else ball(0)
            return beta * (-power).exp() / (2 * (1 / beta).gamma())
        case "student-t":
            nu = ball(shape.parameter)
            return _student_peak(nu) * (1 + z * z / nu) ** (-(nu + 1) / 2)
        case "flat":
            return ball(1)
        case "arcsine":
            square = 1 - z * z
            return 1 / (flint.arb.pi() * square.sqrt()) if square > 0 else flint.arb.pos_inf()
        case "reciprocal":
            return 1 / z
        case _:
            raise AssertionError(shape)


def limits_at_infinity(shape: Shape) -> list[Ball]:
    """Return the upper moments at infinity: 0 where they exist."""
    exists = shape.parameter if shape.name == "student-t" else INF
    return [ball(0) if exists > k else flint.arb.neg_inf() for k in range(3)]


def local_moments(shape: Shape, edges: Sequence[Ball]) -> Iterator[list[Ball]]:
    """Yield int y^k p(y) dy, k = 0, 1, 2, between neighbours of an increasing list."""
    zero = upper_moments(shape, ball(0))
    sides = [(edge >= 0, _moments_or_limit(shape, abs(edge))) for edge in edges]
    for (above_a, a), (above_b, b) in pairwise(sides):
        if above_a:
            yield [x - y for x, y in zip(a, b, strict=True)]
        elif not above_b:
            yield [(-1) ** k * (y - x) for k, (x, y) in enumerate(zip(a, b, strict=True))]
        else:
            yield [
                (o - y) + (-1) ** k * (o - x)
                for k, (o, x, y) in enumerate(zip(zero, a, b, strict=True))
            ]


def _moments_or_limit(shape: Shape, z: Ball) -> list[Ball]:
    return upper_moments(shape, z) if z.is_finite() else limits_at_infinity(shape)


def centred(moments: Sequence[Ball], q: Ball) -> tuple[Ball, Ball, Ball]:
    """Return int (y - q)^k p from int y^k p."""
    m0, m1, m2 = moments
    second = m2 if not m2.is_finite() else m2 - 2 * q * m1 + q * q * m0
    first = m1 if not m1.is_finite() else m1 - q * m0
    return m0, first, second


def cell(shape: Shape, q: float, left: float, right: float) -> tuple[Ball, Ball, Ball]:
    """Return int (y - q)^k p(y) dy over y - q in [left, right], k = 0, 1, 2, to `BITS` bits."""

    def attempt() -> tuple[Ball, Ball, Ball]:
        edges = [ball(q) + ball(left), ball(q) + ball(right)]
        mass, first, second = centred(next(local_moments(shape, edges)), ball(q))
        require(sure(mass) and sure(second))
        if first.is_finite() and second.is_finite():
            require(small(first, (mass * second).sqrt()))
        return mass, first, second

    return precisely(attempt)


def sure(x: Ball) -> bool:
    """Whether a ball has `BITS` correct bits, or is infinite or exactly known."""
    return not x.is_finite() or x.is_exact() or int(x.rel_accuracy_bits()) >= BITS


def small(x: Ball, unit: Ball) -> bool:
    """Whether a ball's radius is below 2^-BITS of a unit."""
    return bool(x.rad() <= abs(unit.mid()) * ball(2) ** -BITS)


def require(condition: bool) -> None:
    """Ask for more precision unless the condition holds."""
    if not condition:
        raise Undecided


def precisely(attempt: Callable[[], T], first: int = FIRST) -> T:
    """Run with doubled precision until nothing is undecided."""
    precision = first
    while precision <= LAST:
        with flint.ctx.workprec(precision):
            try:
                return attempt()
            except Undecided:
                precision *= 2
    raise AssertionError("no precision suffices")


class Part(NamedTuple):
    """weight / spread * p((x - location) / spread) between the limits."""

    shape: Shape
    weight: Ball = 1
    location: float | Ball = 0.0
    spread: float | Ball = 1.0
    low: float = -INF
    high: float = INF

    def standard(self, x: Ball) -> Ball:
        return (x - ball(self.location)) / ball(self.spread)

    def cut(self, low: float, high: float) -> "Part":
        return self._replace(low=max(low, self.low), high=min(high, self.high))

    def mass(self) -> Ball:
        edges = [self.standard(ball(x)) for x in (self.low, self.high)]
        return self.weight * next(local_moments(self.shape, edges))[0]


class Parts(NamedTuple):
    """A density taken apart, with nothing rounded."""

    pieces: list[Part]
    atoms: dict[float, Ball]


def take_apart(density: Density) -> Parts:  # noqa: PLR0911, PLR0912 - one family a line
    """Return a density's parts from its parameters alone, at the present precision."""
    match density:
        case Gaussian(mean, std):
            return Parts([Part(Shape("gaussian"), ball(1), mean, std)], {})
        case HalfGaussian(std):
            return Parts([Part(Shape("gaussian"), ball(2), 0.0, std, low=0.0)], {})
        case Laplace(loc, scale):
            return Parts([Part(Shape("laplace"), ball(1), loc, scale)], {})
        case Logistic(loc, scale):
            return Parts([Part(Shape("logistic"), ball(1), loc, scale)], {})
        case GeneralizedGaussian(beta, loc, scale):
            return Parts([Part(Shape("generalized-gaussian", beta), ball(1), loc, scale)], {})
        case StudentT(nu, loc, scale):
            return Parts([Part(Shape("student-t", nu), ball(1), loc, scale)], {})
        case Uniform(low, high):
            weight = 1 / (ball(high) - ball(low))
            return Parts([Part(Shape("flat"), weight, low=low, high=high)], {})
        case Arcsine(low, high):
            half, centre = (ball(high) - ball(low)) / 2, (ball(high) + ball(low)) / 2
            return Parts([Part(Shape("arcsine"), ball(1), centre, half, low, high)], {})
        case LogUniform(low, high):
            weight = 1 / (ball(high) / ball(low)).log()
            return Parts([Part(Shape("reciprocal"), weight, low=low, high=high)], {})
        case Discrete(values, probabilities):
            return Parts([], {x: ball(p) for x, p in zip(values, probabilities, strict=True)})
        case Empirical():
            shares = zip(*(part.tolist() for part in density.atoms()), strict=True)
            return Parts([], {x: _share(p, density.size) for x, p in shares})
        case Truncated(inner, low, high):
            return _truncate(take_apart(inner), low, high)
        case Clipped(inner, low, high):
            return _clip(take_apart(inner), low, high)
        case Rectified(inner):
            return _clip(take_apart(inner), 0.0, INF)
        case Mixture(components, weights):
            return _mix(map(take_apart, components), weights)
        case _:
            raise AssertionError(density)


def _inside(parts: Parts, low: float, high: float) -> Parts:
    pieces = [piece.cut(low, high) for piece in parts.pieces]
    atoms = {x: p for x, p in parts.atoms.items() if low <= x <= high}
    return Parts([piece for piece in pieces if piece.low < piece.high], atoms)


def _total(parts: Parts) -> Ball:
    return sum((piece.mass() for piece in parts.pieces), sum(parts.atoms.values(), ball(0)))


def _share(share: float, size: int) -> Ball:
    """Return the fraction of a sample that a rounded share stands for."""
    return ball(Fraction(share).limit_denominator(size))


def _truncate(parts: Parts, low: float, high: float) -> Parts:
    kept = _inside(parts, low, high)
    total = _total(kept)
    pieces = [piece._replace(weight=piece.weight / total) for piece in kept.pieces]
    return Parts(pieces, {x: p / total for x, p in kept.atoms.items()})


def _clip(parts: Parts, low: float, high: float) -> Parts:
    kept = _inside(parts, low, high)
    atoms = {x: p for x, p in kept.atoms.items() if low < x < high}
    for limit, tail in ((low, _inside(parts, -INF, low)), (high, _inside(parts, high, INF))):
        if math.isfinite(limit):
            atoms[limit] = _total(tail)
    return Parts(kept.pieces, atoms)


def _mix(components: Iterable[Parts], weights: Sequence[float]) -> Parts:
    pieces: list[Part] = []
    atoms: dict[float, Ball] = {}
    for parts, weight in zip(components, weights, strict=True):
        pieces += [piece._replace(weight=piece.weight * ball(weight)) for piece in parts.pieces]
        for x, p in parts.atoms.items():
            atoms[x] = atoms.get(x, ball(0)) + p * ball(weight)
    return Parts(pieces, atoms)


class Exact(NamedTuple):
    """Expected errors as balls, by the names of an `ErrorReport`."""

    rounding: Ball
    clipping_low: Ball
    clipping_high: Ball
    mean_error: Ball
    cross_moment: Ball
    signal_power: Ball
    signal_mean: Ball

    @property
    def mse(self) -> Ball:
        return self.rounding + self.clipping_low + self.clipping_high


def exact_points(grid: Grid, scale: float) -> list[Fraction]:
    """Return the scaled grid's points as exact rationals."""
    factor = Fraction(float(grid.factor * scale))
    return [Fraction(x) * factor for x in grid.base_points.tolist()]


def exact_report(grid: Grid, density: Density, scale: float = 1.0) -> Exact:
    """Return the expected errors of rounding to `grid.scaled(scale)`."""
    points = exact_points(grid, scale)
    return precisely(lambda: _report(points, grid.even_first, density))


def _report(points: list[Fraction], even_first: bool, density: Density) -> Exact:
    parts = take_apart(density)
    middles = [(a + b) / 2 for a, b in pairwise(points)]
    edges = [ball(x) for x in (-INF, points[0], *middles, points[-1], INF)]
    levels = [ball(x) for x in (points[0], *points, points[-1])]
    zero = ball(0)
    low, inner, high, mean_error, cross, power, mean, mass = (zero,) * 8
    for piece in parts.pieces:
        limits = ball(piece.low), ball(piece.high)
        inside = [piece.standard(limits[0].max(edge.min(limits[1]))) for edge in edges]
        s, w, at = ball(piece.spread), piece.weight, ball(piece.location)
        last = len(levels) - 1
        for i, (m, q) in enumerate(zip(local_moments(piece.shape, inside), levels, strict=True)):
            m0, first, second = centred(m, piece.standard(q))
            m0, first, second = w * m0, w * s * first, w * s * s * second
            low += second if i == 0 else zero
            high += second if i == last else zero
            inner += second if 0 < i < last else zero
            mean_error -= first
            cross -= second + q * first if second.is_finite() else flint.arb.pos_inf()
            mass += m0
        whole = next(local_moments(piece.shape, [inside[0], inside[-1]]))
        mean += w * (s * whole[1] + at * whole[0])
        _, _, about = centred(whole, -at / s)
        power += w * s * s * about
    for x, p in parts.atoms.items():
        exact = Fraction(x)
        error = ball(nearest(points, even_first, exact) - exact)
        square = error * error * p
        low += square if exact < points[0] else zero
        high += square if exact > points[-1] else zero
        inner += square if points[0] <= exact <= points[-1] else zero
        mean_error += error * p
        cross += ball(exact) * error * p
        mean += ball(exact) * p
        power += ball(exact) ** 2 * p
        mass += p
    found = Exact(inner, low, high, mean_error, cross, power, mean)
    require(small(mass - 1, ball(1)) and abs(mass - 1).mid() < 1e-15)
    _check(found)
    return found


def _check(found: Exact) -> None:
    tiny = ball(2) ** -1200
    for term in found[:3]:
        require(sure(term) or bool(term.rad() < tiny and abs(term) < tiny))
    mse = found.mse
    require(sure(found.signal_power))
    if mse.is_finite():
        require(small(found.cross_moment, mse))
        require(small(found.mean_error, mse.sqrt()) or bool(found.mean_error.rad() < tiny))


def nearest(points: Sequence[Fraction], even_first: bool, x: Fraction) -> Fraction:
    """Return the point nearest to x; a tie goes to the even code."""
    distance = [abs(x - point) for point in points]
    least = min(distance)
    parity = 0 if even_first else 1
    tied = [i for i, d in enumerate(distance) if d == least]
    even = [i for i in tied if i % 2 == parity]
    return points[(even or tied)[0]]


def off(value: float, exact: Ball, unit: Ball | float | None = None) -> float:
    """Return |value - exact| in units of `unit`, |exact| if None; infinities must agree."""
    if not exact.is_finite():
        return 0.0 if float(exact) == value else INF
    gap = abs(ball(float(value)) - exact).mid()
    if gap == 0:
        return 0.0
    base = abs(exact if unit is None else ball(unit)).mid()
    return float(gap / base) if base > 0 else INF


def exact_pdf(density: Density, x: float) -> Ball:
    """Return the continuous part's density at x, inside or at its limits."""
    total = ball(0)
    for piece in take_apart(density).pieces:
        if piece.low <= x <= piece.high:
            level = piece.weight / ball(piece.spread)
            total += level * density_at(piece.shape, piece.standard(ball(x)))
    return total


def exact_cdf(density: Density, x: float) -> Ball:
    """Return P(X <= x)."""

    def attempt() -> Ball:
        parts = take_apart(density)
        below = _inside(parts, -INF, x)
        total = _total(below)
        require(bool(total.rad() < ball(2) ** -BITS))
        return total

    return precisely(attempt)


class Moments(NamedTuple):
    """E[X] and E[X^2] and the variance."""

    mean: Ball
    second_moment: Ball
    variance: Ball


def exact_moments(density: Density) -> Moments:
    """Return the moments; finite ones only."""
    grid = Grid.from_points([0.0])
    found = exact_report(grid, density)
    mean, power = found.signal_mean, found.signal_power
    return Moments(mean, power, power - mean * mean)
