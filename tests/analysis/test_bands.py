"""Bands: how many of 2,000 measurements lie inside, and where they must agree."""

import math

import numpy as np
import pytest

from qerror.analysis import expected_bands, quantization_error, sqnr_band
from qerror.analysis._measure import measure_of
from qerror.analysis.measurements import FIGURES
from qerror.densities import (
    DENSITIES,
    Clipped,
    Density,
    Discrete,
    Gaussian,
    Laplace,
    Mixture,
    StudentT,
    Uniform,
)
from qerror.exceptions import InvalidValue, TooLarge, UnknownName
from qerror.formats import as_scalar_format
from qerror.rounding import ROUNDINGS, as_rule
from qerror.simulation import quantize

SETS = 2000


def measured(  # noqa: PLR0917 - a case and how often
    name: str,
    density: Density,
    max_value: float,
    size: int,
    rounding: str = "nearest-even",
    sets: int = SETS,
) -> dict[str, np.ndarray]:
    """Return every figure of 2,000 data sets or more, by the simulator and formulas of its own."""
    rng = np.random.default_rng(size)
    scale = as_scalar_format(name).scale_for(max_value)
    found: dict[str, list[np.ndarray]] = {figure: [] for figure in FIGURES}
    for _ in range(sets // 500):
        x = density.sample(500 * size, rng).reshape(500, size)
        q = quantize(x, name, scale, rounding=rounding, rng=rng)
        square, mse = (x * x).sum(axis=1), ((q - x) ** 2).mean(axis=1)
        norm = np.sqrt(square * (q * q).sum(axis=1))
        found["sqnr_db"].append(10 * np.log10(square / size / mse))
        found["cosine_similarity"].append((x * q).sum(axis=1) / norm)
        found["relative_l2"].append(np.linalg.norm(q - x, axis=1) / np.sqrt(square))
        found["mse"].append(mse)
        found["mean_absolute"].append(np.abs(q - x).mean(axis=1))
        found["psnr_db"].append(10 * np.log10(max_value**2 / mse))
    return {figure: np.concatenate(parts) for figure, parts in found.items()}


CASES: list[tuple[str, Density, float]] = [
    ("int8", Gaussian(), 3.92),
    ("4M3E", Gaussian(), 5.1),
    ("int4", Laplace(), 4.0),
    ("int8", Mixture((Gaussian(), Gaussian(0.0, 4.0)), (0.95, 0.05)), 6.0),
    ("int8", StudentT(8.0), 20.0),
    ("int8", StudentT(3.0), 60.0),
    ("4M3E", StudentT(2.0), 30.0),
]


# 2,000 sets have 0.5 points of their own: 1 point of the band, 2 with heavy tails, and 3 sigma.
@pytest.mark.parametrize(("name", "density", "top"), CASES, ids=str)
@pytest.mark.parametrize("size", [100, 1000])
def test_coverage(name: str, density: Density, top: float, size: int) -> None:
    found = expected_bands(name, density, max_value=top, size=size)
    for figure, values in measured(name, density, top, size).items():
        band = found[figure]
        inside = ((band.low <= values) & (values <= band.high)).mean()
        assert inside == pytest.approx(0.95, abs=0.02), figure
        assert (values < band.centre).mean() == pytest.approx(0.5, abs=0.04), figure


# Drawn levels scatter a measurement as the values do.
DRAWN: list[tuple[str, Density, float, str]] = [
    ("int4", Gaussian(), 2.2, "stochastic"),
    ("4M3E", StudentT(8.0), 20.0, "stochastic"),
    ("int4", Laplace(0.1), 4.0, "stochastic:2"),
    ("e2m1", Gaussian(0.3), 3.0, "toward-zero"),
]


@pytest.mark.parametrize(("name", "density", "top", "rounding"), DRAWN, ids=str)
def test_coverage_of_other_modes(name: str, density: Density, top: float, rounding: str) -> None:
    found = expected_bands(name, density, max_value=top, size=300, rounding=rounding)
    for figure, values in measured(name, density, top, 300, rounding).items():
        band = found[figure]
        inside = ((band.low <= values) & (values <= band.high)).mean()
        assert inside == pytest.approx(0.95, abs=0.02), figure
        assert (values < band.centre).mean() == pytest.approx(0.5, abs=0.04), figure


@pytest.mark.parametrize("rounding", [*ROUNDINGS, "stochastic:1", "stochastic:5"])
@pytest.mark.parametrize("density", [Gaussian(0.2), Clipped(Laplace(), -0.7, 1.9)], ids=repr)
def test_points_have_the_moments_of_every_mode(density: Density, rounding: str) -> None:
    for form, top in (("int4", 2.5), ("3M3E", 4.0), ("codebook:-1.1,-0.3,0.45,1.5", 1.5)):
        grid = as_scalar_format(form).grid(as_scalar_format(form).scale_for(top))
        x, e, w = measure_of(grid, density, as_rule(rounding))
        report = quantization_error(grid, density, rounding=rounding)
        assert w @ e**2 == pytest.approx(report.mse, rel=1e-13, abs=0)
        assert w @ e == pytest.approx(report.mean_error, rel=1e-12, abs=1e-14)
        assert w @ (x * e) == pytest.approx(report.cross_moment, rel=1e-12, abs=1e-14)
        assert w.sum() == pytest.approx(1.0, rel=1e-12, abs=0)


def test_drawn_levels_widen_a_band() -> None:
    """Of values amid two levels each error is +-D/2, drawn or not; of others it is not."""
    middle = Discrete((0.5,), (1.0,))
    band = expected_bands("int4", middle, size=100, rounding="stochastic")["mse"]
    assert (band.low, band.high) == (0.25, 0.25)
    aside = Discrete((0.25,), (1.0,))
    band = expected_bands("int4", aside, size=10**6, rounding="stochastic")["mse"]
    # e^2 is 1/16 or 9/16, the latter with a chance of 1/4.
    spread = 1.959963984540054 * 0.5 * math.sqrt(0.25 * 0.75 / 10**6)
    assert band.method == "delta"
    assert band.low == pytest.approx(0.1875 - spread, rel=1e-13, abs=0)
    assert band.high == pytest.approx(0.1875 + spread, rel=1e-13, abs=0)


@pytest.mark.exhaustive
@pytest.mark.parametrize(("name", "density", "top"), CASES, ids=str)
@pytest.mark.parametrize("size", [100, 1000])
def test_coverage_within_one_point(name: str, density: Density, top: float, size: int) -> None:
    """Of 20,000 data sets the share inside has a standard error of 0.154 points itself."""
    sets = 20_000
    found = expected_bands(name, density, max_value=top, size=size)
    allowed = 0.01 + 3 * math.sqrt(0.95 * 0.05 / sets)
    heavy = isinstance(density, StudentT)
    for figure, values in measured(name, density, top, size, sets=sets).items():
        band = found[figure]
        inside = ((band.low <= values) & (values <= band.high)).mean()
        assert inside > 0.95 - allowed - 0.01 * heavy, figure
        assert heavy or inside < 0.95 + allowed, figure


def test_coverage_of_the_delta_method() -> None:
    density = Uniform(-0.9, 1.0)
    found = expected_bands("int8", density, max_value=1.0, size=2000, confidence=0.9)
    values = measured("int8", density, 1.0, 2000)["sqnr_db"]
    band = found["sqnr_db"]
    assert band.method == "delta"
    assert ((band.low <= values) & (values <= band.high)).mean() == pytest.approx(0.9, abs=0.02)


def test_both_methods_agree_where_both_hold() -> None:
    delta = expected_bands("int8", Gaussian(), max_value=5.5, size=10**7)["sqnr_db"]
    drawn = expected_bands("int8", Gaussian(), max_value=5.5, size=10**6)["sqnr_db"]
    assert (delta.method, drawn.method) == ("delta", "simulation")
    narrow, wide = delta.high - delta.low, drawn.high - drawn.low
    assert wide == pytest.approx(math.sqrt(10) * narrow, rel=0.03, abs=0)
    far = expected_bands("int8", Gaussian(), max_value=5.5, size=4 * 10**7)["sqnr_db"]
    assert far.high - far.low == pytest.approx(narrow / 2, rel=1e-13, abs=0)


@pytest.mark.parametrize("name", DENSITIES)
def test_points_have_the_moments_of_the_analysis(name: str) -> None:
    density = DENSITIES[name].example
    close = 1e-7 if name == "arcsine" else 1e-12  # a pole at its ends
    for form, top in (("int4", 2.5), ("4M3E", 4.0)):
        grid = as_scalar_format(form).grid(as_scalar_format(form).scale_for(top))
        x, e, w = measure_of(grid, density, as_rule("nearest-even"))
        report = quantization_error(grid, density)
        if math.isfinite(report.mse):
            assert w @ e**2 == pytest.approx(report.mse, rel=close, abs=0)
            assert w @ (x * e) == pytest.approx(report.cross_moment, rel=close, abs=1e-14)
            assert w @ x**2 == pytest.approx(report.signal_power, rel=close, abs=0)


def test_the_centre_is_the_exact_figure() -> None:
    report = quantization_error("int8", Gaussian(), max_value=4.0)
    low, high = sqnr_band("int8", Gaussian(), size=10**9, max_value=4.0)
    assert low < report.sqnr_db < high
    assert high - low < 0.02  # rare clipping decides: 4 sigma are too few
    band = expected_bands("int8", Gaussian(), max_value=4.0, size=10**9)["mse"]
    assert band.centre == pytest.approx(report.mse, rel=1e-13, abs=0)


def test_infinite_power_still_has_a_band() -> None:
    band = expected_bands("int8", StudentT(1.5), max_value=20.0, size=500)["sqnr_db"]
    assert band.method == "simulation"
    assert math.isfinite(band.low)
    assert band.low < band.high


def test_point_masses_and_modes() -> None:
    found = expected_bands("int4", Discrete((0.25, 1.5), (0.5, 0.5)), size=400, rounding="down")
    assert found["mse"].low < (0.0625 + 0.25) / 2 < found["mse"].high
    many = expected_bands("int4", Discrete((0.25, 1.5), (0.5, 0.5)), size=10**6, rounding="down")
    assert many["mse"].high - many["mse"].low < 1e-3
    band = expected_bands("int4", Clipped(Gaussian(), -1, 1), 0.2, size=400)["mean_absolute"]
    assert band.low > 0


def test_draws_are_repeatable_and_follow_a_generator() -> None:
    def band(seed: int | None) -> tuple[float, ...]:
        rng = None if seed is None else np.random.default_rng(seed)
        return expected_bands("int4", Gaussian(), 0.3, size=50, rng=rng)["mse"][:3]

    assert band(None) == band(None)
    assert band(1) == band(1) != band(2)


def test_refusals() -> None:
    with pytest.raises(InvalidValue, match="confidence"):
        expected_bands("int8", Gaussian(), size=10, confidence=1.0)
    with pytest.raises(InvalidValue, match="size"):
        expected_bands("int8", Gaussian(), size=1)
    with pytest.raises(TooLarge, match="fewer random bits"):
        expected_bands("int8", Gaussian(), size=10, rounding="SR:12")
    with pytest.raises(TooLarge, match="levels"):
        expected_bands("int32", Gaussian(), size=10)
    with pytest.raises(UnknownName, match="sqnr_db"):
        expected_bands("int8", Gaussian(), size=10)["snr"]
