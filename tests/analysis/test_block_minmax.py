"""Affine blocks: reference values, the closed form, every tuple of few values, samples."""

import itertools
import json
import math
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal, TypeAlias

import numpy as np
import pytest

from qerror._arrays import FloatArray
from qerror.analysis._affine_cells import _by_cells
from qerror.analysis._affine_excess import excess_moments
from qerror.analysis._affine_ratios import MOST_SHARE, alike_moments, panel_share
from qerror.analysis._affine_rows import Rows
from qerror.analysis._block_minmax import minmax_sums
from qerror.densities import (
    Density,
    Discrete,
    Gaussian,
    Laplace,
    Logistic,
    Mixture,
    Rectified,
    StudentT,
    Truncated,
    Uniform,
)

Zero: TypeAlias = Literal["real", "integer"]

_REFERENCE = Path(__file__).parents[1] / "reference" / "blocks.json"
_CASES = [
    case
    for case in json.loads(_REFERENCE.read_text())["cases"]
    if case["rule"].startswith("minmax")
]
_DENSITIES: dict[str, Callable[..., Density]] = {
    "uniform": Uniform,
    "gaussian": lambda std: Gaussian(0.0, std),
    "logistic": lambda scale: Logistic(0.0, scale),
}


@pytest.mark.parametrize("case", _CASES, ids=lambda case: case["id"])
def test_the_reference(case: dict[str, Any]) -> None:
    density = _DENSITIES[case["density"]](**case["parameters"])
    zero: Zero = "real" if case["rule"] == "minmax-float" else "integer"
    found = minmax_sums(density, case["block_size"], 4, zero)
    assert found.singles[:3].sum() == pytest.approx(float(case["mse"]), rel=1e-13, abs=0)


@pytest.mark.parametrize(("n", "bits"), [(3, 2), (5, 4), (17, 3), (64, 4)])
def test_uniform_values_have_a_closed_form(n: int, bits: int) -> None:
    # Spacings of uniform order statistics are exchangeable: E[W^2] / (12 (2^b - 1)^2) inside.
    found = minmax_sums(Uniform(-0.3, 1.7), n, bits, "real").singles[0]
    expected = (n - 1) * (n - 2) / ((n + 1) * (n + 2)) * 4.0 / (12 * (2**bits - 1) ** 2)
    assert found == pytest.approx(expected, rel=1e-12, abs=0)


def _enumerated(density: Discrete, n: int, bits: int, zero: Zero) -> FloatArray:
    """Quantize every block of n values, as a simulation of all of them would."""
    most = 2**bits - 1
    total = np.zeros(7)
    pairs = list(zip(density.values, density.probabilities, strict=True))
    for block in itertools.product(pairs, repeat=n):
        x, weight = np.array([v for v, _ in block]), math.prod(p for _, p in block)
        low, high = x.min(), x.max()
        if zero == "integer":
            low, high = min(low, 0.0), max(high, 0.0)
        step = (high - low) / most or 1.0
        if zero == "real":
            bottom, top = low, high
            q = low + np.clip(np.rint((x - low) / step), 0, most) * step
        else:
            z = np.rint(-low / step)
            bottom, top = -z * step, (most - z) * step
            q = np.clip(np.rint(x / step), -z, most - z) * step
        e = np.where(np.abs(q - x) < 1e-15 * np.abs(x).max(), 0.0, q - x)
        below, above = x < bottom - 1e-14, x > top + 1e-14
        square = e * e
        figures = [
            square[~(below | above)].sum(),
            square[below].sum(),
            square[above].sum(),
            e.sum(),
            (e * x).sum(),
        ]
        total[:5] += weight / n * np.array(figures)
        if n > 1:
            count = n * (n - 1)
            total[5] += weight * (e.sum() ** 2 - square.sum()) / count
            total[6] += weight * (x.sum() * e.sum() - (x * e).sum()) / count
    return total


_POINTS = (
    Discrete((-1.0, 0.125, 2.0), (0.25, 0.5, 0.25)),
    Discrete((-1.3, -0.2, 0.0, 0.7, 1.9), (0.1, 0.2, 0.4, 0.2, 0.1)),
    Discrete((0.3, 0.5, 1.1, 4.0), (0.1, 0.2, 0.3, 0.4)),
    Discrete((-4.0, -3.3, -1.1, -0.5), (0.1, 0.2, 0.3, 0.4)),
)


@pytest.mark.parametrize("zero", ["real", "integer"])
@pytest.mark.parametrize("n", [1, 2, 3, 5])
@pytest.mark.parametrize("density", _POINTS, ids=str)
def test_every_block_of_few_values(density: Discrete, n: int, zero: Zero) -> None:
    for bits in (4, 2, 1):
        found = minmax_sums(density, n, bits, zero)
        assert found.singles[5] == pytest.approx(density.mean, rel=1e-12, abs=0)
        figures = np.array([*found.singles[:5], found.pair_error, found.pair_cross])
        expected = _enumerated(density, n, bits, zero)
        np.testing.assert_allclose(figures, expected, rtol=1e-11, atol=1e-14)


def test_blocks_of_one_and_two_are_exact() -> None:
    for n in (1, 2):
        found = minmax_sums(Gaussian(0.4), n, 4, "real")
        assert np.all(found.singles[:5] == 0)
        assert found.pair_error == 0


@pytest.mark.parametrize("zero", ["real", "integer"])
@pytest.mark.parametrize(
    ("density", "n"),
    [
        (Gaussian(0.7, 1.0), 6),
        (Laplace(), 24),
        (StudentT(6.0), 12),
        (Rectified(Gaussian(0.2, 1.0)), 5),
    ],
    ids=str,
)
def test_samples_agree(density: Density, n: int, zero: Zero) -> None:
    found = minmax_sums(density, n, 3, zero)
    figures = np.array(
        [*found.singles[:3], *found.singles[3:5], found.pair_error, found.pair_cross]
    )
    rng = np.random.default_rng(7)
    means = np.array([_sampled(density, n, 3, zero, rng) for _ in range(40)])
    spread = means.std(axis=0, ddof=1) / math.sqrt(means.shape[0])
    assert np.all(np.abs(means.mean(axis=0) - figures) <= 5 * spread + 1e-12)


def _sampled(
    density: Density, n: int, bits: int, zero: Zero, rng: np.random.Generator
) -> list[float]:
    """Return the seven figures of a thousand sampled blocks."""
    most = 2**bits - 1
    x = density.sample(4000 * n, rng).reshape(-1, n)
    low, high = x.min(axis=1, keepdims=True), x.max(axis=1, keepdims=True)
    if zero == "integer":
        low, high = np.minimum(low, 0), np.maximum(high, 0)
    step = (high - low) / most
    step = np.where(step == 0, 1.0, step)
    z = np.rint(-low / step)
    if zero == "real":
        bottom, top = low - 1e-12, high + 1e-12
        q = low + np.clip(np.rint((x - low) / step), 0, most) * step
    else:
        bottom, top = -z * step - 1e-12, (most - z) * step + 1e-12
        q = np.clip(np.rint(x / step), -z, most - z) * step
    e = q - x
    square = e * e
    below, above = x < bottom, x > top
    pairs = n * (n - 1)
    return [
        float(np.where(below | above, 0.0, square).mean()),
        float(np.where(below, square, 0.0).mean()),
        float(np.where(above, square, 0.0).mean()),
        float(e.mean()),
        float((x * e).mean()),
        float(((e.sum(axis=1) ** 2 - square.sum(axis=1)) / pairs).mean()),
        float(((x.sum(axis=1) * e.sum(axis=1) - (x * e).sum(axis=1)) / pairs).mean()),
    ]


@pytest.mark.parametrize(
    ("density", "n", "bits", "expected"),
    [
        # By 24 nodes on each of many panels over both extremes, without a rule of either.
        (Gaussian(), 17, 3, (0.022834195876506768, -9.660421529134109e-07)),
        (Gaussian(), 32, 4, (0.006520898517615764, -5.170689856937812e-12)),
        (Gaussian(0.4, 1.0), 32, 4, (0.006520898575720135, 2.2340983468105e-09)),
        (Logistic(), 32, 4, (0.025245432748390098, -5.430760584550048e-09)),
        (Laplace(), 32, 4, (0.017809239966235693, -1.4089585630572003e-04)),
    ],
    ids=str,
)
def test_rules_of_the_extremes_agree_with_panels(
    density: Density, n: int, bits: int, expected: tuple[float, float]
) -> None:
    found = minmax_sums(density, n, bits, "integer").singles
    mse, cross = expected
    assert found[:3].sum() == pytest.approx(mse, rel=2e-13, abs=0)
    assert found[4] == pytest.approx(cross, abs=5e-13 * mse)


# E[e^2] and E[x e], an 80-bit sum by other means: both extremes in Gauss panels of 16 nodes that
# end wherever a threshold passes 0 or comes within 0.7 to 30 spreads of it, and every cell by the
# closed forms of int p, int x p and int x^2 p.
_HEAVY = [
    (5.0, 32, 4, 0.01347630841935781991, 0.00085858376410078802),
    (3.0, 32, 4, 0.03015349203279435868, 0.00139174312485476965),
    (5.0, 200, 4, 0.03630341245263776596, 0.00052873630226793644),
    (3.0, 6, 3, 0.02464340855057924968, 0.00299911790544690091),
]


@pytest.mark.parametrize(("nu", "n", "bits", "mse", "cross"), _HEAVY)
def test_heavy_tails(nu: float, n: int, bits: int, mse: float, cross: float) -> None:
    found = minmax_sums(StudentT(nu, 0.7, 2.0), n, bits, "real")
    assert found.singles[0] == pytest.approx(4 * mse, rel=1e-13)
    # Symmetric about 0.7: the mean error is 0, and only the spread changes the cross moment.
    assert found.singles[4] == pytest.approx(4 * cross, abs=4e-13 * mse)


@pytest.mark.parametrize(
    ("density", "n", "expected"),
    [
        # By panels over both extremes that end wherever one of them meets a level or a threshold.
        (StudentT(5.0), 32, 0.014365213829692509),
        (Laplace(), 8, 0.0070899541817027532),
        (Gaussian(), 4, 0.0018608232625665051),
    ],
    ids=str,
)
def test_integer_zeros_by_the_larger_extreme(density: Density, n: int, expected: float) -> None:
    found = minmax_sums(density, n, 4, "integer").singles[:3].sum()
    assert found == pytest.approx(expected, rel=1e-13)


def _mixed() -> Mixture:
    return Mixture([StudentT(5.0), Gaussian(1.5, 0.8)], [0.8, 0.2])


def test_heavy_tails_that_are_not_symmetric() -> None:
    # Pieces at different places, moved and mirrored: other panels, the same errors.
    one, other = (
        minmax_sums(_mixed(), 6, 2, "real"),
        minmax_sums(_mixed().affine(-0.5, 3.0), 6, 2, "real"),
    )
    assert other.singles[0] == pytest.approx(0.25 * one.singles[0], rel=1e-12)
    assert other.singles[3] == pytest.approx(-0.5 * one.singles[3], rel=1e-10)
    cross = 0.25 * one.singles[4] + 3.0 * other.singles[3]
    assert other.singles[4] == pytest.approx(cross, rel=1e-11)
    pair = 0.25 * one.pair_cross + 3.0 * other.singles[3]
    assert other.pair_cross == pytest.approx(pair, rel=1e-9)


@pytest.mark.parametrize(
    "nu",
    [pytest.param(1.3, marks=pytest.mark.exhaustive), 2.0],
)
def test_tails_without_a_variance(nu: float) -> None:
    # In other units all panels lie elsewhere on the law.
    one, other = (minmax_sums(StudentT(nu, 0.0, s), 24, 4, "real").singles[0] for s in (1.0, 3.0))
    assert other == pytest.approx(9 * one, rel=1e-13)


@pytest.mark.exhaustive
def test_an_integer_zero_point_on_tails_near_no_mean() -> None:
    # What blocks of all sizes add, up to 1e95, falls as slowly as their size to the power of -0.4.
    one, other = (
        minmax_sums(StudentT(1.2, 0.0, s), 4, 4, "integer").singles[:3].sum() for s in (1.0, 3.0)
    )
    assert other == pytest.approx(9 * one, rel=1e-10)


@pytest.mark.parametrize("law", [StudentT(5.0), StudentT(1.5), Laplace(), Gaussian(), Logistic()])
def test_wide_cells_by_excess_are_those_cell_by_cell(law: Density) -> None:
    (piece,) = law.affine(3.0, 0.5).pieces()
    rng = np.random.default_rng(3)
    low, high = 0.5 - rng.uniform(1, 200, 50), 0.5 + rng.uniform(90, 500, 50)
    rows = Rows(low, high, low, (high - low) / 7, 7)
    found = excess_moments(piece, rows)
    expected = np.zeros((6, 50))
    expected += _by_cells(piece, rows)
    scale = np.stack([expected[0], np.sqrt(expected[0]), expected[0], 3.0 + 0 * low])
    assert np.all(np.abs(found - expected[[0, 3, 4, 5]]) <= 2e-13 * scale)


@pytest.mark.parametrize("steps", [3, 15, 63, 255])
@pytest.mark.parametrize("zero", [False, True])
def test_narrow_cells_by_interpolation_are_those_cell_by_cell(steps: int, zero: bool) -> None:
    (piece,) = StudentT(3.0, 0.2, 1.5).pieces()
    rng = np.random.default_rng(steps)
    low = -rng.uniform(0.01, 8, 60)
    step = rng.uniform(0.02, 1.0, 60) * 15 / steps
    rank = np.rint(-low / step) if zero else None
    anchor = low if rank is None else -rank * step
    rows = Rows(low, anchor + steps * step, anchor, step, steps, rank)
    rows = rows.at(np.flatnonzero(panel_share(piece, rows) <= MOST_SHARE))
    found, expected = alike_moments(piece, rows), _by_cells(piece, rows)[[0, 3, 4, 5]]
    scale = np.stack([10 * expected[0], rows.step, 10 * rows.step, 1.0 + 0 * rows.low])
    assert rows.low.size > 40
    assert np.all(np.abs(found - expected) <= 1e-14 * scale)


@pytest.mark.parametrize("zero", ["real", "integer"])
@pytest.mark.parametrize(
    "density",
    [
        Uniform(-1.0, 2.0),
        Truncated(Gaussian(0.3, 1.0), -1.0, 1.5),
        Laplace(0.4, 1.0),
    ],
    ids=str,
)
@pytest.mark.parametrize("n", [6, pytest.param(32, marks=pytest.mark.exhaustive)])
def test_mirrored_values_have_the_same_error(density: Density, n: int, zero: Zero) -> None:
    # The smallest and the largest value are integrated in another order.
    found, other = (
        minmax_sums(side, n, 2, zero).singles for side in (density, density.affine(-1.0))
    )
    mirrored = other[[0, 2, 1, 3, 4]] * [1, 1, 1, -1, 1]
    np.testing.assert_allclose(found[:5], mirrored, rtol=1e-11, atol=1e-12)


@pytest.mark.parametrize(
    ("density", "bits", "zero"),
    [
        (StudentT(5.0), 4, "real"),
        (StudentT(5.0), 8, "real"),
        (StudentT(5.0), 8, "integer"),
        (Mixture([Uniform(-1.0, 0.5), Gaussian(0.2, 0.8)], [0.4, 0.6]), 8, "integer"),
    ],
    ids=str,
)
def test_memory_is_bounded(density: Density, bits: int, zero: Zero) -> None:
    tracemalloc.start()
    minmax_sums(density, 32, bits, zero)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2**24


def test_tails_without_a_mean() -> None:
    found = minmax_sums(StudentT(1.0), 8, 4, "real")
    assert found.singles[0] == math.inf
    assert math.isnan(found.pair_error)


# ---- densities with jumps inside: integrals cut wherever a threshold or an extreme meets one

EDGES = np.array([-1.0, -0.2, 0.3, 2.0])
HEIGHTS = np.array([0.6 / 1.3, 0.6 / 1.3 + 0.4 / 2.2, 0.4 / 2.2])


def _between_extremes(
    n: int, steps: int, edges: FloatArray = EDGES, heights: FloatArray = HEIGHTS
) -> float:
    """Integrate over both extremes of n values of a density that is constant between the edges."""
    nodes, weights = np.polynomial.legendre.leggauss(10)
    ratios = steps / (np.arange(steps) + 0.5)
    corners = [
        (edge - ratio * jump) / (1 - ratio)
        for edge in edges
        for jump in edges[1:-1]
        for ratio in ratios
    ]
    ends = np.unique(np.concatenate([edges, corners]))
    ends = ends[(ends >= edges[0]) & (ends <= edges[-1])]
    ends = ends[np.append(True, np.diff(ends) > 1e-13)]
    half = 0.5 * np.diff(ends)[:, None]
    low = (ends[:-1, None] + half * (nodes + 1)).ravel()
    found = [_above(float(x), n, steps, ratios, edges, heights) for x in low]
    return float((half * weights).ravel() @ np.array(found))


def _above(  # noqa: PLR0917 - one lower extreme's description
    low: float, n: int, steps: int, ratios: FloatArray, edges: FloatArray, heights: FloatArray
) -> float:
    nodes, weights = np.polynomial.legendre.leggauss(10)
    breaks = [low, *edges[low < edges]]
    for jump in edges[1:-1]:
        if jump > low:
            breaks += (low + ratios * (jump - low)).tolist()
    ends = np.unique([x for x in breaks if x <= edges[-1]])
    half = 0.5 * np.diff(ends)[:, None]
    high = (ends[:-1, None] + half * (nodes + 1)).ravel()
    below = np.concatenate([[0.0], np.cumsum(heights * np.diff(edges))])
    within = np.interp(high, edges, below) - np.interp(low, edges, below)
    inner = np.zeros(high.size)
    for a, b, height in zip(edges[:-1], edges[1:], heights, strict=True):
        step = (high - low) / steps
        for end, sign in ((b, 1), (a, -1)):
            place = (np.clip(end, low, high) - low) / step
            whole = np.rint(place)
            inner += sign * height * step**3 * (whole / 12 + (place - whole) ** 3 / 3)
    at_low, at_high = (
        heights[np.clip(np.searchsorted(edges, x) - 1, 0, heights.size - 1)] for x in (low, high)
    )
    value = (n - 1) * (n - 2) * within ** (n - 3) * inner * at_high * at_low
    return float((half * weights).ravel() @ value)


@pytest.mark.parametrize("n", [3, 20])
def test_jumps_inside_the_density(n: int) -> None:
    density = Mixture([Uniform(-1.0, 0.3), Uniform(-0.2, 2.0)], [0.6, 0.4])
    found = float(minmax_sums(density, n, 4, "real").singles[:3].sum())
    assert found == pytest.approx(_between_extremes(n, 15), rel=1e-13, abs=0)


@pytest.mark.exhaustive
def test_many_jumps() -> None:
    rng = np.random.default_rng(1)
    low, width = rng.uniform(-1, 1, 6).round(2), rng.uniform(0.2, 1.5, 6).round(2)
    density = Mixture([Uniform(a, a + b) for a, b in zip(low, width, strict=True)], [1 / 6] * 6)
    edges = np.unique(np.concatenate([low, low + width]))
    heights = density.pdf(0.5 * (edges[1:] + edges[:-1]))
    found = float(minmax_sums(density, 5, 2, "real").singles[:3].sum())
    assert found == pytest.approx(_between_extremes(5, 3, edges, heights), rel=1e-13, abs=0)
