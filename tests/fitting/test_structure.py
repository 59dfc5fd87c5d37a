"""Structure that no single family has: grids that data lie on, channels of different spread."""

from typing import Any

import numpy as np
import pytest

from qerror import fit, quantization_error, quantize
from qerror.crosscheck.predict import predicted_error
from qerror.densities import Discrete, Empirical, Gaussian, Mixture, StudentT
from qerror.fitting import ChannelSpread, Lattice

RNG = np.random.default_rng(12)
X = RNG.normal(size=(32, 1024))


def lattice_of(x: Any) -> Lattice:
    found = fit(x).lattice
    assert found is not None
    return found


@pytest.mark.parametrize("kind", [np.float32, np.float64])
@pytest.mark.parametrize("scale", [0.0123, 1 / 32, 3.7e5])
@pytest.mark.parametrize("name", ["int4", "int8", "uint8", "int12"])
def test_uniform_grids(name: str, scale: float, kind: Any) -> None:
    x = (np.abs(X) if name == "uint8" else X) * scale * 20
    y = quantize(x.astype(kind), name, scale)
    found = lattice_of(y)
    assert (found.kind, found.origin, found.is_coarse) == ("uniform", 0.0, True)
    assert found.step == pytest.approx(scale, rel=1e-6, abs=0)
    assert found.count == np.unique(y).size
    assert "on a uniform grid of step" in found.description


def test_a_grid_that_misses_zero_and_one_with_gaps() -> None:
    found = lattice_of(np.round(X) + 0.3)
    assert found.step == pytest.approx(1.0, rel=1e-12, abs=0)
    assert abs(found.origin % 1 - 0.3) < 1e-9
    gaps = RNG.choice([0.0, 6.0, 10.0, 15.0], 1000)  # multiples of 1, by no difference of 1
    assert lattice_of(gaps).step == 1.0


@pytest.mark.parametrize("scale", [1.0, 0.0123])
@pytest.mark.parametrize("name", ["e4m3", "e5m2", "fp4", "e2m3", "e3m2"])
def test_floating_point_grids(name: str, scale: float) -> None:
    y = quantize((X * scale).astype(np.float32), name, scale)
    found = lattice_of(y)
    assert (found.kind, found.is_coarse) == ("floating-point", True)
    levels = quantize(y.astype(float), found.format, found.scale)
    np.testing.assert_allclose(levels, y, rtol=2e-7)  # all values are levels of what is named
    if scale == 1.0:
        assert found.scale == 1.0
    assert found.description.startswith(f"{np.unique(y).size} distinct values, all levels of ")


def test_fine_grids_are_named_and_left_continuous() -> None:
    found = fit(quantize(X.astype(np.float32), "bf16"))
    assert found.lattice is not None
    assert (found.lattice.format, found.lattice.mantissa_bits) == ("BF16", 7)
    assert not found.lattice.is_coarse
    assert isinstance(found.density, Gaussian)
    assert found.candidates[0].family == "gaussian"


@pytest.mark.parametrize("kind", [np.float16, np.float32, np.float64])
def test_continuous_data_lie_on_no_grid(kind: Any) -> None:
    assert fit(X.astype(kind)).lattice is None
    assert fit(X[:1, :50].astype(kind)).lattice is None


def test_few_values_on_no_grid() -> None:
    found = fit(RNG.choice([-1.0, 0.1, np.pi, 7.7], 500))
    assert found.lattice is not None
    assert found.lattice.kind == "few values"
    assert isinstance(found.density, Discrete)


def test_point_masses_predict_what_is_measured() -> None:
    y = quantize(X, "int8", 0.03)
    found = fit(y)
    assert found.candidates == ()
    assert found.density.second_moment == pytest.approx(float(np.mean(y * y)), rel=1e-12, abs=0)
    predicted = predicted_error(found, "4M3E", 0.25)
    assert predicted.mse == pytest.approx(
        np.mean((quantize(y, "4M3E", 0.25) - y) ** 2), rel=1e-12, abs=0
    )
    many = fit(quantize(X, "int16", 0.004))
    assert isinstance(many.density, Empirical)


def test_families_that_are_named_are_fitted_whatever_the_data() -> None:
    found = fit(quantize(X, "int8", 0.03), ["gaussian"])
    assert (found.lattice, found.channels) == (None, None)
    assert [each.family for each in found.candidates] == ["gaussian"]
    spread = X * np.geomspace(0.01, 1, 32)[:, None]
    assert fit(spread, ["student-t"]).channels is None


# ---- channels


def channels_of(x: Any) -> ChannelSpread:
    found = fit(x).channels
    assert found is not None
    return found


@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("order", ["C", "F"])
def test_the_axis_and_the_spreads_are_found(axis: int, order: Any) -> None:
    shape = [1, 1, 1]
    shape[axis] = 16
    spread = np.exp(RNG.normal(size=16))
    x = np.asarray(RNG.normal(size=(16, 16, 16)) * spread.reshape(shape), order=order)
    found = channels_of(x)
    assert (found.axis, found.dimensions, found.family) == (axis, 3, "gaussian")
    np.testing.assert_allclose(found.spread / found.spread.mean(), spread / spread.mean(), rtol=0.2)
    assert found.ratio == pytest.approx(spread.max() / spread.min(), rel=0.3, abs=0)
    density = fit(x).density
    assert isinstance(density, Mixture)
    assert density.second_moment == pytest.approx(float(np.mean(x * x)), rel=0.05, abs=0)
    view = fit(np.concatenate([x, x])[::2][:8])  # in no order of memory
    assert view.size == 8 * 256


def test_the_shape_is_that_of_one_channel() -> None:
    x = RNG.standard_t(5, size=(24, 3000)) * np.geomspace(0.1, 10, 24)[:, None]
    found = channels_of(x)
    assert isinstance(found.shape, StudentT)
    assert 4.3 < found.shape.nu < 5.8
    plain = fit(x).candidates[0]
    assert found.log_likelihood - plain.log_likelihood > found.parameters - plain.parameters


def test_the_log_likelihood_is_that_of_the_channels_own_densities() -> None:
    from scipy import stats

    x = RNG.normal(size=(8, 500)) * np.geomspace(1, 30, 8)[:, None]
    found = channels_of(x)
    shape = found.shape
    assert isinstance(shape, Gaussian)
    unit = found.spread[:, None]
    wanted = np.sum(stats.norm.logpdf(x, unit * shape.mean, unit * shape.std))
    assert found.log_likelihood == pytest.approx(wanted, rel=1e-12, abs=0)
    assert found.parameters == 2 + 7


@pytest.mark.parametrize("heavy", [2.5, 1.2])
def test_alike_channels_are_no_structure(heavy: float) -> None:
    assert fit(X).channels is None
    assert fit(RNG.standard_t(heavy, size=(64, 500))).channels is None
    assert fit(X * np.exp(0.02 * RNG.normal(size=(32, 1)))).channels is None


def test_channels_of_zeros() -> None:
    x = X * np.geomspace(0.01, 1, 32)[:, None]
    x[:3] = 0
    found = fit(x)
    assert found.channels is not None
    assert (found.channels.spread[:3] == 0).all()
    assert found.atoms == ((0.0, 3 / 32),)
    assert found.density.second_moment == pytest.approx(float(np.mean(x * x)), rel=0.03, abs=0)


def test_prediction_for_one_scale_and_for_one_a_channel() -> None:
    spread = np.geomspace(0.02, 2, 32)
    x = X * spread[:, None]
    found = fit(x)
    one = predicted_error(found, "int8", 0.1)
    measured = np.mean((quantize(x, "int8", 0.1) - x) ** 2)
    assert one.mse == pytest.approx(measured, rel=0.03, abs=0)
    truth = np.mean([quantization_error("int8", Gaussian(std=s), 0.1).mse for s in spread])
    assert one.mse == pytest.approx(truth, rel=0.05, abs=0)
    scales = (4 / 127 * spread)[:, None]
    many = predicted_error(found, "int8", scales)
    measured = np.mean((quantize(x, "int8", scales) - x) ** 2)
    assert many.mse == pytest.approx(measured, rel=0.05, abs=0)


@pytest.mark.exhaustive
def test_prediction_for_blocks_within_channels() -> None:
    x = (X * np.geomspace(0.02, 2, 32)[:, None]).astype(np.float32)
    found = fit(x)
    for form, axis in (("mxfp4", None), ("int4:g32", 1), ("int4:g32", 0)):
        measured = np.mean((quantize(x, form, axis=-1 if axis is None else axis) - x) ** 2)
        assert predicted_error(found, form, axis=axis).mse == pytest.approx(
            measured, rel=0.1, abs=0
        )


def test_channels_without_a_variance_predict_what_is_finite() -> None:
    x = RNG.standard_t(1.6, size=(16, 4000)) * np.geomspace(0.1, 10, 16)[:, None]
    found = fit(x)
    assert found.channels is not None
    assert np.isinf(found.density.second_moment)
    assert np.isfinite(found.predictive.second_moment)
    assert np.isfinite(predicted_error(found, "int8", 0.5).mse)
