"""Sweeps that say how far every format is from what is possible."""

import math

import pytest

from qerror import StudentT, lloyd_max, shannon_bound
from qerror.sweep import sweep


def test_limits_are_those_of_as_many_bits() -> None:
    result = sweep(["int8", "3M4E", "int4"], [StudentT(3)], limits=True)
    for row, bits in zip(result.to_records(), (8, 8, 4), strict=True):
        mse = row["mse"]
        assert isinstance(mse, float)
        best, bound = lloyd_max(StudentT(3), 2**bits).report.mse, shannon_bound(StudentT(3), bits)
        assert row["above_lloyd_max_db"] == pytest.approx(10 * math.log10(mse / best), abs=1e-12)
        assert row["above_shannon_db"] == pytest.approx(10 * math.log10(mse / bound), abs=1e-12)


def test_without_limits_there_are_no_such_columns() -> None:
    assert "above_shannon_db" not in sweep(["int4"], [StudentT(3)]).to_records()[0]


@pytest.mark.parametrize("over", [("nu", [2.0, 3.0, 5.0]), ("max_value", [1.0, 2.0])])
def test_limits_along_a_parameter(over: tuple[str, list[float]]) -> None:
    for row in sweep(["int4", "e2m1"], [StudentT(4)], over, limits=True).to_records():
        above = row["above_lloyd_max_db"]
        assert isinstance(above, float)
        # nu = 2: the MSE of every codebook is infinite.
        assert above > 0 or (row.get("nu") == 2 and math.isnan(above))


def test_limits_that_are_not_to_be_had() -> None:
    (row,) = sweep(["fp32"], ["gaussian"], limits=True).to_records()
    above = row["above_shannon_db"]
    assert isinstance(row["above_lloyd_max_db"], float)
    assert math.isnan(row["above_lloyd_max_db"])
    assert isinstance(above, float)
    assert above > 30
    (row,) = sweep(["int4"], ["discrete([0, 1], [0.5, 0.5])"], limits=True).to_records()
    assert row["above_shannon_db"] in {0.0, math.inf}
