"""Asymptotes and bounds against integrals at 30 digits and against what quantizers reach."""

import math
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import mpmath as mp
import pytest

from qerror import (
    Clipped,
    Density,
    Discrete,
    FromScipy,
    Gaussian,
    GeneralizedGaussian,
    HalfGaussian,
    Laplace,
    Logistic,
    Mixture,
    Rectified,
    StudentT,
    Truncated,
    Uniform,
    lloyd_max,
    optimal_scale,
    panter_dite,
    shannon_bound,
)
from qerror.codebooks import differential_entropy
from qerror.densities import DENSITIES
from qerror.densities._half_gamma import digamma_half_difference
from qerror.exceptions import InvalidType, InvalidValue

Number: TypeAlias = Any
Pdf: TypeAlias = Callable[[Number], Number]
INF = math.inf
EXAMPLES = {name: family.example for name, family in DENSITIES.items()}


# ---- the oracle: densities written down anew, integrated by tanh-sinh


def gaussian(x: Number) -> Number:
    return mp.npdf(x)


def laplace(x: Number) -> Number:
    return mp.exp(-abs(x)) / 2


def logistic(x: Number) -> Number:
    return mp.sech(x / 2) ** 2 / 4


def student(nu: float) -> Pdf:
    n = mp.mpf(nu)
    peak = mp.gamma((n + 1) / 2) / mp.gamma(n / 2) / mp.sqrt(n * mp.pi)
    return lambda x: peak * (1 + x * x / n) ** (-(n + 1) / 2)


def general(beta: float) -> Pdf:
    b = mp.mpf(beta)
    return lambda x: b / (2 * mp.gamma(1 / b)) * mp.exp(-(abs(x) ** b))


def mixed(x: Number) -> Number:
    return mp.mpf(9) / 10 * mp.npdf(x) + mp.npdf((x - mp.mpf(1) / 2) / 4) / 40


def truncated(x: Number) -> Number:
    return mp.npdf(x) / (mp.ncdf(2) - mp.ncdf(-1))


CASES: dict[str, tuple[Density, Pdf, Sequence[float]]] = {
    "gaussian": (Gaussian(), gaussian, (-INF, -5, 0, 5, INF)),
    "laplace": (Laplace(), laplace, (-INF, -5, 0, 5, INF)),
    "logistic": (Logistic(), logistic, (-400, -100, -30, 0, 30, 100, 400)),
    "t(3)": (StudentT(3), student(3), (-INF, -100, -5, 0, 5, 100, INF)),
    "t(8)": (StudentT(8), student(8), (-INF, -100, -5, 0, 5, 100, INF)),
    "t(200)": (StudentT(200), student(200), (-INF, -100, -5, 0, 5, 100, INF)),
    "gg(0.7)": (GeneralizedGaussian(0.7), general(0.7), (-INF, -50, -1, 0, 1, 50, INF)),
    "gg(6)": (GeneralizedGaussian(6), general(6), (-3, -1, 0, 1, 3)),
    "half": (HalfGaussian(), lambda x: 2 * mp.npdf(x), (0, 2, 6, INF)),
    "uniform": (Uniform(-1, 3), lambda _: mp.mpf(1) / 4, (-1, 3)),
    "truncated": (Truncated(Gaussian(), -1, 2), truncated, (-1, 0, 2)),
    "mixture": (
        Mixture((Gaussian(), Gaussian(0.5, 4)), (0.9, 0.1)),
        mixed,
        (-INF, -30, -10, -4, -2, 0, 2, 4, 10, 30, INF),
    ),
}


def integral(function: Pdf, ends: Sequence[float]) -> Number:
    """Integrate over x = sinh(y), so that a heavy tail ends before y does."""
    places = [mp.asinh(end) if math.isfinite(end) else 300 * mp.sign(end) for end in ends]
    with mp.workdps(30):
        return mp.quad(lambda y: function(mp.sinh(y)) * mp.cosh(y), places, maxdegree=10)


@pytest.mark.parametrize("name", CASES)
def test_panter_dite_is_its_integral(name: str) -> None:
    density, pdf, ends = CASES[name]
    wanted = integral(lambda x: mp.cbrt(pdf(x)), ends) ** 3 / 12
    assert panter_dite(density, 1) == pytest.approx(float(wanted), rel=1e-13, abs=0)
    assert panter_dite(density, 1000) == pytest.approx(float(wanted) / 1e6, rel=1e-13, abs=0)


@pytest.mark.parametrize("name", CASES)
def test_entropy_is_its_integral(name: str) -> None:
    density, pdf, ends = CASES[name]

    def term(x: Number) -> Number:
        p = pdf(x)
        return -p * mp.log(p) if p else mp.mpf(0)

    wanted = float(integral(term, ends))
    assert differential_entropy(density) == pytest.approx(wanted, abs=3e-14)
    bound = math.exp(2 * wanted) / (2 * math.pi * math.e) / 2**9
    assert shannon_bound(density, 4.5) == pytest.approx(bound, rel=1e-13, abs=0)


@pytest.mark.parametrize(
    ("density", "constant"),
    [
        (Gaussian(), math.sqrt(3) * math.pi / 2),  # Panter and Dite 1951
        (Laplace(scale=math.sqrt(0.5)), 4.5),
        (StudentT(3, scale=math.sqrt(1 / 3)), 20.51907525),
        (StudentT(3), 61.5572257),
        (Uniform(-0.5, 0.5), 1 / 12),
    ],
)
def test_published_constants(density: Density, constant: float) -> None:
    assert panter_dite(density, 1) == pytest.approx(constant, rel=2e-9, abs=0)


@pytest.mark.parametrize(
    "density", [Gaussian(), Laplace(), StudentT(3), StudentT(2.2), GeneralizedGaussian(0.4)]
)
def test_quadrature_and_closed_form_agree(density: Density) -> None:
    # A mixture of one is no family: it takes the way of all densities.
    wrapped = Mixture((density,), (1.0,))
    twice = Mixture((density, density), (0.5, 0.5))
    for other in (wrapped, twice):
        assert panter_dite(other, 16) == pytest.approx(panter_dite(density, 16), rel=1e-12, abs=0)
        same = differential_entropy(density)
        assert differential_entropy(other) == pytest.approx(same, abs=1e-12)


@pytest.mark.parametrize("x", [1e-3, 0.5, 1.0, 7.3, 19.99, 20.0, 400.0, 1e9])
def test_difference_of_digammas(x: float) -> None:
    with mp.workdps(40):
        wanted = mp.psi(0, mp.mpf(x) + mp.mpf(1) / 2) - mp.psi(0, mp.mpf(x))
    assert digamma_half_difference(x) == pytest.approx(float(wanted), rel=1e-15, abs=0)


@pytest.mark.parametrize("name", ["gaussian", "laplace", "logistic", "mixture", "truncated"])
def test_many_levels_approach_panter_dite(name: str) -> None:
    density = EXAMPLES[name]
    apart = [
        abs(lloyd_max(density, levels).report.mse / panter_dite(density, levels) - 1)
        for levels in (32, 128, 512)
    ]
    assert apart[2] < 0.01
    assert apart[1] < 0.5 * apart[0]
    assert apart[2] < 0.5 * apart[1]


@pytest.mark.parametrize("bits", [0, 1, 3, 6])
@pytest.mark.parametrize("name", EXAMPLES)
def test_no_quantizer_beats_the_shannon_bound(name: str, bits: int) -> None:
    density = EXAMPLES[name]
    # One level on a Gaussian reaches the bound at no bits at all.
    least = shannon_bound(density, bits) * (1 - 1e-14)
    assert lloyd_max(density, 2**bits).report.mse >= least


@pytest.mark.parametrize("name", ["gaussian", "laplace", "student-t", "rectified", "clipped"])
def test_no_format_beats_the_shannon_bound(name: str) -> None:
    density = EXAMPLES[name]
    for form in ("int8", "4M3E", "3M4E", "uint8"):
        assert optimal_scale(form, density).report.mse > shannon_bound(density, 8)


def test_the_gaussian_bound_is_its_distortion_rate_function() -> None:
    for bits in (0, 0.5, 1, 8, 100):
        assert shannon_bound(Gaussian(5, 3), bits) == 9 * 2 ** (-2 * bits)
    assert shannon_bound("gaussian", 0) == 1


def test_every_bound_falls_by_6_db_a_bit() -> None:
    for density in (Laplace(), StudentT(1), Uniform()):
        assert shannon_bound(density, 3) == pytest.approx(
            4 * shannon_bound(density, 4), rel=1e-14, abs=0
        )


def test_few_point_masses_hardly_matter() -> None:
    clipped = Clipped(Gaussian(), -10, 10)
    assert shannon_bound(clipped, 8) == pytest.approx(
        shannon_bound(Gaussian(), 8), rel=1e-12, abs=0
    )
    # Of the third of p's logarithm, a normal one of thrice the variance, this lies within.
    within = math.erf(10 / math.sqrt(6))
    expected = within**3 * panter_dite(Gaussian(), 256)
    assert panter_dite(clipped, 256) == pytest.approx(expected, rel=1e-14, abs=0)


def test_a_part_of_point_masses_costs_no_bits() -> None:
    # Half of the ReLU's output is 0; the other half is a half-Gaussian, with all the bits.
    relu, half = Rectified(Gaussian()), HalfGaussian()
    assert shannon_bound(relu, 3) == pytest.approx(0.5 * shannon_bound(half, 6), rel=1e-13, abs=0)
    # (int (p / 2)^(1/3))^3 is half of that of p.
    assert panter_dite(relu, 64) == pytest.approx(0.5 * panter_dite(half, 64), rel=1e-13, abs=0)
    assert differential_entropy(relu) == pytest.approx(differential_entropy(half), abs=1e-13)


def test_point_masses_alone_have_no_bound() -> None:
    density = Discrete((0.0, 1.0), (0.5, 0.5))
    assert shannon_bound(density, 1) == 0
    assert panter_dite(density, 2) == 0
    assert differential_entropy(density) == -INF


def test_infinite_variance_leaves_the_bound_finite() -> None:
    assert panter_dite(StudentT(2), 256) == INF
    # ln(4 pi) is the entropy of the Cauchy density.
    assert differential_entropy(StudentT(1)) == pytest.approx(
        math.log(4 * math.pi), rel=1e-15, abs=0
    )
    assert 0 < shannon_bound(StudentT(1), 8) < INF
    cut = Truncated(StudentT(1), low=0.0)
    assert panter_dite(cut, 256) == INF
    assert differential_entropy(cut) == pytest.approx(math.log(2 * math.pi), rel=1e-13, abs=0)


def test_densities_of_scipy() -> None:
    import scipy.stats

    skew = FromScipy(scipy.stats.gamma(3.0))
    digamma = float(mp.psi(0, 3))
    wanted = 3 + math.lgamma(3) - 2 * digamma
    assert differential_entropy(skew) == pytest.approx(wanted, abs=1e-12)
    with mp.workdps(30):
        root = integral(lambda x: mp.cbrt(x * x * mp.exp(-x) / 2), [0, 1, 10, 60, 400])
    assert panter_dite(skew, 1) == pytest.approx(float(root**3 / 12), rel=1e-12, abs=0)


def test_scale_and_place() -> None:
    far = Mixture((Gaussian(1e7, 1e-2), Gaussian(1e7, 3e-2)), (0.5, 0.5))
    near = Mixture((Gaussian(0, 1), Gaussian(0, 3)), (0.5, 0.5))
    assert panter_dite(far, 8) == pytest.approx(1e-4 * panter_dite(near, 8), rel=1e-13, abs=0)
    assert shannon_bound(far, 8) == pytest.approx(1e-4 * shannon_bound(near, 8), rel=1e-13, abs=0)
    assert panter_dite(Laplace(0, 1e-100), 4) == pytest.approx(
        1e-200 * panter_dite(Laplace(), 4), rel=1e-13, abs=0
    )


@pytest.mark.parametrize("levels", [0, -5, 2**65])
def test_numbers_of_levels_outside_the_range_are_refused(levels: int) -> None:
    with pytest.raises(InvalidValue, match="levels must lie in 1"):
        panter_dite(Gaussian(), levels)


@pytest.mark.parametrize(
    ("bits", "words"), [(-1, "not be negative, got -1"), (INF, "finite"), (math.nan, "finite")]
)
def test_impossible_rates_are_refused(bits: float, words: str) -> None:
    with pytest.raises(InvalidValue, match=words):
        shannon_bound(Gaussian(), bits)
    with pytest.raises(InvalidType, match="bits must be a real number"):
        shannon_bound(Gaussian(), "8")  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]
