"""Local integrals of every smooth law against rigorous ones, on random cells of all sizes."""

import math
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import pytest

from qerror._arrays import FloatArray
from qerror.densities import (
    Gaussian,
    GeneralizedGaussian,
    Laplace,
    Logistic,
    SmoothLaw,
    StudentT,
)
from qerror.densities.uniform import Uniform
from tests.oracles.exact import INF, Shape, ball, cell, density_at, off

CELLS = 120
EPS = 2.0**-52


class Subject(NamedTuple):
    """A law, the same law for the oracle, and how far out it is tried."""

    law: SmoothLaw
    shape: Shape
    far: float


def subjects() -> Iterator[Subject]:
    yield Subject(Gaussian().law, Shape("gaussian"), 30.0)
    yield Subject(Laplace().law, Shape("laplace"), 600.0)
    yield Subject(Logistic().law, Shape("logistic"), 600.0)
    for beta in (0.3, 0.5, 0.7, 1.0, 1.5, 2.0, 3.0, 4.0, 7.3):
        shape = Shape("generalized-gaussian", beta)
        yield Subject(GeneralizedGaussian(beta).law, shape, 500 ** (1 / beta))
    for nu in (0.5, 1.0, 1.5, 2.0, 2.5, 3.0, 5.0, 8.0, 8.5, 30.0, 100.0, 1e4, 1e6):
        yield Subject(StudentT(nu).law, Shape("student-t", nu), 1e8)


EVERY = pytest.mark.parametrize(
    "subject", list(subjects()), ids=lambda s: f"{s.shape.name}-{s.shape.parameter:g}"
)


def random_cells(subject: Subject, rng: np.random.Generator) -> Iterator[tuple[float, ...]]:
    """Yield centres and offsets: widths 1e-12 to 1e6, centres inside, at an end and outside."""
    far = subject.far
    for _ in range(CELLS):
        q = float(
            rng.choice(
                [
                    0.0,
                    rng.uniform(-3, 3),
                    rng.uniform(-1, 1) * min(far, 1e3),
                    far ** rng.uniform(-0.5, 1),
                    -(10 ** rng.uniform(-12, 0)),
                ]
            )
        )
        width = 10 ** rng.uniform(-12, 6)
        if abs(q) > 1e3:
            # From afar, offsets of the density's bulk are themselves inexact.
            width = min(width, 0.9 * abs(q))
        left, right = (
            (-width, width * rng.uniform()),
            (-width * rng.uniform(), width),
            (-width, width),
            (width, width * (1 + 10 ** rng.uniform(-3, 2))),
            (0.0, INF) if q >= 0 else (-INF, 0.0),
        )[rng.integers(5)]
        if abs(q) < 1e3 and left > -INF and rng.uniform() < 0.1:
            right = INF
        if right - left > 100 * EPS * abs(q):
            yield q, left, right


def inner_level(shape: Shape, q: float, left: float, right: float) -> float:
    """Return -log of the density at the point of the cell nearest to 0."""
    level = density_at(shape, ball(q + min(max(-q, left), right)))
    return -float(level.log()) if level > 0 else INF


def gaps(subject: Subject, q: float, left: float, right: float) -> Iterator[tuple[str, float]]:
    """Yield each moment's error in units of what is allowed."""
    depth = inner_level(subject.shape, q, left, right)
    if depth > 650:  # what is left underflows
        return
    allowed = 6e-14 + 4 * EPS * abs(depth)
    found = subject.law.integrals(np.array([q]), np.array([left]), np.array([right]))
    mass, first, second = cell(subject.shape, q, left, right)
    yield "mass", off(float(found.mass[0]), mass) / allowed
    yield "second", off(float(found.second[0]), second) / allowed
    if first.is_finite():
        unit = (mass * second).sqrt() if second.is_finite() else abs(first) + mass
        yield "first", off(float(found.first[0]), first, unit) / allowed


@pytest.mark.thinned(5)
@EVERY
def test_random_cells(subject: Subject) -> None:
    rng = np.random.default_rng(20240)
    tried = 0
    for where in random_cells(subject, rng):
        for moment, gap in gaps(subject, *where):
            assert gap <= 1, (moment, where)
            tried += 1
    assert tried > CELLS


@EVERY
def test_together_as_alone(subject: Subject) -> None:
    """What a cell gets does not depend on the cells beside it."""
    cells = [c for c in random_cells(subject, np.random.default_rng(7)) if math.isfinite(c[2])]
    q, left, right = (np.array(x) for x in zip(*cells, strict=True))
    together = subject.law.integrals(q, left, right)
    for i in range(q.size):
        at = slice(i, i + 1)
        alone = subject.law.integrals(q[at], left[at], right[at])
        for k in range(3):
            assert together[k][i] == pytest.approx(alone[k][0], rel=1e-14, abs=1e-300)


@EVERY
def test_mirrored_cells(subject: Subject) -> None:
    cells = list(random_cells(subject, np.random.default_rng(8)))
    q, left, right = (np.array(x) for x in zip(*cells, strict=True))
    here, there = subject.law.integrals(q, left, right), subject.law.integrals(-q, -right, -left)
    assert here.mass == pytest.approx(there.mass, rel=2e-15, abs=0)
    assert here.second == pytest.approx(there.second, rel=2e-15, abs=0)
    finite = np.isfinite(here.second)
    unit = np.sqrt(here.mass[finite]) * np.sqrt(here.second[finite])
    assert (np.abs(here.first[finite] + there.first[finite]) <= 2e-15 * unit).all()


@EVERY
def test_neighbours_add_up(subject: Subject) -> None:
    """M(a, b) + M(b, c) == M(a, c)."""
    rng = np.random.default_rng(9)
    b = rng.uniform(-4, 4, 60)
    q = np.round(b + rng.uniform(-1, 1, 60), 3)
    a, c = b - 10 ** rng.uniform(-6, 1, 60), b + 10 ** rng.uniform(-6, 1, 60)

    def over(low: FloatArray, high: FloatArray) -> FloatArray:
        return np.array(subject.law.integrals(q, low - q, high - q))

    parts, whole = over(a, b) + over(b, c), over(a, c)
    assert parts[0] == pytest.approx(whole[0], rel=2e-13, abs=0)
    assert parts[2] == pytest.approx(whole[2], rel=2e-13, abs=0)
    assert (np.abs(parts[1] - whole[1]) <= 2e-13 * np.sqrt(whole[0]) * np.sqrt(whole[2])).all()


@EVERY
def test_empty_cells_hold_nothing(subject: Subject) -> None:
    q = np.array([0.0, 1.0, -2.0])
    for moment in subject.law.integrals(q, np.zeros(3), np.zeros(3)):
        assert moment.tolist() == [0.0, 0.0, 0.0]


@pytest.mark.parametrize("q", [0.3, -5.0, 0.0, 1e6])
@pytest.mark.parametrize("limits", [(-0.25, 0.5), (0.1, 0.1000001), (-3.0, -2.0)])
def test_flat_cells(q: float, limits: tuple[float, float]) -> None:
    (piece,) = Uniform(0.0, 1.0).pieces()
    left, right = (np.array([x]) for x in limits)
    found = piece.law.integrals(np.array([q]), left, right)
    a, b = (ball(x) for x in limits)
    for k, moment in enumerate(found):
        exact = (b ** (k + 1) - a ** (k + 1)) / (k + 1)
        # The first moment may cancel; its unit is what does.
        assert off(float(moment[0]), exact, abs(b - a) * max(map(abs, limits)) ** k) < 4e-16
