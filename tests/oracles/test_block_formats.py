"""Block formats against their definitions at 60 digits, in mpmath; nothing of the analysis is used.

Given one value x of a block, the others decide the scale with it: for a scale s_j that holds while
the largest magnitude M lies in [a, b), P(s_j | x) is F(b)^(n-1) - F(a)^(n-1) for |x| < a, and
F(b)^(n-1) for a <= |x| < b. So E[e^2] is a sum over scales, levels and limits of closed forms.
Where the scale follows M or both extremes, an integral over them is left.
"""

from collections.abc import Callable, Iterable
from itertools import pairwise
from typing import Any, NamedTuple

import mpmath as mp
import numpy as np
import pytest

from qerror import parse_density, quantization_error
from qerror.densities import Density, Discrete, Gaussian, Mixture

DIGITS = 60
_NOTHING = 1e-55
E2M1 = [0, 0.5, 1, 1.5, 2, 3, 4, 6]
E4M3 = [(m if e == 0 else 8 + m) * 2.0 ** (max(e, 1) - 10) for e in range(16) for m in range(8)][
    :-1
]  # the last code is NaN


class Law(NamedTuple):
    """A law by the antiderivatives of p, x p and x^2 p, and its point masses."""

    pdf: Callable[[Any], Any]
    moments: Callable[[Any], tuple[Any, Any, Any]]
    atoms: tuple[tuple[float, float], ...] = ()
    share: float = 1.0
    """Of the part that has a density."""

    def between(self, a: Any, b: Any) -> tuple[Any, Any, Any]:
        """Integrate 1, x and x^2 over the continuous part of a < x < b."""
        if not a < b:
            return mp.mpf(0), mp.mpf(0), mp.mpf(0)
        low, high = self.moments(a), self.moments(b)
        return tuple(self.share * (v - u) for u, v in zip(low, high, strict=True))

    def error(self, a: Any, b: Any, q: Any) -> tuple[Any, Any]:
        """Integrate e^2 and x e, e = q - x, over a <= |x| < b for x > 0, of both signs."""
        total = [mp.mpf(0), mp.mpf(0)]
        for side in (1, -1):
            ends = (a, b) if side > 0 else (-b, -a)
            m0, m1, m2 = self.between(*ends)
            total[0] += m2 - 2 * side * q * m1 + q * q * m0
            total[1] += side * q * m1 - m2
            for x, p in self.atoms:
                if x and a <= side * x < b:
                    total[0] += p * (side * q - x) ** 2
                    total[1] += p * x * (side * q - x)
        return total[0], total[1]

    def within(self, m: Any) -> Any:
        """Return P(|X| < m)."""
        found = self.between(-m, m)[0] if m else mp.mpf(0)
        return found + sum(p for x, p in self.atoms if abs(x) < m)


def _gaussian(x: Any) -> tuple[Any, Any, Any]:
    p = mp.npdf(x) if mp.isfinite(x) else mp.mpf(0)
    return mp.ncdf(x), -p, mp.ncdf(x) - (x * p if p else 0)


def _laplace(x: Any) -> tuple[Any, Any, Any]:
    y = abs(x)
    if not mp.isfinite(x):
        return (mp.mpf(x > 0), mp.mpf(0), mp.mpf(2 if x > 0 else 0))
    tail = mp.exp(-y) / 2
    first, second = -tail * (y + 1), tail * (y * y + 2 * y + 2)
    return (1 - tail, first, 2 - second) if x > 0 else (tail, first, second)


def _student(x: Any) -> tuple[Any, Any, Any]:
    # nu = 3, p = 2 sqrt(3) 3 / (pi (3 + x^2)^2): by partial fractions.
    root = mp.sqrt(3)
    if not mp.isfinite(x):
        return (mp.mpf(x > 0), mp.mpf(0), mp.mpf(3) * (x > 0))
    c, d = 6 * root / mp.pi, 3 + x * x
    angle = mp.atan(x / root) + mp.pi / 2
    return (
        c * (x / (6 * d) + angle / (6 * root)),
        -c / (2 * d),
        c * (-x / (2 * d) + angle / (2 * root)),
    )


def _uniform(x: Any) -> tuple[Any, Any, Any]:
    x = min(max(x, mp.mpf(-1)), mp.mpf(1))
    return x / 2, x**2 / 4, x**3 / 6


LAWS: dict[str, Law] = {
    "gaussian": Law(mp.npdf, _gaussian),
    "laplace": Law(lambda x: mp.exp(-abs(x)) / 2, _laplace),
    "student-t": Law(lambda x: 6 * mp.sqrt(3) / (mp.pi * (3 + x * x) ** 2), _student),
    "uniform": Law(lambda x: mp.mpf(abs(x) <= 1) / 2, _uniform),
    "points": Law(mp.npdf, _gaussian, ((0.0, 0.2), (1.3, 0.1)), 0.7),
}
DENSITIES: dict[str, Density] = {
    "gaussian": Gaussian(),
    "laplace": parse_density("laplace"),
    "student-t": parse_density("student-t", nu=3.0),
    "uniform": parse_density("uniform", low=-1.0, high=1.0),
    "points": Mixture([Gaussian(), Discrete([0.0, 1.3], [2 / 3, 1 / 3])], [0.7, 0.3]),
}


def _cells(levels: Iterable[float], scale: Any, low: Any, high: Any) -> list[tuple[Any, Any, Any]]:
    """Return the parts of low < |x| < high that become one level each."""
    q = [mp.mpf(level) * scale for level in levels]
    cuts = [mp.mpf(0), *((a + b) / 2 for a, b in pairwise(q)), mp.inf]
    parts = [
        (max(a, low), min(b, high), level) for (a, b), level in zip(pairwise(cuts), q, strict=True)
    ]
    return [part for part in parts if part[0] < part[1]]


def _stepped(
    law: Law, n: int, levels: list[float], scales: list[Any], edges: list[Any]
) -> tuple[Any, Any]:
    total = [mp.mpf(0), mp.mpf(0)]
    for scale, (a, b) in zip(scales, pairwise(edges), strict=True):
        after, before = law.within(b) ** (n - 1), law.within(a) ** (n - 1)
        if after < _NOTHING or 1 - before < _NOTHING:
            continue
        for low, high, weight in ((mp.mpf(0), a, after - before), (a, b, after)):
            for left, right, q in _cells(levels, scale, low, high):
                for k, part in enumerate(law.error(left, right, q)):
                    total[k] += weight * part
    return total[0], total[1]


def _mx(law: Law, n: int, theta: float) -> tuple[Any, Any]:
    scales = [mp.ldexp(1, k) for k in range(-60, 100)]
    return _stepped(law, n, E2M1, scales, [mp.mpf(0), *(theta * s for s in scales[1:]), mp.inf])


def _nvfp4(law: Law, n: int, tensor: float) -> tuple[Any, Any]:
    scales = [mp.mpf(level) * tensor for level in E4M3]
    cuts = [6 * (a + b) / 2 for a, b in pairwise(scales)]
    return _stepped(law, n, E2M1, scales, [mp.mpf(0), *cuts, mp.inf])


@pytest.mark.thinned(4)
@pytest.mark.parametrize("name", LAWS)
@pytest.mark.parametrize(
    ("form", "expected"),
    [
        ("mxfp4", lambda law: _mx(law, 32, 4.0)),
        ("mxfp4:even:n=16", lambda law: _mx(law, 16, 3.5)),
        ("nvfp4", lambda law: _nvfp4(law, 16, 1.0)),
        ("nvfp4:tensor=0.0117", lambda law: _nvfp4(law, 16, 0.0117)),
    ],
    ids=["mxfp4", "even", "nvfp4", "tensor"],
)
def test_stepped_scales(form: str, expected: Callable[[Law], tuple[Any, Any]], name: str) -> None:
    found = quantization_error(form, DENSITIES[name])
    with mp.workdps(DIGITS):
        mse, cross = expected(LAWS[name])
    assert found.mse == pytest.approx(float(mse), rel=1e-13, abs=0)
    assert found.cross_moment == pytest.approx(float(cross), rel=0, abs=1e-13 * float(mse))


def _inner(law: Law, low: Any, high: Any, steps: int) -> Any:
    """Integrate e^2 between two extremes that are levels."""
    total, anchor, step = mp.mpf(0), low, (high - low) / steps
    for k in range(steps + 1):
        q = anchor + k * step
        m0, m1, m2 = law.between(max(low, q - step / 2), min(high, q + step / 2))
        total += m2 - 2 * q * m1 + q * q * m0
    return total


@pytest.mark.parametrize(
    ("name", "panels"),
    [
        ("gaussian", [0, 1, 2, 3.5, 5.5, 9]),
        ("uniform", [0, 0.5, 1]),
        ("laplace", [0, 2, 4, 7, 12, 20, 35, 60]),
    ],
)
def test_absmax(name: str, panels: list[float]) -> None:
    # The largest value has no error; each of the others lies below it.
    law, n = LAWS[name], 32
    with mp.workdps(25):
        t, w = _rule(24)
        total = mp.mpf(0)
        for a, b in pairwise(panels):
            for node, weight in zip(t, w, strict=True):
                m = a + (b - a) * node
                chance = (n - 1) * 2 * law.pdf(m) * law.within(m) ** (n - 2)
                total += (b - a) * weight * chance * _inner(law, -m, m, 14)
    found = quantization_error("int4:g32", DENSITIES[name]).mse
    assert found == pytest.approx(float(total), rel=1e-12, abs=0)


def _rule(count: int) -> tuple[list[Any], list[Any]]:
    """Return Gauss-Legendre nodes and weights on [0, 1]."""
    nodes = [mp.mpf(x) for x in np.polynomial.legendre.leggauss(count)[0]]
    for _ in range(2):  # of Newton: to 60 digits
        nodes = [x - mp.legendre(count, x) / _slope(count, x) for x in nodes]
    weights = [2 / ((1 - x * x) * _slope(count, x) ** 2) for x in nodes]
    return [(1 + x) / 2 for x in nodes], [weight / 2 for weight in weights]


def _slope(count: int, x: Any) -> Any:
    """Return the derivative of a Legendre polynomial."""
    return count * (x * mp.legendre(count, x) - mp.legendre(count - 1, x)) / (x * x - 1)


@pytest.mark.parametrize(
    ("name", "panels"),
    [
        ("uniform", [-1, 1]),
        pytest.param("gaussian", [-8, -4, -2, 0, 2, 4, 8], marks=pytest.mark.exhaustive),
    ],
)
def test_affine_with_a_real_offset(name: str, panels: list[float]) -> None:
    # Both extremes are levels; the n - 2 other values lie between them.
    law, n = LAWS[name], 6
    with mp.workdps(25):
        t, w = _rule(14)
        total = mp.mpf(0)
        for low_panel in pairwise(panels):
            for low, dl in _nodes(low_panel, t, w):
                tops = [low, *(x for x in panels if x > low)]
                for high_panel in pairwise(tops):
                    for high, dh in _nodes(high_panel, t, w):
                        inside = law.between(low, high)[0]
                        chance = (n - 1) * (n - 2) * inside ** (n - 3)
                        chance *= law.pdf(low) * law.pdf(high) * dl * dh
                        total += chance * _inner(law, low, high, 3)
    found = quantization_error(f"int2:g{n}:affine", DENSITIES[name]).mse
    assert found == pytest.approx(float(total), rel=1e-12, abs=0)


def _nodes(panel: tuple[Any, Any], t: list[Any], w: list[Any]) -> list[tuple[Any, Any]]:
    a, b = (mp.mpf(x) for x in panel)
    return [(a + (b - a) * x, (b - a) * weight) for x, weight in zip(t, w, strict=True)]
