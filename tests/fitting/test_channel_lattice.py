"""Channels that were quantized each at a scale of its own."""

from typing import Any

import numpy as np
import pytest

from qerror import quantize
from qerror.crosscheck.predict import predicted_error
from qerror.fitting import ChannelLattices, fit

RNG = np.random.default_rng(6)
X = (RNG.normal(size=(24, 400)) * RNG.uniform(0.1, 3, (24, 1))).astype(np.float32)
PEAK = np.abs(X).max(axis=1, keepdims=True).astype(float)


def lattices_of(x: Any) -> ChannelLattices:
    found = fit(x).channel_lattices
    assert found is not None
    return found


@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize(("form", "top"), [("int4", 7), ("int8", 127)])
def test_uniform_grids_of_channels(axis: int, order: Any, form: str, top: int) -> None:
    scale = PEAK / top
    y = quantize(X, form, scale)
    found = lattices_of(np.asarray(y if axis == 0 else y.T, order=order))
    assert (found.axis, found.dimensions) == (axis, 2)
    steps = np.array([each.step for each in found.lattices if each is not None])
    # A channel whose codes have a common factor lies on a coarser grid too.
    ratio = steps / scale[:, 0]
    np.testing.assert_allclose(ratio, np.rint(ratio), rtol=1e-5)
    assert np.median(ratio) == pytest.approx(1, rel=1e-6, abs=0)
    assert "a uniform grid of its own, steps" in found.description


def test_levels_of_a_format_at_scales_of_channels() -> None:
    scale = PEAK / 448
    found = lattices_of(quantize(X, "e4m3", scale))
    assert "24 channels along axis 0, each on levels of E4M3FN at a scale of its own" in (
        found.description
    )
    scales = np.array([each.scale for each in found.lattices if each is not None])
    ratio = np.log2(scales / scale[:, 0])  # a power of two is the same grid, but for subnormals
    np.testing.assert_allclose(ratio, np.rint(ratio), atol=1e-5)


def test_they_are_predicted_as_they_are() -> None:
    y = quantize(X, "int8", PEAK / 127)
    found = fit(y)
    assert found.candidates == ()
    assert found.lattice is None
    assert found.channels is None
    assert found.density.second_moment == pytest.approx(
        np.mean(y.astype(float) ** 2), rel=1e-12, abs=0
    )
    for scale in (0.3, PEAK / 7):
        error = quantize(y.astype(float), "int4", scale) - y
        predicted = predicted_error(found, "int4", scale)
        assert predicted.mse == pytest.approx(np.mean(error**2), rel=1e-12, abs=0)
        assert predicted.mean_error == pytest.approx(np.mean(error), abs=1e-12)


def test_blocks_within_channels() -> None:
    y = quantize(X, "int4", PEAK / 7)
    error = quantize(y, "nf4:g40").astype(float) - y
    within = predicted_error(fit(y), "nf4:g40").mse
    assert within == pytest.approx(np.mean(error**2), rel=0.1, abs=0)
    assert within < 0.85 * predicted_error(fit(y.reshape(-1)), "nf4:g40").mse


def test_few_values_in_all_may_be_those_of_many_grids() -> None:
    y = quantize(X[:8], "int4", PEAK[:8] / 7)
    assert np.unique(y).size < 256
    assert len(lattices_of(y).lattices) == 8


def test_constant_channels_have_no_part() -> None:
    y = quantize(X, "int4", PEAK / 7)
    y[[0, 5]] = 0.0
    found = lattices_of(y)
    assert [i for i, each in enumerate(found.lattices) if each is None] == [0, 5]


@pytest.mark.parametrize("spoiled", [0, 13])
def test_one_channel_of_other_values_is_enough_to_refuse(spoiled: int) -> None:
    y = quantize(X, "int4", PEAK / 7)
    y[spoiled] = X[spoiled]
    found = fit(y)
    assert found.channel_lattices is None
    assert found.candidates


def test_no_grids_are_seen_where_there_are_none() -> None:
    assert fit(X).channel_lattices is None
    assert fit(X.astype(np.float16)).channel_lattices is None
    common = fit(quantize(X, "int8", 0.05))
    assert common.channel_lattices is None
    assert common.lattice is not None
    assert fit(quantize(X, "int4", PEAK / 7).reshape(-1)).channel_lattices is None


@pytest.mark.parametrize("kind", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize("size", [16, 40])
def test_small_channels_are_on_no_grid_by_chance(kind: Any, size: int) -> None:
    rng = np.random.default_rng(size)
    x = rng.normal(size=(60, size)) * rng.uniform(0.1, 3, (60, 1))
    assert fit(x.astype(kind)).channel_lattices is None
    y = quantize(x.astype(np.float32), "int4", np.abs(x).max(axis=1, keepdims=True) / 7)
    assert fit(y).channel_lattices is not None
