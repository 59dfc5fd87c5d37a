"""What an error report derives from its fields."""

import math

import numpy as np
import pytest

from qerror.analysis import ErrorReport, quantization_error
from qerror.analysis.report import FIELDS
from qerror.densities import Discrete, Gaussian, StudentT, parse_density
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
    assert report.sqnr_db == pytest.approx(30.0, rel=1e-15)


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
    assert report.sqnr_db == pytest.approx(quantization_error("INT8", Gaussian(0.0, 32)).sqnr_db)


def test_frozen() -> None:
    report = quantization_error("INT4", "gaussian")
    with pytest.raises(AttributeError):
        report.rounding = 0.0  # type: ignore[misc]


def test_text_and_objects_alike() -> None:
    text = quantization_error("4m3e", "student-t(nu=3)", 0.5)
    form = as_scalar_format("4M3E")
    density = parse_density("t", nu=3)
    assert quantization_error(form, density, 0.5) == text
    again = quantization_error(form.grid(0.5), density)
    assert again.mse == pytest.approx(text.mse, rel=1e-14)
