"""Affine blocks of densities with jumps: terms of jumps apart from what is smooth."""

import math

import numpy as np
import pytest

from qerror._arrays import FloatArray
from qerror.analysis._affine_cells import _by_cells, _of_flat
from qerror.analysis._affine_ends import Ends, first_moments
from qerror.analysis._affine_flats import masses
from qerror.analysis._affine_jumps import periodic
from qerror.analysis._affine_panels import Lattice
from qerror.analysis._affine_phases import inner_by_phases
from qerror.analysis._affine_rows import Rows
from qerror.densities import Density, Discrete, Gaussian, Mixture, StudentT, Truncated, Uniform

BUMP = Mixture([Uniform(-1.0, 0.5), Gaussian(0.2, 0.8)], [0.4, 0.6])
CUT = Mixture([Truncated(Gaussian(), -0.7, math.inf), Uniform(-0.2, 2.0)], [0.6, 0.4])
HEAVY = Mixture([Uniform(-1.0, 0.5), StudentT(5.0)], [0.4, 0.6])


@pytest.mark.parametrize(
    ("density", "n", "steps", "expected", "digits"),
    [
        # E[e^2], E[e] and E[x e] by `_by_force`, with some more nodes everywhere.
        (
            BUMP,
            5,
            63,
            (3.930168033046824e-05, -3.47163418859379e-06, 9.102646314842506e-06),
            1e-12,
        ),
        (
            CUT,
            3,
            63,
            (1.3797934107737167e-05, -1.3454181013086507e-06, 4.031313053497693e-06),
            1e-12,
        ),
        pytest.param(
            HEAVY,
            5,
            15,
            (0.0015218654868432075, -5.250483281108083e-05, 0.0002337440752176364),
            1e-9,  # of the cross moment: E[e^2] reaches 1e-13 here too
            marks=pytest.mark.exhaustive,
        ),
    ],
    ids=["bump", "cut", "heavy"],
)
def test_jumps_and_tails_without_an_end(
    density: Density, n: int, steps: int, expected: tuple[float, ...], digits: float
) -> None:
    found = inner_by_phases(density, n, Lattice(steps, integer=False))
    mse = expected[0]
    assert found[0] == pytest.approx(mse, rel=1e-13, abs=0)
    np.testing.assert_allclose(found[3:5], expected[1:], rtol=0, atol=digits * mse)


# ---- brute force: both extremes in panels that end wherever a threshold meets a jump


def _panels(cuts: FloatArray, low: float, high: float) -> tuple[FloatArray, FloatArray]:
    """Return nodes and weights, more of them in wider panels."""
    cuts = np.unique(np.clip(cuts, low, high))
    cuts = cuts[np.append(True, np.diff(cuts) > 1e-13)]
    width = np.diff(cuts)
    nodes, weights = [], []
    for least, most, count in ((0, 0.1, 8), (0.1, 0.5, 14), (0.5, math.inf, 20)):
        at = np.flatnonzero((width > least) & (width <= most))
        t, w = np.polynomial.legendre.leggauss(count)
        nodes.append((cuts[at, None] + width[at, None] * 0.5 * (t + 1)).ravel())
        weights.append((0.5 * width[at, None] * w).ravel())
    return np.concatenate(nodes), np.concatenate(weights)


def _pdf(x: FloatArray) -> FloatArray:
    z = (x - 0.2) / 0.8
    inside = (x > -1.0) & (x < 0.5)
    return 0.4 / 1.5 * inside + 0.6 / 0.8 * np.exp(-0.5 * z * z) / math.sqrt(2 * math.pi)


def _mass(low: float, high: FloatArray) -> FloatArray:
    uniform = (np.clip(high, -1.0, 0.5) - min(max(low, -1.0), 0.5)) / 1.5
    root = 0.8 * math.sqrt(2)
    normal = [0.5 * (math.erf((u - 0.2) / root) - math.erf((low - 0.2) / root)) for u in high]
    return 0.4 * uniform + 0.6 * np.array(normal)


def _inside(low: float, high: FloatArray, steps: int, integer: bool) -> FloatArray:
    """Return int e^2 p, int e p and int x e p from cell to cell, cells cut at the jumps."""
    step = (high - low) / steps
    anchor = np.zeros(high.size) if integer else np.full(high.size, low)
    k = np.arange(-steps if integer else 0, steps + 1)
    level = anchor[:, None] + k * step[:, None]
    ends = [np.clip(level + side * 0.5 * step[:, None], low, high[:, None]) for side in (-1, 1)]
    jumps = [np.clip(x, *ends) for x in (-1.0, 0.5)]
    cuts = np.sort(np.stack([ends[0], *jumps, ends[1]], axis=-1), axis=-1)
    t, w = np.polynomial.legendre.leggauss(16)
    width = np.diff(cuts, axis=-1)[..., None]
    x = cuts[..., :-1, None] + 0.5 * width * (t + 1)
    mass = _pdf(x) * 0.5 * width * w
    error = level[..., None, None] - x
    parts = (mass * error * error, mass * error, mass * error * x)
    return np.stack([part.sum(axis=(1, 2, 3)) for part in parts])


def _by_force(n: int, steps: int, integer: bool) -> FloatArray:
    """Return E[e^2], E[e] and E[x e] of `BUMP` over values strictly between the extremes."""
    jumps, end = np.array([-1.0, 0.5]), (-7.0, 7.5)
    grid = np.append(np.arange(end[0], end[1], 0.5), end[1])
    ratio = steps / (np.arange(steps) + 0.5)
    apart = np.abs(np.multiply.outer(jumps, ratio)).ravel()
    turned = 1 / (ratio - 1)  # -l / u where the lowest level changes
    # As the lower extreme nears a jump, thresholds pass it ever faster.
    cuts = [grid, jumps, np.subtract.outer(jumps, 0.7 ** np.arange(16)).ravel()]
    if integer:
        cuts += [0.5 - apart, -apart, -0.5 * turned]
    else:
        for a in jumps:
            cuts += [(b - ratio * a) / (1 - ratio) for b in jumps]
    low, weight = _panels(np.concatenate(cuts), end[0], 0.0 if integer else end[1])
    total = np.zeros(3)
    for x, w in zip(low.tolist(), (weight * _pdf(low)).tolist(), strict=True):
        if integer:
            cuts = [grid, jumps, x + apart, -x / turned]
        else:
            cuts = [grid, jumps, *(x + ratio * (a - x) for a in jumps[jumps > x])]
        u, du = _panels(np.concatenate(cuts), max(x, 0.0) if integer else x, end[1])
        chance = (n - 1) * (n - 2) * _mass(x, u) ** (n - 3) * _pdf(u) * du
        total += w * (_inside(x, u, steps, integer) @ chance)
    return total


@pytest.mark.exhaustive
@pytest.mark.parametrize("integer", [False, True])
def test_brute_force(integer: bool) -> None:
    expected = _by_force(5, 3, integer)
    found = inner_by_phases(BUMP, 5, Lattice(3, integer))
    assert found[0] == pytest.approx(expected[0], rel=1e-12, abs=0)
    np.testing.assert_allclose(found[3:5], expected[1:], rtol=0, atol=1e-11 * expected[0])


@pytest.mark.parametrize("steps", [1, 15, 255])
@pytest.mark.parametrize("integer", [False, True])
def test_a_constant_in_closed_form_is_that_of_cells(steps: int, integer: bool) -> None:
    (piece,) = Uniform(-0.7, 1.1).pieces()
    rng = np.random.default_rng(steps)
    low, high = -rng.uniform(0.01, 2, 50), rng.uniform(0.01, 2, 50)
    rows = Rows.between(low, high, steps, integer=integer)
    found, expected = _of_flat(piece, rows), _by_cells(piece, rows)[[0, 3, 4, 5]]
    np.testing.assert_allclose(found[0], expected[0], rtol=1e-14, atol=0)
    scale = expected[0] / rows.step
    assert np.all(np.abs(found[1:3] - expected[1:3]) <= 1e-14 * steps * (scale + scale * high))


def test_uniform_parts_at_once() -> None:
    parts = [Uniform(-1.0, 0.5), Uniform(0.25, 3.0), Uniform(-1.0, 3.0), Discrete([0.1], [1.0])]
    for more in (Gaussian(0.2, 0.8), Uniform(2.0, 4.0)):
        density = Mixture([*parts, more], [0.1, 0.3, 0.2, 0.1, 0.3])
        rng = np.random.default_rng(3)
        low = np.append(rng.uniform(-2, 4, 50), [-1.0, 0.25, -9.0])
        high = low + np.append(rng.uniform(0, 5, 50), [1.5, 2.75, 20.0])
        found = masses(density, low, high)
        np.testing.assert_allclose(found, density.cdf(high) - density.cdf(low), rtol=0, atol=3e-16)
        t, w = np.polynomial.legendre.leggauss(60)
        cuts = np.sort(np.clip([[-1, 0.25, 0.5, 2, 3, 4]] * low.size, low[:, None], high[:, None]))
        cuts = np.concatenate([low[:, None], cuts, high[:, None]], axis=1)
        half = 0.5 * np.diff(cuts)[..., None]
        x = cuts[:, :-1, None] + half * (t + 1)
        expected = (x * density.pdf(x) * half * w).sum(axis=(1, 2))
        expected += 0.01 * ((low < 0.1) & (high > 0.1))
        nothing = np.zeros(low.size)
        ends = Ends(low, high, nothing, nothing, False, False)
        np.testing.assert_allclose(first_moments(density, ends), expected, rtol=0, atol=3e-15)


def test_periodic_functions_are_bernoulli_polynomials() -> None:
    psi = np.linspace(-0.5, 0.5, 9)
    t, b = psi + 0.5, periodic(4)
    expected = (t**2 - t + 1 / 6) / 2, (t**4 - 2 * t**3 + t**2 - 1 / 30) / 24
    for k, values in zip((2, 4), expected, strict=True):
        found = np.polynomial.polynomial.polyval(psi, b[k])
        np.testing.assert_allclose(found, values, rtol=0, atol=1e-16)
