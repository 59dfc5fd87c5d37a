"""Samples judge the analysis of blocks: every rule on densities of every kind."""

import dataclasses
import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest

from qerror.analysis.single import quantization_error
from qerror.crosscheck import CrossCheck, chi_square_p, cross_check, judgement, total_p, verify
from qerror.densities import Density, Discrete, Empirical, StudentT, Truncated
from qerror.exceptions import InvalidValue
from qerror.formats import parse_format

DENSITIES: Mapping[str, Density | str] = {
    "gaussian": "gaussian(mean=0.4, std=1.3)",
    "laplace": "laplace",
    # nu = 5 has a test of its own: its clipping is not in the samples.
    "student-t": "student-t(nu=12)",
    "heavy": "student-t(nu=3)",
    "rectified": "rectified(gaussian())",
    "clipped": "clipped(gaussian(), low=-1, high=2)",
    "mixture": "mixture(0.9*gaussian(), 0.1*gaussian(std=4))",
    "discrete": Discrete([-1.3, 0.0, 0.2, 1.1], [0.1, 0.6, 0.2, 0.1]),
    "empirical": Empirical(np.random.default_rng(8).standard_normal(50)),
}
FORMATS = (
    "mxfp4",
    "mxfp4:even",
    "mxfp6_e2m3",
    "mxfp6_e3m2:ceil",
    "mxfp8_e4m3:rceil",
    "mxfp8_e5m2",
    "mxint8",
    "mxfp4:theta=3.5",
    "nvfp4",
    "nvfp4:tensor=0.01",
    "nf4:g64",
    "af4:g64",
    "int4:g32",
    "int4:full:g32",
    "int4:g32:alpha=0.9",
    "int4:g128:scale=fp16",
)


def spread(check: CrossCheck) -> list[float]:
    """Return the distances of figures that vary."""
    return [
        each.z
        for each in check.judgements.values()
        if not math.isnan(each.z) and each.standard_error > 0
    ]


@pytest.mark.thinned(7)
@pytest.mark.slow
@pytest.mark.parametrize("name", FORMATS)
def test_every_rule_on_every_density(name: str) -> None:
    rng = np.random.default_rng(sum(map(ord, name)))
    pairs = verify([name], list(DENSITIES.values()), size=200_000, rng=rng)
    for density, pair in zip(DENSITIES, pairs, strict=True):
        found = pair.check
        assert found.passed, (density, found.z, found.p_value, found.scales)
    checks = [pair.check for pair in pairs]
    assert total_p(checks)[2] > 1e-6
    z = np.array([z for check in checks for z in spread(check)])
    assert z.size >= 30
    assert np.sqrt(np.mean(z * z)) == pytest.approx(1, abs=0.4)


def test_clipping_that_few_samples_hold() -> None:
    """Values beyond the largest scale: rare, and two fifths of what clips.

    Most samples of this size hold none of them, so that their mean and their standard error are
    both of the rest: a z-score says nothing. Without those values it does, and all is well.
    """
    name, density, size = "nvfp4:tensor=0.01", StudentT(5.0), 200_000
    limit = 6 * 448 * 0.01
    beyond = 2 * float(density.mass(limit, math.inf))
    assert math.exp(size * math.log1p(-beyond)) > 0.75
    within = Truncated(density, -limit, limit)
    exact, rest = (quantization_error(parse_format(name), each) for each in (density, within))
    assert rest.clipping_low < 0.61 * exact.clipping_low
    assert rest.rounding == pytest.approx(exact.rounding, rel=1e-3, abs=0)
    found = cross_check(name, within, size=size, rng=np.random.default_rng(1))
    assert found.passed, found.z
    assert max(map(abs, spread(found))) < 4


def test_tensor_scales_from_the_data() -> None:
    for name in ("nvfp4:of=64", "int4:g16:scale=e4m3:of=32"):
        found = cross_check(name, "laplace", size=128_000, rng=np.random.default_rng(3))
        assert found.passed, found.z
        assert found.scales[1] > 5
        assert len(spread(found)) >= 9


def test_one_tensor_of_all_is_not_judged() -> None:
    found = cross_check("nvfp4:of=tensor", "gaussian", size=4096, rng=np.random.default_rng(3))
    assert found.passed
    assert math.isfinite(found.exact.mse)
    assert found.sampled.mse == pytest.approx(found.exact.mse, rel=0.1, abs=0)
    assert {each.reason for each in found.judgements.values()} == {
        "a single sample has no standard error; say how many values make one: of=<N>"
    }


@pytest.mark.parametrize("name", ["mxfp4", "nvfp4", "nf4:g64"])
@pytest.mark.parametrize("figure", ["rounding", "pair_error", "cross_moment"])
def test_a_figure_off_by_ten_standard_errors(
    monkeypatch: pytest.MonkeyPatch, name: str, figure: str
) -> None:
    arguments: dict[str, Any] = {"size": 400_000}
    right = cross_check(name, "rectified(gaussian())", rng=np.random.default_rng(6), **arguments)
    assert right.passed, right.z
    error = getattr(right.sampled.standard_error, figure)
    _plant(monkeypatch, figure, 10 * error)
    rng = np.random.default_rng(6)
    mutant = cross_check(name, "rectified(gaussian())", rng=rng, **arguments)
    assert not mutant.passed
    assert abs(mutant.z[figure]) > 5


@pytest.mark.parametrize("name", ["mxint8", "nvfp4", "int4:g32"])
def test_one_percent_is_seen(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """Values of one size: a million tell the rounding error to a tenth of a percent."""
    arguments: dict[str, Any] = {"size": 1_000_000}
    density = "uniform(low=-1, high=1)"
    right = cross_check(name, density, rng=np.random.default_rng(6), **arguments)
    assert right.passed, right.z
    _plant(monkeypatch, "rounding", 0.01 * right.exact.rounding)
    mutant = cross_check(name, density, rng=np.random.default_rng(6), **arguments)
    assert not mutant.passed
    assert mutant.z["mse"] < -5


def _plant(monkeypatch: pytest.MonkeyPatch, figure: str, shift: float) -> None:
    """Add something to an exact figure."""

    def wrong(*given: Any, **options: Any) -> Any:
        report = quantization_error(*given, **options)
        return dataclasses.replace(report, **{figure: getattr(report, figure) + shift})

    monkeypatch.setattr(judgement, "quantization_error", wrong)


def test_a_threshold_off_by_a_tenth(monkeypatch: pytest.MonkeyPatch) -> None:
    """The exact figures of theta = 4.4 against samples of FLOOR, theta = 4."""
    original = quantization_error

    def wrong(form: Any, density: Any, *given: Any, **options: Any) -> Any:
        del form
        return original(parse_format("mxfp4:theta=4.4"), density, *given, **options)

    monkeypatch.setattr(judgement, "quantization_error", wrong)
    mutant = cross_check("mxfp4", "gaussian", size=300_000, rng=np.random.default_rng(6))
    assert not mutant.passed
    assert chi_square_p(*mutant.scales) < 1e-6


def test_scales_that_should_not_occur(monkeypatch: pytest.MonkeyPatch) -> None:
    original = quantization_error

    def wrong(form: Any, density: Any, *given: Any, **options: Any) -> Any:
        return original(form, density.affine(16.0), *given, **options)

    monkeypatch.setattr(judgement, "quantization_error", wrong)
    mutant = cross_check("mxfp4", "gaussian", size=32_000, rng=np.random.default_rng(6))
    assert mutant.scales == (math.inf, 1)
    assert not mutant.passed


@pytest.mark.exhaustive
def test_chi_square_of_scales_is_uniform_over_seeds() -> None:
    from scipy import stats

    rng = np.random.default_rng(5)
    for name, size in (("nvfp4", 16_000), ("nvfp4:of=64", 96_000)):
        checks = [cross_check(name, "laplace", size=size, rng=rng) for _ in range(60)]
        p = [chi_square_p(*check.scales) for check in checks]
        assert all(check.scales[1] for check in checks)
        assert stats.kstest(p, "uniform").pvalue > 1e-3


def test_a_scale_is_refused() -> None:
    rng = np.random.default_rng(1)
    with pytest.raises(InvalidValue, match="takes its scales from the values"):
        cross_check("mxfp4", "gaussian", scale=2.0, size=640, rng=rng)
    with pytest.raises(InvalidValue, match="MXFP4 find their scales in the values"):
        verify(["int8", "mxfp4"], ["gaussian"], size=640, rng=rng, max_value=3.0)


@pytest.mark.parametrize("name", ["int4:n=2:affine", "int4:affine=integer:n=1"])
def test_blocks_whose_values_are_all_levels_are_no_contradiction(name: str) -> None:
    # The exact error is 0; the samples' is the rounding of their scales and offsets.
    check = cross_check(name, "gaussian", size=20_000, rng=np.random.default_rng(1))
    assert abs(check.worst) < 5
