"""Best ranges of wide formats where point masses or narrow components make thousands of dips.

Each case names a range that a scan of 20,000 scales with a polish found, or one that is lower.
"""

import warnings

import numpy as np
import pytest

from qerror.analysis import quantization_error
from qerror.densities import Clipped, Density, Discrete, Empirical, Gaussian, Laplace, Mixture
from qerror.optimize import optimal_scale


def beside(law: Density, share: float, *values: float) -> Density:
    """Return a law with this share beside equally likely values."""
    atoms = Discrete(values, [1 / len(values)] * len(values))
    return Mixture([law, atoms], [share, 1 - share])


CASES: dict[str, tuple[str, Density, float]] = {
    "two masses": ("fp16", beside(Laplace(0.3, 0.2), 0.146, 0.661, 1.643), 28.262336329724086),
    "three masses": (
        "fp16", beside(Gaussian(1.0, 0.02865), 0.456, -4.883, -1.045, -0.826), 17.659907716236084,
    ),
    "a narrow law beside": (
        "fp16", beside(Gaussian(1.0, 0.005844), 0.942, -2.649, -0.497, 0.841), 32.518956963296816,
    ),
    "a narrow law": ("fp16", Gaussian(1.0, 0.0058), 8.137399998376376),
    "a narrow law in bf16": ("bf16", Gaussian(1.0, 0.0058), 2.0253940451484076),
    "a narrow kink": (
        "fp16", Mixture([Laplace(3.0, 0.01), Gaussian()], [0.9, 0.1]), 97.67007759938024,
    ),
    "one mass": ("int24", beside(Gaussian(), 0.1, 1.0), 7.490335951368135),
    "one mass in fp32": ("fp32", beside(Gaussian(), 0.1, 1.0), 11.400302314448487),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_no_known_range_is_better(case: str) -> None:
    name, density, known = CASES[case]
    found = optimal_scale(name, density).report.mse
    assert found <= quantization_error(name, density, max_value=known).mse * (1 + 1e-9)


@pytest.mark.parametrize("name", ["int24", "int32", "fp32", "fp64", "int53"])
def test_values_in_formats_too_wide_to_list(name: str) -> None:
    """Where millions of scales serve a few values, one is right to the last digits."""
    few, many = Discrete((-1.1, 0.3, 0.7), (0.25, 0.5, 0.25)), Empirical([0.1, 2.5, *range(100)])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert optimal_scale(name, few).report.mse < 1e-31
        best = optimal_scale(name, many)
        optimal_scale(name, Mixture([few, Gaussian()], [0.5, 0.5]))
    at_the_top = quantization_error(name, many, max_value=99.0)
    assert best.report.mse <= at_the_top.mse


@pytest.mark.parametrize("exponent", [-500, -480, 480, 505])
@pytest.mark.parametrize(
    "density",
    [
        Gaussian(), Gaussian(3.0, 0.5), Discrete((-1.0, 0.3), (0.5, 0.5)),
        beside(Laplace(), 0.5, 0.25, 1.0),
    ],
    ids=["family", "moved", "values", "beside"],
)  # fmt: skip
def test_best_ranges_do_not_depend_on_the_unit(density: Density, exponent: int) -> None:
    unit = 2.0**exponent
    there, here = optimal_scale("int4", density.affine(unit)), optimal_scale("int4", density)
    assert there.report.mse / unit / unit == pytest.approx(here.report.mse, rel=1e-12, abs=1e-30)
    assert there.at_edge == here.at_edge
    assert there.plateau[1] / unit == pytest.approx(here.plateau[1], rel=1e-6, abs=0)


@pytest.mark.parametrize("name", ["int16", "int32", "fp32", "fp64"])
@pytest.mark.parametrize("high", [1.0, 3.0])
def test_ends_of_a_clipped_density_are_levels(name: str, high: float) -> None:
    """Its point masses pass 2^31 levels as the scale doubles; they are exact at few scales."""
    density = Clipped(Gaussian(), -high, high)
    best = optimal_scale(name, density)
    assert not best.at_edge
    form = best.format
    edges = form.grid().edges
    with np.errstate(over="ignore", under="ignore"):
        scales = high / (edges[edges > 0] * form.grid().factor)
        low, top = best.searched
        scales = scales[(scales * form.max_value >= low) & (scales * form.max_value <= top)]
        assert scales.size
        others = quantization_error(name, density, scales).mse
    assert best.report.mse <= others.min() * (1 + 1e-13)
