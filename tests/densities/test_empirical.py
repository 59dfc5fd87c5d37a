"""A sample's own distribution, against sums over its values."""

import copy
import math
import pickle
from fractions import Fraction
from pathlib import Path

import ml_dtypes
import numpy as np
import numpy.typing as npt
import pytest

from qerror.analysis import quantization_error
from qerror.densities import (
    Clipped,
    Density,
    Discrete,
    Empirical,
    Gaussian,
    Mixture,
    Rectified,
    Truncated,
    density_name,
    parse_density,
)
from qerror.exceptions import InvalidType, InvalidValue
from qerror.formats import ScalarFormat
from qerror.formats.names import as_scalar_format
from qerror.simulation import quantize

FORMATS = (
    "int2",
    "int4",
    "int8",
    "uint8",
    "int8:full",
    "4M3E",
    "e4m3",
    "5M2E",
    "fixed8.4",
    "int12",
)
WIDE = ("int16", "fp16", "fp32", "int24")


def samples() -> dict[str, npt.NDArray[np.float64]]:
    rng = np.random.default_rng(1)
    normal = rng.normal(size=3000)
    return {
        "normal": normal,
        "few": normal[:7],
        "heavy": rng.standard_t(2.0, 3000),
        "positive": np.abs(normal),
        "far": normal + 40.0,
        "lattice": rng.integers(-50, 50, 3000).astype(np.float64),
        "many-orders": normal * 10.0 ** rng.uniform(-12, 12, 3000),
        "one": np.full(5, 0.3),
        "zeros": np.zeros(3),
    }


SAMPLES = samples()


def direct(form: ScalarFormat, x: npt.NDArray[np.float64], scale: float) -> dict[str, float]:
    """Return the figures as sums over the values, on the levels that the simulator gives."""
    grid = form.grid()
    error = quantize(x, form, scale) - x
    below, above = x / scale < grid.min, x / scale > grid.max
    square = error * error

    def mean(terms: npt.NDArray[np.float64]) -> float:
        return math.fsum(terms) / x.size

    return {
        "mse": mean(square),
        "rounding": mean(square[~(below | above)]),
        "clipping_low": mean(square[below]),
        "clipping_high": mean(square[above]),
        "mean_error": mean(error),
        "cross_moment": mean(x * error),
        "signal_power": mean(x * x),
        "signal_mean": mean(x),
    }


@pytest.mark.parametrize("sample", SAMPLES)
@pytest.mark.parametrize("name", FORMATS + WIDE)
@pytest.mark.thinned(5)
def test_figures_are_sums_over_the_values(name: str, sample: str) -> None:
    form, x = as_scalar_format(name), SAMPLES[sample]
    density = Empirical(x)
    for limit in (0.25, 1.0, 3.37, float(np.abs(x).max()) or 1.0):
        scale = form.scale_for(limit)
        found = quantization_error(form, density, scale)
        expected = direct(form, x, scale)
        # The levels of the simulator are rounded products; the analysis takes them exactly.
        level = 2.0**-52 * min(limit, float(np.abs(x).max()))
        noise = 4 * level * math.sqrt(expected["mse"]) + level**2
        for figure in ("mse", "rounding", "clipping_low", "clipping_high"):
            value = getattr(found, figure)
            assert value == pytest.approx(expected[figure], rel=1e-12, abs=noise), figure
        size = math.sqrt(expected["mse"])
        assert found.mean_error == pytest.approx(expected["mean_error"], abs=1e-12 * size + level)
        power = math.sqrt(expected["signal_power"])
        assert found.cross_moment == pytest.approx(
            expected["cross_moment"], rel=1e-12, abs=1e-14 * size * power + level * power
        )
        assert found.signal_power == pytest.approx(expected["signal_power"], rel=1e-14, abs=0)
        assert found.signal_mean == pytest.approx(
            expected["signal_mean"], rel=1e-13, abs=1e-16 * power
        )


@pytest.mark.parametrize("name", ["int8", "int16", "4M3E"])
@pytest.mark.parametrize("offset", [0.0, 1000.0])
def test_sums_against_rational_arithmetic(name: str, offset: float) -> None:
    """Levels are exact products: no figure rests on their rounding."""
    form = as_scalar_format(name)
    x = np.random.default_rng(2).normal(offset, 1.0, 200)
    scale = form.scale_for(offset + 2.7)
    points = form.grid().points
    nearest: list[Fraction] = []
    for value in x[:60]:
        at = int(np.searchsorted(points * scale, value))
        near = [Fraction(float(g)) * Fraction(scale) for g in points[max(at - 2, 0) : at + 2]]
        nearest.append(min((abs(q - Fraction(float(value))), q) for q in near)[1])
    mse = sum((q - Fraction(float(v))) ** 2 for q, v in zip(nearest, x, strict=False)) / 60
    cross = sum(
        Fraction(float(v)) * (q - Fraction(float(v))) for q, v in zip(nearest, x, strict=False)
    )
    found = quantization_error(form, Empirical(x[:60]), scale)
    assert found.mse == pytest.approx(float(mse), rel=2e-13, abs=0)
    assert found.cross_moment == pytest.approx(float(cross / 60), rel=1e-11, abs=1e-13 * offset)


@pytest.mark.parametrize("name", ["int4", "int8", "uint4", "4M3E", "e4m3", "int4:full"])
@pytest.mark.parametrize("scale", [1.0, 0.1, 50 / 7, 1 / 3])
def test_ties_go_where_the_simulator_sends_them(name: str, scale: float) -> None:
    form = as_scalar_format(name)
    x = np.unique(np.concatenate([form.grid().thresholds, form.grid().points])) * scale
    x = np.unique(np.concatenate([x, np.nextafter(x, 9e9), np.nextafter(x, -9e9)]))
    expected = np.mean(quantize(x, form, scale) - x)
    size = scale * float(np.abs(form.grid().points).max())
    # A single tie on the wrong side moves the mean by a whole step.
    found = quantization_error(form, Empirical(x), scale).mean_error
    assert found == pytest.approx(expected, abs=1e-15 * size)


def test_one_scale_or_many() -> None:
    density = Empirical(SAMPLES["normal"])
    scales = np.geomspace(1e-3, 1.0, 700)
    many = quantization_error("int8", density, scales)
    for i in (0, 13, 699):
        one = quantization_error("int8", density, float(scales[i]))
        for name, value in one.to_dict().items():
            # Only the order of the sums differs.
            assert many.to_dict()[name][i] == pytest.approx(value, rel=1e-13, abs=1e-15)


@pytest.mark.parametrize(
    "dtype",
    [
        np.float16, np.float32, np.float64, np.int8, np.uint8, np.int16, np.uint16, np.int32,
        np.int64, ml_dtypes.bfloat16, ml_dtypes.float8_e4m3fn, ">f4", ">f2",
    ],
    ids=str,
)  # fmt: skip
def test_every_dtype_and_shape(dtype: npt.DTypeLike) -> None:
    x = np.random.default_rng(3).normal(0, 3, (7, 5, 11)).astype(dtype)
    density = Empirical(x)
    wide = x.astype(np.float64)
    values, counts = np.unique(wide, return_counts=True)
    assert np.array_equal(density.atoms().positions, values)
    assert np.array_equal(np.asarray(density.counts), counts)
    assert density.size == x.size
    assert density == Empirical(wide)
    assert density.second_moment == pytest.approx(
        math.fsum((wide**2).ravel()) / x.size, rel=1e-15, abs=0
    )
    assert density.mean == pytest.approx(math.fsum(wide.ravel()) / x.size, abs=1e-15)


def test_memory_mapped(tmp_path: Path) -> None:
    x = SAMPLES["normal"].astype(np.float32)
    np.save(tmp_path / "x.npy", x)
    mapped = np.load(tmp_path / "x.npy", mmap_mode="r")
    assert Empirical(mapped) == Empirical(x)


def test_both_zeros_are_one() -> None:
    for dtype in (np.float16, np.float32, np.float64):
        density = Empirical(np.array([0.0, -0.0, 1.0, -0.0], dtype))
        assert density.atoms().positions.tolist() == [0.0, 1.0]
        assert not np.signbit(density.atoms().positions[0])
        assert density.atoms().probabilities.tolist() == [0.75, 0.25]


def test_masked_values_are_left_out() -> None:
    x = np.ma.masked_invalid([1.0, math.nan, 2.0])
    assert Empirical(x) == Empirical([1.0, 2.0])


def test_it_is_a_value() -> None:
    x = SAMPLES["lattice"]
    density = Empirical(x)
    assert density == Empirical(np.random.default_rng(0).permutation(x))
    assert hash(density) == hash(Empirical(x.copy()))
    assert density != Empirical(x[1:])
    assert density != Gaussian()
    for again in (pickle.loads(pickle.dumps(density)), copy.deepcopy(density)):
        assert again == density
        assert not again.atoms().positions.flags.writeable
    assert not density.atoms().positions.flags.writeable
    assert not density.atoms().probabilities.flags.writeable
    with pytest.raises(AttributeError):
        density.values = x  # type: ignore[misc]


def test_it_keeps_its_own_copy() -> None:
    x = np.array([1.0, 2.0, 3.0])
    density = Empirical(x)
    x[:] = 0
    assert density == Empirical([1.0, 2.0, 3.0])


def test_names_are_short() -> None:
    density = Empirical(SAMPLES["normal"])
    assert len(repr(density)) < 70
    assert density_name(density) == repr(density)
    few = Empirical([1.0, 2.5, 2.5])
    assert density_name(few) == "empirical(values=[1, 2.5], counts=[1, 2])"
    assert parse_density(density_name(few)) == few


def test_distribution_function_and_quantiles() -> None:
    x = SAMPLES["lattice"]
    density = Empirical(x)
    at = np.array([-51.0, -50.0, -49.5, 0.0, 12.0, 49.0, 60.0])
    assert np.array_equal(density.cdf(at), [(x <= v).mean() for v in at])
    p = np.array([0.0, 1e-9, 0.25, 0.5, 0.9, 1.0])
    ordered = np.sort(x)
    assert np.array_equal(
        density.ppf(p), [ordered[max(math.ceil(q * x.size) - 1, 0)] for q in p.tolist()]
    )
    drawn = density.sample(40_000, np.random.default_rng(4))
    assert np.isin(drawn, x).all()
    assert abs(drawn.mean() - density.mean) < 5 * math.sqrt(density.variance / drawn.size)


@pytest.mark.parametrize(
    ("wrapped", "values"),
    [
        (lambda d: Truncated(d, -1.0, 2.0), lambda x: x[(x >= -1) & (x <= 2)]),
        (lambda d: Clipped(d, -1.0, 1.5), lambda x: np.clip(x, -1, 1.5)),
        (Rectified, lambda x: np.maximum(x, 0)),
    ],
)
@pytest.mark.parametrize("name", ["int4", "4M3E", "int16"])
def test_wrappers(wrapped: object, values: object, name: str) -> None:
    x = SAMPLES["normal"]
    density, data = wrapped(Empirical(x)), values(x)  # type: ignore[operator]
    form = as_scalar_format(name)
    scale = form.scale_for(1.2)
    found = quantization_error(form, density, scale)
    assert found.mse == pytest.approx(direct(form, data, scale)["mse"], rel=1e-10, abs=0)
    assert density.mean == pytest.approx(data.mean(), rel=1e-12, abs=0)
    assert density.cdf(0.3) == pytest.approx((data <= 0.3).mean(), rel=1e-12, abs=0)
    assert density.ppf(0.7) == np.quantile(data, 0.7, method="inverted_cdf")


def test_mixture_with_a_law() -> None:
    x = SAMPLES["normal"]
    mixed = Mixture([Empirical(x), Gaussian(1.0)], [0.25, 0.75])
    parts = [quantization_error("int4", d, 0.3).mse for d in (Empirical(x), Gaussian(1.0))]
    found = quantization_error("int4", mixed, 0.3)
    assert found.mse == pytest.approx(0.25 * parts[0] + 0.75 * parts[1], rel=1e-13, abs=0)


@pytest.mark.parametrize("name", ["int4", "4M3E", "uint8", "int16"])
def test_point_masses_take_the_same_path(name: str) -> None:
    values, probability = (-1.1, 0.3, 0.7), (0.25, 0.5, 0.25)
    data = np.repeat(values, [1, 2, 1])
    ours = quantization_error(name, Empirical(data), 0.05)
    theirs = quantization_error(name, Discrete(values, probability), 0.05)
    for figure, value in ours.to_dict().items():
        assert theirs.to_dict()[figure] == pytest.approx(value, rel=1e-13, abs=1e-17)


def test_point_masses_in_wide_formats() -> None:
    # Rational arithmetic on the same floats.
    found = quantization_error("int16", Discrete((-1.1, 0.3, 0.7), (0.25, 0.5, 0.25)), 2 / 32767)
    assert found.mse == pytest.approx(2.142172667453564e-10, rel=1e-14, abs=0)


@pytest.mark.parametrize(
    ("x", "kind", "message"),
    [
        ([], InvalidValue, "at least one value"),
        ([1.0, math.nan, math.nan, math.inf], InvalidValue, "2 of 4 values are nan and 1"),
        (np.array([1.0, -np.inf], np.float16), InvalidValue, "0 of 2 values are nan and 1"),
        ([1e200], InvalidValue, "squares leave float64"),
        ([1e-200, 0.0], InvalidValue, "squares leave float64"),
        (["a"], InvalidType, "real numbers"),
        ([1 + 2j], InvalidType, "real numbers"),
        ([True, False], InvalidType, "real numbers"),
        (np.array([2**60 + 1]), InvalidValue, "2\\^53"),
        (np.zeros(3, "M8[s]"), InvalidType, "real numbers"),
        (np.zeros(3, [("a", "f4")]), InvalidType, "real numbers"),
        (np.zeros(3, "V2"), InvalidType, "real numbers"),
    ],
)
def test_refused(x: npt.ArrayLike, kind: type[Exception], message: str) -> None:
    with pytest.raises(kind, match=message):
        Empirical(x)


@pytest.mark.parametrize("counts", [[1, -1], [1], [0.5, 2], [0, 1]])
def test_refused_counts(counts: list[float]) -> None:
    with pytest.raises((InvalidType, InvalidValue), match="counts"):
        Empirical([1.0, 2.0], counts)


def test_arrays_stand_for_densities() -> None:
    x = SAMPLES["normal"].reshape(30, 100)
    density: Density = Empirical(x)
    assert quantization_error("int8", x, 0.02) == quantization_error("int8", density, 0.02)
    with pytest.raises(InvalidType, match="expected a density"):
        quantization_error("int8", np.float64(3.0))  # type: ignore[call-overload]


@pytest.mark.parametrize(
    ("dtype", "advice"),
    [
        ("V2", r"x\.view\(ml_dtypes\.bfloat16\)"),
        ("V1", r"x\.view\(ml_dtypes\.float8_e4m3fn\)"),
        ([("a", "f4"), ("b", "i4")], r"x\['a'\]"),
        ("c8", r"x\.real and x\.imag"),
        ("?", r"x\.astype\(np\.float64\)"),
    ],
)
def test_what_is_no_number_is_refused_with_what_works(dtype: npt.DTypeLike, advice: str) -> None:
    with pytest.raises(InvalidType, match=advice):
        Empirical(np.zeros(3, dtype))


def test_the_advice_for_two_bytes_gives_the_values() -> None:
    narrow = np.array([1.5, -2.25, 3e-38, 0.0]).astype(ml_dtypes.bfloat16)
    x = narrow.view("V2")
    widened = (x.view(np.uint16).astype(np.uint32) << 16).view(np.float32)
    assert Empirical(widened) == Empirical(x.view(ml_dtypes.bfloat16)) == Empirical(narrow)
