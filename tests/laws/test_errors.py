"""What holds for every format on every density, without knowing a single value."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qerror.analysis import ErrorReport, quantization_error
from qerror.densities import (
    DENSITIES,
    Clipped,
    Density,
    Discrete,
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
from qerror.exceptions import InvalidType, InvalidValue
from qerror.formats import Integer, ScalarFormat, as_scalar_format, scalar_formats
from qerror.grids import Grid

INF = math.inf
formats = pytest.mark.parametrize("form", scalar_formats().values(), ids=str)
EXAMPLES = {name: family.example for name, family in DENSITIES.items()}
densities = pytest.mark.parametrize("density", EXAMPLES.values(), ids=list(EXAMPLES))
TERMS = ("rounding", "clipping_low", "clipping_high")
FIELDS = (*TERMS, "mean_error", "cross_moment", "signal_power", "signal_mean")


def close(
    ours: ErrorReport[float], theirs: ErrorReport[float], rel: float, factor: float = 1.0
) -> bool:
    """Tell whether two reports agree, the second one's x being multiplied by `factor`.

    Each term of the MSE relative to itself, the odd ones to what they cancel against.
    """
    square = factor * factor
    mse = max(ours.mse, 1e-280)
    near = [
        abs(getattr(ours, name) - square * getattr(theirs, name))
        <= max(rel, deep(getattr(ours, name), mse)) * getattr(ours, name)
        for name in (*TERMS, "mse")
    ]
    lever = max(abs(ours.cross_moment), mse)
    # Small grids take absolute nodes: eps times the largest level in half steps.
    near.append(abs(ours.cross_moment - square * theirs.cross_moment) <= max(rel, 2e-13) * lever)
    near.append(abs(ours.mean_error - factor * theirs.mean_error) <= rel * math.sqrt(mse))
    return all(near)


def deep(term: float, mse: float) -> float:
    """Return what a term e^-50 or more below the rest may be off: eps |log p|."""
    return 1e-12 if term < 1e-22 * mse else 0.0


def has_limits(density: Density) -> bool:
    """Tell whether the density ends somewhere in a jump, away from 0."""
    return any(math.isfinite(end) and end != 0 for end in density.support)


def middling(form: ScalarFormat) -> float:
    """Return a scale at which a format neither only clips nor never does; no ties at atoms."""
    return form.scale_for(3.3)


@pytest.mark.thinned(7)
@formats
@densities
def test_terms_are_not_negative(form: ScalarFormat, density: Density) -> None:
    for top in (1e-3, 0.7, 3.3, 50.0, 1e5):
        report = quantization_error(form, density, form.scale_for(top))
        assert all(getattr(report, term) >= 0 for term in TERMS)
        assert report.clipping == report.clipping_low + report.clipping_high
        assert report.mse == report.rounding + report.clipping
        assert report.mean_error**2 <= report.mse * (1 + 1e-12)
        # Cauchy and Schwarz
        assert report.cross_moment**2 <= report.mse * report.signal_power * (1 + 1e-12)


@pytest.mark.thinned(7)
@formats
@densities
def test_units_do_not_matter(form: ScalarFormat, density: Density) -> None:
    """error(s g, s X) == s^2 error(g, X): to the last bit for powers of two."""
    scale = middling(form)
    if scale < 1e-290:  # FP64: subnormal scales have few digits
        scale = 1e-280
    base = quantization_error(form, density, scale)
    for factor in (2.0**-30, 2.0**9):
        other = quantization_error(form, density.affine(factor), scale * factor)
        assert close(other, base, 2e-15, factor)
    jumps = density.atoms().positions.size or has_limits(density)
    for factor in (0.3, 7.7e5):
        other = quantization_error(form, density.affine(factor), scale * factor)
        if jumps:
            # The place of a jump is rounded: e may change there by its whole step.
            allowed = 1e-13 * base.mse + 2e-15 * math.sqrt(base.mse) + 1e-30
            assert other.mse / factor**2 == pytest.approx(base.mse, rel=0, abs=allowed)
        else:
            assert close(other, base, 3e-14, factor)


@pytest.mark.thinned(7)
@formats
@densities
def test_mirrored_densities(form: ScalarFormat, density: Density) -> None:
    grid, scale = form.grid(), middling(form)
    if not grid.is_symmetric:
        grid = mirror_image(grid)
    here = quantization_error(form, density, scale)
    there = quantization_error(grid, density.affine(-1.0), scale)
    swapped = ErrorReport(
        there.rounding,
        there.clipping_high,
        there.clipping_low,
        -there.mean_error,
        there.cross_moment,
        there.signal_power,
        -there.signal_mean,
    )
    assert close(here, swapped, 2e-14)
    assert here.signal_mean == pytest.approx(swapped.signal_mean, abs=1e-15)


def mirror_image(grid: Grid) -> Grid:
    """Return the grid of -x; the code of its lowest point keeps its parity."""
    even = (grid.size - 1) % 2 == 0 if grid.even_first else grid.size % 2 == 0
    edges, steps, counts = -grid.edges[::-1], grid.steps[::-1], grid.counts[::-1]
    return Grid(edges, steps, counts, grid.factor, even)


@formats
@pytest.mark.parametrize(
    "density",
    [
        *(d for d in EXAMPLES.values() if d.is_symmetric),
        Clipped(Gaussian(), -1.0, 1.0),
        Truncated(StudentT(0.5), -9.0, 9.0),
        Discrete((-2.0, 0.0, 2.0), (0.25, 0.5, 0.25)),
        Mixture((Gaussian(), Laplace(0.0, 4.0)), (0.5, 0.5)),
    ],
    ids=repr,
)
@pytest.mark.thinned(5)
def test_symmetry_leaves_no_bias(form: ScalarFormat, density: Density) -> None:
    report = quantization_error(form, density, middling(form))
    if form.grid().is_symmetric:
        assert abs(report.mean_error) <= 1e-16 * math.sqrt(report.mse)
        assert report.clipping_low == report.clipping_high
    else:
        assert abs(report.mean_error) < 3.3


@pytest.mark.thinned(7)
@formats
@densities
def test_scales_together_as_alone(form: ScalarFormat, density: Density) -> None:
    scales = [form.scale_for(top) for top in (0.01, 0.9, 3.3, 21.0, 1e4)]
    together = quantization_error(form, density, scales)
    for i, scale in enumerate(scales):
        alone = quantization_error(form, density, scale)
        row = ErrorReport(*(float(getattr(together, f)[i]) for f in FIELDS))
        assert close(row, alone, 2e-14)
        assert (row.signal_power, row.signal_mean) == (alone.signal_power, alone.signal_mean)


@pytest.mark.thinned(5)
@formats
def test_mixtures_are_linear(form: ScalarFormat) -> None:
    scale = middling(form)
    parts = [d for d in EXAMPLES.values() if d.second_moment < INF]
    weights = np.arange(1.0, len(parts) + 1)
    weights /= weights.sum()
    mixed = quantization_error(form, Mixture(parts, weights.tolist()), scale)
    for field in FIELDS:
        each = [getattr(quantization_error(form, part, scale), field) for part in parts]
        size = np.abs(each) @ weights
        assert getattr(mixed, field) == pytest.approx(each @ weights, abs=4e-15 * size)


@formats
@pytest.mark.parametrize(
    "density", [Gaussian(0.2), Laplace(-0.1), Logistic(), StudentT(40.0), Uniform()], ids=repr
)
@pytest.mark.thinned(5)
def test_distant_limits_change_nothing(form: ScalarFormat, density: Density) -> None:
    base = quantization_error(form, density, middling(form))
    low, high = density.ppf([1e-300, 0.5])
    low = -abs(float(low)) if math.isfinite(low) else -1e3
    for cut in (Truncated(density, 2 * low, 3 * (high - low)), Clipped(density, 2 * low)):
        assert close(quantization_error(form, cut, middling(form)), base, 2e-14)


@pytest.mark.thinned(7)
@formats
@densities
def test_cutting_in_two_loses_nothing(form: ScalarFormat, density: Density) -> None:
    """A density is the mixture of its parts on the two sides of any point without mass."""
    at = 0.3141
    below = float(density.cdf(at))
    if not 0 < below < 1:
        return
    parts = Truncated(density, high=at), Truncated(density, low=at)
    halves = Mixture(parts, (below, 1 - below))
    scale = middling(form)
    whole = quantization_error(form, density, scale)
    assert close(quantization_error(form, halves, scale), whole, 1e-13)


SMOOTH = [Gaussian(0.1), Laplace(0.2, 0.7), Logistic(), StudentT(3.0), GeneralizedGaussian(1.5)]


@formats
@pytest.mark.parametrize("density", SMOOTH, ids=repr)
@pytest.mark.thinned(5)
def test_slope_of_the_mse(form: ScalarFormat, density: Density) -> None:
    """dMSE/ds = 2 (C + MSE) / s: ties the cross moment to the MSE and to nothing else."""
    scale, step = middling(form), 0.01
    around = scale * np.exp(step * np.array([-3, -2, -1, 1, 2, 3]))
    mse = quantization_error(form, density, around).mse
    difference = mse @ np.array([-1, 9, -45, 45, -9, 1]) / (60 * step)
    report = quantization_error(form, density, scale)
    slope = 2 * (report.cross_moment + report.mse)
    tolerance = 1e-5 if form.bits > 5 else 1e-4
    assert difference == pytest.approx(slope, rel=tolerance, abs=tolerance * report.mse)


@formats
def test_fine_grids_approach_the_step_rule(form: ScalarFormat) -> None:
    """A density far narrower than a binade and far wider than a step sees D^2/12."""
    if form.max_value > 1e300:  # FP64's own steps: eps squared is below what is asked here
        return
    upper = [segment for segment in form.grid().segments if segment.stop > 0]
    segment = min(upper, key=lambda s: abs(math.log2(s.stop)))
    centre = 0.5 * (segment.start + segment.stop) if segment.start >= 0 else 0.4 * segment.stop
    reach = min(segment.stop - centre, centre - max(segment.start, 0))
    std = reach / 12
    if std < 3 * segment.step:
        return
    report = quantization_error(form, Gaussian(centre, std))
    assert report.rounding == pytest.approx(segment.step**2 / 12, rel=1e-12, abs=0)
    assert report.clipping < 1e-30 * report.rounding
    assert abs(report.mean_error) < 1e-12 * segment.step
    assert abs(report.cross_moment) < 1e-12 * segment.step * centre


@pytest.mark.parametrize("density", [StudentT(2.0), StudentT(1.5), StudentT(1.0), StudentT(0.3)])
@pytest.mark.parametrize("name", ["INT4", "INT8", "INT32", "4M3E", "E4M3", "FP32"])
def test_infinite_power_on_symmetric_formats(name: str, density: StudentT) -> None:
    for scale in (0.3, [0.3, 4.0]):
        report = quantization_error(name, density, scale)
        fields = {key: np.atleast_1d(value) for key, value in report.to_dict().items()}
        for key in ("clipping_low", "clipping_high", "clipping", "mse", "signal_power"):
            assert (fields[key] == INF).all(), key
        assert (fields["cross_moment"] == -INF).all()
        assert np.isnan(fields["sqnr_db"]).all()
        assert np.isfinite(fields["rounding"]).all()
        assert (fields["rounding"] > 0).all()
        exists = density.nu > 1
        assert (fields["mean_error"] == 0).all() if exists else np.isnan(fields["mean_error"]).all()
        assert (
            (fields["signal_mean"] == 0).all() if exists else np.isnan(fields["signal_mean"]).all()
        )


@pytest.mark.parametrize(
    "density",
    [
        StudentT(2.0),
        StudentT(1.5, 0.3),
        StudentT(1.0, -1.0),
        StudentT(0.3),
        Mixture((Gaussian(), StudentT(2.0, 1.0)), (0.75, 0.25)),
        Mixture((Gaussian(), StudentT(1.0)), (0.75, 0.25)),
        Mixture((Rectified(Gaussian()), StudentT(1.5)), (0.5, 0.5)),
    ],
    ids=repr,
)
@pytest.mark.parametrize("name", ["UINT4", "UINT8", "INT8:full", "codebook:0", "codebook:-1,0,3"])
def test_infinite_power_on_other_formats(name: str, density: Density) -> None:
    mean_exists = math.isfinite(density.mean)
    for scale in (0.3, [0.3, 4.0]):
        report = quantization_error(name, density, scale)
        fields = {key: np.atleast_1d(value) for key, value in report.to_dict().items()}
        for key in ("clipping_low", "clipping_high", "clipping", "mse", "signal_power"):
            assert (fields[key] == INF).all(), key
        assert (fields["cross_moment"] == -INF).all()
        assert np.isnan(fields["sqnr_db"]).all()
        assert np.isfinite(fields["rounding"]).all()
        assert (np.isfinite(fields["mean_error"]) == mean_exists).all()
        if not mean_exists:
            assert np.isnan(fields["mean_error"]).all()


def test_one_infinite_tail() -> None:
    report = quantization_error("INT8", Truncated(StudentT(1.5), low=-3.0), 0.1)
    assert report.clipping_low == 0
    assert report.clipping_high == report.mse == INF
    assert report.cross_moment == -INF
    assert math.isfinite(report.mean_error)
    cauchy = quantization_error("INT8", Rectified(StudentT(1.0)), 0.1)
    assert cauchy.clipping_low == 0
    assert cauchy.clipping_high == INF
    assert cauchy.mean_error == -INF
    assert cauchy.signal_mean == INF


def test_bounded_heavy_tails_are_finite() -> None:
    for nu in (2.0, 1.0, 0.3):
        report = quantization_error("INT8", Truncated(StudentT(nu), -1e6, 1e6), 0.1)
        assert math.isfinite(report.mse)
        assert math.isfinite(report.sqnr_db)


CLOSED = [Gaussian(0.1, 0.9), Uniform(-0.8, 1.1), StudentT(3.0), StudentT(8.5, 0.2)]
CUT = [
    Truncated(StudentT(2.0), -20.0, 30.0),
    Clipped(Gaussian(), -2.5, 3.0),
    Mixture((Gaussian(), Uniform()), (0.5, 0.5)),
    HalfGaussian(),
]


@pytest.mark.parametrize("density", [*CLOSED, *CUT], ids=repr)
@pytest.mark.parametrize(
    ("name", "digits"), [("INT4", 1e-12), ("E2M1", 1e-12), ("INT8", 1e-9), ("4M3E", 1e-9)]
)
def test_closed_forms_agree(name: str, digits: float, density: Density) -> None:
    form = as_scalar_format(name)
    ours = quantization_error(form, density, middling(form))
    theirs = quantization_error(form, density, middling(form), method="closed-form")
    for figure in ("rounding", "clipping", "mse", "cross_moment"):
        allowed = digits * max(ours.mse, abs(ours.cross_moment))
        assert getattr(theirs, figure) == pytest.approx(getattr(ours, figure), abs=allowed)
    assert theirs.mean_error == pytest.approx(ours.mean_error, abs=digits * math.sqrt(ours.mse))


def test_closed_forms_lose_digits_where_cells_are_narrow() -> None:
    scale = Integer(16).scale_for(6.0)
    ours = quantization_error("INT16", Gaussian(), scale).mse
    theirs = quantization_error("INT16", Gaussian(), scale, method="closed-form").mse
    assert 1e-12 < abs(theirs / ours - 1) < 1e-4


@pytest.mark.parametrize("density", [Laplace(), Logistic(), GeneralizedGaussian(1.5)])
def test_no_closed_form(density: Density) -> None:
    with pytest.raises(InvalidValue, match="closed form"):
        quantization_error("INT4", density, method="closed-form")


@pytest.mark.parametrize("scale", [0.0, -1.0, INF, math.nan, [1.0, 0.0], [[-1.0]]])
def test_refused_scales(scale: object) -> None:
    with pytest.raises(InvalidValue, match="scale must be"):
        quantization_error("INT4", "gaussian", scale)  # type: ignore[call-overload]


def test_refused_arguments() -> None:
    with pytest.raises(InvalidType, match="scale"):
        quantization_error("INT4", "gaussian", "wide")
    with pytest.raises(InvalidType, match="density"):
        quantization_error("INT4", 3.0)  # type: ignore[call-overload]
    with pytest.raises(InvalidType, match="format"):
        quantization_error(8, "gaussian")  # type: ignore[call-overload]
    with pytest.raises(InvalidValue, match="unknown method"):
        quantization_error("INT4", "gaussian", method="guess")


small_grids = st.lists(
    st.floats(-1e3, 1e3).map(lambda x: round(x, 3)), min_size=1, max_size=9, unique=True
)


@settings(max_examples=150, deadline=None)
@given(small_grids, st.floats(-50, 50), st.floats(1e-3, 1e3), st.sampled_from(["g", "l", "t", "u"]))
def test_any_small_grid(points: list[float], loc: float, spread: float, law: str) -> None:
    """Bounds that follow from nearest rounding alone."""
    density = {
        "g": Gaussian(loc, spread),
        "l": Laplace(loc, spread),
        "t": StudentT(3.5, loc, spread),
        "u": Uniform(loc, loc + spread + 10),
    }[law]
    grid = Grid.from_points(points)
    report = quantization_error(grid, density)
    widest = float(np.diff(grid.points).max(initial=0.0))
    assert 0 <= report.rounding <= widest**2 / 4 * (1 + 1e-12)
    # Any single level does worse or as badly.
    for level in (grid.min, grid.max):
        about = density.variance + (density.mean - level) ** 2
        assert report.mse <= about * (1 + 1e-12)
    # E[Q] lies within the grid.
    slack = 1e-12 * (abs(grid.min) + abs(grid.max) + 1)
    mean_level = report.signal_mean + report.mean_error
    assert grid.min - slack <= mean_level <= grid.max + slack
