"""Fitted densities against scipy.stats, closed forms and what the data were made of."""

import importlib
import math
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats

from qerror.densities import (
    Discrete,
    Gaussian,
    GeneralizedGaussian,
    HalfGaussian,
    Laplace,
    Logistic,
    Mixture,
    StudentT,
    Uniform,
)
from qerror.exceptions import InvalidType, InvalidValue, UnknownName
from qerror.fitting.fit import CHUNK, fit, fit_parts
from qerror.fitting.summary import DIRECT

RNG = np.random.default_rng(43)
SMALL = 5_000
MADE = [
    Gaussian(3.0, 0.1),
    StudentT(3.5, -1.0, 2.0),
    Laplace(0.5, 4.0),
    Logistic(-100.0, 0.02),
    GeneralizedGaussian(1.4, 2.0, 3.0),
    Uniform(-1.0, 5.0),
    HalfGaussian(2.5),
]
FAMILIES: dict[Any, str] = {
    Gaussian: "gaussian",
    StudentT: "student-t",
    Laplace: "laplace",
    Logistic: "logistic",
    GeneralizedGaussian: "generalized-gaussian",
    Uniform: "uniform",
    HalfGaussian: "half-gaussian",
}


def by_scipy(density: Any) -> Any:  # noqa: PLR0911 - a table
    match density:
        case Gaussian():
            return stats.norm(density.mean, density.std)
        case StudentT():
            return stats.t(density.nu, density.loc, density.scale)
        case Laplace():
            return stats.laplace(density.loc, density.scale)
        case Logistic():
            return stats.logistic(density.loc, density.scale)
        case GeneralizedGaussian():
            return stats.gennorm(density.beta, density.loc, density.scale)
        case Uniform():
            return stats.uniform(density.low, density.high - density.low)
        case _:
            return stats.halfnorm(0, density.std)


@pytest.mark.parametrize("made", MADE, ids=lambda d: type(d).__name__)
def test_log_likelihood_is_scipys(made: Any) -> None:
    x = made.sample(SMALL, RNG)
    for candidate in fit(x, list(FAMILIES.values())).candidates:
        wanted = by_scipy(candidate.density).logpdf(x).sum()
        assert candidate.log_likelihood == pytest.approx(wanted, rel=1e-9, abs=1e-6)


@pytest.mark.parametrize("made", MADE, ids=lambda d: type(d).__name__)
def test_no_neighbour_is_more_likely(made: Any) -> None:
    """The maximum: moving any parameter by 1% of the spread lowers the likelihood."""
    x = made.sample(SMALL, RNG)
    (found,) = fit(x, [FAMILIES[type(made)]]).candidates
    best = found.density
    fields = [name for name in best.__dataclass_fields__ if name not in {"low", "high"}]  # type: ignore[attr-defined]
    level = by_scipy(best).logpdf(x).sum()
    for name in fields:
        for step in (-0.01, 0.01):
            unit = getattr(best, "scale", getattr(best, "std", 1.0))
            moved = getattr(best, name) + step * (unit if name in {"mean", "loc"} else 1.0)
            values = {each: getattr(best, each) for each in fields} | {name: moved}
            if name in {"scale", "std"}:
                values[name] = getattr(best, name) * (1 + step)
            assert by_scipy(type(best)(**values)).logpdf(x).sum() < level


@pytest.mark.parametrize("made", MADE, ids=lambda d: type(d).__name__)
def test_the_family_that_made_the_data_wins(made: Any) -> None:
    x = made.sample(60_000, RNG)
    others = [name for name in FAMILIES.values() if name != "generalized-gaussian"]
    name = FAMILIES[type(made)]
    wanted = [*others, name] if name == "generalized-gaussian" else others
    found = fit(x, wanted)
    assert found.candidates[0].family == name
    for field in found.density.__dataclass_fields__:  # type: ignore[attr-defined]
        unit = getattr(made, "scale", getattr(made, "std", 1.0))
        assert getattr(found.density, field) == pytest.approx(
            getattr(made, field), rel=0.05, abs=0.02 * unit
        )


def test_student_t_against_scipys_own_fit() -> None:
    x = StudentT(5.0, 1.0, 0.3).sample(5_000, RNG)
    nu, loc, scale = stats.t.fit(x)
    found = fit(x, ["t"]).density
    assert isinstance(found, StudentT)
    assert (found.nu, found.loc, found.scale) == pytest.approx((nu, loc, scale), rel=2e-3, abs=0)
    assert fit(x, ["t"]).candidates[0].log_likelihood >= stats.t.logpdf(x, nu, loc, scale).sum()


@pytest.mark.parametrize("made", MADE, ids=lambda d: type(d).__name__)
def test_bins_give_what_single_values_give(made: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    x = made.sample(SMALL, RNG)
    direct = fit(x, list(FAMILIES.values()))
    monkeypatch.setattr(importlib.import_module("qerror.fitting.fit"), "DIRECT", 100)
    binned = fit(x, list(FAMILIES.values()))
    for a, b in zip(direct.candidates, binned.candidates, strict=True):
        assert a.family == b.family or a.log_likelihood == pytest.approx(
            b.log_likelihood, rel=1e-12, abs=0
        )
        assert b.log_likelihood == pytest.approx(a.log_likelihood, rel=1e-5, abs=1e-3)


def test_order_layout_and_storage_do_not_matter(tmp_path: Path) -> None:
    x = RNG.normal(size=(30, 50, 100)).astype(np.float32)
    wanted = fit(x).density
    assert isinstance(wanted, Gaussian)
    np.save(tmp_path / "x.npy", x)
    for other in (np.load(tmp_path / "x.npy", mmap_mode="r"), x.tolist()):
        found = fit(other).density
        assert isinstance(found, Gaussian)
        assert found.std == pytest.approx(wanted.std, rel=1e-12, abs=0)
    turned = fit(x.transpose(2, 0, 1)).density
    assert isinstance(turned, Gaussian)
    assert turned.std == pytest.approx(wanted.std, rel=1e-12, abs=0)


def test_more_than_a_chunk() -> None:
    x = RNG.laplace(1000.0, 0.01, 2 * CHUNK + 17)  # far from zero: bins are about the mean
    found = fit(x).density
    assert isinstance(found, Laplace)
    assert found.loc == pytest.approx(1000.0, abs=1e-4)
    assert found.scale == pytest.approx(0.01, rel=5e-3, abs=0)
    assert x.size > DIRECT


def test_point_masses_are_kept_apart() -> None:
    x = RNG.normal(size=100_000)
    x[:30_000] = 0.0
    found = fit(x)
    assert isinstance(found.density, Mixture)
    assert found.atoms == ((0.0, 0.3),)
    inner, masses = found.density.components
    assert isinstance(masses, Discrete)
    assert masses.values == (0.0,)
    assert isinstance(inner, Gaussian | StudentT)
    assert found.density.weights == pytest.approx((0.7, 0.3), rel=1e-12, abs=0)
    assert found.density.variance == pytest.approx(float(x.var()), rel=0.02, abs=0)


def test_rectified_data() -> None:
    x = np.maximum(RNG.normal(size=200_000), 0)
    found = fit(x, ["half-gaussian", "gaussian", "student-t"])
    assert found.candidates[0].family == "half-gaussian"
    assert found.atoms[0][0] == 0.0
    assert found.atoms[0][1] == pytest.approx(0.5, abs=0.01)
    assert found.density.second_moment == pytest.approx(0.5, rel=0.02, abs=0)


def test_integers_that_repeat_are_all_point_masses() -> None:
    found = fit(RNG.integers(0, 10, 10_000))
    assert isinstance(found.density, Discrete)
    assert found.candidates == ()
    assert len(found.density.values) == 10
    assert fit([2.5, 2.5, 2.5]).density == Discrete([2.5], [1.0])


def test_what_cannot_be_is_excluded_with_a_reason() -> None:
    found = fit(RNG.normal(size=100), ["gaussian", "half-gaussian"])
    assert [each.family for each in found.candidates] == ["gaussian"]
    assert "negative" in found.excluded["half-gaussian"]


def test_heavy_tails_stay_within_the_limits() -> None:
    found = fit(stats.cauchy.rvs(size=20_000, random_state=1), ["student-t"]).density
    assert isinstance(found, StudentT)
    assert found.nu == pytest.approx(1.0, rel=0.05, abs=0)
    assert math.isinf(found.second_moment) == (found.nu <= 2)


def test_bad_input() -> None:
    with pytest.raises(InvalidValue, match="the data are empty"):
        fit([])
    with pytest.raises(InvalidValue, match="2 of 3 values are NaN or infinite"):
        fit([1.0, np.nan, np.inf])
    with pytest.raises(InvalidType, match="real numbers, got dtype complex128"):
        fit([1j])
    with pytest.raises(InvalidType, match="got dtype object"):
        fit(np.array([None]))
    with pytest.raises(UnknownName, match="gausian"):
        fit([1.0, 2.0], ["gausian"])
    with pytest.raises(InvalidValue, match="no fit for mixture; fit takes some of gaussian"):
        fit([1.0, 2.0], ["mixture"])
    with pytest.raises(InvalidValue, match="no family given"):
        fit([1.0, 2.0], [])
    with pytest.raises(InvalidValue, match="no family fits the data: half-gaussian"):
        fit([-1.0, 2.0], ["half-gaussian"])


def test_pieces_are_forgotten() -> None:
    """The peak of memory does not grow with the number of pieces."""
    rng = np.random.default_rng(0)

    def peak(pieces: int) -> int:
        tracemalloc.start()
        fit_parts(lambda: (rng.normal(size=1 << 18) for _ in range(pieces)), ["gaussian"])
        found = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return found

    assert peak(40) < 1.3 * peak(5)


def most_likely_t(x: Any, start: tuple[float, float, float]) -> tuple[float, float, float, float]:
    """Maximise SciPy's own log-likelihood over all values, by a search without gradients."""
    from scipy import optimize

    def negative(p: Any) -> float:
        return -float(stats.t.logpdf(x, math.exp(p[0]), p[1], math.exp(p[2])).sum())

    begin = [math.log(start[0]), start[1], math.log(start[2])]
    options: Any = {"xatol": 1e-6, "fatol": 1e-4, "maxiter": 400}
    found: Any = optimize.minimize(negative, np.array(begin), method="Nelder-Mead", options=options)
    return math.exp(found.x[0]), found.x[1], math.exp(found.x[2]), -found.fun


@pytest.mark.parametrize("kind", ["outlier", "t(0.5)"])
def test_more_values_than_are_kept_with_far_outliers(kind: str) -> None:
    """Bins about the mean lost all but the outliers."""
    rng = np.random.default_rng(0)
    size = DIRECT + 5_000
    x = rng.normal(size=size) if kind == "outlier" else stats.t.rvs(0.5, size=size, random_state=1)
    if kind == "outlier":
        x[0] = 1e9
    (found,) = fit(x, ["student-t"]).candidates
    best = found.density
    assert isinstance(best, StudentT)
    nu, _, scale, level = most_likely_t(x, (best.nu, best.loc, best.scale))
    assert (best.nu, best.scale) == pytest.approx((nu, scale), rel=1e-4, abs=0)
    assert found.log_likelihood == pytest.approx(level, abs=0.02)
    assert found.bounds == ()
    low, high = (15, 30) if kind == "outlier" else (0.49, 0.51)
    assert low < nu < high


def test_exact_moments_far_from_zero_and_at_the_ends_of_float64() -> None:
    for values, mean, std in (
        ([1e8, 1e8 + 1, 1e8 + 2], 1e8 + 1, math.sqrt(2 / 3)),
        ([1e200, 2e200, 3e200], 2e200, 1e200 * math.sqrt(2 / 3)),
        ([1e-200, 2e-200, 3e-200], 2e-200, 1e-200 * math.sqrt(2 / 3)),
    ):
        found = fit(values, ["gaussian"]).density
        assert isinstance(found, Gaussian)
        assert (found.mean, found.std) == pytest.approx((mean, std), rel=1e-15, abs=0)


def test_a_bound_that_binds_is_said() -> None:
    x = RNG.normal(size=5_000)
    spread = np.concatenate([np.full(1, 0.0), x])
    by_name = {
        each.family: each
        for each in fit(np.tanh(spread), ["student-t", "generalized-gaussian"]).candidates
    }
    assert by_name["student-t"].bounds == ("nu <= 10000",)
    steep = np.sign(x) * np.abs(x) ** 9
    (found,) = fit(steep, ["generalized-gaussian"]).candidates
    assert found.bounds == ("beta >= 0.3",)
    (free,) = fit(StudentT(4).sample(5_000, RNG), ["student-t"]).candidates
    assert free.bounds == ()


def test_what_is_found_cannot_be_changed() -> None:
    found = fit(RNG.normal(size=100), ["gaussian", "half-gaussian"])
    with pytest.raises(TypeError):
        found.excluded["x"] = "y"  # type: ignore[index]
