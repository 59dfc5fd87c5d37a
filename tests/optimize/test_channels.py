"""A range for every channel of an array."""

from typing import Any

import numpy as np
import pytest

from qerror import ChannelScales, optimal_scale, quantize
from qerror.exceptions import InvalidType, InvalidValue
from qerror.formats import parse_format
from qerror.formats.format import ScalarFormat
from qerror.optimize import optimal_channel_scales
from qerror.optimize.stored import cost_of, scales_of
from qerror.storage import open_arrays

RNG = np.random.default_rng(5)
X = (RNG.standard_t(5, size=(3, 4, 50)) * np.array([0.1, 1.0, 30.0])[:, None, None]).astype("f4")
ANY: Any = "gaussian"  # what a type checker would refuse


def error_power(x: Any, form: str, scale: Any) -> float:
    """Return the mean squared error by rounding to the nearest of all levels."""
    found = parse_format(form)
    assert isinstance(found, ScalarFormat)
    levels = found.grid().points
    units = np.broadcast_to(scale, x.shape).reshape(-1)
    flat = x.reshape(-1).astype(np.float64)
    nearest = np.abs(flat[:, None] - units[:, None] * levels).argmin(axis=1)
    return float(np.mean((levels[nearest] * units - flat) ** 2))


@pytest.mark.parametrize("axis", [0, 1, -1])
@pytest.mark.parametrize("form", ["int4", "4M3E"])
def test_each_channel_has_its_own_optimum(form: str, axis: int) -> None:
    found = optimal_scale(form, X, axis=axis)
    assert isinstance(found, ChannelScales)
    channels = np.moveaxis(X, axis, 0)
    assert len(found) == len(channels)
    for one, channel in zip(found, channels, strict=True):
        assert one.scale == optimal_scale(form, channel).scale
    assert found.scale.ndim == found.max_value.ndim == 3
    assert found.scale.shape[axis] == found.scale.size == len(channels)
    assert found.report.mse == pytest.approx(error_power(X, form, found.scale), rel=1e-12, abs=0)
    assert found.report.signal_power == pytest.approx(
        float(np.mean(X.astype(float) ** 2)), rel=1e-12, abs=0
    )
    y = quantize(X.astype(float), form, found.scale)
    assert np.mean((y - X) ** 2) == pytest.approx(found.report.mse, rel=1e-12, abs=0)


def test_channels_lose_less_than_one_range_and_say_so() -> None:
    found, whole = optimal_channel_scales("int8", X), optimal_scale("int8", X)
    assert found.report.mse < whole.report.mse
    assert repr(found).startswith("<ChannelScales of INT8: 3 channels along axis 0, max_value=")
    assert found._repr_html_().count("<tr>") == 4
    with pytest.raises(ValueError, match="read-only"):
        found.scale[0] = 1.0


def test_progress_counts_channels() -> None:
    seen: list[tuple[int, int]] = []
    optimal_channel_scales("int4", X, 1, progress=lambda done, total: seen.append((done, total)))
    assert seen == [(1, 4), (2, 4), (3, 4), (4, 4)]


def test_what_has_no_channels_is_refused() -> None:
    with pytest.raises(InvalidType, match="leave axis out for a density"):
        optimal_scale("int8", ANY, axis=0)
    with pytest.raises(InvalidValue, match=r"axis must lie in -3\.\.2, got 3"):
        optimal_scale("int8", X, axis=3)
    with pytest.raises(InvalidType, match="axis must be an integer"):
        optimal_scale("int8", X, axis=0.5)  # type: ignore[call-overload]
    with pytest.raises(InvalidType, match="masked"):
        optimal_channel_scales("int8", np.ma.masked_array(X, X > 1))
    with pytest.raises(InvalidValue, match="no values"):
        optimal_channel_scales("int8", np.zeros((0, 4)))
    bad = X.copy()
    bad[1, 0, 0] = np.nan
    with pytest.raises(InvalidValue, match="channel 1 of axis 0: data must be finite"):
        optimal_channel_scales("int8", bad)
    with pytest.raises(InvalidValue, match="no positive level"):
        optimal_channel_scales("codebook:-1,0", X)


@pytest.fixture
def stored(tmp_path: Any) -> Any:
    x = X.copy()
    x[0, 0, :3] = np.nan, np.inf, -np.inf
    x[2] = 0.0
    np.save(tmp_path / "x.npy", np.asfortranarray(x))
    (array,) = open_arrays(tmp_path / "x.npy")
    return array


def test_scales_of_stored_arrays(stored: Any) -> None:
    """What is not finite has no part in them, and a channel of zeros stands at 1."""
    form = parse_format("int8")
    assert isinstance(form, ScalarFormat)
    finite = X[0].reshape(-1)[3:], X[1].reshape(-1)
    top = max(float(np.abs(each).max()) for each in finite)
    assert scales_of(form, stored, "absmax") == top / 127
    by_channel = np.asarray(scales_of(form, stored, "absmax", 0))
    assert by_channel.shape == (3, 1, 1)
    wanted = [float(np.abs(each).max()) / 127 for each in finite]
    assert by_channel.reshape(-1).tolist() == [*wanted, 1.0]
    best = np.asarray(scales_of(form, stored, "best", -3)).reshape(-1).tolist()
    assert best == [*(optimal_scale(form, each).scale for each in finite), 1.0]
    with pytest.raises(InvalidValue, match="axis must lie in"):
        scales_of(form, stored, "best", 3)


def test_the_cost_of_a_scale(stored: Any) -> None:
    form = parse_format("int8")
    assert isinstance(form, ScalarFormat)
    x = stored.values()
    x = x[np.isfinite(x)]
    best = optimal_scale(form, x)
    found = cost_of(form, stored, 1.0)
    assert found is not None
    assert found.best.scale == best.scale
    loss = 10 * np.log10(error_power(x, "int8", 1.0) / best.report.mse)
    assert found.loss_db == pytest.approx(loss, rel=1e-9, abs=0)
    again = cost_of(form, stored, best.scale)
    assert again is not None
    assert again.loss_db == 0.0
