"""Sweeps: plain rows that agree with the calls they stand for."""

import dataclasses
import math
import re
import sys
import types
from typing import Any

import pytest

from qerror.analysis import quantization_error
from qerror.analysis.report import FIELDS
from qerror.densities import DENSITIES, Gaussian, Laplace, StudentT, density_name
from qerror.exceptions import InvalidType, InvalidValue, MissingLibrary, UnknownName
from qerror.formats import FloatingPoint, as_scalar_format, parse_format, scalar_formats
from qerror.optimize import optimal_scale
from qerror.sweep import SweepRow, sweep

Row = dict[str, object]

KEYS = ["density", "format", "bits_per_value", "scale", "max_value", "bias", *FIELDS]
LAST = ["below_best_db", "at_edge", "note"]
PLATEAU = ["plateau_low", "plateau_high", "smallest_max_value"]
SEVEN = ["INT8", "5M2E", "4M3E", "3M4E", "2M5E", "E4M3", "E5M2"]


def number(row: Row, key: str) -> float:
    value = row[key]
    assert isinstance(value, float)
    return value


def agree(row: Row, density: str, scale: float) -> bool:
    report = quantization_error(str(row["format"]), density, scale).to_dict()
    return all(
        math.isclose(number(row, key), value, rel_tol=1e-11, abs_tol=1e-17)
        or str(row[key]) == str(value)
        for key, value in report.items()
    )


def test_best_ranges() -> None:
    result = sweep(SEVEN, ["gaussian", StudentT(3.0)])
    assert len(result.to_records()) == 14
    for row in result.to_records():
        assert list(row) == KEYS + LAST + PLATEAU
        best = optimal_scale(str(row["format"]), str(row["density"]))
        assert number(row, "scale") == best.scale
        assert number(row, "max_value") == best.max_value
        assert row["bias"] == best.bias
        assert row["at_edge"] == best.at_edge
        assert agree(row, str(row["density"]), best.scale)
    assert [row["format"] for row in result.to_records()[:7]] == [
        as_scalar_format(f).name for f in SEVEN
    ]
    assert [row["density"] for row in result.to_records()[::7]] == ["gaussian", "student-t(nu=3)"]
    assert result.params == {
        "formats": tuple(as_scalar_format(f).name for f in SEVEN),
        "densities": ("gaussian", "student-t(nu=3)"),
        "over": None,
    }


def test_rows_are_typed_and_keep_their_objects() -> None:
    law, form = StudentT(3.0), as_scalar_format("4M3E")
    result = sweep([form, "int8"], [law], ("density.nu", [3, 4]))
    assert len(result) == len(result.rows) == 4
    assert list(result) == list(result.rows)
    first = result.rows[0]
    assert isinstance(first, SweepRow)
    assert (first.density, first.format, first.value) == (law, form, 3.0)
    assert first.report == optimal_scale(form, law).report
    assert [row.density for row in result] == [StudentT(nu) for nu in (3, 3, 4, 4)]
    with pytest.raises(dataclasses.FrozenInstanceError):
        first.scale = 2.0  # type: ignore[misc]
    assert result.parameter == "nu"
    assert repr(result) == (
        "<SweepResult: 2 formats on 1 densities over nu (2), 4 rows; to_records(), to_pandas()>"
    )
    assert result._repr_html_().count("<tr>") == 5


def test_one_format_and_one_density_stand_for_themselves() -> None:
    one = sweep("int8", "gaussian")
    assert one == sweep(["int8"], ["gaussian"])
    assert one == sweep(as_scalar_format("int8"), Gaussian())


def test_a_scale_of_the_density_and_one_of_the_quantizer() -> None:
    law = Laplace(scale=3.0)
    own = sweep("int8", law, ("density.scale", [1.0, 2.0]))
    assert [row.density for row in own] == [Laplace(), Laplace(scale=2.0)]
    assert list(own.to_records()[0])[1] == "density.scale"
    assert [row.report.sqnr_db for row in own] == [
        optimal_scale("int8", Laplace(scale=scale)).report.sqnr_db for scale in (1.0, 2.0)
    ]
    assert own.series[0].title == "laplace"
    quantizer = sweep("int8", law, ("scale", [1.0, 2.0]))
    assert {row.density for row in quantizer} == {law}
    assert [row.scale for row in quantizer] == [1.0, 2.0]
    assert quantizer.series[0].title == "laplace(scale=3)"


def test_a_data_frame_is_made_where_pandas_is(monkeypatch: pytest.MonkeyPatch) -> None:
    result = sweep("int8", "gaussian")

    class Frame:
        @staticmethod
        def from_records(records: list[Row]) -> list[Row]:
            return records

    monkeypatch.setitem(sys.modules, "pandas", types.SimpleNamespace(DataFrame=Frame))
    assert result.to_pandas() == result.to_records()
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(MissingLibrary, match="pip install pandas"):
        result.to_pandas()


def test_the_best_format_of_a_group_is_zero_below_itself() -> None:
    rows = sweep(SEVEN, ["gaussian", "laplace"]).to_records()
    for start in (0, 7):
        group = rows[start : start + 7]
        top = max(number(row, "sqnr_db") for row in group)
        for row in group:
            assert number(row, "below_best_db") == pytest.approx(
                top - number(row, "sqnr_db"), rel=1e-12, abs=0
            )
        assert min(number(row, "below_best_db") for row in group) == 0


def test_over_a_parameter_of_the_density() -> None:
    result = sweep(["INT8", "4M3E"], ["student-t(nu=9)"], ("nu", [2.5, 3, 30]))
    assert result.params["over"] == {"name": "nu", "values": (2.5, 3.0, 30.0)}
    assert [number(row, "nu") for row in result.to_records()] == [2.5, 2.5, 3.0, 3.0, 30.0, 30.0]
    for row in result.to_records():
        assert list(row) == ["density", "nu", *KEYS[1:], *LAST]
        density = StudentT(number(row, "nu"))
        assert row["density"] == density_name(density)
        assert number(row, "mse") == optimal_scale(str(row["format"]), density).report.mse
        assert number(row, "below_best_db") >= 0


@pytest.mark.parametrize("density", ["gaussian", "clipped(gaussian, low=-2, high=3)", "laplace"])
def test_over_the_largest_value(density: str) -> None:
    rows = sweep(
        ["INT8", "4M3E", "FIXED8.4"], [density], ("max_value", [0.5, 3, 4.75])
    ).to_records()
    assert [number(row, "max_value") for row in rows] == [0.5] * 3 + [3.0] * 3 + [4.75] * 3
    for row in rows:
        form = as_scalar_format(str(row["format"]))
        assert number(row, "scale") == pytest.approx(
            form.scale_for(number(row, "max_value")), rel=1e-15, abs=0
        )
        assert agree(row, density, number(row, "scale"))
        assert row["at_edge"] is False
        assert sorted(row) == sorted(KEYS + LAST)


def test_over_the_scale() -> None:
    rows = sweep(["INT8", "UINT8"], ["gaussian"], ("scale", [0.01, 0.1])).to_records()
    for row in rows:
        form = as_scalar_format(str(row["format"]))
        assert number(row, "max_value") == number(row, "scale") * form.max_value
        assert row["bias"] is None
        assert agree(row, "gaussian", number(row, "scale"))


def test_over_the_bias() -> None:
    rows = sweep(["4M3E", "E4M3"], ["gaussian"], ("bias", [2.5, 5, 7])).to_records()
    for row in rows:
        form = as_scalar_format(str(row["format"]))
        assert isinstance(form, FloatingPoint)
        rebased = quantization_error(form.with_bias(number(row, "bias")), "gaussian")
        assert number(row, "mse") == pytest.approx(rebased.mse, rel=1e-12, abs=0)
        assert number(row, "max_value") == pytest.approx(
            form.with_bias(number(row, "bias")).max_value, rel=1e-14, abs=0
        )


def test_progress_counts_every_row() -> None:
    seen: list[tuple[int, int]] = []
    sweep(
        ["INT8", "INT4"],
        ["gaussian", "laplace(loc=1)"],
        ("max_value", [1.0, 2.0, 3.0]),
        progress=lambda done, total: seen.append((done, total)),
    )
    assert seen == [(i, 12) for i in range(1, 13)]


def test_infinite_power_is_said() -> None:
    for over in (None, ("max_value", [1.0])):
        (row,) = sweep(["INT8"], ["student-t(nu=2)"], over).to_records()
        assert number(row, "mse") == math.inf
        assert math.isnan(number(row, "sqnr_db"))
        assert math.isnan(number(row, "below_best_db"))
        assert "infinite" in str(row["note"])


def test_an_edge_is_said() -> None:
    (row,) = sweep(["2M5E"], ["student-t(nu=2.2)"]).to_records()
    assert row["at_edge"] is True
    assert "no optimum" in str(row["note"])


@pytest.mark.exhaustive
@pytest.mark.slow
def test_everything_at_once() -> None:
    forms = [form for form in scalar_formats().values() if form.bits <= 8][::3]
    rows = sweep(forms, [f.example for f in DENSITIES.values()]).to_records()
    assert len(rows) == len(forms) * len(DENSITIES)
    assert all(number(row, "rounding") >= 0 for row in rows)
    assert all(number(row, "mse") < math.inf for row in rows)


@pytest.mark.parametrize(
    ("formats", "densities", "over", "kind", "message"),
    [
        ([], ["gaussian"], None, InvalidValue, "at least one format"),
        (["INT8"], [], None, InvalidValue, "at least one density"),
        (["INT8"], ["gaussian"], ("std", []), InvalidValue, "at least one value"),
        (["INT8"], ["gaussian"], ("nu", [3]), InvalidValue, "cannot sweep 'nu'"),
        (["INT8"], ["gaussian", "laplace"], ("std", [1]), InvalidValue, "laplace"),
        (["INT8"], ["gaussian"], ("bias", [3]), InvalidValue, "no exponent bias"),
        (["INT8"], ["gaussian"], ("std", [1, -1]), InvalidValue, "std"),
        (["INT8"], ["gaussian"], ("scale", [0.0]), InvalidValue, "scale"),
        (["INT8"], ["gaussian"], ("max_value", [math.nan]), InvalidValue, "max_value"),
        (["INT8"], ["gaussian"], ("max_value", ["a"]), InvalidType, "max_value"),
        (["INT9x"], ["gaussian"], None, UnknownName, "INT9x"),
        (["INT8"], ["gauss"], None, UnknownName, "gauss"),
        (["INT8"], [3.0], None, InvalidType, "density"),
        (["INT8"], ["gaussian"], "std", InvalidType, "a name and its values"),
        (["INT8"], ["gaussian"], ("std", 2), InvalidType, "a name and its values"),
        (["INT8"], ["gaussian"], ("std", "12"), InvalidType, "a name and its values"),
        (["INT8"], ["gaussian"], ("std",), InvalidType, "a name and its values"),
        (["INT8"], ["gaussian"], (3, [1]), InvalidType, "a name and its values"),
        (["INT8"], ["gaussian"], 3, InvalidType, "a name and its values"),
        (["INT8"], ["laplace"], ("density.std", [1]), InvalidValue, r"has loc, density\.scale"),
        (3, ["gaussian"], None, InvalidType, "list of formats"),
        (["INT8"], None, None, InvalidType, "list of densities"),
    ],
)
def test_refusals(
    formats: Any,
    densities: Any,
    over: Any,
    kind: type[Exception],
    message: str,
) -> None:
    with pytest.raises(kind, match=message):
        sweep(formats, densities, over)


def test_swept_densities_keep_their_other_parameters() -> None:
    rows = sweep(["INT8"], [Gaussian(0.25, 3.0)], ("std", [0.5])).to_records()
    assert [row["density"] for row in rows] == ["gaussian(mean=0.25, std=0.5)"]


@pytest.mark.parametrize(("name", "value"), [("scale", 0.02), ("max_value", 3.0)])
def test_formats_that_stay_where_they_are(name: str, value: float) -> None:
    stds = [0.5, 1.0, 2.0]
    result = sweep(["int8", "4M3E"], ["gaussian"], ("std", stds), **{name: value})  # type: ignore[arg-type]
    assert result.params["range"] == {name: value}
    assert result.series[0].title == f"gaussian at {name.replace('_', ' ')} {value:g}"
    cases = [(std, form) for std in stds for form in ("int8", "4M3E")]
    for row, (std, form) in zip(result, cases, strict=True):
        direct = quantization_error(form, Gaussian(0, std), **{name: value})  # type: ignore[call-overload]
        assert row.report == direct
        assert (row.value, getattr(row, name)) == (std, value)
    (alone,) = sweep("int8", "laplace", **{name: value})  # type: ignore[arg-type]
    assert alone.value is None
    assert getattr(alone, name) == value


def test_blocks_take_their_scales_from_the_data() -> None:
    result = sweep(["mxfp4", "int8"], ["gaussian", "laplace"])
    for density, row in zip(("gaussian", "laplace"), result.rows[::2], strict=True):
        assert row.report == quantization_error("mxfp4", density)
        assert (row.scale, row.max_value, row.bias, row.bits_per_value) == (None, None, None, 4.25)
    assert [record["bits_per_value"] for record in result.to_records()] == [4.25, 8, 4.25, 8]


def test_a_sweep_over_block_sizes() -> None:
    result = sweep(["int4:g32", "mxfp4"], "gaussian", ("block_size", [8, 64]))
    names = ["int4:g8", "mxfp4:g8", "int4:g64", "mxfp4:g64"]
    for row, name in zip(result, names, strict=True):
        form = parse_format(name)
        assert row.report == quantization_error(form, "gaussian")
        assert row.bits_per_value == form.bits_per_value
        assert row.value in {8, 64}
    assert {record["format"] for record in result.to_records()} == {"INT4:gN", "MXFP4:gN"}


def test_two_parameters() -> None:
    result = sweep(["int8", "4M3E"], StudentT(3), ("max_value", [4.0, 9.0]), by=("nu", [3, 8]))
    assert [series.title for series in result.series] == ["student-t(nu=3)", "student-t(nu=8)"]
    assert len(result) == 8
    for row in result:
        alone = quantization_error(row.format, row.density, max_value=row.value)
        assert row.report.mse == pytest.approx(alone.mse, rel=1e-14, abs=0)
    both = sweep("int8", StudentT(3), ("nu", [3, 5]), by=("density.scale", [1.0, 2.0]))
    assert [row.density for row in both] == [
        StudentT(3), StudentT(5), StudentT(3, scale=2.0), StudentT(5, scale=2.0),
    ]  # fmt: skip
    with pytest.raises(InvalidValue, match="is one of the formats"):
        sweep("int8", "gaussian", by=("max_value", [1.0]))
    with pytest.raises(InvalidValue, match="cannot sweep 'nu': gaussian has mean, std"):
        sweep("int8", "gaussian", by=("nu", [3.0]))


def test_every_block_size_of_a_format() -> None:
    """A format whose values stand alone means its blocks, as gN does."""
    over = ("block_size", [8, 64])
    named = sweep(["int4:gN", "nf4", "int4:gN:affine"], "gaussian", over)
    for row, name in zip(named, ["int4", "nf4", "int4:affine"] * 2, strict=True):
        assert row.value is not None
        form = parse_format(f"{name}:g{row.value:g}")
        assert row.report == quantization_error(form, "gaussian")
    names = [record["format"] for record in named.to_records()[:3]]
    assert names == ["INT4:gN", "NF4:gN", "INT4:gN:affine"]
    with pytest.raises(InvalidValue, match="'int4:gN' stands for every block size"):
        sweep("int4:gN", "gaussian")


@pytest.mark.parametrize(
    ("formats", "given", "words"),
    [
        ("int8", {"scale": 1.0, "max_value": 2.0}, "give one of them"),
        ("int8", {"scale": 1.0, "over": ("max_value", [1.0])}, "and so does the sweep over"),
        ("int8", {"scale": -1.0}, "scale must be positive"),
        ("mxfp4", {"max_value": 1.0}, "MXFP4 takes its scales from the data: max_value 1"),
        ("mxfp4", {"over": ("scale", [1.0])}, "MXFP4 takes its scales from the data"),
        ("mxfp4", {"limits": True}, "MXFP4 takes its scales from the data"),
        ("mxfp4", {"over": ("block_size", [8.5])}, "whole number"),
    ],
)
def test_ranges_that_contradict(formats: str, given: dict[str, Any], words: str) -> None:
    with pytest.raises(InvalidValue, match=re.escape(words)):
        sweep(formats, "gaussian", **given)
