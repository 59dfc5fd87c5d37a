"""Fractional lengths against closed forms at 40 digits and against trying them all."""

import math
from itertools import pairwise
from typing import Any, TypeAlias

import mpmath as mp
import numpy as np
import pytest

from qerror import (
    Density,
    FixedPoint,
    Gaussian,
    Laplace,
    Rectified,
    StudentT,
    Uniform,
    fractional_length_constant,
    optimal_fractional_length,
    quantization_error,
)
from qerror.exceptions import InvalidType, InvalidValue
from qerror.optimize import fixed_point_choice

Number: TypeAlias = Any


def integer_mse(max_code: int, std: Number, signed: bool) -> Number:
    """Return the MSE of integers up to max_code on a Gaussian, or on its positive half."""
    total = mp.mpf(0)
    for code in range(max_code + 1):
        low = mp.mpf(code) - mp.mpf(1) / 2 if code else mp.mpf(0)
        high = code + mp.mpf(1) / 2 if code < max_code else mp.inf
        total += _cell(code, low / std, high / std, std)
    return 2 * total if signed else total


def _cell(q: int, a: Number, b: Number, std: Number) -> Number:
    """Return int (std z - q)^2 phi(z) over [a, b]."""
    mass = (mp.erfc(a / mp.sqrt(2)) - mp.erfc(b / mp.sqrt(2))) / 2
    pa, pb = mp.npdf(a), (mp.mpf(0) if mp.isinf(b) else mp.npdf(b))
    edge = a * pa - (mp.mpf(0) if mp.isinf(b) else b * pb)
    return std**2 * (mass + edge) - 2 * q * std * (pa - pb) + q * q * mass


@pytest.mark.parametrize(
    ("word_length", "signed"),
    [(2, True), (3, True), (4, True), (8, True), (1, False), (2, False), (4, False), (8, False)],
)
def test_the_constant_solves_its_equation(word_length: int, signed: bool) -> None:
    found = fractional_length_constant(word_length, signed)
    code = 2 ** (word_length - signed) - 1
    with mp.workdps(40):

        def rise(s: Number) -> Number:
            return mp.log(integer_mse(code, s, signed) / integer_mse(code, s / 2, signed) / 4)

        exact = mp.findroot(rise, (mp.mpf(found) * 0.999, mp.mpf(found) * 1.001), solver="anderson")
        assert abs(found / exact - 1) < 1e-14


def test_the_constants_of_8_bits() -> None:
    # The equation above at 40 digits; F8Net has 40 and 70 for them.
    assert fractional_length_constant(8) == pytest.approx(39.22400346918751, rel=1e-13, abs=0)
    assert fractional_length_constant(8, signed=False) == pytest.approx(
        72.11808933337147, rel=1e-13, abs=0
    )


def test_only_the_largest_code_matters() -> None:
    for bits in (1, 2, 5, 8, 16, 30, 52):
        unsigned = fractional_length_constant(bits, signed=False)
        assert unsigned == fractional_length_constant(bits + 1, signed=True)


def test_constants_of_every_word_length() -> None:
    found = [fractional_length_constant(bits) for bits in range(2, 54)]
    share = [c / (2 ** (bits - 1) - 1) for bits, c in enumerate(found, start=2)]
    # Longer words clip ever farther out, in standard deviations.
    assert all(a > b for a, b in pairwise(share))
    assert 1 / 12 < share[-1] < share[0] < 1.2


@pytest.mark.parametrize("signed", [True, False])
@pytest.mark.parametrize("word_length", [2, 4, 8, 16, 32])
def test_the_constant_gives_the_best_of_all_lengths(word_length: int, signed: bool) -> None:
    constant = fractional_length_constant(word_length, signed)
    rng = np.random.default_rng(word_length)
    near = constant * 2.0**-5 * np.array([1 - 1e-9, 1 + 1e-9])
    for std in [*np.exp(rng.uniform(-9, 9, 6)), *near]:
        density: Density = Gaussian(0, std) if signed else Rectified(Gaussian(0, std))
        rule = math.floor(math.log2(constant / std))
        errors = {
            length: quantization_error(FixedPoint(word_length, length, signed), density).mse
            for length in range(rule - 5, rule + 6)
        }
        assert min(errors, key=lambda length: errors[length]) == rule
        assert optimal_fractional_length(density, word_length, signed) == rule
        assert fixed_point_choice(word_length, std, signed).best.format.fractional_length == rule


@pytest.mark.parametrize(
    "density", [Laplace(0.3, 0.1), Uniform(-0.9, 0.2), StudentT(3), "logistic"]
)
def test_any_density_gets_its_best_length(density: Density | str) -> None:
    found = optimal_fractional_length(density, 6)
    errors = {
        length: quantization_error(FixedPoint(6, length), density).mse for length in range(-12, 20)
    }
    assert min(errors, key=lambda length: errors[length]) == found


def test_lengths_may_lie_outside_the_word() -> None:
    assert optimal_fractional_length(Gaussian(0, 1e-6), 8) > 8
    assert optimal_fractional_length(Gaussian(0, 1e6), 8) < 0
    tiny = fixed_point_choice(8, 1e-6)
    assert tiny.best.format.fractional_length == 25
    assert not tiny.best.is_legal
    assert tiny.legal.format.fractional_length == 7
    assert tiny.legal.is_legal
    assert tiny.f8net == tiny.legal
    assert tiny.legal.above_best_db > 30


def test_choices_scale_with_powers_of_two() -> None:
    plain, scaled = fixed_point_choice(8, 0.3), fixed_point_choice(8, 0.3 * 2.0**40)
    assert scaled.best.relative_error == plain.best.relative_error
    lengths = [entry.format.fractional_length for entry in plain.nearby]
    assert [entry.format.fractional_length for entry in scaled.nearby] == [n - 40 for n in lengths]


@pytest.mark.parametrize("signed", [True, False])
def test_a_choice_lists_exact_errors(signed: bool) -> None:
    density: Density = Gaussian(0, 0.3) if signed else Rectified(Gaussian(0, 0.3))
    choice = fixed_point_choice(8, 0.3, signed)
    assert choice.best in choice.nearby
    assert min(entry.mse for entry in choice.nearby) == choice.best.mse
    for entry in choice.nearby:
        mse = quantization_error(entry.format, density).mse
        assert entry.mse == pytest.approx(mse, rel=1e-13, abs=0)
        assert entry.relative_error == pytest.approx(math.sqrt(mse) / 0.3, rel=1e-13, abs=0)
        assert entry.above_best_db == pytest.approx(
            10 * math.log10(mse / choice.best.mse), abs=1e-11
        )
        assert entry.is_legal == (0 <= entry.format.fractional_length <= 8 - signed)


def test_where_the_rule_of_f8net_errs() -> None:
    # 40 chooses one bit too many for 39.22 < std 2^FL <= 40; 70 one too few for 70 < .. <= 72.12.
    signed = fixed_point_choice(8, 39.9 / 64)
    assert signed.f8net is not None
    assert signed.f8net.format.fractional_length == signed.best.format.fractional_length + 1
    assert 0.5 < signed.f8net.above_best_db < 0.97
    unsigned = fixed_point_choice(8, 70.1 / 64, signed=False)
    assert unsigned.f8net is not None
    assert unsigned.f8net.format.fractional_length == unsigned.best.format.fractional_length - 1
    assert 1.4 < unsigned.f8net.above_best_db < 1.57
    agreed = fixed_point_choice(8, 0.3)
    assert agreed.f8net == agreed.best
    assert fixed_point_choice(7, 0.3).f8net is None


@pytest.mark.parametrize("std", [0, -1, math.inf, math.nan])
def test_impossible_standard_deviations_are_refused(std: float) -> None:
    with pytest.raises(InvalidValue, match="std must be"):
        fixed_point_choice(8, std)


@pytest.mark.parametrize(("word_length", "signed"), [(1, True), (0, False), (54, True)])
def test_impossible_word_lengths_are_refused(word_length: int, signed: bool) -> None:
    for call in (
        lambda: fractional_length_constant(word_length, signed),
        lambda: optimal_fractional_length(Gaussian(), word_length, signed),
        lambda: fixed_point_choice(word_length, 1.0, signed),
    ):
        with pytest.raises(InvalidValue, match=r"word_length must lie in"):
            call()
    with pytest.raises(InvalidType, match="word_length must be an integer"):
        fractional_length_constant(8.5)  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]


def test_infinite_variance_is_refused() -> None:
    with pytest.raises(InvalidValue, match=r"E\[X\^2\] is infinite"):
        optimal_fractional_length(StudentT(2), 8)


@pytest.mark.parametrize("std", [1e-141, 1e300])
def test_a_std_whose_squares_leave_float64_is_refused(std: float) -> None:
    with pytest.raises(InvalidValue, match=r"std must lie in 1e-140\.\.1e\+140"):
        fixed_point_choice(8, std)


@pytest.mark.parametrize("std", [1e-139, 1e139])
def test_far_units_change_nothing(std: float) -> None:
    here, there = fixed_point_choice(8, std), fixed_point_choice(8, math.frexp(std)[0])
    assert here.best.relative_error == there.best.relative_error
    assert here.best.mse == pytest.approx((here.best.relative_error * std) ** 2, rel=1e-15, abs=0)
