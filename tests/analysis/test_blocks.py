"""Block errors against enumeration of every block, the scalar analysis, and laws."""

import itertools
import math
from collections import defaultdict
from collections.abc import Callable
from fractions import Fraction
from typing import NamedTuple, cast

import pytest

from qerror import (
    Arcsine,
    Clipped,
    Discrete,
    Empirical,
    Gaussian,
    GeneralizedGaussian,
    Laplace,
    Logistic,
    Mixture,
    Rectified,
    StudentT,
    Truncated,
    Uniform,
    parse_format,
    quantization_error,
)
from qerror.analysis import BlockErrorReport, _block_absmax
from qerror.analysis._block_absmax import absmax_sums, edge_of
from qerror.densities import Density
from qerror.densities.quadrature import gauss_legendre
from qerror.exceptions import InvalidValue
from qerror.formats import as_grid
from qerror.formats.block import BlockFormat
from qerror.formats.block_scales import Absmax, PowerOfTwo
from qerror.formats.stored_scales import Amax, StoredScale, scale_levels

Scale = Callable[[Fraction], tuple[Fraction, float]]


def error(name: str, density: Density, **options: bool) -> BlockErrorReport:
    report = quantization_error(parse_format(name), density, **options)  # type: ignore[call-overload]
    assert isinstance(report, BlockErrorReport)
    return report


# ---- every block of a few point masses, by definition


def nearest(x: Fraction, levels: list[Fraction], even_first: bool) -> Fraction:
    """Return the level nearest to x, a tie going to the even code."""
    best = min(abs(level - x) for level in levels)
    tied = [i for i, level in enumerate(levels) if abs(level - x) == best]
    even = [i for i in tied if (i % 2 == 0) == even_first]
    return levels[(even or tied)[0]]


def power_scale(form: BlockFormat) -> Scale:
    rule = cast("PowerOfTwo", form.scale)
    theta = Fraction(rule.theta_for(form.element))

    def scale(largest: Fraction) -> tuple[Fraction, float]:
        if largest == 0:
            return Fraction(2) ** -127, -127.0
        k = -127
        while k < 127:
            bound = theta * Fraction(2) ** (k + 1)
            if largest < bound or (largest == bound and not rule.takes_edge):
                break
            k += 1
        return Fraction(2) ** k, float(k)

    return scale


def stored_scale(form: BlockFormat, tensor: Fraction) -> Scale:
    rule = cast("StoredScale", form.scale)
    levels = [Fraction(x) for x in scale_levels(rule.format)[0].tolist()]
    divisor = Fraction(rule.divisor_for(form.element))

    def scale(largest: Fraction) -> tuple[Fraction, float]:
        ratio = largest / divisor / tensor
        level = nearest(min(ratio, levels[-1]), levels, even_first=True)
        if rule.smallest is not None:
            level = max(level, Fraction(rule.smallest))
        return level * tensor, float(level)

    return scale


def absmax_scale(form: BlockFormat) -> Scale:
    rule = cast("Absmax", form.scale)
    divisor = Fraction(rule.divisor_for(form.element))

    def scale(largest: Fraction) -> tuple[Fraction, float]:
        return Fraction(rule.multiplier) * largest / divisor, math.nan

    return scale


class Enumerated(NamedTuple):
    figures: dict[str, Fraction]
    codes: dict[float, Fraction]


def enumerate_blocks(form: BlockFormat, density: Discrete) -> Enumerated:
    """Go through every tensor of a few values (one block, or as many as share a tensor scale)."""
    grid = form.element.grid()
    points = [Fraction(x) for x in grid.points.tolist()]
    top = max(abs(points[0]), abs(points[-1]))
    rule, n = form.scale, form.block_size
    amax = isinstance(rule, StoredScale) and isinstance(rule.tensor, Amax)
    size = cast("Amax", cast("StoredScale", rule).tensor).size if amax else n
    values = [
        (Fraction(x), Fraction(p))
        for x, p in zip(density.values, density.probabilities, strict=True)
    ]
    totals: dict[str, Fraction] = defaultdict(Fraction)
    codes: dict[float, Fraction] = defaultdict(Fraction)
    for combination in itertools.product(values, repeat=cast("int", size)):
        chance = math.prod((p for _, p in combination), start=Fraction(1))
        tensor = [x for x, _ in combination]
        if amax:
            stored = cast("StoredScale", rule)
            largest = max(map(abs, tensor))
            divisor = Fraction(stored.divisor_for(form.element)) * Fraction(stored.format.max_value)
            scale_of = stored_scale(form, largest / divisor) if largest else None
        elif isinstance(rule, StoredScale):
            scale_of = stored_scale(form, Fraction(cast("float", rule.tensor)))
        else:
            scale_of = power_scale(form) if isinstance(rule, PowerOfTwo) else absmax_scale(form)
        block = tensor[:n]
        most = max(map(abs, block))
        scale, code = scale_of(most) if scale_of else (Fraction(0), 0.0)
        codes[code] += chance
        quantized = [
            nearest(x / scale, points, grid.even_first) * scale if scale else Fraction(0)
            for x in block
        ]
        errors = [q - x for q, x in zip(quantized, block, strict=True)]
        totals["mse"] += chance * errors[0] ** 2
        totals["mean_error"] += chance * errors[0]
        totals["cross_moment"] += chance * block[0] * errors[0]
        low, high = points[0] * scale, points[-1] * scale
        kind = "rounding" if low <= block[0] <= high else "low" if block[0] < low else "high"
        totals[kind if scale else "rounding"] += chance * errors[0] ** 2
        totals["clipped"] += chance * (most > scale * top)
        if n > 1:
            totals["pair_error"] += chance * errors[0] * errors[1]
            totals["pair_cross"] += chance * block[0] * errors[1]
    return Enumerated(totals, codes)


# Values on thresholds of scales (3.5, 4, 6 times powers of two), inside, zero, both signs.
LATTICE = Discrete((-1.75, -0.4, 0.0, 0.3, 1.0, 3.0), (0.125, 0.25, 0.125, 0.1875, 0.1875, 0.125))
NAMES = [
    "mxfp4:n=3",
    "mxfp4:ceil:n=2",
    "mxfp4:rceil:n=3",
    "mxfp4:even:n=3",
    "mxfp4:theta=3.0:n=2",
    "mxfp6_e2m3:even:n=2",
    "mxint8:ceil:n=2",
    "int4:full:floor:n=2",
    "nvfp4:n=3:tensor=0.125",
    "nvfp4:n=2:tensor=64.0",
    "nvfp4:n=2:tensor=64.0:smallest=0.001953125",
    "nvfp4:n=2:of=2",
    "nvfp4:n=1:of=3",
    "nvfp4:n=3:of=3",
    "e2m1:g2:scale=e5m2",
    "nf4:g3",
    "int4:g2:alpha=0.8",
    "int4:full:g3:divisor=8",
    "e2m1:g1",
]


@pytest.mark.thinned(5)
@pytest.mark.parametrize("name", NAMES)
def test_every_block_of_point_masses(name: str) -> None:
    form = parse_format(name)
    assert isinstance(form, BlockFormat)
    expected = enumerate_blocks(form, LATTICE)
    report = error(name, LATTICE)
    size = float(expected.figures["mse"])
    own = {
        "low": report.clipping_low,
        "high": report.clipping_high,
        "clipped": report.clipped_blocks,
    }
    for key, value in expected.figures.items():
        figure = own[key] if key in own else getattr(report, key)
        assert figure == pytest.approx(float(value), rel=1e-13, abs=1e-14 * max(size, 1e-2)), key
    if not isinstance(form.scale, Absmax):
        for code, chance in expected.codes.items():
            assert report.code_probabilities.get(code, 0.0) == pytest.approx(
                float(chance), abs=1e-14
            )


def test_a_sample_is_its_point_masses() -> None:
    sample = Empirical([-1.75, 0.3, 0.3, 1.0, 3.0])
    masses = Discrete((-1.75, 0.3, 1.0, 3.0), (0.2, 0.4, 0.2, 0.2))
    for name in ("mxfp4", "nvfp4:tensor=0.01", "nf4:g16", "nvfp4:of=64"):
        a, b = error(name, sample), error(name, masses)
        assert a.mse == pytest.approx(b.mse, rel=1e-12, abs=0)
        assert a.pair_error == pytest.approx(b.pair_error, rel=1e-9, abs=1e-15)


# ---- continuous densities against the scalar analysis


@pytest.mark.parametrize(
    "density",
    [Gaussian(0.3, 1.2), Laplace(), StudentT(3.0), Uniform(-0.7, 1.9), Truncated(Laplace(), -1, 4)],
    ids=repr,
)
@pytest.mark.parametrize("name", ["mxfp4:n=1", "mxfp8_e4m3:rceil:n=1"])
def test_one_value_is_quantized_at_its_own_scale(name: str, density: Density) -> None:
    form = parse_format(name)
    assert isinstance(form, BlockFormat)
    steps = cast("PowerOfTwo", form.scale).steps(form.element)
    total = 0.0
    for low, high, scale in zip(steps.edges[:-1], steps.edges[1:], steps.scales, strict=True):
        if not 1e-9 < scale < 1e18:
            continue
        for a, b in ((low, high), (-high, -low)):
            mass = float(density.mass(a, b))
            if mass > 1e-200:
                inner = Truncated(density, a, b)
                total += mass * quantization_error(form.element, inner, float(scale)).mse
    assert error(name, density).mse == pytest.approx(total, rel=3e-13, abs=0)


@pytest.mark.parametrize(
    "density",
    [
        Gaussian(),
        Gaussian(0.4),
        Laplace(),
        StudentT(4.0),
        Rectified(Gaussian()),
        Clipped(Gaussian(), -1.5, 2.0),
        Mixture((Gaussian(), Gaussian(std=5.0)), (0.9, 0.1)),
        Mixture((Gaussian(), Discrete((0.0, 2.0), (0.5, 0.5))), (0.5, 0.5)),
    ],
    ids=repr,
)
@pytest.mark.parametrize("name", ["mxfp4", "nvfp4:tensor=0.01", "nf4:g32", "int4:g32:alpha=0.9"])
def test_doubling_the_data_doubles_the_errors(name: str, density: Density) -> None:
    wide = name.replace("0.01", "0.02")
    one, two = error(name, density), error(wide, density.affine(2.0))
    assert two.mse == pytest.approx(4 * one.mse, rel=2e-13, abs=0)
    assert two.pair_error == pytest.approx(4 * one.pair_error, rel=1e-11, abs=1e-15 * one.mse)
    assert two.clipped_blocks == pytest.approx(one.clipped_blocks, abs=1e-14)


def test_point_masses_are_the_limit_of_narrow_pieces() -> None:
    narrow = [Gaussian(x, 1e-7) for x in (-1.6, 0.33, 2.9)]
    weights = (0.25, 0.5, 0.25)
    masses = Discrete((-1.6, 0.33, 2.9), weights)
    for name in ("mxfp4:n=4", "nf4:g4", "nvfp4:n=4:tensor=0.02"):
        exact = error(name, masses).mse
        assert error(name, Mixture(narrow, weights)).mse == pytest.approx(exact, rel=1e-5, abs=0), (
            name
        )


def test_a_phase_average_does_not_depend_on_the_phase() -> None:
    first = error("mxfp4", Gaussian(), binade_average=True)
    other = error("mxfp4", Gaussian(std=1.37), binade_average=True)
    assert other.mse / 1.37**2 == pytest.approx(first.mse, rel=1e-13, abs=0)
    assert first.signal_power == pytest.approx(1.0, rel=1e-14, abs=0)


def test_blocks_that_all_saturate() -> None:
    # Of a million values the largest always lies beyond the largest scale, which holds alone.
    found = error("nvfp4:n=1000000:tensor=0.001", Gaussian())
    alone = quantization_error("e2m1", Gaussian(), 448 * 0.001)
    assert found.mse == pytest.approx(alone.mse, rel=1e-13, abs=0)
    assert found.clipped_blocks == pytest.approx(1, rel=1e-13, abs=0)


@pytest.mark.parametrize("nu", [1.2, 2.0])
def test_tails_without_a_variance(nu: float) -> None:
    stepped = error("mxfp4", StudentT(nu))
    assert stepped.mse == math.inf
    assert math.isnan(stepped.sqnr_db)
    real = error("int8:g64", StudentT(nu))
    assert 0 < real.mse < math.inf
    assert error("int8:g64:alpha=0.9", StudentT(nu)).mse == math.inf


@pytest.mark.parametrize(
    ("name", "nu", "mse"),
    [
        ("int2:g20:alpha=0.75", 2.1, 2.23403535031713128953514870361),
        ("int2:g64:alpha=0.9", 2.3, 1.85976466708077261685486395401),
    ],
)
def test_clipped_maxima_of_hardly_finite_power(name: str, nu: float, mse: float) -> None:
    # By mpmath's quadrature at 30 digits over log m to 40 / (nu - 2), with incomplete beta and
    # hypergeometric functions: of E[M^2] one percent lies beyond any M of probability 1e-40.
    assert error(name, StudentT(nu)).mse == pytest.approx(mse, rel=1e-13)


@pytest.mark.parametrize(
    ("name", "nu", "mse"),
    [
        ("e2m1:g1:scale=e2m1:of=4", 2.1, 0.0141981037264979349),
        ("e2m1:g1:scale=e2m1:of=4:divisor=8", 2.1, 1.32317628995752149),
        ("e2m1:g1:scale=e2m1:of=64:divisor=8", 2.1, 1.40364803921912684),
        ("e2m1:g1:scale=e2m1:of=4:divisor=8", 3.0, 0.193506013466058531),
        ("e2m1:g1:scale=e2m1:of=64:divisor=8", 3.0, 0.218055632694392748),
        ("e2m1:g1:scale=e2m1:of=4", 1.5, 0.03892035383919167),
        ("e2m1:g1:scale=e2m1:of=4", 1.1, 0.2881531018859473),
        ("int3:g4", 1.1, 1.289997288969523),
        ("int3:g64", 1.1, 20.50201023620443),
    ],
)
def test_scales_from_the_largest_value_on_the_heaviest_tails(
    name: str, nu: float, mse: float
) -> None:
    # By mpmath at 30 digits: the integral over log of the largest value, with incomplete beta and
    # hypergeometric functions for the other values below it, up to where it is a power.
    assert error(name, StudentT(nu)).mse == pytest.approx(mse, rel=5e-13)


def test_a_largest_value_that_is_no_level_has_no_mean_square() -> None:
    assert error("nvfp4:of=64:divisor=8", StudentT(2.0)).mse == math.inf
    assert error("nvfp4:of=64", StudentT(1.5)).mse < math.inf


def test_a_largest_value_on_a_tie_goes_to_the_even_code() -> None:
    # Its scale is a fifth of it: 5 lies between the levels 4 and 6.
    for spread in (1.0, 0.7, 1.3, 0.37, 2.9):
        density = Gaussian(0.5 * spread, spread)
        found = error("nvfp4:divisor=5:n=1:of=1", density)
        power = 1.25 * spread**2
        assert found.mse == pytest.approx(power / 25, rel=1e-12)
        assert found.cross_moment == pytest.approx(-power / 5, rel=1e-12)
        assert found.mean_error == pytest.approx(-0.1 * spread, rel=1e-12)


def test_a_unit_changes_no_tie() -> None:
    one = error("nvfp4:divisor=5:of=64", Gaussian(0.5))
    for spread in (0.7, 1.3, 0.37, 2.9):
        found = error("nvfp4:divisor=5:of=64", Gaussian(0.5 * spread, spread))
        assert found.mse == pytest.approx(spread**2 * one.mse, rel=1e-13)
        assert found.cross_moment == pytest.approx(spread**2 * one.cross_moment, rel=1e-12)


def test_a_binade_average_beyond_the_range_of_scales() -> None:
    # At nu = 2.05 a part of the power lies beyond the largest scale, 2^127: it has no period.
    nodes, weights = gauss_legendre(16)
    spreads = (2.0**nodes).tolist()
    each = [error("mxfp4", StudentT(2.05, 0.0, s)).mse / s**2 for s in spreads]
    mean = math.fsum(w * mse for w, mse in zip(weights.tolist(), each, strict=True))
    found = error("mxfp4", StudentT(2.05), binade_average=True)
    assert found.mse == pytest.approx(mean, rel=1e-12)
    assert sum(found.code_probabilities.values()) == pytest.approx(1.0, abs=1e-13)


def test_a_scale_is_refused() -> None:
    with pytest.raises(InvalidValue, match=r"takes its scales from the data"):
        quantization_error("mxfp4", Gaussian(), 2.0)


def test_a_tensor_scale_of_all_values() -> None:
    assert error("nvfp4:of=tensor", Gaussian()).mse == error(f"nvfp4:of={2**20}", Gaussian()).mse
    sample = Empirical([0.5, 1.0, -2.0, 0.25] * 8)
    assert error("nvfp4:of=tensor", sample).mse == error("nvfp4:of=32", sample).mse


# Two routes over the law of the largest value: its Gauss rule, and panels.
@pytest.mark.parametrize(
    "density",
    [
        Gaussian(0.5),
        Laplace(1e-30),
        Uniform(2, 3),
        Uniform(-1, 2),
        Truncated(Gaussian(), -3, 3),
        Arcsine(-1, 1),
        GeneralizedGaussian(0.5),
        GeneralizedGaussian(8.0),
        Logistic(3, 2),
        Gaussian(0, 1.7),
        StudentT(5.0),
        StudentT(2.2, 0, 3e5),
        StudentT(3.0, 0.3),
    ],
    ids=repr,
)
@pytest.mark.parametrize(("name", "size"), [("nf4", 17), ("nf4", 64), ("int4", 32)])
def test_the_rule_of_the_maximum_agrees_with_panels(name: str, size: int, density: Density) -> None:
    grid = as_grid(name)
    gain = 1 / grid.max
    chosen = absmax_sums(grid, density, size, gain)
    panels = _block_absmax._by_panels(grid, density, size, gain, edge_of(grid, gain))
    mse = float(panels.singles[:3].sum())
    assert float(chosen.singles[:3].sum()) == pytest.approx(mse, rel=1e-13, abs=0)
    assert chosen.pair_error == pytest.approx(panels.pair_error, rel=1e-11, abs=5e-14 * mse)
    assert chosen.pair_cross == pytest.approx(panels.pair_cross, rel=1e-11, abs=5e-14 * mse)


def test_a_tensor_of_many_bounded_values() -> None:
    # E[N F(A)^(N-1) f(A) ((F(bA) / F(A))^n - (F(aA) / F(A))^n)] by mpmath, 30 digits.
    expected = {
        352.0: 0.077488898292577012,
        384.0: 0.17388718446749995,
        416.0: 0.37445303023849158,
        448.0: 0.32009487888784862,
    }
    found = error("nvfp4:of=65536", Uniform(-1, 2)).code_probabilities
    for level, probability in expected.items():
        assert found[level] == pytest.approx(probability, abs=1.5e-15)


@pytest.mark.parametrize("n", [64, 4096, 65536, 2**20])
def test_a_channel_of_many_uniform_values(n: int) -> None:
    # Steps are uniform too: E[M^2] / (12 * 127^2), and the largest value has no error.
    expected = (n - 1) / (n + 2) / (12 * 127**2)
    assert error(f"int8:channel={n}", Uniform(-1, 1)).mse == pytest.approx(
        expected, rel=1e-14, abs=0
    )
