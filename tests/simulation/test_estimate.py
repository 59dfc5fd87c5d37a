"""Sampled errors: standard errors that are right, heavy tails that are owned up to."""

import math
import tracemalloc

import numpy as np
import pytest

from qerror.densities import FromScipy, Gaussian, Laplace, StudentT, Uniform, parse_density
from qerror.exceptions import InvalidType, InvalidValue
from qerror.formats import as_scalar_format
from qerror.simulation import estimate_error, quantize
from qerror.simulation._tails import tails_of
from qerror.simulation.figures import CHUNK, NAMES


def generator(seed: int = 1) -> np.random.Generator:
    return np.random.default_rng(seed)


def test_figures_are_the_means_of_the_same_samples() -> None:
    """One sample in several chunks against plain means of all of it."""
    size = 2 * CHUNK + 12_345
    found = estimate_error("e2m1", "student-t(nu=9)", scale=0.4, size=size, rng=generator(5))
    rng = generator(5)
    parts = [min(CHUNK, size - start) for start in range(0, size, CHUNK)]
    x = np.concatenate([StudentT(9).sample(n, rng) for n in parts])
    e = quantize(x, "e2m1", 0.4) - x
    below, above = x < -2.4000000000000004, x > 2.4000000000000004
    wanted = {
        "rounding": np.where(below | above, 0, e * e),
        "clipping_low": np.where(below, e * e, 0),
        "clipping_high": np.where(above, e * e, 0),
        "clipping": np.where(below | above, e * e, 0),
        "mse": e * e,
        "mean_error": e,
        "cross_moment": x * e,
        "signal_power": x * x,
        "signal_mean": x,
    }
    for name, y in wanted.items():
        assert getattr(found, name) == pytest.approx(y.mean(), rel=1e-11, abs=1e-14)
        error = y.std(ddof=1) / math.sqrt(size)
        assert getattr(found.standard_error, name) == pytest.approx(error, rel=1e-9, abs=0)
    assert found.sqnr_db == pytest.approx(
        10 * math.log10((x * x).mean() / (e * e).mean()), rel=1e-12, abs=0
    )
    assert found.clipped == (below.sum(), above.sum())
    assert found.size == size
    # The delta method against groups: the spread of the SQNR over 400 of them.
    groups = np.array_split(np.arange(size), 400)
    each = [10 * np.log10((x[g] ** 2).mean() / (e[g] ** 2).mean()) for g in groups]
    spread = float(np.std(each) / math.sqrt(400))
    assert found.standard_error.sqnr_db == pytest.approx(spread, rel=0.2, abs=0)


@pytest.mark.parametrize(
    ("name", "low", "high"),
    [
        ("gaussian", math.inf, math.inf),
        ("laplace", math.inf, math.inf),
        ("generalized-gaussian(beta=0.3)", math.inf, math.inf),
        ("student-t(nu=3)", 3.0, 3.0),
        ("student-t(nu=4)", 4.0, 4.0),
        ("student-t(nu=0.5, loc=7, scale=1e-5)", 0.5, 0.5),
        ("truncated(student-t(nu=2), low=-3)", math.inf, 2.0),
        ("rectified(student-t(nu=2.5))", math.inf, 2.5),
        ("clipped(student-t(nu=1), low=-2, high=2)", math.inf, math.inf),
        ("mixture(0.9*gaussian(), 0.1*student-t(nu=3.5))", 3.5, 3.5),
        ("mixture(1*gaussian(), 0*student-t(nu=3.5))", math.inf, math.inf),
        ("discrete([1, 2], [0.5, 0.5])", math.inf, math.inf),
    ],
)
def test_tail_exponents(name: str, low: float, high: float) -> None:
    assert tails_of(parse_density(name)) == (low, high)


def test_tail_exponents_of_scipy() -> None:
    from scipy import stats

    with np.errstate(over="ignore"):  # panels out to the end of float64
        assert tails_of(FromScipy(stats.pareto(2.5))) == (math.inf, 2.5)
        assert tails_of(FromScipy(stats.lognorm(3))).high > 4


def test_heavy_tails_have_no_interval_but_a_truncated_one() -> None:
    found = estimate_error("int8", "student-t(nu=3)", scale=0.1, size=200_000, rng=generator())
    infinite = {name for name in NAMES if math.isinf(getattr(found.standard_error, name))}
    assert infinite == set(NAMES) - {"rounding", "mean_error", "signal_mean"}
    assert found.truncated is not None
    low, high = found.truncated.cut
    assert low == pytest.approx(StudentT(3).ppf(0.0015), rel=1e-9, abs=0)  # 300 of 200,000 beyond
    inner = found.truncated.estimate
    assert inner.size == pytest.approx(200_000 * (1 - 0.003), rel=1e-3, abs=0)
    assert all(math.isfinite(error) for error in inner.standard_error.to_dict().values())
    assert inner.truncated is None
    assert "tail exponent 3" in found.note
    assert f"{high:.6g}" in found.note


def test_one_heavy_side_spares_the_other() -> None:
    name = "truncated(student-t(nu=2), low=-50)"
    found = estimate_error("int4", name, scale=0.5, size=50_000, rng=generator())
    assert math.isfinite(found.standard_error.clipping_low)
    assert math.isinf(found.standard_error.clipping_high)
    assert math.isinf(found.standard_error.mean_error)  # nu = 2: not even E[x^2]
    assert found.truncated is not None
    assert found.truncated.cut[0] == -math.inf


def test_light_tails_have_no_note() -> None:
    found = estimate_error("int4", "gaussian", scale=0.5, size=1000, rng=generator())
    assert found.truncated is None
    assert found.note == ""
    assert list(found.to_dict()) == list(NAMES) == list(found.standard_error.to_dict())


def test_few_clipped_samples_are_not_settled() -> None:
    found = estimate_error("int8", "gaussian", scale=4.0 / 127, size=100_000, rng=generator())
    assert 0 < sum(found.clipped) < 30
    assert not found.settled["clipping"]
    assert found.settled["rounding"]
    assert found.settled["signal_power"]
    wide = estimate_error("int8", "gaussian", scale=1.0 / 127, size=100_000, rng=generator())
    assert all(wide.settled.values())


def test_standard_errors_cover_as_they_should() -> None:
    """Of 400 estimates with light tails about 5% lie beyond 1.96 standard errors."""
    rng = generator(11)
    truth = {"signal_power": 2.0, "signal_mean": 0.0}
    beyond = dict.fromkeys(truth, 0)
    for _ in range(400):
        found = estimate_error("int4", "laplace", scale=0.5, size=4000, rng=rng)
        for name, value in truth.items():
            z = (getattr(found, name) - value) / getattr(found.standard_error, name)
            beyond[name] += abs(z) > 1.96
    for count in beyond.values():
        assert 6 <= count <= 38  # binomial(400, 0.05): 4 standard deviations


def test_huge_and_tiny_units() -> None:
    """Scaling everything scales the figures; eighth powers are never formed."""
    plain = estimate_error("e4m3", "gaussian", scale=2.0**-7, size=20_000, rng=generator())
    for power in (-130, 130):
        unit = 2.0**power
        density = Gaussian(0.0, unit)
        found = estimate_error("e4m3", density, scale=unit / 128, size=20_000, rng=generator())
        assert found.mse == pytest.approx(plain.mse * unit * unit, rel=1e-12, abs=0)
        assert found.settled == plain.settled
        assert found.sqnr_db == pytest.approx(plain.sqnr_db, rel=1e-12, abs=0)


def test_memory_does_not_grow_with_the_sample() -> None:
    peaks = []
    for chunks in (3, 12):
        tracemalloc.start()
        estimate_error("e4m3", "gaussian", size=chunks * CHUNK, rng=generator())
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 1.1 * peaks[0] < 64e6


def test_progress_counts_samples() -> None:
    seen: list[tuple[int, int]] = []
    size = CHUNK + 5
    estimate_error(
        "int8", "gaussian", size=size, rng=generator(), progress=lambda *at: seen.append(at)
    )
    assert seen == [(CHUNK, size), (size, size)]


def test_a_seed_gives_the_same_figures() -> None:
    a, b = (estimate_error("int8", Laplace(), size=1000, rng=generator(3)) for _ in range(2))
    assert a == b


def test_an_infinite_mean_is_let_be() -> None:
    found = estimate_error("int8", StudentT(0.7), size=10_000, rng=generator())
    assert math.isfinite(found.rounding)
    assert math.isfinite(found.standard_error.rounding)
    assert math.isinf(found.standard_error.mean_error)


def test_bad_input() -> None:
    with pytest.raises(InvalidType, match=r"numpy.random.Generator, got int"):
        estimate_error("int8", "gaussian", size=10, rng=3)  # type: ignore[arg-type]
    with pytest.raises(InvalidValue, match=r"size must lie in 2\.\."):
        estimate_error("int8", "gaussian", size=1, rng=generator())
    with pytest.raises(InvalidType, match="size must be an integer, got '1e7'"):
        estimate_error("int8", "gaussian", size="1e7", rng=generator())  # type: ignore[arg-type]
    with pytest.raises(InvalidValue, match="scale must be positive, got 0"):
        estimate_error("int8", "gaussian", scale=0, size=10, rng=generator())
    with pytest.raises(InvalidType, match="expected a density"):
        estimate_error("int8", 3, size=10, rng=generator())  # type: ignore[arg-type]
    with pytest.raises(InvalidType, match="expected a number format"):
        estimate_error(3, Uniform(0, 1), size=10, rng=generator())  # type: ignore[arg-type]
    assert as_scalar_format("int8").bits == 8
