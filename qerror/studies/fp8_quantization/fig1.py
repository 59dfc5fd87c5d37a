"""Kuzmin et al. 2022, figure 1: the grids of the formats and how densely their values lie."""

from collections.abc import Iterator

from qerror.formats import as_scalar_format
from qerror.reporting import Document, Row
from qerror.studies.eight_bits import EIGHT_BITS
from qerror.studies.study import STUDIES, Study, figure_data


def data() -> Document:
    """Return levels >= 0 and, per run of equal steps, the share of them per unit.

    Everything is divided by the format's largest level; the shares of a format integrate to 1.
    """
    rows = [row for name in EIGHT_BITS for row in (*_levels(name), *_densities(name))]
    return figure_data({"formats": list(EIGHT_BITS)}, rows)


def _levels(name: str) -> Iterator[Row]:
    grid = as_scalar_format(name).grid()
    for x in grid.points.tolist():
        if x >= 0:
            yield {"panel": "levels", "format": name, "level": x / grid.max}


def _densities(name: str) -> Iterator[Row]:
    grid = as_scalar_format(name).grid()
    levels = sum(x > 0 for x in grid.points.tolist())
    for segment in grid.segments:
        if segment.stop > 0:
            yield {
                "panel": "density",
                "format": name,
                "low": max(segment.start, 0.0) / grid.max,
                "high": segment.stop / grid.max,
                "step": segment.step / grid.max,
                "share_per_unit": grid.max / segment.step / levels,
            }


STUDIES.register(
    "fp8-fig1",
    Study(
        "Grids of 8-bit formats and the density of their levels",
        "Kuzmin et al. 2022, figure 1",
        data,
        "(a) The levels from 0 up of each 8-bit format, divided by its largest level. (b) How "
        "densely they lie: the share of the positive levels per unit of value, one step a "
        "binade. Integers spread theirs evenly; each exponent bit moves half of the levels "
        "towards zero and squares the dynamic range.",
    ),
)
