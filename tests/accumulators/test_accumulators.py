"""Sums in narrow registers: theory against enumeration, recursion and bit-exact simulation."""

import csv
import itertools
import math
from pathlib import Path

import numpy as np
import pytest

from qerror import Discrete, FloatingPoint, Integer, QErrorException, quantization_error, quantize
from qerror.accumulators import (
    FloatAccumulator,
    IntegerAccumulator,
    Order,
    accumulation_error,
    as_accumulator,
    as_order,
    narrowest_accumulator,
    simulate_accumulation,
)
from qerror.accumulators._overflow import one_side, way_beyond
from qerror.accumulators._rounding import cost_of
from qerror.accumulators._sums import Sums
from qerror.accumulators.error import accumulate
from qerror.accumulators.terms import Terms, lattice_of, product_terms, unit_of
from qerror.formats import as_scalar_format
from qerror.products import Factor, Operand
from qerror.rounding import ROUNDINGS, as_rule

STUDY = Path(__file__).parents[2] / "docs" / "accumulators.csv"
REGISTERS = ("fp32", "tf32", "fp22", "fp16", "bf16")


def side(form: str, density: str = "gaussian") -> Factor:
    return Operand(form, density).factor(as_scalar_format(form))


def terms_of(values: list[float], probabilities: list[float] | None = None) -> Terms:
    found = np.array(values)
    chance = np.full(found.size, 1 / found.size) if probabilities is None else probabilities
    return Terms(found, np.array(chance), lattice_of(found))


@pytest.mark.parametrize("form", ["int4", "e2m1", "4M3E:bias=3.9", "nf4"])
def test_products_have_the_moments_of_their_factors(form: str) -> None:
    w, x = side(form, "gaussian(mean=0.3)"), side("int8", "laplace")
    terms, unit = product_terms(w, x), unit_of(w, x)
    assert terms.probabilities.sum() == pytest.approx(1, abs=1e-12)
    power = [r.signal_power + 2 * r.cross_moment + r.mse for r in (w.report, x.report)]
    mean = [r.signal_mean + r.mean_error for r in (w.report, x.report)]
    second = terms.variance + terms.mean**2
    assert unit**2 * second == pytest.approx(math.prod(power), rel=1e-11, abs=0)
    assert unit * terms.mean == pytest.approx(math.prod(mean), rel=1e-11, abs=1e-12)


def test_wide_formats_are_represented_with_their_power() -> None:
    for form, density, scale in (
        ("bf16", "gaussian", 1.0),
        ("fp32", "gaussian(mean=0.5)", 1.0),
        ("int12", "student-t(nu=3)", None),
        ("fp16", "rectified(gaussian())", None),
    ):
        w = Operand(form, density, scale=scale).factor(as_scalar_format(form))
        terms, unit, report = product_terms(w, w), unit_of(w, w), w.report
        power = (report.signal_power + 2 * report.cross_moment + report.mse) ** 2
        assert unit**2 * (terms.variance + terms.mean**2) == pytest.approx(power, rel=1e-13, abs=0)
        mean = (report.signal_mean + report.mean_error) ** 2
        assert unit * terms.mean == pytest.approx(mean, rel=1e-13, abs=1e-14 * math.sqrt(power))
    bf16 = Operand("bf16", "gaussian", scale=1.0).factor(as_scalar_format("bf16"))
    assert product_terms(bf16, bf16).finest < -20


def test_no_range_is_best_where_the_signal_is_infinite() -> None:
    w = side("int8", "student-t(nu=2)")
    with pytest.raises(QErrorException, match="no range of INT8 is best"):
        accumulation_error(w, w, 16, "bf16")


def test_values_of_one_sample_may_be_ties() -> None:
    data = Discrete((-1.5, 0.5, 1.5, 3.0), (0.25, 0.25, 0.25, 0.25))
    one = Operand("int4", data, scale=1.0).factor(as_scalar_format("int4"))
    terms = product_terms(one, one)
    drawn = quantize(np.array([-1.5, 0.5, 1.5, 3.0]), "int4")
    products = np.multiply.outer(drawn, drawn).reshape(-1)
    assert terms.mean == pytest.approx(products.mean(), rel=1e-14, abs=0)
    assert terms.variance == pytest.approx(products.var(), rel=1e-14, abs=0)


def test_the_last_bit_of_numbers() -> None:
    values = np.array([1.0, 3.0, -12.0, 0.375, 448.0 * 448.0, 2.0**-1074])
    assert lattice_of(values).tolist() == [0, 0, 2, -3, 12, -1074]


@pytest.mark.parametrize("mode", [*ROUNDINGS, "stochastic:3"])
@pytest.mark.parametrize("side_of_zero", [-1, 1])
def test_the_cost_of_one_rounding_is_what_the_analysis_says(mode: str, side_of_zero: int) -> None:
    """Even and odd neighbours alike: the mean over two cells of the analysis."""
    for rest in (0.0, 0.125, 0.25, 0.5, 0.7, 0.9375):
        found = cost_of(as_rule(mode), np.array([rest]), side_of_zero)
        x = [side_of_zero * (n + rest) for n in (4, 5)]
        exact = [quantization_error("int8", Discrete((v,), (1.0,)), rounding=mode) for v in x]
        first = side_of_zero * np.mean([report.mean_error for report in exact])
        assert float(found.first[0]) == pytest.approx(first, abs=1e-15)
        second = np.mean([report.mse for report in exact])
        assert float(found.second[0]) == pytest.approx(second, abs=1e-15)


@pytest.mark.parametrize("register", ["bf16", "fp16", "bf16:toward-zero", "bf16:stochastic"])
def test_one_product_is_rounded_exactly(register: str) -> None:
    w = side("int8", "gaussian(mean=0.5)")
    found = accumulation_error(w, w, 1, register)
    terms, unit = product_terms(w, w), unit_of(w, w)
    law = Discrete(terms.values.tolist(), terms.probabilities.tolist())
    form = as_accumulator(register)
    assert isinstance(form, FloatAccumulator)
    exact = quantization_error(form.format, law, rounding=form.rounding)
    assert found.mse == pytest.approx(unit**2 * exact.mse, rel=1e-9, abs=0)
    assert found.mean_error == pytest.approx(unit * exact.mean_error, rel=1e-9, abs=1e-12)


@pytest.mark.parametrize("order", ["sequential", "pairwise"])
@pytest.mark.parametrize("register", [FloatingPoint(3, 5), FloatingPoint(2, 5)])
def test_few_terms_against_all_their_combinations(register: FloatingPoint, order: str) -> None:
    values = np.array([-6.0, -3.0, -1.25, -0.5, 0.5, 1.25, 3.0, 6.0])
    combined = np.array(list(itertools.product(values, repeat=4)))
    if order == "sequential":
        held = np.zeros(len(combined))
        for column in combined.T:
            held = quantize(held + column, register)
    else:
        halves = (quantize(combined[:, i] + combined[:, i + 1], register) for i in (0, 2))
        held = quantize(np.add(*halves), register)
    exact = float(np.mean((held - combined.sum(axis=1)) ** 2))
    found = accumulate(terms_of(values.tolist()), 4, FloatAccumulator(register), as_order(order))
    slack = 1e-12 if order == "sequential" else 0.15
    assert found.second == pytest.approx(exact, rel=slack, abs=0)


def test_equal_terms_that_a_register_swallows() -> None:
    """No moment leaves what a law can have: 1000 ones in BF16 stay at 256."""
    ones = Operand("int8", Discrete((1.0,), (1.0,)), scale=1.0).factor(as_scalar_format("int8"))
    found = accumulation_error(ones, ones, 1000, "bf16")
    assert found.mse == pytest.approx(744**2, rel=1e-14, abs=0)
    assert found.mean_error == pytest.approx(-744, rel=1e-14, abs=0)


def test_integers_never_round() -> None:
    w = side("int8")
    found = accumulation_error(w, w, 1024, "int32")
    assert (found.mse, found.overflow, found.sqnr_db) == (0, 0, math.inf)
    assert found.total_mse == found.product.mse
    assert accumulation_error(w, w, 1024, "fp32").mse == 0


@pytest.mark.parametrize("wrap", [False, True])
@pytest.mark.parametrize("values", [[-3, -1, 0, 1, 3], [-1, 0, 1, 2, 4]])
def test_integers_against_their_markov_chain(values: list[float], wrap: bool) -> None:
    """All states of (register, exact sum), one addition after the other."""
    count, half = 60, 32
    size = 2 * count * 4 + 1
    law = np.zeros((2 * half, size))
    beyond = np.zeros((2 * half, size))  # of these, what has left the range on the way
    law[half, size // 2] = 1.0
    for _ in range(count):
        new, left = np.zeros_like(law), np.zeros_like(law)
        for step in values:
            for held in range(2 * half):
                target = held + int(step)
                inside = 0 <= target < 2 * half
                at = target % (2 * half) if wrap else min(max(target, 0), 2 * half - 1)
                moved = np.roll(law[held], int(step)) / len(values)
                new[at] += moved
                left[at] += np.roll(beyond[held], int(step)) / len(values) if inside else moved
        law, beyond = new, left
    error = (np.arange(2 * half) - half)[:, None] - (np.arange(size) - size // 2)[None, :]
    register = IntegerAccumulator(6, overflow="wrap" if wrap else "saturate")
    found = accumulate(terms_of(values), count, register, Order())
    assert found.second == pytest.approx(float((law * error**2).sum()), rel=0.08, abs=0)
    if wrap:
        assert found.overflow == pytest.approx(float(law[error != 0].sum()), rel=0.05, abs=0)
    else:
        assert found.overflow == pytest.approx(float(beyond.sum()), rel=0.1, abs=0)


def test_rare_overflow_of_a_walk_is_exact_to_a_tenth() -> None:
    """Against the recursion with absorption, at probabilities of 1e-3 to 1e-12."""
    terms = terms_of([-2, -1, 0, 1, 2])
    count = 200
    for barrier in (60.0, 90.0, 120.0):
        # the sum of what is left loses digits: what is absorbed is added up instead
        absorbed, law = 0.0, np.zeros(2 * int(barrier) + 1)
        law[int(barrier)] = 1.0
        for _ in range(count):
            wide = np.convolve(law, np.full(5, 0.2))
            absorbed += float(wide[:2].sum() + wide[-2:].sum())
            law = wide[2:-2]
        found = way_beyond(Sums(terms), count, -barrier, barrier)
        assert found == pytest.approx(absorbed, rel=0.1, abs=0)


def test_drift_carries_a_walk_over_a_barrier() -> None:
    terms = terms_of([-1, 0, 1, 2])
    sums = Sums(terms)
    found = one_side(sums.of(100), terms.mean, math.sqrt(terms.variance), 100, 200.0)
    assert found == 0.0
    assert way_beyond(sums, 1000, -300, 300) == pytest.approx(1.0, abs=1e-6)


@pytest.mark.thinned(3)
@pytest.mark.parametrize("register", ["tf32", "fp16", "bf16"])
@pytest.mark.parametrize(("form", "other"), [("int8", "laplace"), ("e4m3", "gaussian")])
def test_theory_against_simulation(register: str, form: str, other: str) -> None:
    w, x = side(form), side(form, other)
    rng = np.random.default_rng(16)
    found = accumulation_error(w, x, 64, register)
    sums = simulate_accumulation(w, x, 64, register, size=20_000, rng=rng)
    assert abs(found.mse - sums.mse) < 0.023 * sums.mse + 4 * sums.standard_error
    low, high = np.quantile(sums.exact**2, (0.0, 1.0))
    assert low >= 0
    assert high > found.signal_power


CASES = (
    ("int8", "half-gaussian", 256, "bf16", "sequential"),
    ("int8", "half-gaussian", 256, "fp22:toward-zero", "sequential"),
    ("int8", "gaussian", 100, "fp16", "pairwise"),
    ("int8", "gaussian", 256, "fp16", "blocked:64"),
    ("int8", "gaussian", 200, "bf16:stochastic", "blocked:64"),
    ("e4m3", "gaussian", 128, "bf16:down", "sequential"),
    ("e4m3", "gaussian", 256, "fp22:toward-zero:fused=32", "sequential"),
    ("int8", "gaussian", 128, "int:guard=0", "sequential"),
    ("int8", "gaussian", 128, "int:guard=0:wrap", "sequential"),
)


@pytest.mark.thinned(2)
@pytest.mark.parametrize(("form", "density", "length", "register", "order"), CASES)
def test_other_orders_and_roundings(
    form: str, density: str, length: int, register: str, order: str
) -> None:
    w = side(form, density)
    found = accumulation_error(w, w, length, register, order)
    sums = simulate_accumulation(
        w, w, length, register, order, size=8000, rng=np.random.default_rng(3)
    )
    assert abs(found.mse - sums.mse) < 0.06 * sums.mse + 4 * sums.standard_error
    spread = math.sqrt(found.overflow / 8000)
    assert abs(found.overflow - sums.overflowed.mean()) < 0.1 * found.overflow + 4 * spread + 1e-4


@pytest.mark.thinned(3)
@pytest.mark.parametrize(
    ("form", "length", "register", "order"),
    [
        ("int8", 16, "fp16", "pairwise"),
        ("int8", 64, "tf32", "pairwise"),
        ("int8", 128, "bf16", "pairwise"),
        ("e4m3", 32, "fp16", "pairwise"),
        ("e4m3", 64, "fp22", "pairwise"),
        ("e4m3", 64, "bf16", "blocked:16"),
        ("int8", 128, "fp16", "blocked:32"),
    ],
)
def test_pairs_and_blocks_within_a_tenth_of_a_decibel(
    form: str, length: int, register: str, order: str
) -> None:
    w = side(form)
    found = accumulation_error(w, w, length, register, order)
    rng = np.random.default_rng(29)
    sums = simulate_accumulation(w, w, length, register, order, size=30_000, rng=rng)
    own = 10 / math.log(10) * sums.standard_error / sums.mse
    assert abs(10 * math.log10(found.mse / sums.mse)) < 0.1 + 3 * own


@pytest.mark.parametrize(("register", "kind"), [("fp32", np.float32), ("fp16", np.float16)])
def test_the_simulator_adds_as_the_machine_does(register: str, kind: type) -> None:
    w = side("int8")
    sums = simulate_accumulation(w, w, 50, register, size=500, rng=np.random.default_rng(5))
    again = np.random.default_rng(5)
    drawn = [w.density.sample(50 * 500, again) for _ in range(2)]
    levels = [quantize(x, "int8", w.scale) / w.scale for x in drawn]
    products = np.rint(levels[0] * levels[1]).reshape(50, 500)
    held: np.ndarray = np.zeros(500)
    for row in products:
        held = (held + row).astype(kind).astype(np.float64)
    unit = unit_of(w, w)
    np.testing.assert_array_equal(sums.register, unit * held)
    np.testing.assert_array_equal(sums.exact, unit * products.sum(axis=0))


def test_blocks_and_fused_products_of_the_whole_length_change_nothing() -> None:
    w = side("int8")
    plain = accumulation_error(w, w, 64, "fp16")
    block = accumulation_error(w, w, 64, "fp16", "blocked:64")
    assert block.mse == pytest.approx(plain.mse, rel=1e-12, abs=0)
    fused = accumulation_error(w, w, 64, "fp22:fused=64")
    assert fused.counts.tolist() == [64]
    with pytest.raises(QErrorException, match="multiple of fused"):
        accumulation_error(w, w, 65, "fp22:fused=64")


def test_the_narrowest_register_just_meets_the_budget() -> None:
    w = side("int8")
    found = narrowest_accumulator(w, w, 64, loss_db=0.05)
    register = found.accumulator
    assert isinstance(register, FloatAccumulator)
    assert found.loss_db <= 0.05
    below = FloatAccumulator(FloatingPoint(register.format.mantissa_bits - 1, 8, specials="ieee"))
    assert accumulation_error(w, w, 64, below).loss_db > 0.05
    counted = narrowest_accumulator(w, w, 128, kind="integer")
    assert isinstance(counted.accumulator, IntegerAccumulator)
    assert counted.overflow <= 1e-6
    guard = counted.accumulator.guard or 0
    assert accumulation_error(w, w, 128, f"int:guard={guard - 1}").overflow > 1e-6
    with pytest.raises(QErrorException, match="no register of 2 exponent bits"):
        narrowest_accumulator(w, w, 128, exponent_bits=3 - 1)


@pytest.mark.parametrize(
    "text",
    ["FP32", "fp22", "fp23:toward-zero", "BF16:stochastic:8", "fp22:toward-zero:fused=32",
     "TF32:up", "int24", "int24:wrap", "int:guard=8"],
)  # fmt: skip
def test_names_read_back(text: str) -> None:
    found = as_accumulator(text)
    assert found.name == text
    assert as_accumulator(found.name) == found == as_accumulator(found)


def test_formats_are_registers() -> None:
    assert as_accumulator(Integer(24)) == IntegerAccumulator(24)
    assert as_accumulator(FloatingPoint(10, 5, specials="ieee")).name == "FP16"
    assert as_order("Blocked:128") == Order("blocked", 128)
    assert [as_order(Order(kind)).name for kind in ("sequential", "pairwise")] == [
        "sequential",
        "pairwise",
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("fp99", "unknown format"),
        ("nf4", "no floating-point format"),
        ("int", "its width or its guard bits"),
        ("int8:guard=3", "its width or its guard bits"),
        ("int24:floor", "guard=<bits>, wrap or saturate"),
        ("fp16:sideways", "unknown rounding"),
        ("fp16:fused=0", "fused must lie in"),
        ("e2m1:bias=0.5", "unknown rounding"),
    ],
)
def test_bad_registers(text: str, message: str) -> None:
    with pytest.raises(QErrorException, match=message):
        as_accumulator(text)


def test_more_bad_input() -> None:
    w = side("int8")
    with pytest.raises(QErrorException, match="an order is"):
        as_order("backwards")
    with pytest.raises(QErrorException, match="an order is"):
        as_order("blocked")
    with pytest.raises(QErrorException, match="an order is"):
        Order("pairwise", 3)
    with pytest.raises(QErrorException, match="integral bias"):
        FloatAccumulator(FloatingPoint(3, 4, bias=0.5))
    with pytest.raises(QErrorException, match="length must lie in"):
        accumulation_error(w, w, 0, "fp16")
    with pytest.raises(QErrorException, match="expected a Factor"):
        accumulation_error("int8", w, 4, "fp16")  # type: ignore[arg-type]
    with pytest.raises(QErrorException, match="expected an accumulator"):
        as_accumulator(3)  # type: ignore[arg-type]
    with pytest.raises(QErrorException, match="overflow must be"):
        IntegerAccumulator(8, overflow="clip")  # type: ignore[arg-type]
    with pytest.raises(QErrorException, match="kind must be"):
        narrowest_accumulator(w, w, 4, kind="fixed")  # type: ignore[arg-type]


def test_channels_are_averaged() -> None:
    rng = np.random.default_rng(0)
    weights = rng.normal(size=(2, 200)) * [[1.0], [3.0]]
    form = as_scalar_format("int4")
    w = Operand("int4", weights, axis=0).factor(form)
    x = side("int4")
    found = accumulation_error(w, x, 64, "bf16")
    each = [accumulation_error(channel, x, 64, "bf16") for channel in w.channels]
    assert found.mse == pytest.approx(np.mean([one.mse for one in each]), rel=1e-12, abs=0)
    assert found.product.mse == pytest.approx(
        np.mean([one.product.mse for one in each]), rel=1e-12, abs=0
    )
    with pytest.raises(QErrorException, match="channels are for the weights"):
        accumulation_error(x, w, 64, "bf16")


def test_the_total_error_is_that_of_the_whole_sum() -> None:
    """Of a coarse grid that is not at its best, where both errors go together."""
    form = as_scalar_format("int4")
    w = Operand("int4", "gaussian", max_value=1.5).factor(form)
    found = accumulation_error(w, w, 64, FloatingPoint(2, 8))
    rng = np.random.default_rng(11)
    x = [rng.normal(size=(64, 20_000)) for _ in range(2)]
    levels = [np.rint(quantize(each, "int4", w.scale) / w.scale) for each in x]
    held = np.zeros(20_000)
    for products in levels[0] * levels[1]:
        held = quantize(held + products, FloatingPoint(2, 8))
    error = (unit_of(w, w) * held - (x[0] * x[1]).sum(axis=0)) ** 2
    slack = 0.04 * found.total_mse + 4 * error.std() / math.sqrt(error.size)
    assert abs(found.total_mse - error.mean()) < slack


def test_the_study_keeps_its_bars() -> None:
    """Every row of the table that the documentation shows."""
    with STUDY.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    long = [row for row in rows if row["order"] == "sequential" and ":" not in row["accumulator"]]
    assert {row["accumulator"] for row in long} == set(REGISTERS)
    lengths = {int(row["length"]) for row in long if row["weight"] == "int8"}
    assert lengths == {4**k for k in range(2, 9)} == {int(row["length"]) for row in long}
    for row in long:
        predicted, measured = float(row["predicted_db"]), float(row["measured_db"])
        error, steps = float(row["standard_error_db"]), float(row["steps_db"])
        if math.isinf(predicted):
            assert measured == steps == predicted
            continue
        assert abs(predicted - measured) < 0.1 + 3.5 * error, row
        if predicted > 20:  # below, sums are no longer those whose squares steps are held to
            assert abs(predicted - steps) < 0.1, row


@pytest.mark.thinned(6)
@pytest.mark.parametrize("register", REGISTERS)
@pytest.mark.parametrize("length", [16, 1024, 65536])
def test_the_study_is_what_the_library_says(register: str, length: int) -> None:
    with STUDY.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    for row in rows:
        named = row["accumulator"] == register and row["order"] == "sequential"
        if named and int(row["length"]) == length and row["weight"] == "int8":
            found = accumulation_error(side("int8"), side("int8", "laplace"), length, register)
            assert found.sqnr_db == pytest.approx(float(row["predicted_db"]), abs=0.01)
