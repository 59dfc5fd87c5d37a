"""Every figure of the committed 35-digit reference values."""

import json
from pathlib import Path
from typing import Any

import pytest
from mpmath import isfinite, mpf, workdps

from qerror.analysis import ErrorReport, quantization_error, scalar_product_error
from qerror.densities import (
    Clipped,
    Density,
    Gaussian,
    GeneralizedGaussian,
    HalfGaussian,
    Laplace,
    Logistic,
    Mixture,
    Rectified,
    StudentT,
    Truncated,
    Uniform,
)
from qerror.formats import FixedPoint, FloatingPoint, Format, Integer, parse_format

REFERENCE = json.loads((Path(__file__).parent / "errors.json").read_text())
CASES, PRODUCTS = REFERENCE["cases"], REFERENCE["products"]
TINY = 1e-320  # clipping below it compares as 0


def build_format(spec: dict[str, Any]) -> tuple[Format, float]:
    match spec["kind"]:
        case "int_sym":
            return Integer(spec["bits"]), spec["scale"]
        case "fp":
            return FloatingPoint(spec["m"], spec["e"], spec["bias"]), spec["scale"]
        case "fixed_signed" | "fixed_unsigned" as kind:
            return FixedPoint(spec["WL"], spec["FL"], kind == "fixed_signed"), 1.0
        case kind:
            return parse_format(kind), spec["scale"]


def build_density(spec: dict[str, Any]) -> Density:
    density = _bare(spec)
    cut = spec.get("trunc")
    if not cut:
        return density
    wrap = {"truncate": Truncated, "clip": Clipped}[cut["mode"]]
    low = -float("inf") if cut["low"] is None else cut["low"]
    high = float("inf") if cut["high"] is None else cut["high"]
    return wrap(density, low, high)


PARAMETERS: dict[str, tuple[type[Density], tuple[str, ...]]] = {
    "gaussian": (Gaussian, ("mu", "sigma")),
    "student_t": (StudentT, ("nu", "loc", "scale")),
    "uniform": (Uniform, ("low", "high")),
    "laplace": (Laplace, ("loc", "b")),
    "logistic": (Logistic, ("loc", "s")),
    "gen_gaussian": (GeneralizedGaussian, ("beta", "loc", "alpha")),
    "half_normal": (HalfGaussian, ("sigma",)),
}


def _bare(spec: dict[str, Any]) -> Density:
    if spec["name"] == "mixture":
        return Mixture([build_density(part) for part in spec["components"]], spec["weights"])
    if spec["name"] == "rectified_gaussian":
        return Rectified(Gaussian(spec["mu"], spec["sigma"]))
    make, names = PARAMETERS[spec["name"]]
    return make(*(spec[name] for name in names))


def off(value: float, text: str, unit: float) -> float:
    """Return the error in units of 1e-12 `unit`, in 35 digits; infinities must agree."""
    with workdps(40):
        exact = mpf(text)
        if not isfinite(exact):
            assert str(value) == text.lstrip("+").replace("infinity", "inf")
            return 0.0
        return float(abs(mpf(value) - exact) / (mpf("1e-12") * unit))


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["id"])
def test_every_figure_of_the_reference(case: dict[str, Any]) -> None:
    form, scale = build_format(case["format"])
    report: ErrorReport[float] = quantization_error(
        form, build_density(case["distribution"]), scale
    )
    expected = case["expected"]
    mse = float(expected["mse"])
    if mse == float("inf"):
        assert report.mse == report.clipping == report.signal_power == float("inf")
        assert report.cross_moment == -float("inf")
        assert str(report.sqnr_db) == "nan"
    for ours, theirs in (
        (report.rounding, "rounding"),
        (report.clipping_low, "clip_low"),
        (report.clipping_high, "clip_high"),
        (report.mse, "mse"),
        (report.signal_power, "signal_power"),
    ):
        assert off(ours, expected[theirs], max(abs(float(expected[theirs])), TINY / 1e-12)) <= 1
    if mse < float("inf"):
        cross = float(expected["cross"])
        assert off(report.cross_moment, expected["cross"], max(abs(cross), mse)) <= 1
        assert off(report.sqnr_db, expected["sqnr_db"], 10) <= 1
    if expected["mean_error"] not in {"nan", None}:
        assert off(report.mean_error, expected["mean_error"], mse**0.5) <= 1


@pytest.mark.parametrize("product", PRODUCTS, ids=lambda product: product["id"])
def test_every_product_of_the_reference(product: dict[str, Any]) -> None:
    by_id = {case["id"]: case for case in CASES}
    sides: list[ErrorReport[float]] = []
    for side in ("weight", "activation"):
        case = by_id[product[side]]
        form, scale = build_format(case["format"])
        sides.append(quantization_error(form, build_density(case["distribution"]), scale))
    weight, activation = sides
    report = scalar_product_error(weight, activation)
    expected = product["expected"]
    assert off(report.mse, expected["mse"], float(expected["mse"])) <= 1
    assert off(report.signal_power, expected["signal_power"], report.signal_power) <= 1
    assert off(report.sqnr_db, expected["sqnr_db"], 10) <= 1


ENCLOSED = {
    "rounding": "rounding",
    "clipping_low": "clip_low",
    "clipping_high": "clip_high",
    "mse": "mse",
    "mean_error": "mean_error",
    "cross_moment": "cross",
    "signal_power": "signal_power",
}


@pytest.mark.parametrize("case", CASES, ids=[case["id"] for case in CASES])
def test_enclosures_contain_the_reference(case: dict[str, Any]) -> None:
    """All 35 digits lie inside, but where float64 rounds what the case is made of.

    That is a bias that is no whole number, and the weights of a mixture.
    """
    form, scale = build_format(case["format"])
    found = quantization_error(form, build_density(case["distribution"]), scale, method="enclosure")
    inexact = case["format"].get("bias", 0.0) % 1 != 0 or "weights" in case["distribution"]
    with workdps(50):
        size = mpf(case["expected"]["mse"])
        for name, key in ENCLOSED.items():
            interval, text = getattr(found, name), case["expected"][key]
            exact = mpf(text)
            if not isfinite(exact):
                assert str(interval.low) == text.lstrip("+").replace("infinity", "inf")
                continue
            unit = max(abs(exact), size if name in {"mean_error", "cross_moment"} else 0)
            slack = unit * mpf(10) ** -33 + TINY + (1e-13 * unit if inexact else 0)
            assert interval.low - slack <= exact <= interval.high + slack, name
        if isfinite(size) and size > 0:
            assert found.mse.high / found.mse.low - 1 < 1e-13
