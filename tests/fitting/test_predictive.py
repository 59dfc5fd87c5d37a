"""Predictions from fits without a variance."""

import math

import numpy as np

from qerror import fit, quantization_error
from qerror.densities import StudentT, Truncated


def test_a_fit_without_a_variance_predicts_what_is_finite() -> None:
    x = StudentT(1.5).sample(20_000, np.random.default_rng(3))
    found = fit(x, ["student-t"])
    assert found.density.second_moment == math.inf
    assert found.predictive == Truncated(found.density, float(x.min()), float(x.max()))
    predicted = quantization_error("int8", found.predictive, 0.1)
    measured = quantization_error("int8", x, 0.1)
    assert abs(predicted.rounding / measured.rounding - 1) < 0.03
    assert math.isfinite(predicted.mse)


def test_point_masses_stay() -> None:
    x = StudentT(1.2).sample(10_000, np.random.default_rng(4))
    x[:5000] = 0.0
    found = fit(x, ["student-t"])
    values, shares = found.predictive.atoms()
    assert values.tolist() == [0.0]
    assert shares.tolist() == [0.5]
    assert math.isfinite(found.predictive.second_moment)


def test_a_fit_with_a_variance_is_left_alone() -> None:
    found = fit(np.random.default_rng(5).normal(size=1000))
    assert found.predictive is found.density
