"""Every figure of the committed reference values of block-scaled formats."""

import json
from pathlib import Path
from typing import Any

import pytest

from qerror import Gaussian, Mixture, parse_density, parse_format, quantization_error
from qerror.analysis import BlockErrorReport
from qerror.densities import Density
from qerror.formats.stored_scales import StoredScale, scale_levels

REFERENCE = json.loads((Path(__file__).parent / "blocks.json").read_text())
CASES = REFERENCE["cases"]


def density_of(case: dict[str, Any]) -> Density:
    parameters = case["parameters"]
    if case["density"] == "mixture":
        weight = parameters["w"]
        parts = (Gaussian(), Gaussian(std=parameters["std"]))
        return Mixture(parts, (weight, 1 - weight))
    return parse_density(case["density"], **parameters)


def name_of(case: dict[str, Any]) -> str:  # noqa: PLR0911 - a rule a line
    name, size, rule = case["format"], case["block_size"], case["rule"]
    match rule:
        case "absmax":
            return f"{name}:n={size}:alpha={case['alpha']!r}:divisor={case['divisor']!r}"
        case "e4m3":
            return f"{name}:n={size}:tensor={case['tensor_scale']!r}"
        case "ue5m3":
            return f"{name}:n={size}:tensor={case['tensor_scale']!r}:scale=ue5m3"
        case "e4m3, tensor scale from N values":
            return f"{name}:n={size}:of={case['tensor_size']}"
        case "minmax-float":
            return f"{name}:n={size}:affine"
        case "minmax-integer":
            return f"{name}:n={size}:affine=integer"
        case _:
            return f"{name}:{rule}:n={size}"


def report_of(case: dict[str, Any]) -> BlockErrorReport:
    report = quantization_error(parse_format(name_of(case)), density_of(case))
    assert isinstance(report, BlockErrorReport)
    return report


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["id"])
def test_errors_to_thirteen_digits(case: dict[str, Any]) -> None:
    report = report_of(case)
    mse = float(case["mse"])
    assert report.mse == pytest.approx(mse, rel=1e-13, abs=0)
    assert report.signal_power == pytest.approx(float(case["signal_power"]), rel=1e-13, abs=0)
    # Terms of both signs: what they lose is measured by the error that they belong to.
    for name in ("cross_moment", "mean_error", "pair_error", "pair_cross"):
        if name in case:
            assert getattr(report, name) == pytest.approx(
                float(case[name]), rel=1e-13, abs=1e-15 * mse
            )


@pytest.mark.parametrize(
    "case", [case for case in CASES if "code_probabilities" in case], ids=lambda case: case["id"]
)
def test_codes_and_shares(case: dict[str, Any]) -> None:
    form, report = parse_format(name_of(case)), report_of(case)
    rule = form.scale  # type: ignore[attr-defined]
    levels = scale_levels(rule.format)[0].tolist() if isinstance(rule, StoredScale) else None
    for code, stated in case["code_probabilities"].items():
        key = float(code) if levels is None else levels[int(code)]
        assert report.code_probabilities.get(key, 0.0) == pytest.approx(float(stated), abs=1e-15)
    assert sum(report.code_probabilities.values()) == pytest.approx(1.0, abs=1e-14)
    assert report.clipped_blocks == pytest.approx(float(case["clipped_blocks"]), abs=1e-13)
    assert report.zero_blocks == float(case["zero_blocks"])
