"""Four-over-six against enumeration, lattices of sums, samples, and laws."""

import itertools
import math
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Callable
from fractions import Fraction
from functools import cache
from typing import Any, Literal, NamedTuple

import mpmath
import numpy as np
import pytest

from qerror import (
    BlockFormat,
    Clipped,
    Density,
    Discrete,
    Empirical,
    FloatingPoint,
    Gaussian,
    Laplace,
    Mixture,
    Rectified,
    StudentT,
    Uniform,
    parse_format,
    quantization_error,
)
from qerror._arrays import FloatArray
from qerror.analysis import BlockErrorReport
from qerror.analysis._block_choice import choice
from qerror.analysis._block_choice_nodes import Problem, Step
from qerror.analysis._block_choice_together import Ask, choices, together
from qerror.exceptions import InvalidValue
from qerror.formats.four_over_six import FourOverSix
from qerror.formats.names import as_scalar_format
from qerror.formats.stored_scales import Amax

TENSOR = 4.5 / (6 * 448)
LEVELS = np.array([0, 0.5, 1, 1.5, 2, 3, 4, 6])  # of E2M1
SCALES = np.array(  # of E4M3
    [k * 2.0**-9 for k in range(8)]
    + [(1 + m / 8) * 2.0 ** (e - 7) for e in range(1, 16) for m in range(8)][:-1]
)


def error(
    density: Density, n: int = 16, tensor: float | str = TENSOR, choice: str = ""
) -> BlockErrorReport:
    where = f"of={tensor}" if isinstance(tensor, str) else f"tensor={tensor!r}"
    report = quantization_error(parse_format(f"nvfp4:4over6{choice}:n={n}:{where}"), density)
    assert isinstance(report, BlockErrorReport)
    return report


# ---- every tensor of a few point masses, by definition


@cache
def nearest(x: Fraction, of_scales: bool) -> Fraction:
    """Return the level nearest to |x|, a tie going to the even code, with the sign of x."""
    levels = [Fraction(p) for p in (SCALES if of_scales else LEVELS).tolist()]
    best = min(abs(level - abs(x)) for level in levels)
    tied = [i for i, level in enumerate(levels) if abs(level - abs(x)) == best]
    found = levels[min(tied, key=lambda i: i % 2)]
    return found if x > 0 else -found


class Kept(NamedTuple):
    scale: Fraction
    level: float
    errors: list[Fraction]


def kept_of(block: list[Fraction], tensor: Fraction, choice: str) -> Kept:
    """Quantize with both scales and keep the better one, the first in a tie."""
    candidates: list[tuple[Fraction, Kept]] = []
    for divisor in (6, 4):
        level = nearest(max(map(abs, block)) / divisor / tensor, of_scales=True)
        scale = level * tensor
        errors = [nearest(x / scale, of_scales=False) * scale - x if scale else -x for x in block]
        cost = sum(abs(e) if choice else e * e for e in errors)
        candidates.append((Fraction(cost), Kept(scale, float(level), errors)))
    return candidates[1][1] if candidates[1][0] < candidates[0][0] else candidates[0][1]


def enumerated(
    density: Discrete, n: int, size: int | None, tensor: Fraction, choice: str
) -> tuple[dict[str, float], dict[float, float]]:
    """Go through every block, or every tensor of a few blocks."""
    totals: dict[str, Fraction] = defaultdict(Fraction)
    codes: dict[float, Fraction] = defaultdict(Fraction)
    pairs = [
        (Fraction(x), Fraction(p))
        for x, p in zip(density.values, density.probabilities, strict=True)
    ]
    for combination in itertools.product(pairs, repeat=size or n):
        chance = math.prod((p for _, p in combination), start=Fraction(1))
        values = [x for x, _ in combination]
        block, most = values[:n], max(map(abs, values))
        if size is not None:
            tensor = most / (6 * 256)
        kept = (
            kept_of(block, tensor, choice)
            if tensor
            else Kept(Fraction(0), 0.0, [-x for x in block])
        )
        codes[kept.level] += chance
        e, x, top = kept.errors, block, 6 * kept.scale
        kind = "rounding" if abs(x[0]) <= top or not top else "low" if x[0] < 0 else "high"
        totals[kind] += chance * e[0] ** 2
        totals["mean"] += chance * e[0]
        totals["cross"] += chance * x[0] * e[0]
        totals["clipped"] += chance * (max(map(abs, block)) > top)
        if n > 1:
            totals["pair"] += chance * e[0] * e[1]
            totals["pair cross"] += chance * x[0] * e[1]
    return {k: float(v) for k, v in totals.items()}, {k: float(v) for k, v in codes.items()}


POINTS = (
    Discrete((-1.0, 1.0), (0.5, 0.5)),
    Discrete((-1.75, -0.4, 0.0, 0.3, 1.0, 3.0), (0.125, 0.25, 0.125, 0.1875, 0.1875, 0.125)),
    Discrete((0.3, 0.5, 1.1, 4.0), (0.125, 0.25, 0.25, 0.375)),
    # Largest values on edges of both scales: 6 and 4 times midpoints of E4M3.
    Discrete((-0.75, 0.25, 1.3125, 102.0), (0.25, 0.25, 0.25, 0.25)),
)


@pytest.mark.parametrize("choice", ["", "=mae"])
@pytest.mark.parametrize(("n", "size"), [(1, None), (3, None), (2, 4), (1, 3)])
@pytest.mark.parametrize("density", POINTS, ids=str)
def test_every_block_of_point_masses(
    density: Discrete, n: int, size: int | None, choice: str
) -> None:
    tensor = Fraction(1, 64)
    where = str(size) if size else float(tensor)
    report = error(density, n, where, choice)
    figures, codes = enumerated(density, n, size, tensor, choice)
    found = {
        "rounding": report.rounding,
        "low": report.clipping_low,
        "high": report.clipping_high,
        "mean": report.mean_error,
        "cross": report.cross_moment,
        "clipped": report.clipped_blocks,
        "pair": report.pair_error,
        "pair cross": report.pair_cross,
    }
    for name, value in found.items():
        assert value == pytest.approx(figures.get(name, 0.0), rel=1e-12, abs=1e-15), name
    for code in set(codes) | set(report.code_probabilities):
        assert report.code_probabilities.get(code, 0.0) == pytest.approx(
            codes.get(code, 0.0), abs=1e-14
        )


# ---- sums of gains on a lattice


def rounded(x: FloatArray, scale: float) -> FloatArray:
    middles = 0.5 * (LEVELS[1:] + LEVELS[:-1])
    return LEVELS[np.searchsorted(middles, np.abs(x) / scale)] * scale if scale else 0 * x


def on_lattices(pdf: Callable[[FloatArray], FloatArray], n: int, far: float) -> float:
    """Return the error for a density that is symmetric about 0, from sums on three lattices.

    The gains are spread over a lattice so that their moments up to the fifth stay; the n-th
    power of its Fourier transform gives the law of their sum, and E|S| follows but for even
    powers of the step, which leave by extrapolation.
    """
    cuts = 0.5 * (SCALES[1:] + SCALES[:-1]) * TENSOR
    edges = np.unique(np.concatenate([[0.0], 6 * cuts, 4 * cuts, [far]]))
    return sum(_of_step(pdf, n, a, b) for a, b in itertools.pairwise(edges.tolist()))


def _of_step(pdf: Callable[[FloatArray], FloatArray], n: int, a: float, b: float) -> float:
    middles = 0.5 * (SCALES[1:] + SCALES[:-1]) * TENSOR
    six, four = (
        float(SCALES[np.searchsorted(middles, 0.5 * (a + b) / d)]) * TENSOR for d in (6, 4)
    )
    thresholds = np.append(0.5 * (LEVELS[1:] + LEVELS[:-1]), LEVELS[-1])
    marks = np.concatenate([[0.0, a, b], thresholds * six, thresholds * four])
    marks = np.unique(marks[marks <= b])
    ends = np.unique(
        np.concatenate(
            [
                np.linspace(u, v, 9 if v - u < 5 else 60)
                for u, v in itertools.pairwise(marks.tolist())
            ]
        )
    )
    t, w = np.polynomial.legendre.leggauss(20)
    width = np.diff(ends)[:, None]
    x, mass = (ends[:-1, None] + width * (t + 1) / 2).ravel(), (width * w / 2).ravel()
    mass = 2 * pdf(x) * mass
    inner = np.where(x < a, mass, 0.0)
    if mass.sum() ** n - inner.sum() ** n < 1e-15:
        return 0.0
    one, two = (rounded(x, six) - x) ** 2, (rounded(x, four) - x) ** 2
    both = 0.5 * (one + two)
    mean = mass.sum() ** (n - 1) * (both @ mass) - inner.sum() ** (n - 1) * (both @ inner)
    gain = one - two
    unit = float(np.abs(gain).max())
    if not unit:
        return float(mean)
    first, second, third = (
        _distance(gain / unit, mass, n, h) - _distance(gain / unit, inner, n, h)
        for h in (2.0**-8, 2.0**-9, 2.0**-10)
    )
    once = (4 * second - first) / 3, (4 * third - second) / 3
    return float(mean - 0.5 * unit * (16 * once[1] - once[0]) / 15 / n)


def _distance(gain: FloatArray, mass: FloatArray, n: int, step: float) -> float:
    """Return E|S| by the lattice of one step."""
    size = 1 << math.ceil(math.log2(2 * (n + 3) / step))
    place = np.floor(gain / step).astype(int)
    rest = gain / step - place
    one = np.zeros(size)
    around = range(-2, 4)
    for k in around:
        weight = math.prod((rest - other) / (k - other) for other in around if other != k)
        np.add.at(one, (place + k) % size, weight * mass)
    total = np.fft.irfft(np.fft.rfft(one) ** n, size)
    at = np.arange(size)
    return float(total @ np.abs(np.where(at > size // 2, at - size, at))) * step


@pytest.mark.thinned(3)
@pytest.mark.slow
@pytest.mark.parametrize(("n", "relative"), [(16, 1e-11), (32, 1e-11), (8, 2e-8)])
@pytest.mark.parametrize(
    ("density", "pdf", "far"),
    [
        (Gaussian(), lambda x: np.exp(-x * x / 2) / math.sqrt(2 * math.pi), 12.0),
        (Laplace(), lambda x: np.exp(-x) / 2, 70.0),
    ],
    ids=["gaussian", "laplace"],
)
def test_sums_on_lattices(
    density: Density,
    pdf: Callable[[FloatArray], FloatArray],
    far: float,
    n: int,
    relative: float,
) -> None:
    assert error(density, n).mse == pytest.approx(on_lattices(pdf, n, far), rel=relative, abs=0)


def test_single_values_by_plain_integration() -> None:
    # Blocks of one value: the smaller of both squared errors, exactly, between all thresholds.
    middles = 0.5 * (SCALES[1:] + SCALES[:-1]) * TENSOR
    edges = np.unique(np.concatenate([6 * middles, 4 * middles]))
    total = mpmath.mpf(0)
    for a, b in itertools.pairwise([*edges[edges > 1e-3].tolist(), 45.0]):
        scales = [
            float(SCALES[np.searchsorted(middles, 0.5 * (a + b) / d)]) * TENSOR for d in (6, 4)
        ]
        ends = np.append(0.5 * (LEVELS[1:] + LEVELS[:-1]), LEVELS[-1])
        marks = [x for s in scales for x in (ends * s).tolist() if a < x < b]
        for u, v in itertools.pairwise(sorted({a, b, *marks})):
            one, two = (float(rounded(np.array([0.5 * (u + v)]), s)[0]) for s in scales)
            cuts = sorted({u, v, min(max(0.5 * (one + two), u), v)})
            for low, high in itertools.pairwise(cuts):
                middle = 0.5 * (low + high)
                total += _laplace(one if abs(one - middle) < abs(two - middle) else two, low, high)
    # Below 1e-3 all errors are below 1e-6, of that probability.
    assert error(Laplace(), 1).mse == pytest.approx(float(total), rel=1e-7, abs=0)


def _laplace(q: float, low: float, high: float) -> Any:
    """Integrate (x - q)^2 exp(-x)."""
    with mpmath.workdps(40):
        return sum(
            sign * mpmath.exp(-mpmath.mpf(x)) * ((mpmath.mpf(x) - q + 1) ** 2 + 1)
            for sign, x in ((1, low), (-1, high))
        )


# ---- few values: exact rational numbers, and integrals within integrals


def _level(levels: list[Fraction], x: Fraction) -> Fraction:
    middles = [(a + b) / 2 for a, b in itertools.pairwise(levels)]
    return levels[bisect_left(middles, x)]


def by_fractions(n: int, tensor: float, high: float) -> Fraction:
    """Return the squared error of values that are uniform on [-high, high].

    Gains are linear in x between the thresholds, so that their density is constant between its
    jumps c_j at e_j, besides an atom at 0. Jumps integrate to powers: with m moving values,
    E|S| = (-1)^m sum c_j1 ... c_jm |e|^(m+1) sign(e)^m / (m+1)!, e = e_j1 + ... + e_jm.
    """
    levels = [Fraction(x) for x in LEVELS.tolist()]
    scales = [Fraction(x) for x in SCALES.tolist()]
    unit, top = Fraction(tensor), Fraction(high)
    cuts = [d * unit * (a + b) / 2 for a, b in itertools.pairwise(scales) for d in (6, 4)]
    edges = sorted({Fraction(0), top, *(x for x in cuts if x < top)})
    total = Fraction(0)
    for a, b in itertools.pairwise(edges):
        six, four = (_level(scales, (a + b) / 2 / d / unit) * unit for d in (6, 4))
        for end, sign in ((b, 1), (a, -1)):
            if end:
                total += sign * _least_below(levels, n, (six, four), end, top)
    return total


class _Gains(NamedTuple):
    """One value below an end: probability of no gain, squared errors, jumps of the density."""

    atom: Fraction
    both: Fraction
    jumps: dict[Fraction, Fraction]


def _gains(
    levels: list[Fraction], scales: tuple[Fraction, Fraction], end: Fraction, top: Fraction
) -> _Gains:
    middles = [(a + b) / 2 for a, b in itertools.pairwise(levels)]
    inner = {m * scale for m in middles for scale in scales if m * scale < end}
    atom, both, jumps = Fraction(0), Fraction(0), defaultdict[Fraction, Fraction](Fraction)
    for low, high in itertools.pairwise(sorted({Fraction(0), end, *inner})):
        x = (low + high) / 2
        one, two = (_level(levels, x / scale) * scale if scale else Fraction(0) for scale in scales)
        share = (high - low) / top
        both += sum((high - q) ** 3 - (low - q) ** 3 for q in (one, two)) / (6 * top)
        if one == two:
            atom += share
            continue
        ends = [(one - x) ** 2 - (two - x) ** 2 for x in (low, high)]
        jumps[min(ends)] += share / abs(ends[1] - ends[0])
        jumps[max(ends)] -= share / abs(ends[1] - ends[0])
    return _Gains(atom, both, {e: c for e, c in jumps.items() if c})


def _powers(gains: _Gains, n: int, degree: int) -> Fraction:
    """Return E|S|^degree sign(S)^(degree + 1) of n values, of those with m > 0 that move."""
    found, sums = Fraction(0), {Fraction(0): Fraction(1)}
    for m in range(1, n + 1):
        more = defaultdict[Fraction, Fraction](Fraction)
        for (s, weight), (e, c) in itertools.product(sums.items(), gains.jumps.items()):
            more[s + e] += weight * c
        sums = more
        p = m + degree
        power = sum(w * abs(s) ** p * (-1 if s < 0 and (p + 1) % 2 else 1) for s, w in sums.items())
        share = math.comb(n, m) * gains.atom ** (n - m)
        found += share * power * (-1) ** m / math.factorial(p)
    return found


def _least_below(
    levels: list[Fraction], n: int, scales: tuple[Fraction, Fraction], end: Fraction, top: Fraction
) -> Fraction:
    gains = _gains(levels, scales, end, top)
    return (end / top) ** (n - 1) * gains.both - _powers(gains, n, 1) / (2 * n)


def _four_below(n: int, ratio: Fraction, end: Fraction) -> Fraction:
    """Return P(the second scale is better, no value beyond an end) of values uniform up to 6.

    The first scale is 1.
    """
    levels = [Fraction(x) for x in LEVELS.tolist()]
    gains = _gains(levels, (Fraction(1), ratio), end, Fraction(6))
    tie = gains.atom**n
    return ((end / 6) ** n + _powers(gains, n, 0) - tie) / 2


LARGER = ((3, 48), (6, 96))


def _four_between(n: int, scales: tuple[int, int], ends: tuple[int, int]) -> Fraction:
    """Return P(the second scale is kept) while the largest of n values is between two ends.

    Values are uniform up to 6 * 256 units.
    """
    one, two = scales
    unit = Fraction(256, one)
    high, low = (Fraction(end, one) for end in (ends[1], ends[0]))
    found = _four_below(n, Fraction(two, one), high) - _four_below(n, Fraction(two, one), low)
    return found / unit**n


@pytest.mark.parametrize(
    ("n", "size"),
    [(2, 2), (7, 7), (16, 16), *(pytest.param(*c, marks=pytest.mark.exhaustive) for c in LARGER)],
)
def test_codes_of_uniform_values_by_rational_numbers(n: int, size: int) -> None:
    # Given the largest value of a tensor all others are uniform below it, whatever it is: 256 and
    # 384 are the scales of its block. Others have 256 from 6 * 248 of 6 * 256 on, 384 from 4 * 368.
    share = Fraction(n, size)
    own = _four_below(n - 1, Fraction(3, 2), Fraction(6))
    expected = share * own
    if share < 1:
        steps = [((240, 384), (4 * 368, 6 * 248)), ((256, 384), (6 * 248, 6 * 256))]
        expected += (1 - share) * sum(_four_between(n, *step) for step in steps)
    found = error(Uniform(-0.7, 0.7), n, str(size)).code_probabilities
    # Where all values are one block, to the digits of a power of n factors.
    digits = 1e-15 if share < 1 else 4e-15
    assert found[384.0] == pytest.approx(float(expected), rel=0, abs=digits)
    if n > 3:
        return
    steps = [((224, 352), (4 * 336, 6 * 232)), ((240, 352), (6 * 232, 4 * 368))]
    expected = (1 - share) * sum(_four_between(n, *step) for step in steps)
    assert found.get(352.0, 0.0) == pytest.approx(float(expected), rel=0, abs=2e-15)


@pytest.mark.parametrize(
    ("n", "tensor", "high"),
    [
        (2, 64.0, 1.0),
        (2, 100.0, 1.0),
        (3, 64.0, 1.0),
        (3, 50.0, 1.3125),
        (4, 128.0, 1.3),
        (4, 100.0, 1.0),
        (5, 150.0, 1.3),
        (6, 260.0, 1.0),
        (7, 300.0, 1.0),
    ],
)
def test_few_uniform_values_by_rational_numbers(n: int, tensor: float, high: float) -> None:
    exact = float(by_fractions(n, tensor, high))
    assert error(Uniform(-high, high), n, tensor).mse == pytest.approx(exact, rel=2e-12, abs=0)


# ---- below the largest value of a tensor of one block: laws of constant density, point masses


def _least_of_others(a: float, m: int, law: Callable[[FloatArray], FloatArray], q: float) -> float:
    """Return the expected smaller sum of squared errors of m values below `a`.

    Their magnitudes have constant densities below 1 and beyond, and `q` at 1 if that is below.
    Scales are a / 6 and a / 4. E|y + d_1 + ... + d_k| follows from the jumps of the gains' density
    as in `_powers`.
    """
    middles = 0.5 * (LEVELS[1:] + LEVELS[:-1])
    scales = a / 6, a / 4
    cuts = np.concatenate([[0.0, a, min(a, 1.0)], *(middles * scale for scale in scales)])
    cuts = np.unique(cuts[cuts <= a])
    low, high = cuts[:-1], cuts[1:]
    x = 0.5 * (low + high)
    mass = law(x) * (high - low)
    one, two = (rounded(x, scale) for scale in scales)
    both = sum(float(law(x) @ ((high - v) ** 3 - (low - v) ** 3)) / 3 for v in (one, two))
    moves = np.abs(one - two) > 1e-12
    flat, total = float(mass[~moves].sum()), float(mass.sum())
    ends = [((one - end) ** 2 - (two - end) ** 2)[moves] for end in (low, high)]
    jumps = mass[moves] / np.abs(ends[1] - ends[0])
    point, y = 0.0, 0.0
    if a > 1:
        point = q
        squares = [float((rounded(np.ones(1), scale)[0] - 1) ** 2) for scale in scales]
        both += q * sum(squares)
        total += q
        y = squares[0] - squares[1]
    apart = 0.0
    for k, at in itertools.product(range(m + 1), repeat=2):
        if k + at > m:
            continue
        s, weight = np.array([at * y]), np.ones(1)
        for _ in range(k):
            s = np.add.outer(s, np.concatenate([np.minimum(*ends), np.maximum(*ends)])).ravel()
            weight = np.multiply.outer(weight, np.concatenate([jumps, -jumps])).ravel()
        power = np.abs(s) ** (k + 1) * np.where((s < 0) & (k % 2 == 1), -1.0, 1.0)
        ways = math.comb(m, k) * math.comb(m - k, at) * point**at * flat ** (m - k - at)
        apart += ways * (-1) ** k * float(weight @ power) / math.factorial(k + 1)
    return 0.5 * (m * total ** (m - 1) * both - apart) if m else 0.0


def _of_one_block(n: int, law: Callable[[FloatArray], FloatArray], q: float) -> float:
    """Integrate over the largest value, up to 2; its own error is 0."""
    below = float(law(np.full(1, 0.5))[0])
    # Up to 1 all is the same but for the unit.
    total = below * _least_of_others(1.0, n - 1, law, 0.0) / (n + 2)
    total += (
        sum(math.comb(n, k) * q**k * _least_of_others(1.0, n - k, law, 0.0) for k in range(1, n))
        / n
    )
    middles = 0.5 * (LEVELS[1:] + LEVELS[:-1])
    # Where 1 is a threshold, or as far from the level of one scale as from that of the other.
    equal = 0.5 * np.add.outer(LEVELS / 6, LEVELS / 4).ravel()
    ratios = np.concatenate([middles / 6, middles / 4, equal])
    ratios = ratios[(ratios > 0.5) & (ratios < 1)]
    edges = np.unique(np.concatenate([np.linspace(1, 2, 201), 1 / ratios]))
    t, w = np.polynomial.legendre.leggauss(6)
    for a, b in itertools.pairwise(edges.tolist()):
        for node, weight in zip((a + (b - a) * (t + 1) / 2).tolist(), w.tolist(), strict=True):
            chance = float(law(np.full(1, node))[0])
            total += 0.5 * (b - a) * weight * chance * _least_of_others(node, n - 1, law, q)
    return total


def _lopsided(x: FloatArray) -> FloatArray:
    return np.where(x < 1, 2 / 3, 1 / 3)


@pytest.mark.parametrize(
    ("n", "relative"),
    [(2, 3e-11), (3, 3e-11), pytest.param(4, 3e-10, marks=pytest.mark.exhaustive)],
)
def test_kinks_below_the_largest_value_of_a_tensor(n: int, relative: float) -> None:
    # Of 4,096 values the same kinks hardly show: they do where the largest value varies.
    expected = _of_one_block(n, _lopsided, 0.0)
    found = error(Uniform(-1.0, 2.0), n, str(n))
    assert found.mse == pytest.approx(expected, rel=relative, abs=0)


@pytest.mark.parametrize(
    ("n", "relative"), [(2, 3e-11), (3, 1e-8), pytest.param(4, 3e-7, marks=pytest.mark.exhaustive)]
)
def test_point_masses_beside_others_below_a_tensor_scale(n: int, relative: float) -> None:
    density = Mixture((Uniform(-2.0, 2.0), Discrete((1.0,), (1.0,))), (0.7, 0.3))
    expected = _of_one_block(n, lambda x: np.full(x.size, 0.35), 0.3)
    found = error(density, n, str(n))
    assert found.mse == pytest.approx(expected, rel=relative, abs=0)
    assert sum(found.code_probabilities.values()) == pytest.approx(1.0, abs=1e-12)


# ---- codes below the largest value of a tensor, by distribution functions


def _better_by_four() -> list[tuple[Fraction, Fraction]]:
    """Return where scale 3/2 is better than scale 1, x > 0 below where both have 6."""
    levels = [Fraction(x) for x in LEVELS.tolist()]
    ratio = Fraction(3, 2)
    middles = [(a + b) / 2 for a, b in itertools.pairwise(levels)]
    cuts = sorted({Fraction(0), Fraction(21, 4), *middles, *(m * ratio for m in middles)})
    found: list[tuple[Fraction, Fraction]] = []
    for low, high in itertools.pairwise(x for x in cuts if x <= Fraction(21, 4)):
        x = (low + high) / 2
        one, two = _level(levels, x), _level(levels, x / ratio) * ratio
        middle = min(max((one + two) / 2, low), high)
        if one != two:
            found.append((middle, high) if two > one else (low, middle))
    return found


def _inside(law: str, x: Any) -> tuple[Any, Any]:
    """Return P(|X| < x) and the density of |X|."""
    if law == "gaussian":
        root = mpmath.sqrt(2)
        return mpmath.erf(x / root), root / mpmath.sqrt(mpmath.pi) * mpmath.exp(-x * x / 2)
    if law == "laplace":
        return -mpmath.expm1(-x), mpmath.exp(-x)
    angle = mpmath.atan(x / mpmath.sqrt(5))  # of t(5)
    c, s = mpmath.cos(angle), mpmath.sin(angle)
    inner = angle + s * c * (1 + 2 * c * c / 3)
    density = 16 / (3 * mpmath.pi * mpmath.sqrt(5)) * c**6
    return 2 / mpmath.pi * inner, density


LAWS = {"gaussian": Gaussian(), "laplace": Laplace(), "t": StudentT(5.0)}


@pytest.mark.thinned(3)
@pytest.mark.parametrize("law", LAWS)
def test_codes_of_pairs_by_distribution_functions(law: str) -> None:
    # The larger of two values is 6 and 4 in units of both scales, without error; the other chooses.
    better = [
        tuple(mpmath.mpf(x.numerator) / x.denominator / 6 for x in pair)
        for pair in _better_by_four()
    ]

    def chosen(a: Any) -> Any:
        four = sum(_inside(law, high * a)[0] - _inside(law, low * a)[0] for low, high in better)
        return 2 * _inside(law, a)[1] * four

    with mpmath.workdps(19):
        expected: Any = mpmath.quad(chosen, [0, 1, 3, 9, 64, mpmath.inf])
    found = error(LAWS[law], 2, "2").code_probabilities
    assert found[384.0] == pytest.approx(float(expected), rel=0, abs=2e-15)


@pytest.mark.parametrize("choice", ["", "=mae"])
@pytest.mark.parametrize("mean", [0.0, 0.75])
def test_two_gaussian_values_by_nested_integrals(mean: float, choice: str) -> None:
    # So large a tensor scale that scales are the first three levels.
    tensor = 500.0
    expected = _of_two(mean, tensor, 8.5, absolute=bool(choice))
    found = error(Gaussian(mean), 2, tensor, choice)
    assert found.mse == pytest.approx(expected, rel=1e-12, abs=0)


def _of_two(mean: float, tensor: float, far: float, *, absolute: bool) -> float:
    """Integrate the kept squared error over squares max(|x|, |y|) < b, less the squares before.

    Over y it is cut where the choice changes, over x where that place leaves a cell.
    """
    cuts = 0.5 * (SCALES[1:] + SCALES[:-1]) * tensor
    edges = np.unique(np.concatenate([[0.0], 6 * cuts, 4 * cuts, [far]]))
    total = 0.0
    for a, b in itertools.pairwise(edges[edges <= far].tolist()):
        six, four = (float(SCALES[np.searchsorted(cuts, 0.5 * (a + b) / d)]) for d in (6, 4))
        for end, sign in ((b, 1), (a, -1)):
            if end:
                scales = six * tensor, four * tensor
                total += sign * _in_square(mean, scales, end, absolute=absolute)
    return total / 2


def _in_square(mean: float, scales: tuple[float, float], end: float, *, absolute: bool) -> float:
    ratios = np.concatenate([LEVELS, 0.5 * (LEVELS[1:] + LEVELS[:-1])])
    marks = np.concatenate([ratios * scale for scale in scales])
    cells = np.unique(np.concatenate([[-end, end], *(s * marks[marks < end] for s in (1, -1))]))
    levels = [np.copysign(rounded(m := 0.5 * (cells[1:] + cells[:-1]), s), m) for s in scales]
    nodes, weights = np.polynomial.legendre.leggauss(14)

    def gain(i: int, x: FloatArray) -> FloatArray:
        one, two = np.abs(levels[0][i] - x), np.abs(levels[1][i] - x)
        found: FloatArray = one - two if absolute else one * one - two * two
        return found

    def integrals(low: FloatArray, high: FloatArray, i: int) -> FloatArray:
        """Return mass and both squared errors."""
        half = 0.5 * (high - low)[:, None]
        x = low[:, None] + half * (nodes + 1)
        p = half * weights * np.exp(-0.5 * (x - mean) ** 2) / math.sqrt(2 * math.pi)
        squares = [(level[i] - x) ** 2 for level in levels]
        return np.stack([p.sum(axis=1), *((p * square).sum(axis=1) for square in squares)])

    ends = [gain(i, cells[i : i + 2]) for i in range(cells.size - 1)]
    slopes = [float(g[1] - g[0]) if abs(g[1] - g[0]) > 1e-12 else 0.0 for g in ends]
    total = 0.0
    for i, (g, slope) in enumerate(zip(ends, slopes, strict=True)):
        share = (-np.concatenate(ends) - g[0]) / slope if slope else np.zeros(0)
        inside = cells[i] + share[(share > 0) & (share < 1)] * (cells[i + 1] - cells[i])
        cuts = np.unique(np.concatenate([cells[i : i + 2], inside]))
        half = 0.5 * np.diff(cuts)[:, None]
        x = (cuts[:-1, None] + half * (nodes + 1)).ravel()
        p = (half * weights).ravel() * np.exp(-0.5 * (x - mean) ** 2) / math.sqrt(2 * math.pi)
        y = gain(i, x)
        for j, (other, steep) in enumerate(zip(ends, slopes, strict=True)):
            low, high = np.full(x.size, cells[j]), np.full(x.size, cells[j + 1])
            parts: list[tuple[FloatArray, FloatArray, Any]]
            if steep:
                at = low + np.clip((-y - other[0]) / steep, 0, 1) * (high - low)
                parts = [(low, at, steep < 0), (at, high, steep > 0)]
            else:
                parts = [(low, high, y + other.mean() > 1e-12)]
            for start, stop, is_four in parts:
                mass, *squares = integrals(start, stop, j)
                own = [(level[i] - x) ** 2 for level in levels]
                pairs = [own[k] * mass + squares[k] for k in (0, 1)]
                total += float(p @ np.where(is_four, pairs[1], pairs[0]))
    return total


# ---- samples, for what has no other way


def _sampled(
    density: Density, n: int, choice: str, rng: np.random.Generator
) -> tuple[list[float], FloatArray]:
    """Return figures and kept scales of sampled blocks, rounded by midpoints."""
    x = density.sample(1000 * n, rng).reshape(-1, n)
    peak = np.abs(x).max(axis=1)
    found: list[tuple[FloatArray, FloatArray, FloatArray]] = []
    for divisor in (6, 4):
        level = SCALES[np.searchsorted(0.5 * (SCALES[1:] + SCALES[:-1]), peak / divisor / TENSOR)]
        scale = (level * TENSOR)[:, None]
        safe = np.where(scale > 0, scale, 1.0)
        middles = 0.5 * (LEVELS[1:] + LEVELS[:-1])
        q = LEVELS[np.searchsorted(middles, np.abs(x) / safe)] * scale
        e = np.copysign(q, x) - x
        found.append((e, level, (np.abs(e) if choice else e * e).sum(axis=1)))
    four = found[1][2] < found[0][2] * (1 - 1e-13)
    e = np.where(four[:, None], found[1][0], found[0][0])
    level = np.where(four, found[1][1], found[0][1])
    top, square = (6 * level * TENSOR)[:, None], e * e
    pairs = n * (n - 1)
    return [
        float(np.where(np.abs(x) <= top, square, 0).mean()),
        float(np.where(x < -top, square, 0).mean()),
        float(np.where(x > top, square, 0).mean()),
        float(e.mean()),
        float((x * e).mean()),
        float(((e.sum(axis=1) ** 2 - square.sum(axis=1)) / pairs).mean()),
        float(((x.sum(axis=1) * e.sum(axis=1) - (x * e).sum(axis=1)) / pairs).mean()),
        float((peak > top[:, 0] * (1 + 1e-13)).mean()),
    ], level


@pytest.mark.thinned(3)
@pytest.mark.slow
@pytest.mark.parametrize(
    ("density", "n", "choice"),
    [
        (StudentT(6.0), 16, ""),
        (Gaussian(0.4), 16, "=mae"),
        (Rectified(Gaussian(0.2)), 32, ""),
        (Clipped(Gaussian(), -1.57, 2.03), 16, ""),
        (Mixture((Gaussian(), Discrete((0.0, 2.03), (0.5, 0.5))), (0.5, 0.5)), 16, ""),
        (Empirical(np.random.default_rng(3).standard_normal(50)), 16, "=mae"),
    ],
    ids=lambda x: str(x)[:30],
)
def test_samples_agree(density: Density, n: int, choice: str) -> None:
    report = error(density, n, choice=choice)
    figures = [
        report.rounding,
        report.clipping_low,
        report.clipping_high,
        report.mean_error,
        report.cross_moment,
        report.pair_error,
        report.pair_cross,
        report.clipped_blocks,
    ]
    rng = np.random.default_rng(11)
    batches, levels = zip(*(_sampled(density, n, choice, rng) for _ in range(30)), strict=True)
    means = np.array(batches)
    spread = means.std(axis=0, ddof=1) / math.sqrt(means.shape[0])
    assert np.all(np.abs(means.mean(axis=0) - figures) <= 5 * spread + 1e-9)
    assert sum(report.code_probabilities.values()) == pytest.approx(1, abs=1e-12)
    kept = np.concatenate(levels)
    for code, p in report.code_probabilities.items():
        if p > 0.01:
            share = float((kept == code).mean())
            assert abs(share - p) <= 5 * math.sqrt(p * (1 - p) / kept.size)


# ---- laws


def test_powers_of_two_change_the_unit_alone() -> None:
    one, eight = error(Gaussian()), error(Gaussian(0.0, 8.0), tensor=8 * TENSOR)
    assert eight.mse == pytest.approx(64 * one.mse, rel=1e-13, abs=0)
    assert eight.code_probabilities == pytest.approx(dict(one.code_probabilities), abs=1e-14)


def test_one_scale_alone_is_never_better() -> None:
    for density in (Gaussian(), Laplace()):
        least = error(density).mse
        for divisor in (6, 4):
            name = f"e2m1:g16:scale=e4m3:tensor={TENSOR!r}:divisor={divisor}"
            assert least < quantization_error(parse_format(name), density).mse


@pytest.mark.parametrize("n", [64, 1024, 10**6])
def test_large_blocks(n: int) -> None:
    # With many values the mean gain decides: the error is the smaller of both at each scale.
    report = error(Gaussian(), n)
    alone = [
        quantization_error(
            parse_format(f"e2m1:g{n}:scale=e4m3:tensor={TENSOR!r}:divisor={divisor}"), Gaussian()
        ).mse
        for divisor in (6, 4)
    ]
    assert report.mse <= min(alone) * (1 + 1e-12)
    assert sum(report.code_probabilities.values()) == pytest.approx(1, abs=1e-12)


@pytest.mark.exhaustive
def test_a_tensor_scale_of_one_block_and_of_many() -> None:
    # All values in one block: both scales are A / 6 and A / 4, of real numbers.
    one = error(Gaussian(), 16, "16")
    rng = np.random.default_rng(5)
    x = rng.standard_normal((200_000, 16))
    costs = []
    for divisor in (6, 4):
        s = np.abs(x).max(axis=1, keepdims=True) / divisor
        q = LEVELS[np.searchsorted(0.5 * (LEVELS[1:] + LEVELS[:-1]), np.abs(x) / s)] * s
        costs.append(((q - np.abs(x)) ** 2).mean(axis=1))
    least = np.minimum(*costs)
    assert abs(one.mse - least.mean()) < 5 * least.std() / math.sqrt(least.size)
    # A large tensor has the scale of its largest value, which hardly varies.
    many = error(Uniform(-1, 1), 16, str(2**20))
    assert many.mse == pytest.approx(error(Uniform(-1, 1), 16, 1 / (6 * 256)).mse, rel=1e-4, abs=0)


def test_a_scale_format_with_half_the_scales_is_refused() -> None:
    # Its largest scale is 320, where the largest value of a tensor, at 4.8 scales, is no level.
    scales = FloatingPoint(2, 4, 7.0, signed=False, specials="p3109", infinities=True)
    form = BlockFormat(as_scalar_format("E2M1"), FourOverSix(scales, tensor=Amax(1024)), 16)
    with pytest.raises(InvalidValue, match="256 and 384"):
        quantization_error(form, Gaussian())


def test_parts_too_narrow_to_tell_gains_apart_are_refused() -> None:
    # Within 1e-3 of a point the amounts gained hardly differ; at 3e-3 they are told apart.
    def spikes(std: float) -> Density:
        return Mixture([Gaussian(c, std) for c in (-1.3, 0.4, 2.1)], [0.3, 0.4, 0.3])

    with pytest.raises(InvalidValue, match=r"point masses, which are exact.*estimate_error"):
        error(spikes(1e-4))
    points = error(Discrete([-1.3, 0.4, 2.1], [0.3, 0.4, 0.3]))
    assert error(spikes(3e-3)).mse == pytest.approx(points.mse, rel=0.02, abs=0)


def test_choices_by_absolute_error_are_others() -> None:
    kinds: tuple[Literal["", "=mae"], ...] = ("", "=mae")
    squared, absolute = (error(Gaussian(), tensor=50.0, choice=kind) for kind in kinds)
    assert squared.mse < absolute.mse


@pytest.mark.parametrize("law", [Gaussian(), Laplace(), StudentT(3.0), Uniform(-2.0, 2.0)], ids=str)
def test_many_values_may_do_without_a_law_of_gains(law: Density) -> None:
    # Two ways to one step.
    step = Step(1.5, 1.65, low_in=True, high_in=False, six=0.25, four=0.40625)
    problem = Problem(as_scalar_format("e2m1").grid(), law, 16, "mse", step)
    exact = choice(problem, 1e-16)
    quick = choice(problem, 1e-14, settled=1e-12)
    assert quick.sign == pytest.approx(exact.sign, rel=0, abs=1e-10)
    np.testing.assert_allclose(quick.sums.singles, exact.sums.singles, rtol=0, atol=1e-13)
    assert exact.sign != 0


def asks_of(
    law: Density, ratio: float, scales: tuple[float, ...], settled: float, kind: str = "mse"
) -> list[Ask]:
    """Return steps that are alike in units of their scales; the first scale clips in them."""
    found = []
    for scale in scales:
        low, high = 5.75 * scale, 6.25 * scale
        step = Step(low, high, low_in=True, high_in=False, six=scale, four=ratio * scale)
        problem = Problem(as_scalar_format("e2m1").grid(), law, 16, kind, step)
        logs = [math.log1p(-2 * float(law.cdf(np.array(-end)))) for end in (low, high)]
        found.append(Ask(problem, 1e-14, (logs[0], logs[1]), settled))
    return found


@pytest.mark.parametrize("kind", ["mse", "mae"])
@pytest.mark.parametrize("ratio", [13 / 8, 3 / 2])
@pytest.mark.parametrize(
    "law",
    [
        Gaussian(),
        Laplace(),
        StudentT(3.0),
        Mixture([Gaussian(0.0, 0.7), Gaussian(0.0, 1.3)], [0.5, 0.5]),
    ],
    ids=["gaussian", "laplace", "t", "mixture"],
)
def test_steps_of_one_shape_are_found_together(law: Density, ratio: float, kind: str) -> None:
    # Against each step alone, by a law of its gains and frequencies that they leave.
    asked = asks_of(law, ratio, (0.2, 0.22, 0.3, 0.39), 1e-15, kind)
    found = together(asked)
    for k, ask in enumerate(asked):
        alone, one = choice(ask.problem, 1e-16, ask.log_below), found[k]
        assert one is not None
        assert alone.clipped != 0
        assert one.sign == pytest.approx(alone.sign, rel=0, abs=1e-13)
        assert one.clipped == pytest.approx(alone.clipped, rel=0, abs=1e-12)
        np.testing.assert_allclose(one.sums.singles, alone.sums.singles, rtol=0, atol=1e-15)


@pytest.mark.parametrize("ratio", [13 / 8, 3 / 2])
def test_steps_beside_many_zeros_are_found_together(ratio: float) -> None:
    # Few values move: more of them is left to extrapolation.
    law = Mixture([Gaussian(), Discrete([0.0], [1.0])], [0.5, 0.5])
    asked = asks_of(law, ratio, (0.2, 0.3, 0.39), 1e-12)
    found = together(asked)
    for k, ask in enumerate(asked):
        alone, one = choice(ask.problem, 1e-16, ask.log_below), found[k]
        if one is None:
            assert ratio == 13 / 8  # left to be found alone
            continue
        assert one.sign == pytest.approx(alone.sign, rel=0, abs=5e-11)
        np.testing.assert_allclose(one.sums.singles, alone.sums.singles, rtol=0, atol=1e-14)


def test_absolute_errors_are_not_left_to_the_last_frequencies() -> None:
    # Intervals of one gain come back to their whole weight beyond them, so that little seems left.
    for ask in asks_of(Gaussian(), 13 / 9, (0.2, 0.39), 1e-12, "mae"):
        exact = choice(ask.problem, 1e-16, ask.log_below)
        quick = choice(ask.problem, ask.tolerance, ask.log_below, settled=1e-12)
        assert quick.sign == pytest.approx(exact.sign, rel=0, abs=1e-13)


def test_steps_that_are_not_found_together_are_found_alone() -> None:
    # A density about 1 shares nothing.
    asked = asks_of(Gaussian(1.0), 1.625, (0.2, 0.3), 1e-14)
    assert not together(asked)
    for ask, one in zip(asked, choices(asked), strict=True):
        alone = choice(ask.problem, 1e-16, ask.log_below)
        assert one.sign == pytest.approx(alone.sign, rel=0, abs=1e-13)
        np.testing.assert_allclose(one.sums.singles, alone.sums.singles, rtol=0, atol=1e-15)
