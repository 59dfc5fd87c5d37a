"""Van Baalen et al. 2023, figure 9: what INT8 represents exactly of FP8 with 4 exponent bits."""

from collections.abc import Iterator

from qerror.densities import Gaussian
from qerror.formats import Integer, as_scalar_format
from qerror.grids import Grid
from qerror.optimize import optimal_scale
from qerror.reporting import Document, Row
from qerror.studies.study import STUDIES, Study, figure_data

FLOATING = "3M4E"
TOPS = (15, 30, 60, 120)
"""The integer that the largest level becomes; more than 127 would be clipped."""
MATCHED = 120


def data() -> Document:
    """Return which levels of 3M4E are integers when its largest level is the integer `top`.

    - panel "binades", top 120: per binade of |x| in steps of INT8, how many levels >= 0 there
      are, how many are integers, and whether a whole binade is (its step is then at least 1).
    - panel "shares": per top, of the range (the part of [0, top] whose levels are all
      integers), of the distinct values of both signs, and of Gaussian data, each format at
      3M4E's best range: the probability of that part of the range.
    """
    return figure_data({"format": FLOATING, "top": MATCHED}, [*_binades(), *_shares()])


def _grid(top: int) -> Grid:
    form = as_scalar_format(FLOATING)
    return form.grid(form.scale_for(float(top)))


def _binades() -> Iterator[Row]:
    levels = [x for x in _grid(MATCHED).points.tolist() if x >= 0]
    edge = min(x for x in levels if x > 0) * 16  # twice the smallest normal
    low = 0.0
    while low <= MATCHED:
        inside = [x for x in levels if low <= x < edge]
        exact = sum(_is_code(x) for x in inside)
        yield {
            "panel": "binades",
            "low": low,
            "high": edge,
            "levels": len(inside),
            "exact": exact,
        }
        low, edge = edge, 2 * edge


def _is_code(x: float) -> bool:
    return x.is_integer() and abs(x) <= Integer(8).max_code


def _shares() -> Iterator[Row]:
    for top in TOPS:
        grid = _grid(top)
        values = grid.points.tolist()
        start = min(
            (s.start for s in grid.segments if s.start >= 0 and s.step >= 1), default=float(top)
        )
        per_std = top / optimal_scale(FLOATING, Gaussian()).max_value
        exact = sum(map(_is_code, values))
        yield {
            "panel": "shares",
            "top": top,
            "start": start,
            "of_range": (top - start) / top,
            "exact_values": exact,
            "values": len(values),
            "of_values": exact / len(values),
            "of_gaussian_data": 2 * float(Gaussian().cdf(-start / per_std)),
        }


STUDIES.register(
    "int8-fig9",
    Study(
        "What INT8 represents exactly of FP8-E4, by range, by value and by data",
        "van Baalen et al. 2023, figure 9",
        data,
        "3M4E with its largest level at an integer: which of its levels are codes of INT8. "
        "(a) Level by level, by binade of |x| in steps of INT8. (b) Three ways to count what "
        "is exact: the range, the distinct values and Gaussian data at the best range.",
    ),
)
