"""Distributions, bands and enclosures against sums at fifty digits that share nothing with them.

Grids are written down level by level, laws by their formulas (DLMF 7.2, 8.17), rounding by the
definition; every case is drawn at random: asymmetric grids and laws, truncated, clipped, mixed,
and point masses.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import mpmath
import numpy as np
import pytest

from qerror import error_distribution, expected_bands, quantization_error

Real = Any  # an mpmath number
DIGITS = 50


@dataclass
class Law:
    """A density between two ends with its distribution function, and point masses."""

    text: str
    pdf: Callable[[Real], Real]
    below: Callable[[Real], Real]
    """P(X < x) of the continuous part, to relative accuracy at the left."""
    above: Callable[[Real], Real]
    low: Real = -mpmath.inf
    high: Real = mpmath.inf
    kinks: tuple[float, ...] = ()
    atoms: tuple[tuple[float, float], ...] = ()
    light: bool = True

    def mass(self, a: Real, b: Real) -> Real:
        """P(a < X < b) of the continuous part, from the nearer tail."""
        a, b = max(a, self.low), min(b, self.high)
        if a >= b:
            return mpmath.mpf(0)
        if a > 0:
            return self.above(a) - self.above(b)
        return self.below(b) - self.below(a)


def gaussian(mean: float, std: float) -> Law:
    m, s = mpmath.mpf(mean), mpmath.mpf(std)
    return Law(
        f"gaussian(mean={mean!r}, std={std!r})",
        lambda x: mpmath.exp(-(((x - m) / s) ** 2) / 2) / (s * mpmath.sqrt(2 * mpmath.pi)),
        lambda x: mpmath.erfc(-(x - m) / s / mpmath.sqrt(2)) / 2,
        lambda x: mpmath.erfc((x - m) / s / mpmath.sqrt(2)) / 2,
    )


def laplace(loc: float, scale: float) -> Law:
    m, s = mpmath.mpf(loc), mpmath.mpf(scale)

    def tail(y: Real) -> Real:
        return mpmath.exp(-y) / 2 if y > 0 else 1 - mpmath.exp(y) / 2

    return Law(
        f"laplace(loc={loc!r}, scale={scale!r})",
        lambda x: mpmath.exp(-abs(x - m) / s) / (2 * s),
        lambda x: tail(-(x - m) / s),
        lambda x: tail((x - m) / s),
        kinks=(loc,),
    )


def logistic(loc: float, scale: float) -> Law:
    m, s = mpmath.mpf(loc), mpmath.mpf(scale)

    def tail(y: Real) -> Real:
        return mpmath.exp(-y) / (1 + mpmath.exp(-y)) if y > 0 else 1 / (1 + mpmath.exp(y))

    return Law(
        f"logistic(loc={loc!r}, scale={scale!r})",
        lambda x: mpmath.sech((x - m) / s / 2) ** 2 / (4 * s),
        lambda x: tail(-(x - m) / s),
        lambda x: tail((x - m) / s),
    )


def student(nu: float, loc: float, scale: float) -> Law:
    v, m, s = (mpmath.mpf(each) for each in (nu, loc, scale))
    unit = 1 / (mpmath.sqrt(v) * mpmath.beta(v / 2, mpmath.mpf(1) / 2) * s)

    def tail(y: Real) -> Real:
        if mpmath.isinf(y):
            return mpmath.mpf(0) if y > 0 else mpmath.mpf(1)
        half = mpmath.betainc(v / 2, 0.5, 0, v / (v + y * y), regularized=True) / 2
        return half if y > 0 else 1 - half

    return Law(
        f"student-t(nu={nu!r}, loc={loc!r}, scale={scale!r})",
        lambda x: unit * (1 + ((x - m) / s) ** 2 / v) ** (-(v + 1) / 2),
        lambda x: tail(-(x - m) / s),
        lambda x: tail((x - m) / s),
        light=False,
    )


def uniform(low: float, high: float) -> Law:
    a, b = mpmath.mpf(low), mpmath.mpf(high)
    return Law(
        f"uniform(low={low!r}, high={high!r})",
        lambda _: 1 / (b - a),
        lambda x: (x - a) / (b - a),
        lambda x: (b - x) / (b - a),
        a,
        b,
    )


def half_gaussian(std: float) -> Law:
    one = gaussian(0.0, std)
    return Law(
        f"half-gaussian(std={std!r})",
        lambda x: 2 * one.pdf(x),
        lambda x: 2 * one.below(x) - 1,
        lambda x: 2 * one.above(x),
        mpmath.mpf(0),
    )


def truncated(law: Law, low: float, high: float) -> Law:
    a, b = mpmath.mpf(low), mpmath.mpf(high)
    total = law.mass(a, b)
    return Law(
        f"truncated({law.text}, low={low!r}, high={high!r})",
        lambda x: law.pdf(x) / total,
        lambda x: law.mass(a, x) / total,
        lambda x: law.mass(x, b) / total,
        max(a, law.low),
        min(b, law.high),
        law.kinks,
    )


def clipped(law: Law, low: float, high: float) -> Law:
    a, b = mpmath.mpf(low), mpmath.mpf(high)
    ends = ((low, law.mass(-mpmath.inf, a)), (high, law.mass(b, mpmath.inf)))
    return Law(
        f"clipped({law.text}, low={low!r}, high={high!r})",
        law.pdf,
        law.below,
        law.above,
        max(a, law.low),
        min(b, law.high),
        law.kinks,
        tuple(each for each in ends if each[1] > 0),
    )


def draw_one(rng: np.random.Generator, *, tame: bool) -> Law:
    """Draw a law, of numbers with few digits that float64 holds."""

    def number(low: float, high: float) -> float:
        return float(np.round(rng.uniform(low, high) * 64) / 64)

    kind = int(rng.integers(5 if tame else 6))
    if kind == 0:
        return gaussian(number(-1, 1), number(0.25, 2))
    if kind == 1:
        return laplace(number(-1, 1), number(0.25, 2))
    if kind == 2:
        return logistic(number(-1, 1), number(0.25, 1))
    if kind == 3:
        low = number(-3, 0)
        return uniform(low, low + number(0.25, 4))
    if kind == 4:
        return half_gaussian(number(0.25, 2))
    return student(float(rng.choice([1.0, 2.5, 3.0, 5.0, 9.0])), number(-1, 1), number(0.25, 2))


def draw_law(rng: np.random.Generator, *, tame: bool = False) -> list[tuple[float, Law]]:
    """Draw a law as a mixture: one part mostly, cut or clipped often."""
    one = draw_one(rng, tame=tame)
    way = int(rng.integers(5))
    if way == 1:
        reached = one.low < 0 < one.high or one.low >= 0
        return [
            (1.0, truncated(one, -0.5 if reached else -4.0, float(rng.choice([0.25, 1.5, 3.0]))))
        ]
    if way == 2:
        return [(1.0, clipped(one, -1.25, float(rng.choice([0.375, 1.0, 2.5]))))]
    if way == 3:
        return [(0.75, one), (0.25, draw_one(rng, tame=tame))]
    if way == 4:
        values = np.unique(np.round(rng.normal(size=4) * 16) / 16)
        atoms = tuple((float(v), 1 / values.size) for v in values)
        listed = ", ".join(map(repr, (v for v, _ in atoms)))
        shares = ", ".join(repr(p) for _, p in atoms)
        text, none = f"discrete(values=[{listed}], probabilities=[{shares}])", mpmath.mpf(0)
        point = Law(text, *_nothing(), none, none, atoms=atoms)
        return [(0.5, one), (0.5, point)]
    return [(1.0, one)]


def _nothing() -> tuple[Callable[[Real], Real], Callable[[Real], Real], Callable[[Real], Real]]:
    return (lambda _: mpmath.mpf(0), lambda _: mpmath.mpf(0), lambda _: mpmath.mpf(0))


def text_of(parts: list[tuple[float, Law]]) -> str:
    if len(parts) == 1:
        return parts[0][1].text
    return "mixture(" + ", ".join(f"{w!r}*{law.text}" for w, law in parts) + ")"


@dataclass
class Levels:
    """Levels in ascending order, and whether each has an even code."""

    name: str
    points: list[Real]
    even: list[bool]


def integers(name: str, low: int, high: int) -> Levels:
    codes = range(low, high + 1)
    return Levels(name, [mpmath.mpf(k) for k in codes], [k % 2 == 0 for k in codes])


def floats(name: str, mantissa: int, exponent: int) -> Levels:
    """xMyE: no reserved codes, a bias of 2^(y - 1)."""
    bias, one = 2 ** (exponent - 1), 2**mantissa
    sizes = [
        mpmath.mpf(f) * mpmath.mpf(2) ** (1 - bias - mantissa)
        if e == 0
        else mpmath.mpf(one + f) * mpmath.mpf(2) ** (e - bias - mantissa)
        for e in range(2**exponent)
        for f in range(one)
    ]
    even = [code % 2 == 0 for code in range(len(sizes))]
    return Levels(name, [-x for x in sizes[:0:-1]] + sizes, even[:0:-1] + even)


FORMATS = (
    integers("int4", -7, 7),
    integers("int4:full", -8, 7),
    integers("uint4", 0, 15),
    integers("int3", -3, 3),
    floats("2M1E", 2, 1),
    floats("1M2E", 1, 2),
    floats("2M3E", 2, 3),
    floats("3M2E", 3, 2),
)


@dataclass
class Case:
    """Levels at a scale, and a law."""

    levels: Levels
    scale: float
    parts: list[tuple[float, Law]]

    @property
    def points(self) -> list[Real]:
        return [x * mpmath.mpf(self.scale) for x in self.levels.points]

    def cells(self) -> Iterator[tuple[Real, Real, Real]]:
        """Yield a level and the ends of what is rounded to it."""
        points = self.points
        middles = [(a + b) / 2 for a, b in pairwise(points)]
        ends = [-mpmath.inf, *middles, mpmath.inf]
        yield from zip(points, ends[:-1], ends[1:], strict=True)

    def level(self, x: float) -> Real:
        """Return what a value is rounded to, ties to the even code.

        Both this library's roundings compare the quotient of value and scale in float64: 1.75 at
        the scale 0.7 is a tie to them, though float64's 0.7 lies below 7/10.
        """
        value = mpmath.mpf(x / self.scale)
        away = [abs(g - value) for g in self.levels.points]
        near = [i for i, each in enumerate(away) if each == min(away)]
        return self.points[next((i for i in near if self.levels.even[i]), near[0])]

    def probability(
        self,
        of: Callable[[Real, Real, Real], list[tuple[Real, Real]]],
        event: Callable[[Real, Real], bool],
    ) -> Real:
        """Return the mass of the intervals `of` each cell, and of the atoms of an event."""
        total = mpmath.mpf(0)
        for weight, law in self.parts:
            for cell in self.cells():
                total += weight * sum((law.mass(*part) for part in of(*cell)), mpmath.mpf(0))
            for x, p in law.atoms:
                if event(mpmath.mpf(x), self.level(x)):
                    total += weight * mpmath.mpf(p)
        return total

    def cdf(self, t: float) -> Real:
        limit = mpmath.mpf(t)
        return self.probability(
            lambda g, a, b: [(max(a, g - limit), b)], lambda x, g: g - x <= limit
        )

    def exceedance(self, atol: float, rtol: float) -> Real:
        """P(|e| > a + r |x|), by trying the middles between all places where it may turn."""
        a, r = mpmath.mpf(atol), mpmath.mpf(rtol)

        def over(x: Real, g: Real) -> bool:
            return bool(abs(g - x) > a + r * abs(x))

        def parts(g: Real, low: Real, high: Real) -> list[tuple[Real, Real]]:
            turns = [(g + s * a) / (1 + u * r) for s in (1, -1) for u in (1, -1) if 1 + u * r]
            cuts = sorted({low, high, *(x for x in (*turns, mpmath.mpf(0)) if low < x < high)})
            return [(p, q) for p, q in pairwise(cuts) if over(_inside(p, q), g)]

        return self.probability(parts, over)

    def mean(self, function: Callable[[Real, Real], Real]) -> Real:
        """E[f(X, e)]."""
        total = mpmath.mpf(0)
        for weight, law in self.parts:
            for g, low, high in self.cells():
                a, b = max(low, law.low), min(high, law.high)
                if a >= b:
                    continue
                inner = [x for x in (*map(mpmath.mpf, law.kinks), mpmath.mpf(0), g) if a < x < b]
                far = [x for x in (a + 3, a + 12) if mpmath.isinf(b)] if not mpmath.isinf(a) else []
                far += (
                    [x for x in (b - 12, b - 3) if mpmath.isinf(a)] if not mpmath.isinf(b) else []
                )
                part: Real = mpmath.quad(
                    lambda x, g=g, law=law: function(x, g - x) * law.pdf(x),
                    sorted({a, b, *inner, *far}),
                )
                total += weight * part
            for x, p in law.atoms:
                value = mpmath.mpf(x)
                total += weight * mpmath.mpf(p) * function(value, self.level(x) - value)
        return total


def _inside(p: Real, q: Real) -> Real:
    if mpmath.isinf(p):
        return q - 1
    return p + 1 if mpmath.isinf(q) else (p + q) / 2


def draw_case(seed: int, *, tame: bool = False) -> Case:
    rng = np.random.default_rng(seed)
    levels = FORMATS[int(rng.integers(len(FORMATS)))]
    # Tame ones have so few digits that middles between levels are floats: an enclosure is of the
    # grid's exact products, and a tie of quotients is none there.
    scale = float(2.0 ** rng.integers(-4, 1) * rng.choice([1.0, 1.25, 0.75 if tame else 0.7]))
    return Case(levels, scale, draw_law(rng, tame=tame))


def close(found: float, exact: Real, slack: float = 1e-12) -> None:
    assert found == pytest.approx(float(exact), rel=slack, abs=1e-300)


@pytest.mark.thinned(6)
@pytest.mark.parametrize("seed", range(60))
def test_the_distribution_of_the_error(seed: int) -> None:
    rng = np.random.default_rng(1000 + seed)
    with mpmath.workdps(DIGITS):
        case = draw_case(seed)
        found = error_distribution(case.levels.name, text_of(case.parts), case.scale)
        step = float(case.scale)
        for t in (0.0, -step / 4, step / 2, *(rng.normal(size=4) * step)):
            close(float(found.cdf(t)), case.cdf(float(t)))
        drawn = float(rng.uniform(0, step)), float(rng.uniform(0, step))
        pairs = (0.0, 0.0), (step / 4, 0.0), (0.0, 0.25), (0.0, 1.0), (step / 8, 1 / 16), drawn
        for a, r in pairs:
            close(float(found.exceedance(a, r)), case.exceedance(a, r))
        for p in (1e-9, 0.1, 0.5, 1 - 1e-6):
            q = float(found.quantile(p))
            nudge = 1e-11 * max(abs(q), step)
            assert case.cdf(q + nudge) >= p * (1 - 1e-12)
            assert case.cdf(q - nudge) <= p * (1 + 1e-12)


@pytest.mark.thinned(6)
@pytest.mark.parametrize("seed", range(16))
def test_bands_and_enclosures(seed: int) -> None:
    with mpmath.workdps(30):
        case = draw_case(seed, tame=True)
        text = text_of(case.parts)
        mse, power = case.mean(lambda _, e: e * e), case.mean(lambda x, _: x * x)
        cross = case.mean(lambda x, e: x * e)
        report = quantization_error(case.levels.name, text, case.scale)
        close(report.mse, mse)
        close(report.signal_power, power)
        assert report.cross_moment == pytest.approx(float(cross), rel=1e-12, abs=float(1e-13 * mse))
        proved = quantization_error(case.levels.name, text, case.scale, method="enclosure")
        for name, exact in (("mse", mse), ("signal_power", power), ("cross_moment", cross)):
            ball = getattr(proved, name)
            assert abs(mpmath.mpf(ball.middle) - exact) <= ball.radius + 1e-25 * abs(exact), name
        band = expected_bands(case.levels.name, text, case.scale, size=10**8)["sqnr_db"]
        spread = case.mean(lambda x, e: (x * x / power - e * e / mse) ** 2)
        half = (
            10 / mpmath.log(10) * mpmath.sqrt(spread / 10**8) * mpmath.sqrt(2) * mpmath.erfinv(0.95)
        )
        centre = 10 * mpmath.log10(power / mse)
        assert band.method == "delta"
        assert band.low == pytest.approx(float(centre - half), rel=1e-12, abs=1e-12)
        assert band.high == pytest.approx(float(centre + half), rel=1e-12, abs=1e-12)
