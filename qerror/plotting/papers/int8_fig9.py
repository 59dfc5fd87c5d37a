"""Van Baalen et al. 2023, figure 9: what INT8 represents exactly of FP8 with 4 exponent bits."""

# matplotlib leaves its keyword arguments untyped.
# pyright: reportUnknownMemberType=false

import math
from collections.abc import Iterator

from matplotlib.figure import Figure

from qerror.densities import Gaussian
from qerror.formats import Integer, as_scalar_format
from qerror.grids import Grid
from qerror.optimize import optimal_scale
from qerror.plotting.papers._figure import (
    FIGURES,
    PaperFigure,
    canvas,
    column,
    figure_data,
    fill,
    select,
)
from qerror.reporting import Document, Row

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


def draw(document: Document) -> Figure:
    """Draw the levels binade by binade, and the three ways to count."""
    figure = canvas(11, 4.2)
    left, right = figure.subplots(1, 2)
    rows = select(document, panel="binades")
    exact, levels = column(rows, "exact"), column(rows, "levels")
    places = range(len(rows))
    left.bar(places, exact, label="an INT8 code", **fill(0))
    rest = [n - k for n, k in zip(levels, exact, strict=True)]
    left.bar(places, rest, bottom=exact, label="between two codes", **fill(1))
    left.set_xticks(places, [_power(low) for low in column(rows, "low")], fontsize=9)
    left.set_xlabel("lower end of the binade of |x|, in steps of INT8")
    left.set_ylabel("levels of 3M4E")
    left.set_title(f"3M4E with its largest level at {MATCHED}")
    left.legend(fontsize=8)
    shares = select(document, panel="shares")
    kinds = {
        "of_range": "of the range",
        "of_values": "of the distinct values",
        "of_gaussian_data": "of Gaussian data at the best range",
    }
    for i, (key, label) in enumerate(kinds.items()):
        x = [k + 0.27 * (i - 1) for k in range(len(shares))]
        heights = [100 * share for share in column(shares, key)]
        right.bar(x, heights, 0.27, label=label, **fill(i))
        for place, height in zip(x, heights, strict=True):
            right.annotate(
                f"{height:.3g}" if height >= 0.01 else "<0.01",
                (place, height),
                xytext=(0 if height >= 0.01 else 3, 2),
                textcoords="offset points",
                ha="center",
                fontsize=8,
            )
    right.set_xticks(range(len(shares)), [f"{top:g}" for top in column(shares, "top")])
    right.set_ylim(0, 125)
    right.grid(visible=False, axis="x")
    right.set_xlabel("integer at which the largest level stands")
    right.set_ylabel("exact in INT8, in %")
    right.set_title("three ways to count")
    right.legend(fontsize=8, loc="upper left")
    return figure


def _power(x: float) -> str:
    return f"$2^{{{math.frexp(x)[1] - 1}}}$" if x else "0"


FIGURES.register(
    "int8-fig9",
    PaperFigure(
        "What INT8 represents exactly of FP8-E4, by range, by value and by data",
        "van Baalen et al. 2023, figure 9",
        data,
        draw,
    ),
)
