"""Scalar products over pairs of formats; the terms have their oracle in tests/cli/test_dot.py."""

import dataclasses
import math
from typing import Any

import numpy as np
import pytest

from qerror import Gaussian, Laplace, optimal_scale, quantization_error, scalar_product_error
from qerror.exceptions import InvalidType, InvalidValue
from qerror.products import Operand, scalar_products

ANY: Any = "int8"  # what a type checker would refuse


def test_every_pair_in_order() -> None:
    found = scalar_products(
        Operand(["int8", "4M3E"], Gaussian()), Operand(["5M2E", "int4"], "laplace"), 64
    )
    names = [(row.weight.format.name, row.activation.format.name) for row in found]
    assert names == [("INT8", "5M2E"), ("INT8", "INT4"), ("4M3E", "5M2E"), ("4M3E", "INT4")]
    for row in found:
        w, x = (
            optimal_scale(row.weight.format, Gaussian()),
            optimal_scale(row.activation.format, Laplace()),
        )
        assert row.report == scalar_product_error(w.report, x.report, 64)
        assert (row.weight.bias, row.activation.bias) == (w.bias, x.bias)
        assert row.weight.max_value == pytest.approx(w.max_value, rel=1e-15, abs=0)
    best = max(found, key=lambda row: row.report.sqnr_db)
    assert found.best == best
    assert [row.below_best_db for row in found] == [
        best.report.sqnr_db - row.report.sqnr_db for row in found
    ]
    assert len(found) == 4
    assert repr(found) == ("<Products: 2 x 2 formats, length 64, best INT8 x 5M2E; to_records()>")
    assert found._repr_html_().count("<tr>") == 5


@pytest.mark.parametrize("given", [{"scale": 0.5}, {"max_value": 7.75}, {"bias": 5}])
def test_three_views_of_one_range(given: Any) -> None:
    (row,) = scalar_products(Operand("4M3E", "gaussian", **given), Operand("int8", "gaussian"))
    assert row.weight.report == quantization_error("4M3E", Gaussian(), 0.5)
    assert (row.weight.scale, row.weight.max_value, row.weight.bias) == (0.5, 7.75, 5.0)


def test_a_side_may_be_data() -> None:
    x = np.array([0.5, -1.0, 2.0, 0.125])
    (row,) = scalar_products(Operand("int4", x, scale=0.25), Operand("int8", x, scale=0.5))
    left, right = (quantization_error(form, x, s) for form, s in (("int4", 0.25), ("int8", 0.5)))
    assert row.report == scalar_product_error(left, right)


def test_infinite_power_has_no_best() -> None:
    found = scalar_products(Operand("4M3E", "student-t(nu=2)"), Operand("int8", "gaussian"))
    (row,) = found
    assert found.best is None
    assert "E[w^2] is infinite" in row.note
    assert math.isnan(row.weight.scale)
    assert row.weight.bias is not None
    assert math.isnan(row.weight.bias)


def test_block_formats_beside_others() -> None:
    """Pairs of blocked sides have their own oracle in tests/analysis/test_block_products.py."""
    forms = ["mxfp4", "int8", "int4:g32:affine"]
    found = scalar_products(Operand(forms, "gaussian(mean=0.5)"), Operand("nvfp4", "laplace"), 80)
    x = quantization_error("nvfp4", Laplace())
    for name, row in zip(forms, found, strict=True):
        w = (
            optimal_scale(name, Gaussian(0.5)).report
            if name == "int8"
            else quantization_error(name, Gaussian(0.5))
        )
        assert row.report == scalar_product_error(w, x, 80)
        assert row.note == "blocks lie along the sum, from its start"
        assert row.weight.is_blocked == (name != "int8")
    record = found.rows[0].to_record()
    assert (record["weight"], record["weight_scale"], record["weight_bias"]) == (
        "MXFP4",
        None,
        None,
    )
    assert math.isnan(found.weights[0].max_value)


def test_channels_of_weights_in_blocks() -> None:
    w = np.random.default_rng(3).normal(size=(3, 64)) * [[1], [3], [7]]
    (row,) = scalar_products(Operand("mxfp4", w, axis=0), Operand("int8", "laplace"), 64)
    x = optimal_scale("int8", Laplace()).report
    reports = [quantization_error("mxfp4", channel) for channel in w]
    assert row.report == scalar_product_error(reports, x, 64)
    assert row.to_record()["weight_channel_scales"] is None


def test_progress_counts_formats() -> None:
    seen: list[tuple[int, int]] = []
    sides = Operand(["int8", "int4"], "gaussian"), Operand("int8", "gaussian")
    scalar_products(*sides, progress=lambda done, total: seen.append((done, total)))
    assert seen == [(1, 3), (2, 3), (3, 3)]


def test_rows_are_frozen() -> None:
    side = Operand("int8", "gaussian")
    (row,) = scalar_products(side, side)
    for thing, name in ((side, "scale"), (row, "report"), (row.weight, "scale")):
        with pytest.raises(dataclasses.FrozenInstanceError):
            setattr(thing, name, None)


@pytest.mark.parametrize(
    ("make", "kind", "message"),
    [
        (lambda: Operand([], "gaussian"), InvalidValue, "at least one format"),
        (lambda: Operand("int8", "gaussian", bias=3), InvalidValue, "no exponent bias"),
        (lambda: Operand("4M3E", "gaussian", bias=3, scale=1), InvalidValue, "scale and bias"),
        (lambda: scalar_products(Operand("int8", "gaussian"), ANY), InvalidType, "Operand"),
        (lambda: Operand("mxfp4", "gaussian", scale=1), InvalidValue, "leave scale out"),
        (lambda: Operand(["e2m1", "nf4:g64"], "gaussian", bias=1), InvalidValue, "leave bias out"),
        (
            lambda: scalar_products(
                Operand("int8", "gaussian"), Operand("mxfp4", np.ones((2, 32)), axis=0)
            ),
            InvalidValue,
            "leave the activations' axis out",
        ),
        (
            lambda: scalar_products(Operand("int8", "gaussian"), Operand("int8", "gaussian"), 0),
            InvalidValue,
            "length",
        ),
    ],
)
def test_refusals(make: Any, kind: type[Exception], message: str) -> None:
    with pytest.raises(kind, match=message):
        make()
