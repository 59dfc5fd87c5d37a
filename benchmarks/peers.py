"""What one would write without this library, each as good as it gets in a few lines.

The closed form uses that grid and density are symmetric, as the library does; quadrature is the
plain loop over all cells.
"""

import math
from collections.abc import Callable
from itertools import pairwise
from typing import TypeAlias

import numpy as np
from scipy import integrate, special

from qerror._arrays import FloatArray
from qerror.formats import ScalarFormat
from qerror.simulation import quantize

Moments: TypeAlias = Callable[[FloatArray], tuple[FloatArray, FloatArray, FloatArray]]

SAMPLES = 200_000
FAR = 1e6  # times the largest level: beyond it the closed forms have nothing left


class Cells:
    """The upper half of a symmetric grid: points and the thresholds between them."""

    def __init__(self, form: ScalarFormat) -> None:
        points = form.grid().points
        self.points = points[points >= 0]
        if self.points[0] > 0:
            raise ValueError("the benchmarks take grids with a level at 0")
        middles = 0.5 * (self.points[1:] + self.points[:-1])
        self.edges = np.concatenate([[0.0], middles, [FAR * self.points[-1]]])


# ---- (a) the closed forms of Kuzmin et al. 2022, appendix A.3


def gaussian_moments(x: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return int_x^inf of p, y p and y^2 p for the standard Gaussian, x >= 0."""
    density = np.exp(-0.5 * x * x) / math.sqrt(2 * math.pi)
    mass = 0.5 * special.erfc(x / math.sqrt(2))
    return mass, density, mass + x * density


def student_moments(nu: float) -> Moments:
    """Return the same, up to a constant, for Student's t by the hypergeometric function."""
    peak = math.exp(math.lgamma((nu + 1) / 2) - math.lgamma(nu / 2)) / math.sqrt(nu * math.pi)
    power = (nu + 1) / 2

    def moments(x: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
        y = x * x / nu
        mass = -peak * x * special.hyp2f1(0.5, power, 1.5, -y)
        first = peak * nu / (nu - 1) * (1 + y) ** ((1 - nu) / 2)
        second = -peak / 3 * x**3 * special.hyp2f1(1.5, power, 2.5, -y)
        return mass, first, second

    return moments


def closed_form(cells: Cells, moments: Moments, scales: FloatArray) -> FloatArray:
    """Return the MSE at every scale as the papers write it: q^2 M0 - 2 q M1 + M2."""
    points, edges = np.multiply.outer(scales, cells.points), np.multiply.outer(scales, cells.edges)
    zeroth, first, second = (values[:, :-1] - values[:, 1:] for values in moments(edges))
    total: FloatArray = (points * (points * zeroth - 2 * first) + second).sum(axis=1)
    return 2 * total


# ---- (b) adaptive quadrature, cell by cell


def gaussian_pdf(x: float) -> float:
    """Return the standard Gaussian density."""
    return math.exp(-0.5 * x * x) / math.sqrt(2 * math.pi)


def student_pdf(nu: float) -> Callable[[float], float]:
    """Return the density of Student's t."""
    peak = math.exp(math.lgamma((nu + 1) / 2) - math.lgamma(nu / 2)) / math.sqrt(nu * math.pi)
    power = -(nu + 1) / 2
    return lambda x: peak * (1 + x * x / nu) ** power


def by_quad(
    form: ScalarFormat, pdf: Callable[[float], float], scale: float, power: int = 2
) -> float:
    """Return E|e|^power at one scale by `scipy.integrate.quad`, cell by cell."""
    points = (form.grid().points * scale).tolist()
    middles = [0.5 * (low + high) for low, high in pairwise(points)]
    total = 0.0
    for q, (low, high) in zip(points, pairwise([-math.inf, *middles, math.inf]), strict=True):
        # The two outer cells end at infinity: their smooth part is taken apart.
        for a, b in ((low, q), (q, high)) if math.isinf(high - low) else ((low, high),):
            total += integrate.quad(_power, a, b, args=(q, power, pdf))[0]
    return total


def _power(x: float, q: float, power: int, pdf: Callable[[float], float]) -> float:
    return (x - q) ** power * pdf(x)


# ---- (c) simulation


def squared_errors(
    form: ScalarFormat, draw: Callable[[int], FloatArray], scale: float, size: int = SAMPLES
) -> FloatArray:
    """Return the squared errors of freshly drawn values."""
    x = draw(size)
    error: FloatArray = quantize(x, form, scale) - x
    return np.square(error)


def samples_needed(
    form: ScalarFormat, pdf: Callable[[float], float], scale: float, relative_error: float = 1e-3
) -> float:
    """Return how many samples give the mean of e^2 this relative standard error.

    By the exact variance of e^2: samples show too little of it where clipping is rare.
    """
    second, fourth = (by_quad(form, pdf, scale, power) for power in (2, 4))
    return (fourth / second**2 - 1) / relative_error**2
