"""The best scale against searches of its own making, never against its own argmin."""

import math
from collections.abc import Iterator

import numpy as np
import pytest

from qerror._arrays import FloatArray
from qerror.analysis import quantization_error
from qerror.densities import (
    DENSITIES,
    Clipped,
    Density,
    Discrete,
    Gaussian,
    Laplace,
    Mixture,
    Rectified,
    StudentT,
    Truncated,
    Uniform,
    density_name,
)
from qerror.exceptions import InvalidType, InvalidValue
from qerror.formats import (
    Codebook,
    FixedPoint,
    FloatingPoint,
    ScalarFormat,
    as_scalar_format,
    scalar_formats,
)
from qerror.optimize import optimal_scale

SCAN = 2000
EIGHT = {
    name: form
    for name, form in scalar_formats().items()
    if form.bits <= 8 and not isinstance(form, FixedPoint)
}
EXAMPLES = {name: family.example for name, family in DENSITIES.items()}


def mse(form: ScalarFormat, density: Density, ranges: FloatArray) -> FloatArray:
    return quantization_error(form, density, ranges / form.max_value).mse


def scanned(form: ScalarFormat, density: Density, low: float, high: float) -> float:
    """Return the least MSE found by 2000 ranges and a golden-section polish of the best ten."""
    ranges = np.geomspace(low, high, SCAN)
    found = mse(form, density, ranges)
    padded = np.concatenate([[math.inf], found, [math.inf]])
    dips = np.flatnonzero((found <= padded[:-2]) & (found <= padded[2:]))
    dips = dips[np.argsort(found[dips])[:10]]
    a = ranges[np.maximum(dips - 1, 0)]
    b = ranges[np.minimum(dips + 1, SCAN - 1)]
    golden = (math.sqrt(5) - 1) / 2
    for _ in range(32):
        x, y = b - golden * (b - a), a + golden * (b - a)
        left = mse(form, density, x) < mse(form, density, y)
        a, b = np.where(left, a, x), np.where(left, y, b)
    return float(min(found.min(), mse(form, density, 0.5 * (a + b)).min()))


def continuous() -> Iterator[tuple[str, Density]]:
    for name, density in EXAMPLES.items():
        if not density.atoms().positions.size:
            yield name, density


CONTINUOUS = dict(continuous())
ATOMIC = {name: d for name, d in EXAMPLES.items() if name not in CONTINUOUS}


@pytest.mark.thinned(41)
@pytest.mark.parametrize("form", EIGHT.values(), ids=list(EIGHT))
@pytest.mark.parametrize("density", CONTINUOUS.values(), ids=list(CONTINUOUS))
def test_no_scan_finds_better(form: ScalarFormat, density: Density) -> None:
    best = optimal_scale(form, density)
    rival = scanned(form, density, *best.searched)
    assert best.report.mse <= rival * (1 + 1e-10)


@pytest.mark.thinned(13)
@pytest.mark.parametrize("form", EIGHT.values(), ids=list(EIGHT))
@pytest.mark.parametrize("density", ATOMIC.values(), ids=list(ATOMIC))
def test_no_scan_finds_better_where_masses_make_dips(form: ScalarFormat, density: Density) -> None:
    best = optimal_scale(form, density)
    rival = scanned(form, density, *best.searched)
    # An exact hit of every mass costs nothing: what is left is the rounding of the search.
    assert best.report.mse <= rival * (1 + 1e-10) + 1e-20 * density.second_moment


@pytest.mark.thinned(13)
@pytest.mark.parametrize("form", EIGHT.values(), ids=list(EIGHT))
@pytest.mark.parametrize("density", EXAMPLES.values(), ids=list(EXAMPLES))
def test_what_is_returned_is_consistent(form: ScalarFormat, density: Density) -> None:
    best = optimal_scale(form, density)
    low, high = best.searched
    assert low * (1 - 1e-12) <= best.max_value <= high * (1 + 1e-12)
    assert best.max_value == pytest.approx(best.scale * form.max_value, rel=1e-15, abs=0)
    assert best.report == quantization_error(form, density, best.scale)
    assert all(low <= each.max_value <= high for each in best.local_minima)
    assert list(best.local_minima) == sorted(best.local_minima)
    for each in best.local_minima:
        assert best.report.mse <= each.mse * (1 + 1e-12) or each.mse < 1e-30
        again = quantization_error(form, density, each.scale).mse
        assert again == pytest.approx(each.mse, rel=1e-12, abs=1e-28)
    if isinstance(form, FloatingPoint):
        assert best.bias is not None
        rebased = quantization_error(form.with_bias(best.bias), density)
        assert rebased.mse == pytest.approx(best.report.mse, rel=1e-9, abs=1e-28)
    else:
        assert best.bias == form.bias_at(best.scale)


@pytest.mark.thinned(5)
@pytest.mark.parametrize("form", EIGHT.values(), ids=list(EIGHT))
@pytest.mark.parametrize("density", CONTINUOUS.values(), ids=list(CONTINUOUS))
def test_the_slope_vanishes(form: ScalarFormat, density: Density) -> None:
    """C = -MSE, that is E[Q e] = 0, at every interior minimum."""
    best = optimal_scale(form, density)
    for each in best.local_minima:
        report = quantization_error(form, density, each.scale)
        assert abs(report.cross_moment + report.mse) <= 1e-7 * report.mse


@pytest.mark.parametrize("form", EIGHT.values(), ids=list(EIGHT))
@pytest.mark.parametrize("density", [Gaussian(), Laplace(), StudentT(3.0)], ids=repr)
def test_minima_are_minima(form: ScalarFormat, density: Density) -> None:
    for each in optimal_scale(form, density).local_minima:
        around = quantization_error(form, density, each.scale * np.array([0.999, 1.0, 1.001])).mse
        assert around[1] <= around[[0, 2]].min() * (1 + 1e-13)


@pytest.mark.parametrize(
    ("name", "low", "high"),
    [
        ("INT8", 59.745, 59.755),
        ("5M2E", 94.365, 94.375),
        ("4M3E", 376.55, 376.65),
        ("3M4E", 12866.5, 12867.5),
    ],
)
def test_student_t_three(name: str, low: float, high: float) -> None:
    form = as_scalar_format(name)
    best = optimal_scale(form, StudentT(3.0))
    assert low < best.max_value < high
    assert not best.at_edge
    rival = scanned(form, StudentT(3.0), *best.searched)
    assert best.report.mse <= rival * (1 + 1e-12)


@pytest.mark.parametrize("factor", [1e-6, 0.3, 2.0, 1e5])
@pytest.mark.parametrize("name", ["INT4", "INT8", "4M3E", "NF4"])
def test_the_best_range_follows_the_scale(name: str, factor: float) -> None:
    base = optimal_scale(name, Laplace())
    moved = optimal_scale(name, Laplace(0.0, factor))
    assert moved.max_value == pytest.approx(factor * base.max_value, rel=1e-6, abs=0)
    assert moved.report.mse == pytest.approx(factor**2 * base.report.mse, rel=1e-12, abs=0)


def test_known_uniform_quantizers() -> None:
    """Best mid-rise quantizers of a Gaussian: step and MSE of Max 1960, to 13 digits."""
    four = Codebook([-1.5, -0.5, 0.5, 1.5])
    best = optimal_scale(four, Gaussian())
    assert best.scale == pytest.approx(0.9956866859435, rel=1e-8, abs=0)
    assert best.report.mse == pytest.approx(0.1188460503841, rel=1e-12, abs=0)
    sixteen = Codebook((np.arange(16) - 7.5).tolist())
    best = optimal_scale(sixteen, Gaussian())
    assert best.scale == pytest.approx(0.3352006121999727, rel=1e-8, abs=0)
    assert best.report.mse == pytest.approx(0.01154288443135, rel=1e-12, abs=0)


def test_one_bit_quantizer() -> None:
    """sign(X) E|X|: the best level is the mean magnitude."""
    best = optimal_scale(Codebook([-1.0, 1.0]), Gaussian())
    assert best.scale == pytest.approx(math.sqrt(2 / math.pi), rel=1e-9, abs=0)
    assert best.report.mse == pytest.approx(1 - 2 / math.pi, rel=1e-13, abs=0)


@pytest.mark.parametrize("nu", [0.5, 1.0, 2.0])
@pytest.mark.parametrize("name", ["INT8", "4M3E", "FIXED8.4"])
def test_infinite_power_has_no_best_range(name: str, nu: float) -> None:
    best = optimal_scale(name, StudentT(nu))
    assert math.isnan(best.scale)
    assert math.isnan(best.max_value)
    assert best.bias is None or math.isnan(best.bias)
    assert best.at_edge
    assert best.local_minima == ()
    assert best.report.mse == math.inf


def test_no_interior_minimum() -> None:
    best = optimal_scale("2M5E", StudentT(2.2))
    assert best.at_edge
    assert best.max_value == pytest.approx(best.searched[1], rel=1e-12, abs=0)
    assert not optimal_scale("INT8", StudentT(2.2)).at_edge


def test_a_minimum_beyond_the_first_interval() -> None:
    best = optimal_scale("2M5E", StudentT(2.5))
    assert not best.at_edge
    near = best.scale * np.array([0.5, 0.9, 1.1, 2.0])
    assert (quantization_error("2M5E", StudentT(2.5), near).mse > best.report.mse).all()


@pytest.mark.parametrize("name", ["3M4E", "E4M3", "2M5E", "E5M2"])
@pytest.mark.parametrize("density", [Gaussian(), Laplace()], ids=repr)
def test_ties_go_to_the_smallest_range(name: str, density: Density) -> None:
    best = optimal_scale(name, density)
    least = min(each.mse for each in best.local_minima)
    tied = [each for each in best.local_minima if each.mse <= least * (1 + 1e-14)]
    assert best.max_value <= tied[0].max_value
    assert len(best.local_minima) >= 3
    assert best.report.mse <= least * (1 + 2e-13)


@pytest.mark.thinned(5)
@pytest.mark.parametrize("name", ["INT4", "INT8", "E2M1", "5M2E", "4M3E", "3M4E", "E4M3", "E5M2"])
@pytest.mark.parametrize("density", [Gaussian(), Laplace(), StudentT(3.0)], ids=repr)
def test_all_good_minima_are_listed(name: str, density: Density) -> None:
    """Every dip of a dense scan that comes within 3 dB of the least is a local minimum."""
    form = as_scalar_format(name)
    best = optimal_scale(form, density)
    ranges = np.geomspace(*best.searched, 20_000)
    found = mse(form, density, ranges)
    dips = 1 + np.flatnonzero((found[1:-1] < found[:-2]) & (found[1:-1] <= found[2:]))
    dips = dips[found[dips] <= 2 * best.report.mse]
    good = [each for each in best.local_minima if each.mse <= 2 * best.report.mse]
    assert [each.max_value for each in good] == pytest.approx(
        ranges[dips].tolist(), rel=5e-3, abs=0
    )


@pytest.mark.parametrize("density", EXAMPLES.values(), ids=list(EXAMPLES))
@pytest.mark.parametrize("name", ["FIXED8.4", "UFIXED8.4", "fixed4.0", "fixed16.8"])
def test_fixed_point_moves_by_powers_of_two(name: str, density: Density) -> None:
    form = as_scalar_format(name)
    best = optimal_scale(form, density)
    assert math.frexp(best.scale)[0] == 0.5
    low, high = best.searched
    every = 2.0 ** np.arange(-60, 61)
    inside = every[(every * form.max_value >= low) & (every * form.max_value <= high)]
    least = quantization_error(form, density, inside).mse.min()
    assert best.report.mse <= least * (1 + 1e-12)


def test_limits_are_kept() -> None:
    best = optimal_scale("INT8", "gaussian", low=5.0, high=9.0)
    assert best.at_edge
    assert best.max_value == pytest.approx(5.0, rel=1e-14, abs=0)
    assert best.searched == (5.0, 9.0)
    best = optimal_scale("INT8", "gaussian", high=2.0)
    assert best.at_edge
    assert best.max_value == pytest.approx(2.0, rel=1e-14, abs=0)
    best = optimal_scale("INT8", "gaussian", low=3.0, high=5.0)
    assert not best.at_edge
    assert best.max_value == pytest.approx(3.920501, abs=1e-6)


@pytest.mark.parametrize("limits", [{"low": 3.0, "high": 2.0}, {"low": 0.0}, {"high": -1.0}])
def test_refused_limits(limits: dict[str, float]) -> None:
    with pytest.raises(InvalidValue):
        optimal_scale("INT8", "gaussian", low=limits.get("low"), high=limits.get("high"))


def test_refused_formats() -> None:
    with pytest.raises(InvalidValue, match="no positive level"):
        optimal_scale(Codebook([-1.0, 0.0]), "gaussian")
    with pytest.raises(InvalidType):
        optimal_scale(8, "gaussian")  # type: ignore[call-overload]
    with pytest.raises(InvalidValue, match="power-of-two"):
        optimal_scale("FIXED8.4", "gaussian", low=4.1, high=4.2)


@pytest.mark.parametrize(
    "density",
    [
        Discrete((0.0,), (1.0,)),
        Discrete((1.0,), (1.0,)),
        Discrete((-3.0, 3.0), (0.5, 0.5)),
        Discrete((0.0, 1e-9, 1e9), (0.5, 0.25, 0.25)),
        Uniform(5.0, 5.0000001),
        Uniform(-2.0, -1.0),
        Gaussian(1e6, 1e-3),
        Gaussian(-40.0, 1e-6),
        Clipped(Gaussian(), 3.0),
        Clipped(StudentT(1.0), -2.0, 2.0),
        Truncated(StudentT(0.5), -1e12, 1e12),
        Rectified(Gaussian(-8.0)),
        Mixture((Gaussian(0.0, 1e-9), Gaussian(0.0, 1e9)), (0.5, 0.5)),
    ],
    ids=density_name,
)
@pytest.mark.parametrize("name", ["INT4", "UINT4", "4M3E", "FIXED8.4"])
def test_awkward_densities_have_an_answer(name: str, density: Density) -> None:
    form = as_scalar_format(name)
    best = optimal_scale(form, density)
    assert best.scale > 0
    assert math.isfinite(best.report.mse)
    if not isinstance(form, FixedPoint):
        ranges = np.geomspace(*best.searched, 300)
        assert best.report.mse <= mse(form, density, ranges).min() * (1 + 1e-9) + 1e-300
