"""Registers followed exactly: against rational recursions over all sums, and of each other."""

import math
from fractions import Fraction
from itertools import product

import numpy as np
import pytest

from qerror import FloatingPoint
from qerror.accumulators import FloatAccumulator, Order, _chain
from qerror.accumulators._chain import Chain, budget
from qerror.accumulators._table import Table
from qerror.accumulators.error import accumulate
from qerror.accumulators.terms import Terms, lattice_of, product_terms
from qerror.formats import as_scalar_format
from qerror.products import Factor, Operand
from qerror.rounding import ROUNDINGS

TINY = FloatingPoint(2, 5)
PLAIN = ([-6.0, -3.0, -1.25, 0.5, 1.25, 3.0], [0.25, 0.125, 0.125, 0.25, 0.125, 0.125])
DRIFTING = ([1.5, 2.0, 2.25, 7.0], [0.5, 0.25, 0.125, 0.125])
FINE = ([-(2.0**-9), 1.0, 5 * 2.0**4, -(2.0**3)], [0.25, 0.25, 0.25, 0.25])


def terms_of(values: list[float], probabilities: list[float]) -> Terms:
    order = np.argsort(values)
    found = np.array(values)[order]
    return Terms(found, np.array(probabilities)[order], lattice_of(found))


def rounded(x: Fraction, form: FloatingPoint, mode: str) -> list[tuple[Fraction, Fraction]]:
    """Return what x becomes and how often, with exact rationals throughout."""
    mode, _, bits = mode.partition(":")
    size = abs(x)
    least = Fraction(form.smallest_normal) / 2**form.mantissa_bits
    step = least
    while size >= step * 2 ** (form.mantissa_bits + 1):
        step *= 2
    code = size // step
    rest = size / step - code
    sign = -1 if x < 0 else 1
    if not rest:
        return [(x, Fraction(1))]
    up = {
        "nearest-even": Fraction(rest > Fraction(1, 2) or (2 * rest == 1 and code % 2 == 1)),
        "nearest-away": Fraction(2 * rest >= 1),
        "toward-zero": Fraction(0),
        "up": Fraction(sign > 0),
        "down": Fraction(sign < 0),
        "to-odd": Fraction(code % 2 == 0),
        "stochastic": Fraction(int(rest * 2 ** int(bits)), 2 ** int(bits)) if bits else rest,
    }[mode]
    both = ((sign * code * step, 1 - up), (sign * (code + 1) * step, up))
    return [(level, chance) for level, chance in both if chance]


def every_sum(
    terms: Terms, count: int, form: FloatingPoint, mode: str
) -> tuple[Fraction, Fraction, Fraction]:
    """Return E[A], E[A^2] and Cov(A, S) by the joint law of the register and the exact sum."""
    law = {(Fraction(0), Fraction(0)): Fraction(1)}
    given = [
        (Fraction(float(v)), Fraction(float(p)))
        for v, p in zip(terms.values, terms.probabilities, strict=True)
    ]
    for _ in range(count):
        found: dict[tuple[Fraction, Fraction], Fraction] = {}
        for ((held, exact), chance), (value, p) in product(law.items(), given):
            for level, share in rounded(held + value, form, mode):
                key = level, exact + value
                found[key] = found.get(key, Fraction(0)) + chance * p * share
        law = found
    mean = sum(p * (held - exact) for (held, exact), p in law.items())
    second = sum(p * (held - exact) ** 2 for (held, exact), p in law.items())
    total = sum(p * exact for (_, exact), p in law.items())
    mixed = sum(p * (held - exact) * exact for (held, exact), p in law.items())
    return Fraction(mean), Fraction(second), Fraction(mixed) - Fraction(mean) * Fraction(total)


@pytest.mark.parametrize("mode", [*ROUNDINGS, "stochastic:2"])
@pytest.mark.parametrize("given", [PLAIN, DRIFTING, FINE], ids=["plain", "drifting", "fine"])
def test_sums_against_all_of_them_in_rationals(
    given: tuple[list[float], list[float]], mode: str
) -> None:
    terms, register = terms_of(*given), FloatAccumulator(TINY, mode)
    mean, second, mixed = map(float, every_sum(terms, 5, TINY, mode))
    found = accumulate(terms, 5, register, Order())
    size = math.sqrt(second)
    assert found.second == pytest.approx(second, rel=1e-13, abs=0)
    assert found.mean == pytest.approx(mean, rel=1e-13, abs=1e-14 * size)
    spread = size * math.sqrt(5 * terms.variance)
    assert found.with_sum == pytest.approx(mixed, rel=1e-12, abs=1e-13 * spread)
    table = Table.of(terms, register, 5)
    assert table is not None
    table.add(5)
    assert table.is_whole
    again = table.moments()
    assert again[3] == pytest.approx(second, rel=1e-13, abs=0)
    assert again[2] == pytest.approx(mean, rel=1e-13, abs=1e-14 * size)


@pytest.mark.parametrize("mode", ["nearest-even", "toward-zero", "stochastic"])
@pytest.mark.parametrize("count", [1, 2, 65, 300])
def test_stretches_of_additions_are_the_additions(count: int, mode: str) -> None:
    terms, register = terms_of(*PLAIN), FloatAccumulator(TINY, mode)
    chain = Chain(terms, register)
    squares = {}
    for k in range(count):
        chain.advance()
        squares[float(k + 1)] = chain.step_error
    table = Table.of(terms, register, count)
    assert table is not None
    table.add(count)
    assert table.is_whole
    np.testing.assert_allclose(table.moments(), chain.moments(), rtol=1e-9, atol=1e-9)
    assert table.counts[-1] == count
    np.testing.assert_allclose(table.errors, [squares[k] for k in table.counts], rtol=1e-11)


def test_registers_that_run_away_are_not_listed() -> None:
    """Rounding up moves a sum by one spacing, however small the term: by 1.25 each time."""
    terms, register = terms_of([1.0, 2.0], [0.5, 0.5]), FloatAccumulator(TINY, "up")
    table = Table.of(terms, register, 60)
    assert table is not None
    table.add(60)
    assert not table.is_whole
    assert accumulate(terms, 60, register, Order()).mean > 60 * terms.mean


def side(form: str, density: str = "gaussian") -> Factor:
    return Operand(form, density).factor(as_scalar_format(form))


def test_pairs_transforms_and_convolutions_agree(monkeypatch: pytest.MonkeyPatch) -> None:
    terms = product_terms(side("int4"), side("int4", "half-gaussian"))
    register = FloatAccumulator(FloatingPoint(4, 8))
    found = []
    for direct, few, pair in ((2.0**40, 0, 1e9), (0.0, 0, 1e9), (0.0, 2**40, 0.0)):
        monkeypatch.setattr(_chain, "_DIRECT", direct)
        monkeypatch.setattr(_chain, "_FEW", few)
        monkeypatch.setattr(_chain, "_PAIR", pair)
        chain = Chain(terms, register)
        for _ in range(20):
            chain.advance()
        found.append(chain.moments())
    for each in found[1:]:
        np.testing.assert_allclose(each[1:5:2], found[0][1:5:2], rtol=1e-12)
        np.testing.assert_allclose(each, found[0], rtol=1e-9, atol=1e-9)


def test_a_register_that_is_stuck_is_left_alone() -> None:
    """1,000 times about 49 in FP16's mantissa: from 131,072 on nothing moves it."""
    terms, register = (
        terms_of([47.0, 48.0, 51.0], [0.25, 0.25, 0.5]),
        FloatAccumulator(FloatingPoint(4, 8)),
    )
    few, many = (accumulate(terms, count, register, Order()) for count in (200, 5000))
    held = 200 * terms.mean + few.mean
    assert 5000 * terms.mean + many.mean == pytest.approx(held, rel=1e-12, abs=0)
    assert many.second == pytest.approx(
        (5000 * terms.mean - held) ** 2 + 5000 * terms.variance, rel=1e-9, abs=0
    )


def test_only_lattices_that_are_worth_it_are_followed() -> None:
    fine, dense = side("e4m3"), side("int8")
    register = FloatAccumulator(FloatingPoint(13, 8))
    assert budget(product_terms(fine, fine), register, 64) == 0
    assert budget(product_terms(dense, dense), register, 32) > 0
    assert budget(product_terms(dense, dense), register, 1024) == 0
