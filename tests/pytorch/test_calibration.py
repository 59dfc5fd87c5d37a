"""Calibrations against an independent float64 implementation, and against bad data."""

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from qerror import quantization_error, quantize
from qerror.exceptions import InvalidType, InvalidValue
from qerror.formats.names import as_scalar_format
from qerror.pytorch.calibration import (
    KLD,
    MSE,
    Accumulator,
    Calibration,
    Ema,
    Fitted,
    MeanStd,
    MinMax,
    Norm,
    Optimal,
    Quantile,
    Range,
    Target,
    calibrate,
    choose_format,
)
from qerror.pytorch.granularity import PerChannel, PerGroup
from qerror.pytorch.scales import FixedLength, PowerOfTwo

WANTED = json.loads((Path(__file__).parents[1] / "reference" / "calibrations.json").read_text())
RESULTS: dict[str, Any] = WANTED["results"]["normal"]
NORMAL = np.random.default_rng(0).standard_normal(4096)
X = torch.from_numpy(NORMAL)
EIGHT = ("int4", "int8", "5M2E", "4M3E", "3M4E", "2M5E")
ALL: tuple[Calibration, ...] = (
    MinMax(), Quantile(), MSE(), KLD(), Norm(), Norm(1), MeanStd(), Fitted(), Optimal(),
)  # fmt: skip


def found(x: Tensor, name: str, calibration: Calibration, **options: Any) -> Range:
    target = Target(as_scalar_format(name), options.pop("asymmetric", False))
    return calibrate(x, target, calibration, **options)


def reach(name: str, calibration: Calibration, **options: Any) -> float:
    """Return the largest level."""
    form = as_scalar_format(name)
    return float(found(X, name, calibration, **options).scale) * form.max_value


def mse(x: "np.ndarray[Any, Any]", name: str, scale: float) -> float:
    return float(np.mean((quantize(x, name, scale) - x) ** 2))


def test_ends() -> None:
    exact = 1e-13
    assert reach("int8", MinMax()) == pytest.approx(RESULTS["minmax"]["sym_c"], rel=exact, abs=0)
    wanted = RESULTS["quantile"]["sym_c_two_sided"]
    assert reach("int8", Quantile()) == pytest.approx(wanted, rel=exact, abs=0)
    for a in (3, 2.6):
        wanted = RESULTS["mean_std"][f"a{a:g}_unbiased"]
        assert reach("5M2E", MeanStd(a)) == pytest.approx(wanted, rel=exact, abs=0)


@pytest.mark.parametrize("name", ["uint4", "uint8"])
def test_zero_points(name: str) -> None:
    for calibration, key in ((MinMax(), "minmax"), (Quantile(), "quantile")):
        got, wanted = found(X, name, calibration, asymmetric=True), RESULTS[key][name]
        assert float(got.scale) == pytest.approx(wanted["s"], rel=1e-13, abs=0)
        assert float(got.zero_point) == wanted["zero_point"]


@pytest.mark.parametrize("name", ["uint4", "uint8"])
def test_the_best_zero_point(name: str) -> None:
    got, wanted = found(X, name, Optimal(), asymmetric=True), RESULTS["optimum_asym"][name]
    error = mse(NORMAL, f"{name}:zp={int(got.zero_point)}", float(got.scale))
    assert error <= wanted["mse"] * (1 + 5e-4)


@pytest.mark.parametrize("power", [1, 2])
@pytest.mark.parametrize("name", ["int4", "int8", "uint4", "uint8"])
def test_norms(power: int, name: str) -> None:
    got = float(found(X, name, Norm(power)).scale)
    assert got == pytest.approx(RESULTS["norm"][f"p{power}_{name}"], rel=1e-13, abs=0)


@pytest.mark.parametrize("name", ["int4", "int8"])
def test_divergence(name: str) -> None:
    assert reach(name, KLD()) == pytest.approx(RESULTS["kld"][name]["c"], rel=1e-12, abs=0)


@pytest.mark.parametrize("calibration", [MSE(), Optimal()])
@pytest.mark.parametrize("name", EIGHT)
def test_the_least_error(name: str, calibration: Calibration) -> None:
    error = mse(NORMAL, name, float(found(X, name, calibration).scale))
    assert error <= RESULTS["optimum"][name]["mse"] * (1 + 5e-4)


@pytest.mark.parametrize("name", ["int4", "int8"])
@pytest.mark.parametrize("calibration", [MSE(), Optimal()])
def test_the_least_error_among_powers_of_two(name: str, calibration: Calibration) -> None:
    target = Target(as_scalar_format(name), scale_rule=PowerOfTwo())
    scale = float(calibrate(X, target, calibration).scale)
    wanted = RESULTS["optimum_pow2"][name]
    assert math.log2(scale) == wanted["log2_s"]
    assert mse(NORMAL, name, scale) == pytest.approx(wanted["mse"], rel=1e-12, abs=0)
    fixed = calibrate(X, Target(as_scalar_format(name), scale_rule=FixedLength(8)), calibration)
    assert float(fixed.scale) == scale


@pytest.mark.parametrize("name", EIGHT)
@pytest.mark.parametrize("seed", [0, 1019, 1046])
def test_fits_come_close(name: str, seed: int) -> None:
    """The worst of 50 arrays of each kind with seeds from 1000 on were among these: 1.145."""
    rng = np.random.default_rng
    for x in (rng(seed).standard_normal(4096), rng(seed).standard_t(3, 4096)):
        data = torch.from_numpy(x)
        least = mse(x, name, float(found(data, name, Optimal()).scale))
        fitted = mse(x, name, float(found(data, name, Fitted()).scale))
        assert least <= fitted <= 1.15 * least


def test_moving_averages() -> None:
    wanted = RESULTS["ema"]
    batches = list(X.reshape(8, 512))

    def ema(name: str, calibration: Calibration, asymmetric: bool = False) -> Range:
        target = Target(as_scalar_format(name), asymmetric)
        return calibrate(batches, target, calibration, accumulator=Ema())

    def top(name: str, calibration: Calibration) -> float:
        return float(ema(name, calibration).scale) * as_scalar_format(name).max_value

    assert top("int8", MinMax()) == pytest.approx(wanted["minmax"]["sym_c"], rel=1e-12, abs=0)
    for name in ("uint4", "uint8"):
        got = ema(name, MinMax(), True)
        assert float(got.scale) == pytest.approx(wanted["minmax"][name]["s"], rel=1e-12, abs=0)
        assert float(got.zero_point) == wanted["minmax"][name]["zero_point"]
    two_sided = wanted["quantile"]["sym_c_two_sided"]
    assert top("int8", Quantile()) == pytest.approx(two_sided, rel=1e-12, abs=0)
    for power in (1, 2):
        got_scale = float(ema("int8", Norm(power)).scale)
        assert got_scale == pytest.approx(wanted["norm"][f"p{power}_int8"], rel=1e-12, abs=0)
    for a in (3, 2.6):
        assert top("int8", MeanStd(a)) == pytest.approx(
            wanted["mean_std"][f"a{a:g}_c"], rel=1e-12, abs=0
        )
    for name in ("int4", "int8"):
        assert top(name, MSE()) == pytest.approx(wanted["mse"][name], rel=2e-3, abs=0)


@pytest.mark.parametrize("calibration", [MinMax(), MeanStd(), Norm(1), Norm(3), Quantile(0.99)])
def test_batches_pooled_are_the_whole(calibration: Calibration) -> None:
    whole = found(X, "uint8", calibration, asymmetric=True)
    target = Target(as_scalar_format("uint8"), True)
    parts = calibrate(torch.split(X, [1000, 1, 3095]), target, calibration)
    torch.testing.assert_close(parts.scale, whole.scale, rtol=1e-13, atol=0)
    assert torch.equal(parts.zero_point, whole.zero_point)


def test_appendix_e() -> None:
    wanted = RESULTS["appendix_e"]
    choice = choose_format(X)
    assert (choice.mantissa_bits, choice.exponent_bits) == (wanted["m"], 7 - wanted["m"])
    assert float(choice.max_value) == pytest.approx(wanted["c"], rel=1e-13, abs=0)
    channels = RESULTS["appendix_e_channels"]
    choice = choose_format(X.reshape(16, 256), granularity=PerChannel(16))
    assert choice.mantissa_bits == channels["m"]
    assert list(choice.votes) == channels["votes"]
    np.testing.assert_allclose(choice.max_value.numpy(), channels["c"], rtol=1e-13)


@pytest.mark.parametrize("calibration", ALL, ids=repr)
def test_degenerate_data_have_documented_ranges(calibration: Calibration) -> None:
    name = "int4"
    zero = found(torch.zeros(64), name, calibration)
    assert float(zero.scale) == 1.0
    constant = found(torch.full((64,), -3.0), name, calibration)
    one = found(torch.tensor([2.5]), name, calibration)
    mixed = torch.stack([torch.zeros(64), torch.full((64,), 1e-30), torch.linspace(-1, 1, 64)])
    rows = found(mixed, name, calibration, granularity=PerChannel(3))
    for scale in (constant.scale, one.scale, rows.scale):
        assert (torch.isfinite(scale) & (scale > 0)).all()
    assert float(rows.scale[0]) == 1.0


ACCUMULATORS: tuple[Accumulator | None, ...] = (None, Ema())


@pytest.mark.parametrize("accumulator", ACCUMULATORS, ids=repr)
@pytest.mark.parametrize("calibration", ALL, ids=repr)
def test_bad_data_are_refused(calibration: Calibration, accumulator: Accumulator | None) -> None:
    def attempt(x: Any, **options: Any) -> None:
        found(x, "int8", calibration, accumulator=accumulator, **options)

    for bad in (math.nan, math.inf, -math.inf):
        with pytest.raises(InvalidValue, match="1 of 3 values"):
            attempt(torch.tensor([1.0, bad, 2.0]))
    with pytest.raises(InvalidValue, match="empty"):
        attempt(torch.zeros(0, 4))
    with pytest.raises(InvalidValue, match="nothing was observed"):
        attempt([])
    with pytest.raises(InvalidType, match="int64"):
        attempt(torch.arange(4))
    with pytest.raises(InvalidValue, match="axis 2 does not exist"):
        attempt(torch.ones(4, 4), granularity=PerChannel(4, 2))
    with pytest.raises(InvalidValue, match="expected 3 channels"):
        attempt(torch.ones(4, 4), granularity=PerChannel(3))
    with pytest.raises(InvalidValue, match="laid out for shape"):
        attempt(torch.ones(4, 4), granularity=PerGroup((4, 8), 4))


def test_what_has_no_meaning_is_refused() -> None:
    with pytest.raises(InvalidValue, match="only integers have a zero point"):
        Target(as_scalar_format("5M2E"), asymmetric=True)
    with pytest.raises(InvalidValue, match="defined for integers"):
        found(X, "5M2E", Norm())
    with pytest.raises(InvalidValue, match="not a zero point"):
        found(X, "uint8", KLD(), asymmetric=True)
    with pytest.raises(InvalidValue, match="2048 bins"):
        found(X, "int16", KLD())
    with pytest.raises(InvalidValue, match="do not divide"):
        PerGroup((4, 10), 4)
    for wrong in (lambda: Quantile(0.4), lambda: Ema(0.0), lambda: MeanStd(-1), lambda: Norm(0)):
        with pytest.raises(InvalidValue):
            wrong()


def test_groups_and_channels_are_rows() -> None:
    x = torch.arange(48.0).reshape(2, 3, 8) - 20
    groups = found(x, "int8", MinMax(), granularity=PerGroup((2, 3, 8), 4))
    torch.testing.assert_close(
        groups.scale, x.reshape(12, 4).abs().amax(1).double() / 127, rtol=0, atol=0
    )
    channels = found(x, "int8", MinMax(), granularity=PerChannel(3, 1))
    torch.testing.assert_close(channels.scale, x.abs().amax((0, 2)).double() / 127, rtol=0, atol=0)


def test_kld_keeps_data_of_one_size() -> None:
    x = torch.full((4, 8), -0.3)
    for form in ("int4", "int8", "4M3E"):
        result = found(x, form, KLD())
        assert float(result.scale) * as_scalar_format(form).max_value == pytest.approx(
            0.3, rel=1e-7, abs=0
        )


@pytest.mark.parametrize("name", ["9M9E", "int14"])
def test_formats_of_many_levels_are_scanned_on_some_values(name: str) -> None:
    x = np.random.default_rng(3).standard_t(5, 10_000)
    form = as_scalar_format(name)
    found = MSE().best(form, x)
    far = np.geomspace(0.02, 2.2, 60) * np.abs(x).max() / form.max_value
    errors = quantization_error(
        form, x, np.concatenate([far, np.linspace(0.9, 1.1, 21) * found, [found]])
    ).mse
    assert errors[-1] <= errors[:60].min()
    # A sample's error has thousands of minima; 33 scales of an octave missed 1.4 % of it in 9M9E.
    assert errors[-1] <= 1.02 * errors.min()
