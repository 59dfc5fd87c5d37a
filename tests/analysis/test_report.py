"""What an error report derives from its fields."""

import math
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from qerror.analysis import ErrorReport, quantization_error
from qerror.analysis.report import FIELDS
from qerror.densities import Discrete, Gaussian, Laplace, StudentT, parse_density
from qerror.exceptions import InvalidValue, UnknownName
from qerror.formats import Codebook, as_scalar_format


def test_figures_in_reading_order() -> None:
    report = quantization_error("INT4", "gaussian", 0.4)
    assert list(report.to_dict()) == list(FIELDS)
    assert all(type(value) is float for value in report.to_dict().values())


def test_arrays_throughout() -> None:
    report = quantization_error("INT4", "gaussian", [0.1, 0.4, 0.9])
    for value in report.to_dict().values():
        assert isinstance(value, np.ndarray)
        assert value.shape == (3,)
        assert value.dtype == np.float64


def test_a_single_scale_in_an_array() -> None:
    assert quantization_error("INT4", "gaussian", [0.4]).mse.shape == (1,)
    assert isinstance(quantization_error("INT4", "gaussian", np.float64(0.4)).mse, float)
    assert isinstance(quantization_error("INT4", "gaussian", np.array(0.4)).mse, float)


def test_decibels() -> None:
    report = ErrorReport(1e-3, 2e-3, 3e-3, 0.0, 0.0, 6.0, 0.0)
    assert report.clipping == 5e-3
    assert report.mse == 6e-3
    assert report.sqnr_db == pytest.approx(30.0, rel=1e-15, abs=0)


def test_no_error_is_infinitely_good() -> None:
    report = quantization_error("INT4", Discrete((-2.0, 3.0), (0.5, 0.5)))
    assert report.mse == 0
    assert report.sqnr_db == math.inf


def test_no_signal() -> None:
    report = quantization_error(Codebook([1.0]), Discrete((0.0,), (1.0,)))
    assert report.mse == 1
    assert report.sqnr_db == -math.inf
    assert math.isnan(quantization_error("INT4", Discrete((0.0,), (1.0,))).sqnr_db)


def test_infinite_power_is_undefined() -> None:
    assert math.isnan(quantization_error("INT4", StudentT(2.0)).sqnr_db)


def test_tiny_powers_do_not_underflow() -> None:
    scale = 1e-140
    report = quantization_error("INT8", Gaussian(0.0, 32 * scale), scale)
    assert report.sqnr_db == pytest.approx(
        quantization_error("INT8", Gaussian(0.0, 32)).sqnr_db, rel=1e-12, abs=0
    )


def test_frozen() -> None:
    report = quantization_error("INT4", "gaussian")
    with pytest.raises(AttributeError):
        report.rounding = 0.0  # type: ignore[misc]


def test_the_figures_that_matter_come_first() -> None:
    report = ErrorReport(1e-3, 2e-3, 3e-3, 0.0, 0.0, 6.0, 0.0)
    text = "ErrorReport(mse=0.006, rounding=0.001, clipping=0.005, sqnr_db=30)"
    assert repr(report) == text
    assert len(repr(quantization_error("INT4", "gaussian", np.geomspace(0.1, 1, 500)))) < 300


def test_any_shape_of_scales() -> None:
    scales = np.geomspace(0.1, 2.0, 24).reshape(2, 3, 4)
    report = quantization_error("INT4", Laplace(0.2), scales)
    for name, value in report.to_dict().items():
        flat = quantization_error("INT4", Laplace(0.2), scales.reshape(-1)).to_dict()[name]
        assert value.shape == (2, 3, 4)
        assert value.reshape(-1).tolist() == flat.tolist()


def test_scale_max_value_and_bias_are_one_number() -> None:
    form = as_scalar_format("4M3E")
    biases = np.array([[2.5, 3.9], [4.0, 7.25]])
    by_bias = quantization_error(form, "gaussian", bias=biases)
    scales = 2.0 ** (4.0 - biases)
    by_scale = quantization_error(form, "gaussian", scales)
    by_range = quantization_error("4M3E", "gaussian", max_value=scales * form.grid().max)
    for other in (by_scale, by_range):
        assert by_bias.mse == pytest.approx(other.mse, rel=1e-14, abs=0)
    alone = quantization_error("4M3E:bias=3.9", "gaussian").mse
    assert by_bias.mse[0, 1] == pytest.approx(alone, rel=1e-14, abs=0)
    assert isinstance(quantization_error(form, "gaussian", bias=4).mse, float)


@pytest.mark.parametrize(
    ("name", "given", "message"),
    [
        ("4M3E", {"scale": 2.0, "max_value": 3.0}, "give one of them"),
        ("4M3E", {"max_value": 3.0, "bias": 3.0}, "give one of them"),
        ("int8", {"bias": 3.0}, "INT8 has none"),
        ("4M3E", {"max_value": [1.0, -1.0]}, "max_value must be finite and positive"),
        ("4M3E", {"bias": [[1.0, math.nan]]}, "bias must be finite"),
        ("4M3E", {"bias": 1e6}, "must be finite and positive"),
        ("int8", {"rounding": "stochastic:99"}, "1 to 23 random bits"),
    ],
)
def test_what_does_not_go_together_is_refused(
    name: str, given: dict[str, Any], message: str
) -> None:
    with pytest.raises(InvalidValue, match=message):
        quantization_error(name, "gaussian", **given)


def test_rounding_goes_by_its_names() -> None:
    assert quantization_error("int8", "gaussian", rounding="RNE").mse > 0
    with pytest.raises(UnknownName, match="unknown rounding"):
        quantization_error("int8", "gaussian", rounding="bankers-best")


@pytest.mark.parametrize("bits", [8, 16, 32, 48])
def test_point_masses_keep_their_digits(bits: int) -> None:
    """Levels are products that float64 rounds; what is left of the error may be all of it."""
    top = 2 ** (bits - 1) - 1
    scale, values, shares = 2 / top, (-1.1, 0.3, 0.7), (0.25, 0.5, 0.25)
    report = quantization_error(f"int{bits}", Discrete(values, shares), scale)
    square, mean, cross = Fraction(0), Fraction(0), Fraction(0)
    for x, share in zip(map(Fraction, values), map(Fraction, shares), strict=True):
        error = round(x / Fraction(scale)) * Fraction(scale) - x
        square += share * error**2
        mean += share * error
        cross += share * x * error
    assert report.mse == pytest.approx(float(square), rel=4e-15, abs=0)
    unit = math.sqrt(square)
    assert report.mean_error == pytest.approx(float(mean), abs=4e-15 * unit)
    assert report.cross_moment == pytest.approx(float(cross), abs=4e-15 * unit)


def test_text_and_objects_alike() -> None:
    text = quantization_error("4m3e", "student-t(nu=3)", 0.5)
    form = as_scalar_format("4M3E")
    density = parse_density("t", nu=3)
    assert quantization_error(form, density, 0.5) == text
    again = quantization_error(form.grid(0.5), density)
    assert again.mse == pytest.approx(text.mse, rel=1e-14, abs=0)
