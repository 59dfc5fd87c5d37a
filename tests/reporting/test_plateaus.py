"""How far ranges may move, in documents."""

import math

import numpy as np
import pytest

from qerror import quantization_error
from qerror.densities import Density, Empirical, Gaussian, StudentT
from qerror.formats.names import as_scalar_format
from qerror.optimize import optimal_format, optimal_scale
from qerror.reporting import optimum_document, ranking_document, sweep_document
from qerror.sweep import sweep

SAMPLE = Empirical(np.random.default_rng(5).laplace(size=300))
FORMATS = ["int8", "4M3E", "E5M2"]


def loss_db(name: str, density: Density, max_value: float, least: float) -> float:
    form = as_scalar_format(name)
    mse = quantization_error(form, density, form.scale_for(max_value)).mse
    return 10 * math.log10(mse / least)


@pytest.mark.parametrize("density", [Gaussian(), StudentT(3), SAMPLE])
def test_rows_of_a_sweep_have_their_plateaus(density: Density) -> None:
    document = sweep_document(sweep(FORMATS, [density]))
    for name, row in zip(FORMATS, document.rows, strict=True):
        low, high, smallest = (
            float(str(row[key])) for key in ("plateau_low", "plateau_high", "smallest_max_value")
        )
        least = float(str(row["mse"]))
        assert low <= float(str(row["max_value"])) <= high
        assert smallest <= float(str(row["max_value"]))
        if least == 0:
            continue
        assert loss_db(name, density, smallest, least) <= 0.01 + 1e-9
        for end in (low, high):
            if 0 < end < math.inf:
                assert loss_db(name, density, end, least) == pytest.approx(0.1, abs=1e-9)


def test_a_second_table_shows_them() -> None:
    _, view = sweep_document(sweep(FORMATS, [Gaussian()])).views
    assert view.header == ("format", "best", "0.1 dB from", "0.1 dB to", "smallest, 0.01 dB")
    assert [line[0] for line in view.body] == ["INT8", "4M3E", "E5M2"]
    assert list(view.body[0][1:]) == ["3.921", "3.785", "4.085", "3.875"]
    ranked = ranking_document(optimal_format(FORMATS, Gaussian())).views[1]
    assert sorted(map(list, ranked.body)) == sorted(map(list, view.body))


def test_where_no_range_is_best_there_is_none() -> None:
    assert len(sweep_document(sweep(FORMATS, [StudentT(2)])).views) == 1
    assert len(sweep_document(sweep(FORMATS, [StudentT(2), Gaussian()])).views) == 3
    assert len(ranking_document(optimal_format(FORMATS, StudentT(2))).views) == 1


def test_a_swept_range_has_no_plateau() -> None:
    document = sweep_document(sweep(FORMATS, [Gaussian()], ("max_value", [1.0, 2.0])))
    assert "plateau_low" not in document.keys
    assert len(document.views) == 1


def test_one_optimum() -> None:
    best = optimal_scale("E4M3", Gaussian())
    document = optimum_document(best.format, Gaussian(), best, [])
    assert document.rows[0]["plateau_low"] == best.plateau[0] == best.leeway.low
    assert document.column("plateau_high").unit == "x"
    assert ("within 0.1 dB", "3.823 to 6395") in document.views[0].body
