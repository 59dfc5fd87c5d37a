"""Enclosures against independent balls, references and the float64 default, over the registries."""

import math

import pytest

from qerror.analysis import quantization_error
from qerror.densities import (
    DENSITIES,
    Clipped,
    Density,
    Discrete,
    Empirical,
    Gaussian,
    GeneralizedGaussian,
    Laplace,
    Mixture,
    StudentT,
    Truncated,
    Uniform,
)
from qerror.exceptions import InvalidValue, MissingLibrary, TooLarge
from qerror.formats import ScalarFormat, as_scalar_format, scalar_formats
from qerror.grids import Grid
from qerror.rigorous import EnclosureReport, HighPrecisionReport, enclosure, high_precision
from tests.oracles.exact import Ball, ball, exact_report
from tests.oracles.modes import mode_report

FIGURES = (
    "rounding",
    "clipping_low",
    "clipping_high",
    "mean_error",
    "cross_moment",
    "signal_power",
)
EXAMPLES = {name: family.example for name, family in DENSITIES.items()}
SMALL = {name: form for name, form in scalar_formats().items() if form.bits <= 8}
AWKWARD: list[Density] = [
    Gaussian(-11.3, 2.5),
    Gaussian(0.1, 1e-3),
    Laplace(0.5, 0.1),
    StudentT(2.001, 0.4, 1.3),
    StudentT(2.0),
    StudentT(1.0),
    StudentT(0.5),
    GeneralizedGaussian(0.5, 0.3),
    Truncated(Gaussian(), 29.9, 31.0),
    Truncated(StudentT(0.5), -3.0, 1e4),
    Clipped(Gaussian(), -0.5, 1.5),
    Mixture((Gaussian(), Laplace(1.0, 3.0), Discrete((0.5,), (1.0,))), (0.5, 0.25, 0.25)),
    Empirical([0.1, 0.5, 0.5, -3.3, 8.0]),
]


def holds(interval: tuple[float, float], exact: Ball) -> bool:
    """Tell whether an interval meets a much narrower ball: its middle lies inside, to 1e-30."""
    low, high = ball(interval[0]), ball(interval[1])
    if not exact.is_finite():
        return bool(math.isinf(interval[0]))
    slack = abs(exact.mid()) * ball(1e-30) + ball(2) ** -1000
    return bool(low - slack <= exact.mid() <= high + slack)


def compare(form: ScalarFormat, density: Density, scale: float) -> EnclosureReport:
    found = enclosure(form, density, scale)
    exact = exact_report(form.grid(), density, scale)
    for name in FIGURES:
        value = getattr(exact, name)
        if name in {"mean_error", "cross_moment"} and not exact.mse.is_finite():
            continue
        assert holds(getattr(found, name), value), name
    return found


@pytest.mark.parametrize("density", EXAMPLES.values(), ids=list(EXAMPLES))
@pytest.mark.parametrize("name", ["E2M1", "INT4", "UINT4:zp=3", "codebook:-1.1,-0.3,0.45,1.5"])
def test_examples_against_independent_balls(name: str, density: Density) -> None:
    found = compare(as_scalar_format(name), density, 0.37)
    if math.isfinite(found.mse.low) and found.mse.low > 0:
        assert found.mse.high / found.mse.low - 1 < 1e-15


@pytest.mark.parametrize("density", AWKWARD, ids=repr)
@pytest.mark.parametrize("name", ["E2M1", "INT4"])
def test_awkward_densities(name: str, density: Density) -> None:
    compare(as_scalar_format(name), density, 0.8)


@pytest.mark.parametrize("mode", ["down", "up", "toward-zero", "to-odd"])
def test_modes(mode: str) -> None:
    for density in (Gaussian(0.3), StudentT(3.0), Truncated(Laplace(), -0.7, 2.0)):
        grid = as_scalar_format("3M2E").grid()
        found = enclosure(grid, density, 0.2, rounding=mode)
        exact = mode_report(grid, density, 0.2, mode)
        for name in ("rounding", "clipping_low", "clipping_high", "mean_error", "cross_moment"):
            assert holds(getattr(found, name), getattr(exact, name)), name


@pytest.mark.slow
@pytest.mark.parametrize("density", EXAMPLES.values(), ids=list(EXAMPLES))
def test_the_default_lies_within_its_tolerance_of_every_enclosure(density: Density) -> None:
    for name, form in SMALL.items():
        if name == "E8M0":
            continue
        scale = form.scale_for(3.3)
        proved = enclosure(form, density, scale)
        quick = quantization_error(form, density, scale)
        for figure in ("rounding", "mse", "signal_power"):
            interval, value = getattr(proved, figure), getattr(quick, figure)
            assert value == pytest.approx(interval.middle, rel=4e-14, abs=1e-290), (name, figure)
        if math.isfinite(proved.mse.low) and proved.mse.low > 0:
            assert proved.mse.high / proved.mse.low - 1 < 1e-13
            assert quick.sqnr_db == pytest.approx(proved.sqnr_db.middle, rel=1e-13, abs=1e-12)


def test_sixteen_bits() -> None:
    found = enclosure("fp16", Uniform(-1.0, 1.0))
    quick = quantization_error("fp16", Uniform(-1.0, 1.0))
    assert quick.mse == pytest.approx(found.mse.middle, rel=1e-13, abs=0)
    assert found.mse.high / found.mse.low - 1 < 1e-15


def test_digits_lie_inside_the_balls() -> None:
    for density in (Gaussian(0.3), StudentT(3.0), GeneralizedGaussian(1.4), EXAMPLES["logistic"]):
        proved = enclosure("int4", density, 0.3)
        digits = high_precision("int4", density, 0.3, digits=40)
        exact = exact_report(as_scalar_format("int4").grid(), density, 0.3)
        for name in ("rounding", "mse", "cross_moment"):
            text = digits.to_dict()[name]
            assert text is not None
            low, high = getattr(proved, name)
            assert ball(low) <= _ball(text) <= ball(high)
            value = exact.mse if name == "mse" else getattr(exact, name)
            assert abs(_ball(text) - value).mid() < abs(value).mid() * ball(1e-32)


def _ball(text: str) -> Ball:
    import flint

    return flint.arb(text).mid()


def test_by_the_main_call() -> None:
    proved = quantization_error("int8", Gaussian(), max_value=4.0, method="enclosure")
    assert isinstance(proved, EnclosureReport)
    assert quantization_error("int8", Gaussian(), max_value=4.0).mse == pytest.approx(
        proved.mse.middle, rel=1e-13, abs=0
    )
    assert proved.mse.middle in proved.mse
    assert 1.0 not in proved.mse
    assert proved.mse.radius < 1e-15 * proved.mse.middle
    many = quantization_error("int4", Gaussian(), 0.3, method="high-precision", digits=60)
    assert isinstance(many, HighPrecisionReport)
    assert str(many.to_dict()["mse"]).startswith("0.01579758559754683741102568929")


def test_infinite_power() -> None:
    found = enclosure("int8", StudentT(2.0), 0.1)
    assert math.isinf(found.mse.low)
    assert math.isnan(found.sqnr_db.low)
    assert 0 < found.rounding.low <= found.rounding.high < 1
    assert high_precision("int4", StudentT(1.5), digits=20).mse is None


def test_refusals(monkeypatch: pytest.MonkeyPatch) -> None:
    from scipy import stats

    with pytest.raises(TooLarge, match="every level"):
        enclosure("int32", Gaussian(), rounding="to-odd")
    with pytest.raises(InvalidValue, match="one level"):
        enclosure("int8", Gaussian(), rounding="SR")
    with pytest.raises(InvalidValue, match="no formulas"):
        enclosure("int8", stats.gamma(2.0))
    with pytest.raises(InvalidValue, match="single scale"):
        quantization_error("int8", Gaussian(), [1.0, 2.0], method="enclosure")
    with pytest.raises(InvalidValue, match="15"):
        high_precision("int8", Gaussian(), digits=3)
    monkeypatch.setitem(__import__("sys").modules, "flint", None)
    with pytest.raises(MissingLibrary, match="python-flint"):
        enclosure("int8", Gaussian())


def test_a_grid_of_one_level() -> None:
    found = enclosure(Grid.from_points([0.5]), Gaussian())
    assert found.mse.low <= 1.25 <= found.mse.high
    assert found.rounding == (0.0, 0.0)
