"""What rounding does to data on average over its draws, value by value."""

import numpy as np
import pytest

from qerror import quantize
from qerror.crosscheck import expected_measure
from qerror.exceptions import InvalidValue
from qerror.formats import as_scalar_format
from qerror.rounding import ROUNDINGS
from qerror.simulation import measure_error


@pytest.mark.parametrize("form", ["int4", "4M3E"])
@pytest.mark.parametrize("by_channel", [False, True])
def test_stochastic_rounding_in_exact_weights(form: str, by_channel: bool) -> None:
    """Against (x - a)(b - x) of every value, its levels found one by one."""
    x = np.random.default_rng(2).normal(size=(3, 40))
    x[0, 0], x[1, 1] = np.nan, np.inf
    scale = np.array([[0.2], [0.3], [0.1]]) if by_channel else np.array(0.25)
    found = expected_measure(x, form, scale, rounding="stochastic")
    squares, means, absent = [], [], 0
    for value, unit in zip(x.ravel(), np.broadcast_to(scale, x.shape).ravel(), strict=True):
        if not np.isfinite(value):
            absent += 1
            continue
        levels = as_scalar_format(form).grid().points * unit
        inside = np.clip(value, levels[0], levels[-1])
        upper = levels[min(np.searchsorted(levels, inside), levels.size - 1)]
        lower = levels[np.searchsorted(levels, inside, side="right") - 1]
        squares.append((inside - lower) * (upper - inside) + (inside - value) ** 2)
        means.append(inside - value)
    assert (found.size, found.nan, found.infinite) == (len(squares), 1, absent - 1)
    assert found.figures.mse == pytest.approx(np.mean(squares), rel=1e-12)
    assert found.figures.mean_error == pytest.approx(np.mean(means), abs=1e-14)
    assert found.figures.sqnr_db == pytest.approx(
        10 * np.log10(np.mean(x[np.isfinite(x)] ** 2) / np.mean(squares)), rel=1e-12
    )


@pytest.mark.parametrize("mode", [each for each in ROUNDINGS if each != "stochastic"])
def test_other_roundings_are_measured(mode: str) -> None:
    x = np.random.default_rng(3).normal(size=200)
    found = expected_measure(x, "int4", 0.3, rounding=mode)
    error = quantize(x, "int4", 0.3, rounding=mode) - x
    assert found.figures.mse == pytest.approx(np.mean(error**2), rel=1e-13)
    assert found == measure_error(x, "int4", 0.3, rounding=mode)


def test_few_random_bits_lean_toward_zero() -> None:
    """Of 3 bits: the outer level as often as the floor of the eighths says."""
    x = np.array([0.2, -0.7, 1.9, 2.0])
    found = expected_measure(x, "int4", rounding="stochastic:3")
    rest = np.abs(x) % 1
    up = np.floor(rest * 8) / 8
    assert found.figures.mse == pytest.approx(np.mean(up * (1 - rest) ** 2 + (1 - up) * rest**2))
    assert found.figures.mean_error == pytest.approx(np.mean(np.sign(x) * (up - rest)))


def test_what_has_no_expectation_is_refused() -> None:
    with pytest.raises(InvalidValue, match="stand alone"):
        expected_measure(np.ones(32), "mxfp4", rounding="stochastic")
    with pytest.raises(InvalidValue, match="unknown rounding"):
        expected_measure(np.ones(32), "int4", rounding="sideways")
    assert expected_measure(np.array([np.nan]), "int4", rounding="stochastic").size == 0
