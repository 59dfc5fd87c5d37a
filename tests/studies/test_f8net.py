"""What F8Net states of 8-bit fixed point, against closed forms at 30 digits and dense scans."""

from itertools import pairwise
from typing import Any

import mpmath as mp
import numpy as np
import pytest

from qerror.analysis import quantization_error
from qerror.densities import Density, Gaussian, Rectified
from qerror.formats import FixedPoint
from qerror.optimize import fractional_length_constant
from qerror.reporting import Document
from qerror.studies.f8net import f8net_claims, with_claims


def half_mse(max_code: int, std: Any) -> Any:
    """Return the MSE of the codes 0 .. max_code on the positive half of a Gaussian."""

    def antiderivatives(z: Any) -> tuple[Any, Any, Any]:
        if mp.isinf(z):
            return mp.mpf(1), mp.mpf(0), mp.mpf(1)
        return mp.ncdf(z), -mp.npdf(z), mp.ncdf(z) - z * mp.npdf(z)

    edges = [mp.mpf(0), *((k + mp.mpf(1) / 2) / std for k in range(max_code)), mp.inf]
    at = [antiderivatives(z) for z in edges]
    total = mp.mpf(0)
    for code, (low, high) in enumerate(pairwise(at)):
        m0, m1, m2 = (b - a for a, b in zip(low, high, strict=True))
        total += std**2 * m2 - 2 * code * std * m1 + code**2 * m0
    return total


def test_the_claims_of_f8net() -> None:
    constant, error, relu_constant, relu_error = f8net_claims()
    assert (constant.stated, relu_constant.stated) == (40, 70)
    assert constant.exact == fractional_length_constant(8)
    assert relu_constant.exact == fractional_length_constant(8, signed=False)
    assert (constant.verdict, relu_constant.verdict) == ("refined", "refined")
    # Below 1% nowhere near: the worst of std 0.1 .. 40 and 0.1 .. 100 by closed forms.
    assert (error.verdict, relu_error.verdict) == ("refuted", "refuted")
    with mp.workdps(30):
        fine = mp.sqrt(2 * half_mse(127, mp.mpf(0.1) * 128)) / 128 / mp.mpf(0.1)
        wide = mp.sqrt(half_mse(255, mp.mpf(100))) / 100
    assert error.exact == pytest.approx(float(fine), rel=1e-12, abs=0)
    assert relu_error.exact == pytest.approx(float(wide), rel=1e-12, abs=0)
    assert "1.47% wherever the best FL changes" in error.detail
    assert "0.57% wherever the best FL changes" in relu_error.detail


def test_claims_hold_for_the_worst_of_a_dense_scan() -> None:
    _, error, _, relu_error = f8net_claims()
    for claim, signed, high in ((error, True, 40.0), (relu_error, False, 100.0)):
        density: Density = Gaussian() if signed else Rectified(Gaussian())
        std = np.geomspace(0.1, high, 400)
        lengths = range(9 - signed)
        unit = FixedPoint(8, 0, signed)
        mse = [quantization_error(unit, density, 2.0**-n / std).mse for n in lengths]
        assert np.sqrt(np.min(mse, axis=0)).max() == pytest.approx(claim.exact, rel=1e-12, abs=0)


def test_claims_join_a_document_as_its_last_table() -> None:
    given = Document("fixed-point", {"std": 1.0}, [{"a": 1}])
    claims = f8net_claims()
    found = with_claims(given, claims)
    assert found.views[-1].body[0][-1] == claims[0].verdict
    assert found.params["std"] == 1.0
    assert with_claims(given, ()).views == ()
    assert with_claims(given, ()).params["claims"] == ()
