"""Samples judge the analysis: right figures pass, figures off by a percent do not."""

import dataclasses
import math
from typing import Any

import numpy as np
import pytest

from qerror.analysis.single import quantization_error
from qerror.crosscheck import check, chi_square_p, cross_check, judgement, total_p, verify
from qerror.densities import DENSITIES, Density, Discrete, Gaussian, StudentT
from qerror.densities import gaussian as gaussian_module
from qerror.densities import laplace as laplace_module
from qerror.densities import logistic as logistic_module
from qerror.densities import student_t as student_t_module
from qerror.exceptions import InvalidType
from qerror.formats import Integer, ScalarFormat, scalar_formats
from qerror.simulation import _kernels
from qerror.simulation.estimate import estimate_error
from qerror.simulation.figures import BASIC


def generator(seed: int = 1) -> np.random.Generator:
    return np.random.default_rng(seed)


def tight_scale(form: ScalarFormat, density: Density) -> float:
    """Return a range as wide as the central 80%: much is clipped, whatever the density."""
    low, high = density.ppf(np.array([0.1, 0.9])).tolist()
    return form.scale_for(max(0.5 * (high - low), 1e-3))


@pytest.mark.thinned(5)
@pytest.mark.slow
@pytest.mark.parametrize("density", DENSITIES)
def test_every_format_on_every_density(density: str) -> None:
    rng = generator(sum(map(ord, density)))
    example = DENSITIES[density].example
    checks = [
        cross_check(form, example, scale=tight_scale(form, example), size=40_000, rng=rng)
        for form in scalar_formats().values()
    ]
    for form, each in zip(scalar_formats(), checks, strict=True):
        assert each.passed, (form, each.z, each.p_value)
    assert total_p(checks)[2] > 1e-6
    judged = sum(not math.isnan(z) for check in checks for z in check.z.values())
    assert judged > 3 * len(checks)


def test_heavy_tails_are_compared_within_a_cut() -> None:
    found = cross_check("int8", StudentT(2.0), scale=0.02, size=100_000, rng=generator())
    assert found.passed
    assert math.isinf(found.exact.mse)
    assert found.judgements["mse"].truncated
    assert math.isfinite(found.judgements["mse"].exact)
    assert not found.judgements["rounding"].truncated
    assert not any(math.isnan(found.z[name]) for name in ("rounding", "mse", "mean_error"))
    assert found.sampled.truncated is not None


def _one_percent_more(original: Any) -> Any:
    def wrong(*arguments: Any) -> Any:
        return 1.01 * original(*arguments)

    return wrong


class TestMutants:
    """A constant that is wrong by 1%, or a wrong rule of rounding, must not pass."""

    @pytest.mark.parametrize(
        ("module", "name", "density"),
        [
            (gaussian_module, "StandardGaussian", "gaussian"),
            (laplace_module, "StandardLaplace", "laplace"),
            (logistic_module, "StandardLogistic", "logistic"),
            (student_t_module, "StandardStudentT", "student-t(nu=3)"),
            (student_t_module, "StandardStudentT", "student-t(nu=8)"),
            (gaussian_module, "StandardGaussian", "rectified(gaussian())"),
        ],
    )
    def test_a_density_one_percent_too_high(
        self, monkeypatch: pytest.MonkeyPatch, module: Any, name: str, density: str
    ) -> None:
        law = getattr(module, name)
        right = cross_check("int8", density, scale=0.1, size=500_000, rng=generator())
        assert right.passed
        for method in ("pdf", "pdf_outer"):  # wherever the law states its density
            if method in vars(law):
                original = getattr(law, method)
                monkeypatch.setattr(law, method, _one_percent_more(original))
        mutant = cross_check("int8", density, scale=0.1, size=500_000, rng=generator())
        assert mutant.exact.rounding == pytest.approx(1.01 * right.exact.rounding, rel=1e-3, abs=0)
        assert not mutant.passed

    @pytest.mark.parametrize("name", BASIC)
    def test_each_figure_one_percent_off(self, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
        arguments: dict[str, Any] = {"scale": 0.3, "size": 400_000}
        density = Gaussian(0.5, 1.3)
        right = cross_check("int4", density, rng=generator(), **arguments)
        assert right.passed
        error = getattr(right.sampled.standard_error, name)
        shift = max(0.01 * abs(getattr(right.exact, name)), 12 * error)

        def wrong(*given: Any, **options: Any) -> Any:
            report = quantization_error(*given, **options)
            return dataclasses.replace(report, **{name: getattr(report, name) + shift})

        monkeypatch.setattr(judgement, "quantization_error", wrong)
        mutant = cross_check("int4", density, rng=generator(), **arguments)
        assert not mutant.passed
        assert abs(mutant.z[name]) > 5

    def test_a_quantizer_that_rounds_half_up(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Only point masses on ties can show it."""
        density = Discrete([0.25, 0.5, 1.0], [0.2, 0.5, 0.3])
        assert cross_check("int8", density, size=10_000, rng=generator()).passed
        shifted = _kernels.Uniform.round

        def wrong(self: Any, v: Any, *others: Any) -> None:
            shifted(self, v + 1e-9, *others)

        monkeypatch.setattr(_kernels.Uniform, "round", wrong)
        assert not cross_check("int8", density, size=10_000, rng=generator()).passed

    def test_clipping_that_never_happens(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """An exact clipping error above zero of which a million samples see nothing."""
        form = Integer(8)
        original = estimate_error

        def unclipped(*arguments: Any, **options: Any) -> Any:
            return original(*arguments, **options | {"scale": 1.0})

        monkeypatch.setattr(check, "estimate_error", unclipped)
        mutant = cross_check(form, Gaussian(), scale=0.01, size=50_000, rng=generator())
        assert mutant.z["clipping_high"] < -50
        assert not mutant.passed


def test_what_cannot_be_judged_says_why() -> None:
    found = cross_check("int8", "gaussian", scale=4 / 127, size=5_000, rng=generator())
    assert found.judgements["clipping_high"].reason in {
        "no sample lies beyond the range",
        "too few samples had a part in it",
    }
    assert math.isnan(found.z["clipping_high"])
    fine = cross_check("fp64", "gaussian", size=5_000, rng=generator())
    assert fine.judgements["mse"].reason == "float64 samples do not resolve so small errors"
    assert fine.passed
    assert not math.isnan(fine.z["signal_power"])
    cauchy = cross_check("int8", "student-t(nu=1)", size=5_000, rng=generator())
    assert math.isnan(cauchy.exact.mean_error)
    assert not math.isnan(cauchy.z["mean_error"])


def test_nothing_random_is_compared_to_rounding() -> None:
    found = cross_check("int8", Discrete([0.25], [1.0]), size=100, rng=generator())
    assert found.z["mse"] == 0
    assert found.degrees == 0
    assert found.p_value == 1
    off = cross_check("int8", Discrete([0.25, 0.75], [0.5, 0.5]), size=100, rng=generator())
    assert off.z["mse"] == 0
    assert abs(off.z["mean_error"]) < 5


@pytest.mark.parametrize(
    ("name", "density", "scale"),
    [
        ("uint4", "rectified(gaussian)", 0.2),
        ("uint4", "rectified(gaussian)", 1.0),
        ("int8", "clipped(gaussian, -1, 1)", 1 / 127),
        ("int8", "clipped(student-t(nu=3), -1, 0.5)", 1 / 127),
        ("codebook:0", "rectified(gaussian)", 1.0),
        ("codebook:0.5", "gaussian", 1.0),
        ("int8", "discrete([1], [1])", 1 / 127),
        ("int8", "discrete([1.1], [1])", 1 / 127),
        ("int8", "discrete([-1.3, 1.1], [0.5, 0.5])", 1 / 127),
        ("codebook:0.5", "discrete([0.5], [1])", 1.0),
    ],
)
def test_no_false_alarm_on_point_masses(name: str, density: str, scale: float) -> None:
    """An atom at the end of the range is not clipped; where nothing is random only float64 is."""
    found = cross_check(name, density, scale=scale, size=200_000, rng=generator())
    assert found.worst < 4, found.judgements
    assert found.p_value > 1e-3


def test_values_beyond_a_limit_with_an_atom_are_missed() -> None:
    """A fault of the same kind is still seen: half of the values should lie below the range."""
    found = cross_check("uint4", "gaussian", scale=0.2, size=10_000, rng=generator())
    fewer = dataclasses.replace(found.sampled, clipped=(0, 0))
    case = judgement.Case(found.exact, fewer, (0.5, 0.00135), (0.0, 3.0), truncated=False)
    assert case.judge("clipping_low").z < -50


def test_the_total_is_judged_too() -> None:
    """An error of 0.3% in every figure hides in each pair and shows in all together."""
    from qerror.reporting import unmet

    pairs = verify(
        ["int8", "e4m3", "uint4"], ["gaussian", "laplace"], size=20_000, rng=generator(5)
    )
    assert not unmet(pairs)
    _, degrees, _ = total_p(pair.check for pair in pairs)
    share = scipy_chi_square_at(7e-6, degrees) / len(pairs)
    planted = [
        dataclasses.replace(pair, check=dataclasses.replace(pair.check, chi_square=share))
        for pair in pairs
    ]
    assert all(pair.check.passed for pair in planted)
    assert unmet(planted)


def scipy_chi_square_at(p: float, degrees: int) -> float:
    from scipy import stats

    return float(stats.chi2.isf(p, degrees))


def test_dependent_figures_count_once() -> None:
    """On two values every figure is a linear function of one count."""
    density = Discrete([0.25, 3.0], [0.5, 0.5])
    found = cross_check("int8", density, size=10_000, rng=generator())
    assert found.degrees == 1
    assert found.chi_square == pytest.approx(found.z["signal_mean"] ** 2, rel=1e-6, abs=0)


def test_chi_square_is_uniform_over_seeds() -> None:
    """The p-values of right figures are spread evenly (Kolmogorov-Smirnov)."""
    from scipy import stats

    rng = generator(99)
    checks = [cross_check("e2m1", "laplace", scale=0.4, size=4_000, rng=rng) for _ in range(200)]
    assert stats.kstest([check.p_value for check in checks], "uniform").pvalue > 1e-3
    z = np.array([list(check.z.values()) for check in checks])
    assert np.nanstd(z) == pytest.approx(1, abs=0.06)


def test_chi_square_p() -> None:
    from scipy import stats

    assert chi_square_p(30.0, 7) == pytest.approx(stats.chi2.sf(30.0, 7), rel=1e-12, abs=0)
    assert chi_square_p(0.0, 0) == 1.0


def test_bad_input() -> None:
    with pytest.raises(InvalidType, match="expected a number format"):
        cross_check(3, "gaussian", size=10, rng=generator())  # type: ignore[arg-type]
