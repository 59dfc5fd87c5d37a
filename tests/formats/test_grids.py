"""The grid itself, on grids made by hand."""

import copy
import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qerror.exceptions import InvalidType, InvalidValue, TooLarge
from qerror.grids import MOST_POINTS, Grid, Segment


def two_runs() -> Grid:
    """-2, -1, 0, 0.5, 1, 1.5."""
    return Grid(np.array([-2.0, 0.0, 1.5]), np.array([1.0, 0.5]), np.array([2, 3]))


def test_points_of_two_runs() -> None:
    grid = two_runs()
    assert grid.points.tolist() == [-2, -1, 0, 0.5, 1, 1.5]
    assert grid.thresholds.tolist() == [-1.5, -0.5, 0.25, 0.75, 1.25]
    assert (grid.size, grid.min, grid.max) == (6, -2, 1.5)
    assert grid.segments == (Segment(-2, 0, 1, 2), Segment(0, 1.5, 0.5, 3))
    assert not grid.is_symmetric


def test_uniform() -> None:
    grid = Grid.uniform(-3, 0.5, 4, even_first=False)
    assert grid.points.tolist() == [-3, -2.5, -2, -1.5, -1]
    assert not grid.even_first


def test_from_points_sorts() -> None:
    grid = Grid.from_points([3, -1, 0.1])
    assert grid.points.tolist() == [-1, 0.1, 3]
    assert grid.even_first


def test_a_single_point() -> None:
    grid = Grid.from_points([3])
    assert (grid.size, grid.min, grid.max, grid.segments) == (1, 3, 3, ())
    assert grid.thresholds.size == 0
    assert grid.round_half_even([-1, 3, 9], 2).tolist() == [6, 6, 6]


@given(st.lists(st.floats(-1e300, 1e300), min_size=1, max_size=40, unique=True))
def test_from_points_keeps_every_point(values: list[float]) -> None:
    values = sorted(set(values))
    assert Grid.from_points(values[::-1]).points.tolist() == values


def test_is_symmetric() -> None:
    assert Grid.from_points([-2, -0.5, 0.5, 2]).is_symmetric
    assert Grid.uniform(-3, 1, 6).is_symmetric
    assert not Grid.uniform(-4, 1, 7).is_symmetric
    assert not Grid(np.array([-1.0, 0, 1]), np.array([0.5, 1]), np.array([2, 1])).is_symmetric
    assert not Grid(np.array([-2.0, 0, 1]), np.array([0.5, 0.5]), np.array([4, 2])).is_symmetric


def test_ties_go_to_the_even_code() -> None:
    even, odd = Grid.uniform(-3, 1, 6), Grid.uniform(-3, 1, 6, even_first=False)
    ties = [-2.5, -1.5, -0.5, 0.5, 1.5, 2.5]
    assert even.round_half_even(ties).tolist() == [-3, -1, -1, 1, 1, 3]
    assert odd.round_half_even(ties).tolist() == [-2, -2, 0, 0, 2, 2]
    assert odd.round_half_even(np.array(ties) * 0.25, 0.25).tolist() == [-0.5, -0.5, 0, 0, 0.5, 0.5]


def test_ties_across_segments_count_all_points_before() -> None:
    # Codes -2:0, -1:1, 0:2, 0.5:3, 1:4, 1.5:5.
    rounded = two_runs().round_half_even([-1.5, -0.5, 0.25, 0.75, 1.25])
    assert rounded.tolist() == [-2, 0, 0, 1, 1]


def test_rounding_saturates() -> None:
    x: list[float] = [-np.inf, -1e308, -3.5, 1.6, 1e308, np.inf]
    assert two_runs().round_half_even(x).tolist() == [-2, -2, -2, 1.5, 1.5, 1.5]


def test_rounding_keeps_shape() -> None:
    assert two_runs().round_half_even(0.3).shape == ()
    assert two_runs().round_half_even([[0.3], [9.0]]).tolist() == [[0.5], [1.5]]


@given(
    st.lists(st.integers(-50, 50), min_size=2, max_size=12, unique=True),
    st.lists(st.floats(-60, 60), min_size=1, max_size=20),
    st.sampled_from([1.0, 0.5, 3.0]),
)
def test_rounding_finds_a_nearest_point(levels: list[int], x: list[float], scale: float) -> None:
    grid = Grid.from_points(levels)
    rounded = grid.round_half_even(x, scale)
    distance = np.abs(np.subtract.outer(x, np.array(levels) * scale)).min(axis=1)
    assert (np.abs(rounded - x) == distance).all()
    assert set(rounded) <= set((np.array(levels) * scale).tolist())


@pytest.mark.parametrize("x", [0.5, 1.5, 2.5, -2.5, 1e15 + 0.5, 1.4, 1.6, -1e-300])
def test_rounding_on_53_bits(x: float) -> None:
    # Python's round is half to even, and codes are the integers themselves.
    grid = Grid.uniform(-(2.0**52 - 1), 1.0, 2**53 - 2, even_first=False)
    assert grid.round_half_even(x) == round(x)


def test_scaling_moves_only_the_factor() -> None:
    grid, scaled = two_runs(), two_runs().scaled(0.3).scaled(2)
    assert scaled.factor == 0.6
    assert scaled.edges.tolist() == grid.edges.tolist()
    assert scaled.points.tolist() == (grid.points * 0.6).tolist()
    assert scaled.thresholds.tolist() == (grid.thresholds * 0.6).tolist()
    assert (scaled.min, scaled.max) == (-2 * 0.6, 1.5 * 0.6)


def test_equality_is_of_points_and_parity() -> None:
    grid = two_runs()
    doubled = Grid(grid.edges * 2, grid.steps * 2, grid.counts, 0.5)
    assert grid == doubled
    assert hash(grid) == hash(doubled)
    assert grid != grid.scaled(2)
    assert grid != Grid(grid.edges, grid.steps, grid.counts, even_first=False)
    assert grid != "grid"
    assert Grid.from_points([-0.0, 1]) == Grid.from_points([0.0, 1])


@pytest.mark.parametrize(
    "again", [copy.copy, copy.deepcopy, lambda g: pickle.loads(pickle.dumps(g))]
)
def test_copies_are_equal(again: object) -> None:
    assert callable(again)
    grid = two_runs().scaled(0.1)
    assert again(grid) == grid


def test_arrays_are_the_grids_own() -> None:
    edges = np.array([0.0, 2.0])
    grid = Grid(edges, np.array([1.0]), np.array([2]))
    edges[0] = -5
    assert grid.min == 0
    for array in (grid.edges, grid.steps, grid.counts, grid.base_points, grid.base_gaps):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 7


def test_sizes_beyond_int64() -> None:
    grid = Grid(
        np.array([-3.0, 0, 3]), 3 * 2.0 ** np.array([-62, -63]), np.array([2**62, 2**63 - 1])
    )
    assert grid.size == 2**62 + 2**63
    with pytest.raises(TooLarge, match="13,835,058,055,282,163,712 points"):
        _ = grid.points


def test_points_refuses_absurd_sizes_only() -> None:
    assert Grid.uniform(0, 1, MOST_POINTS - 1).points.size == MOST_POINTS
    with pytest.raises(TooLarge, match=r"16,777,217 points.*use \.segments"):
        _ = Grid.uniform(0, 1, MOST_POINTS).points


@pytest.mark.parametrize(
    ("edges", "steps", "counts", "phrase"),
    [
        ([0, 1], [1, 1], [1], "got 2, 2 and 1"),
        ([0, 1, 2], [1], [1], "got 3, 1 and 1"),
        ([1, 0], [1], [1], "strictly increasing"),
        ([0, 0], [1], [1], "strictly increasing"),
        ([0, 1], [-1], [1], "strictly increasing"),
        ([0, 1], [1], [0], "strictly increasing"),
        ([0, np.inf], [1], [1], "finite"),
        ([0, np.nan], [1], [1], "finite"),
    ],
)
def test_refusals(edges: list[float], steps: list[float], counts: list[int], phrase: str) -> None:
    with pytest.raises(InvalidValue, match=phrase):
        Grid(np.array(edges, dtype=float), np.array(steps, dtype=float), np.array(counts))


@pytest.mark.parametrize("factor", [0, -1, np.inf, np.nan])
def test_refused_factors(factor: float) -> None:
    with pytest.raises(InvalidValue, match="scale of a grid must be"):
        two_runs().scaled(factor)


@pytest.mark.parametrize(
    ("values", "kind", "phrase"),
    [
        ([], InvalidValue, "at least one point"),
        ([1, 2, 1], InvalidValue, "got 1 twice"),
        ([0.0, -0.0], InvalidValue, "twice"),
        ([1, np.inf], InvalidValue, "finite"),
        ([np.nan], InvalidValue, "finite"),
        ([-1.7e308, 1.7e308], InvalidValue, "more than float64"),
        (["a"], InvalidType, "must be numbers"),
        ([[1], [2, 3]], InvalidType, "must be numbers"),
    ],
)
def test_refused_points(values: list[float], kind: type[Exception], phrase: str) -> None:
    with pytest.raises(kind, match=phrase):
        Grid.from_points(values)


def test_repr_is_short() -> None:
    assert repr(two_runs()) == "Grid(6 points in 2 segments, -2..1.5)"


@pytest.mark.parametrize(
    ("edges", "steps", "counts", "phrase"),
    [
        ([0, 10], [1], [3], "3 steps of 1 do not lead from 0 to 10"),
        ([-1, 0, 1], [0.5, 0.5], [2, 1], "1 steps of 0.5 do not lead from 0 to 1"),
        ([0, 1], [1 + 1e-14], [1], "1 steps of 1 do not lead"),
    ],
)
def test_steps_must_add_up(
    edges: list[float], steps: list[float], counts: list[int], phrase: str
) -> None:
    with pytest.raises(InvalidValue, match=phrase):
        Grid(np.array(edges), np.array(steps), np.array(counts))


def test_imaginary_parts_are_not_dropped() -> None:
    for values in ([1 + 0j, 2], np.array([1j, 2.0])):
        with pytest.raises(InvalidType, match="must be numbers"):
            Grid.from_points(values)
    with pytest.raises(InvalidType, match="must be a real number"):
        two_runs().scaled(np.complex128(2))  # type: ignore[arg-type]
