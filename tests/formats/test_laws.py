"""What holds for every format, registered or arbitrary."""

import copy
import dataclasses
import math
import pickle
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qerror.exceptions import InvalidType, InvalidValue, QErrorException
from qerror.formats import (
    FORMATS,
    Codebook,
    FixedPoint,
    FloatingPoint,
    Integer,
    PowerOfTwo,
    ScalarFormat,
    as_scalar_format,
    scalar_formats,
)

registered = pytest.mark.parametrize("member", scalar_formats().values(), ids=str)
COPIES: list[Callable[[ScalarFormat], ScalarFormat]] = [
    copy.copy,
    copy.deepcopy,
    *(lambda f, p=p: pickle.loads(pickle.dumps(f, p)) for p in range(6)),
]


@st.composite
def integers(draw: st.DrawFn) -> Integer:
    signed = draw(st.booleans())
    plain = Integer(draw(st.integers(2 if signed else 1, 53)), signed, draw(st.booleans()))
    zero_point = draw(st.just(0) | st.integers(plain.min_code, plain.max_code))
    return dataclasses.replace(plain, zero_point=zero_point)


@st.composite
def fixed_points(draw: st.DrawFn) -> FixedPoint:
    signed = draw(st.booleans())
    word_length = draw(st.integers(2 if signed else 1, 53))
    fractional_length = draw(st.integers(word_length - 1024, 1074))
    return FixedPoint(word_length, fractional_length, signed, draw(st.booleans()))


@st.composite
def floats(draw: st.DrawFn) -> FloatingPoint:
    specials = draw(st.sampled_from(["none", "ieee", "fn", "fnuz", "p3109"]))
    arguments = (
        draw(st.integers(0, 52)),
        draw(st.integers(1, 11)),
        draw(st.none() | st.integers(-1100, 1100) | st.floats(-1100, 1100)),
        draw(st.booleans()),
        specials,
        specials == "p3109" and draw(st.booleans()),
    )
    try:
        return FloatingPoint(*arguments)  # type: ignore[arg-type]
    except InvalidValue:
        # Whatever is refused is refused for good reasons; test_floating.py lists them.
        return FloatingPoint(arguments[0], arguments[1])


codebooks = st.builds(
    Codebook, st.lists(st.floats(-1e300, 1e300), min_size=1, max_size=20, unique=True)
)
anything = integers() | fixed_points() | floats() | codebooks


@given(anything)
def test_names_read_back(member: ScalarFormat) -> None:
    assert as_scalar_format(member.name) == member
    assert as_scalar_format(member.name.lower()) == member


@given(anything, st.sampled_from(COPIES))
def test_copies_are_equal(
    member: ScalarFormat, again: Callable[[ScalarFormat], ScalarFormat]
) -> None:
    twin = again(member)
    assert twin == member
    assert hash(twin) == hash(member)
    assert twin.grid() == member.grid()


@given(anything)
def test_grids_are_grids(member: ScalarFormat) -> None:
    grid = member.grid()
    assert grid.size <= 2**member.bits
    assert np.isfinite([grid.min, grid.max]).all()
    assert grid.max == member.max_value
    runs = grid.segments
    assert all(run.start < run.stop and run.step > 0 for run in runs)
    assert [run.stop for run in runs[:-1]] == [run.start for run in runs[1:]]


@given(anything, st.integers(-20, 20))
def test_scaling_by_a_power_of_two_is_exact(member: ScalarFormat, exponent: int) -> None:
    small = 2.0**exponent
    scaled, base = member.grid(small), member.grid()
    assert scaled.edges.tolist() == base.edges.tolist()
    assert scaled.factor == base.factor * small


@given(anything)
def test_cards_are_text(member: ScalarFormat) -> None:
    card = member.conventions()
    assert list(card)[:5] == ["name", "bits", "levels", "min", "max"]
    assert {"special codes", "zero", "overflow", "ties"} <= set(card)
    assert all(card.values())
    assert float(card["max"]) == member.max_value
    assert card["bits"] == str(member.bits)


@registered
def test_scale_for_puts_the_largest_level_there(member: ScalarFormat) -> None:
    assert member.grid(member.scale_for(3.7)).max == pytest.approx(3.7, rel=3e-16, abs=0)


@registered
def test_every_level_is_its_own_nearest(member: ScalarFormat) -> None:
    if member.bits <= 16:
        levels = member.grid(0.3).points
    else:
        levels = np.unique([edge for run in member.grid(0.3).segments for edge in run[:2]])
    assert member.grid().round_half_even(levels, 0.3).tolist() == levels.tolist()


@registered
@pytest.mark.parametrize("scale", [0, -1.0, np.nan, np.inf])
@pytest.mark.thinned(5)
def test_refused_scales(member: ScalarFormat, scale: float) -> None:
    with pytest.raises(InvalidValue, match="scale must be"):
        member.grid(scale)
    with pytest.raises(InvalidValue, match="max_value must be"):
        member.scale_for(scale)


@registered
def test_a_scale_is_a_number(member: ScalarFormat) -> None:
    with pytest.raises(InvalidType, match="scale must be a real number"):
        member.grid("big")  # type: ignore[arg-type]


@registered
def test_frozen(member: ScalarFormat) -> None:
    for field in member.__match_args__:
        with pytest.raises(dataclasses.FrozenInstanceError):
            setattr(member, field, 1)
    with pytest.raises((AttributeError, TypeError)):
        setattr(member, "comment", "mine")  # noqa: B010 - no such attribute, for type checkers


def test_registered_formats_differ() -> None:
    assert len(set(FORMATS.values())) == len(FORMATS)


@pytest.mark.parametrize(
    ("member", "field", "value"),
    [
        (Integer(8), "bits", 99),
        (FloatingPoint(3, 4), "bias", float("nan")),
        (FixedPoint(8, 4), "word_length", 0),
        (Codebook([1, 2]), "values", ()),
    ],
)
def test_unpickling_checks_again(member: ScalarFormat, field: str, value: object) -> None:
    object.__setattr__(member, field, value)
    data = pickle.dumps(member)
    with pytest.raises(QErrorException):
        pickle.loads(data)


@registered
def test_bits_per_value_are_the_codes_width(member: ScalarFormat) -> None:
    assert member.bits_per_value == member.bits
    assert isinstance(member.bits_per_value, float)


@given(anything, st.floats(2.0**-30, 2.0**30))
def test_bias_at_a_scale_gives_that_grid(member: ScalarFormat, scale: float) -> None:
    bias = member.bias_at(scale)
    if not isinstance(member, FloatingPoint):
        assert (bias is None) == (not isinstance(member, PowerOfTwo))
        return
    assert bias is not None
    assert bias == member.bias - math.log2(scale)
    try:
        varied = member.with_bias(bias).max_value
    except InvalidValue:
        return  # float64 does not hold its largest binade
    # The bias is rounded: a relative error of its last bit in the levels.
    assert varied == pytest.approx(member.grid(scale).max, rel=3e-13, abs=0)


def test_bias_at_refuses_what_is_no_scale() -> None:
    member = FloatingPoint(3, 4)
    assert math.isnan(member.bias_at(math.nan) or 0.0)
    assert Integer(8).bias_at(math.nan) is None
    for scale in (0.0, -1.0, math.inf):
        with pytest.raises(InvalidValue, match="scale must be"):
            member.bias_at(scale)
