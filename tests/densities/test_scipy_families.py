"""Frozen distributions of scipy.stats that are built in: which density each is."""

import math
import pickle
from collections.abc import Callable
from fractions import Fraction
from typing import Any, cast

import mpmath
import numpy as np
import pytest
from scipy import stats

from qerror import quantization_error
from qerror.densities import (
    Arcsine,
    Clipped,
    Density,
    FromScipy,
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
    as_density,
    density_name,
    parse_density,
)
from qerror.densities.from_scipy import SCIPY_FAMILIES
from qerror.exceptions import InvalidValue

INF = math.inf

BUILT_IN: list[tuple[Any, Density]] = [
    (stats.norm(), Gaussian()),
    (stats.norm(0.5, 2), Gaussian(0.5, 2.0)),
    (stats.t(3), StudentT(3.0)),
    (stats.t(2.5, scale=2, loc=-1), StudentT(2.5, -1.0, 2.0)),
    (stats.t(INF, 1, 2), Gaussian(1.0, 2.0)),
    (stats.cauchy(1, 2), StudentT(1.0, 1.0, 2.0)),
    (stats.laplace(-1, 0.5), Laplace(-1.0, 0.5)),
    (stats.logistic(scale=3), Logistic(0.0, 3.0)),
    (stats.gennorm(0.7, 1, 2), GeneralizedGaussian(0.7, 1.0, 2.0)),
    (stats.uniform(-0.5, 3.5), Uniform(-0.5, 3.0)),
    (stats.arcsine(-1, 2), Arcsine(-1.0, 1.0)),
    (stats.loguniform(0.25, 8), LogUniform(0.25, 8.0)),
    (stats.loguniform(0.25, 8, scale=2), LogUniform(0.5, 16.0)),
    (stats.reciprocal(0.25, 8, 1, 2), LogUniform(0.25, 8.0).affine(2.0, 1.0)),
    (stats.truncnorm(-1, 2, loc=0.5, scale=2), Truncated(Gaussian(0.5, 2.0), -1.5, 4.5)),
    (stats.truncnorm(-1, INF), Truncated(Gaussian(), -1.0)),
    (stats.truncnorm(-INF, INF, 1), Gaussian(1.0)),
    (stats.expon(), Truncated(Laplace(), 0.0)),
    (stats.expon(3, 2), Truncated(Laplace(3.0, 2.0), 3.0)),
    (stats.truncexpon(4, 1, 0.5), Truncated(Laplace(1.0, 0.5), 1.0, 3.0)),
    (stats.halfnorm(scale=1.5), HalfGaussian(1.5)),
    (stats.halfnorm(3, 2), Truncated(Gaussian(3.0, 2.0), 3.0)),
    (stats.halfcauchy(1, 2), Truncated(StudentT(1.0, 1.0, 2.0), 1.0)),
    (stats.halflogistic(1, 2), Truncated(Logistic(1.0, 2.0), 1.0)),
    (stats.halfgennorm(0.7, 1, 2), Truncated(GeneralizedGaussian(0.7, 1.0, 2.0), 1.0)),
]


def name_of(value: object) -> str:
    return density_name(value) if isinstance(value, Density) else ""


@pytest.mark.parametrize(("frozen", "density"), BUILT_IN, ids=name_of)
def test_what_is_built_in(frozen: Any, density: Density) -> None:
    found = as_density(frozen)
    assert found == density
    assert type(found) is type(density)
    assert pickle.loads(pickle.dumps(found)) == density
    assert hash(found) == hash(density)


@pytest.mark.parametrize(("frozen", "density"), BUILT_IN[1::2], ids=name_of)
@pytest.mark.parametrize("name", ["e2m1", "mxfp4:g4", "int4:g32:affine"])
def test_errors_are_those_of_the_built_in_density(name: str, frozen: Any, density: Density) -> None:
    assert quantization_error(name, frozen) == quantization_error(name, density)


def test_the_heavy_tail_that_quadrature_lost() -> None:
    report = quantization_error("int4:g32:affine", stats.t(3))
    assert report == quantization_error("int4:g32:affine", StudentT(3.0))


SHAPES: dict[str, Callable[[np.random.Generator], tuple[float, ...]]] = {
    "t": lambda rng: (rng.uniform(2.2, 30),),
    "gennorm": lambda rng: (rng.uniform(0.5, 6),),
    "halfgennorm": lambda rng: (rng.uniform(0.5, 6),),
    "loguniform": lambda rng: (rng.uniform(0.01, 0.1), rng.uniform(1, 9)),
    "reciprocal": lambda rng: (rng.uniform(0.01, 0.1), rng.uniform(1, 9)),
    "truncnorm": lambda rng: (rng.uniform(-4, 1), rng.uniform(1.5, 6)),
    "truncexpon": lambda rng: (rng.uniform(0.5, 8),),
}


@pytest.mark.parametrize("name", [*SCIPY_FAMILIES, "reciprocal"])
def test_random_parameters(name: str) -> None:
    """However the parameters are given, they mean what they mean in scipy.stats."""
    make, rng = getattr(stats, name), np.random.default_rng(7)
    for turn in range(6):
        shapes = SHAPES[name](rng) if name in SHAPES else ()
        place = {"loc": rng.normal(), "scale": rng.uniform(0.1, 4)}
        words = dict(zip((make.shapes or "").split(", "), shapes, strict=False))
        frozen = (
            make(*shapes, *place.values()),
            make(*shapes, **place),
            make(**words, **place),
        )[turn % 3]
        density = as_density(frozen)
        assert not isinstance(density, FromScipy)
        p = np.array([0.02, 0.2, 0.45, 0.7, 0.95])
        x = frozen.ppf(p)
        assert density.pdf(x) == pytest.approx(frozen.pdf(x), rel=1e-12, abs=0)
        assert density.cdf(x) == pytest.approx(frozen.cdf(x), rel=1e-12, abs=0)
        assert density.support == pytest.approx(frozen.support(), rel=1e-15, abs=1e-15)
        if "cauchy" in name:
            assert density.second_moment == INF
            continue
        mean, variance = moments(frozen, *shapes)
        assert density.mean == pytest.approx(mean, rel=1e-12, abs=1e-14)
        assert density.variance == pytest.approx(variance, rel=1e-12, abs=0)


def moments(frozen: Any, *shapes: float) -> tuple[float, float]:
    """Return mean and variance as scipy has them, or better where it integrates by quadrature."""
    loc, scale = [*frozen.args, *frozen.kwds.values()][-2:]
    with mpmath.workdps(30):
        if frozen.dist.name == "truncnorm":
            a, b = map(mpmath.mpf, shapes)
            kept = mpmath.ncdf(b) - mpmath.ncdf(a)
            at_a, at_b = mpmath.npdf(a) / kept, mpmath.npdf(b) / kept
            first, second = at_a - at_b, 1 + a * at_a - b * at_b
        elif frozen.dist.name == "halfgennorm":
            whole, *others = (mpmath.gamma(k / mpmath.mpf(shapes[0])) for k in (1, 2, 3))
            first, second = (part / whole for part in others)
        else:
            return frozen.mean(), frozen.var()
        return float(loc + scale * first), float(scale**2 * (second - first**2))


# The one that is built in and the one whose values alone are known share no code of their laws.
@pytest.mark.parametrize(
    ("frozen", "digits"),
    [
        (stats.cauchy(0.2, 0.5), 1e-12),
        (stats.loguniform(0.25, 8, 0.1, 0.5), 1e-12),
        (stats.truncnorm(-1, 2, loc=0.5, scale=2), 1e-12),
        (stats.expon(-0.3, 2), 1e-12),
        (stats.truncexpon(4, 0.1, 0.5), 1e-12),
        (stats.halfnorm(0.3, 2), 1e-12),
        (stats.halfcauchy(0.1, 2), 1e-12),
        (stats.halflogistic(0.1, 2), 1e-12),
        (stats.halfgennorm(0.7, 0.1, 2), 1e-10),
    ],
    ids=lambda x: x.dist.name if hasattr(x, "dist") else "",
)
def test_the_errors_by_quadrature(frozen: Any, digits: float) -> None:
    found = quantization_error("int4", frozen, 0.5)
    wrapped = quantization_error("int4", FromScipy(frozen), 0.5)
    assert found.rounding == pytest.approx(wrapped.rounding, rel=digits, abs=0)
    assert found.mse == pytest.approx(wrapped.mse, rel=digits, abs=0)
    assert found.signal_power == pytest.approx(wrapped.signal_power, rel=digits, abs=0)


@pytest.mark.parametrize(
    "three", [3, np.int64(3), np.float32(3), np.array(3.0), Fraction(3)], ids=repr
)
def test_any_kind_of_number(three: Any) -> None:
    frozen: Any = stats.t(three, three, scale=three)
    assert as_density(frozen) == StudentT(3.0, 3.0, 3.0)


def test_inside_other_densities() -> None:
    t, normal = cast("Any", stats.t(3)), cast("Any", stats.norm(1, 2))
    assert Truncated(t, -1.0).density == StudentT(3.0)
    assert Clipped(normal, 0.0).density == Rectified(normal).density == Gaussian(1.0, 2.0)
    mixed = Mixture([t, normal], [0.25, 0.75])
    assert mixed == Mixture([StudentT(3.0), Gaussian(1.0, 2.0)], [0.25, 0.75])
    assert parse_density(density_name(mixed)) == mixed


def test_the_class_by_its_name_stays_itself() -> None:
    wrapped = FromScipy(stats.norm())
    assert type(wrapped) is FromScipy
    assert as_density(wrapped) is wrapped
    assert Truncated(wrapped, 0.0).density is wrapped


NORM: Any = type(stats.norm)
FROZEN: Any = type(stats.norm())
CONTINUOUS: Any = stats.rv_continuous


class Doubled(NORM):  # type: ignore[misc]
    """The same name, another density."""

    def _pdf(self, x: Any) -> Any:
        return 2 * super()._pdf(2 * x)

    def _cdf(self, x: Any) -> Any:
        return super()._cdf(2 * x)

    def _ppf(self, q: Any) -> Any:
        return super()._ppf(q) / 2


class Own(CONTINUOUS):  # type: ignore[misc]
    """A user's own, which has taken a name of scipy.stats."""

    def _pdf(self, x: Any) -> Any:
        return 2.0 * x


class Shifted(FROZEN):  # type: ignore[misc]
    """A frozen distribution whose methods are the user's."""

    def pdf(self, x: Any) -> Any:
        return super().pdf(x - 1)


@pytest.mark.parametrize(
    "frozen",
    [
        Doubled(name="norm")(),
        Own(a=0.0, b=1.0, name="uniform")(),
        Shifted(stats.norm),
        NORM(a=-1.0, b=1.0, name="norm")(),  # its density does not integrate to 1
        NORM(name="laplace")(),
        stats.skewnorm(4),
    ],
    ids=["subclass", "own", "own methods", "own ends", "another's name", "not built in"],
)
def test_what_is_not_of_scipy_stats_itself(frozen: Any) -> None:
    assert as_density(frozen) == FromScipy(frozen)
    assert type(as_density(frozen)) is FromScipy


def test_a_subclass_has_its_own_error() -> None:
    found = quantization_error("int4", Doubled(name="norm")(), 0.25)
    assert found.mse == pytest.approx(
        quantization_error("int4", Gaussian(0.0, 0.5), 0.25).mse, rel=1e-12, abs=0
    )


@pytest.mark.parametrize(
    "frozen",
    [
        stats.gennorm(0.04),
        stats.gennorm(2000),
        stats.halfgennorm(2000),
        stats.truncnorm(38, INF),
        stats.truncnorm(50, 60),
    ],
    ids=lambda x: f"{x.dist.name}{x.args}",
)
def test_beyond_the_built_in_parameters(frozen: Any) -> None:
    assert type(as_density(frozen)) is FromScipy
    assert type(Rectified(frozen).density) is FromScipy


def test_at_the_last_built_in_parameters() -> None:
    for beta in (0.05, 1000.0):
        assert as_density(stats.gennorm(beta)) == GeneralizedGaussian(beta)
    found = as_density(stats.truncnorm(30, 31))
    assert found == Truncated(Gaussian(), 30.0, 31.0)
    with mpmath.workdps(230):
        kept = mpmath.ncdf(-30) - mpmath.ncdf(-31)
        mean = float((mpmath.npdf(30) - mpmath.npdf(31)) / kept)
    assert found.mean == pytest.approx(mean, rel=1e-15, abs=0)


@pytest.mark.parametrize(
    ("frozen", "complaint"),
    [
        (stats.norm(0, INF), r"scipy\.stats\.norm\(0, inf\): std must be finite"),
        (stats.t(1e-300), r"scipy\.stats\.t\(1e-300\): nu must be at least 1e-290"),
        (stats.uniform(1e20, 1), "float64 sees one number, 1e.20, where"),
        (stats.arcsine(1e20, 1), "float64 sees one number"),
        (stats.truncnorm(1, 2, loc=1e20), "float64 sees one number"),
        (stats.beta(2, 3, loc=1e20), "float64 sees one number"),
    ],
)
def test_what_float64_cannot_hold_is_refused(frozen: Any, complaint: str) -> None:
    with pytest.raises(InvalidValue, match=complaint):
        as_density(frozen)


def test_every_family_is_tried() -> None:
    tried = {frozen.dist.name for frozen, _ in BUILT_IN}
    assert tried == {*SCIPY_FAMILIES, "reciprocal"}
    assert all(hasattr(stats, name) for name in SCIPY_FAMILIES)
