"""Kuzmin et al. 2022, figure 3: the SQNR of 8-bit formats on ever heavier tails."""

# matplotlib leaves its keyword arguments untyped.
# pyright: reportUnknownMemberType=false

from collections.abc import Iterator

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter, StrMethodFormatter

from qerror.densities import Density, Gaussian, StudentT, Uniform, density_name
from qerror.optimize import optimal_scale
from qerror.plotting.papers._figure import (
    EIGHT_BITS,
    FIGURES,
    PaperFigure,
    canvas,
    curve,
    figure_data,
    format_index,
    grouped_bars,
    select,
)
from qerror.reporting import Document, Row

DENSITIES: tuple[Density, ...] = (
    Uniform(-1, 1),
    Gaussian(),
    StudentT(8),
    StudentT(5),
    StudentT(3),
)
_NUS = tuple(float(f"{nu:.6g}") for nu in np.geomspace(2.2, 100, 36))


def data() -> Document:
    """Return the SQNR of every format at its best range, densities not clipped.

    INT8 is -127..127; INT8:full, -128..127, is the grid of the paper's own code.
    """
    rows = [
        _row("bars", density, name) for density in DENSITIES for name in ("INT8:full", *EIGHT_BITS)
    ]
    return figure_data({"formats": list(EIGHT_BITS)}, [*rows, *_swept()])


def _swept() -> Iterator[Row]:
    for nu in _NUS:
        for name in EIGHT_BITS:
            yield _row("nu", StudentT(nu), name) | {"nu": nu}


def _row(panel: str, density: Density, name: str) -> dict[str, object]:
    best = optimal_scale(name, density)
    return {
        "panel": panel,
        "density": density_name(density),
        "format": name,
        "max_value": best.max_value,
        "sqnr_db": best.report.sqnr_db,
    }


def draw(document: Document) -> Figure:
    """Draw bars for a few densities, and curves over Student-t's degrees of freedom."""
    figure = canvas(12.5, 4.4)
    left, right = figure.subplots(1, 2, width_ratios=(1.5, 1))
    bars = select(document, panel="bars")
    labels = ("uniform", "Gaussian", "t(8)", "t(5)", "t(3)")
    grouped_bars(left, bars, group="density", member="format", value="sqnr_db")
    left.set_xticks(range(len(labels)), labels)
    left.set_ylabel("SQNR in dB")
    left.set_title("each format at its best range", fontsize=10)
    left.legend(ncols=3, loc="upper right", fontsize=8)
    left.set_ylim(0, 66)
    for name in EIGHT_BITS:
        rows = select(document, panel="nu", format=name)
        curve(right, rows, "nu", "sqnr_db", index=format_index(name), label=name)
    right.set_xscale("log")
    right.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    right.xaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
    right.xaxis.set_minor_formatter(NullFormatter())
    right.set_xlabel("degrees of freedom of Student's t")
    right.set_ylabel("SQNR in dB")
    right.set_title("Student-t data", fontsize=10)
    right.legend(handlelength=3.5, fontsize=8)
    return figure


FIGURES.register(
    "fp8-fig3",
    PaperFigure(
        "SQNR of 8-bit formats on uniform, Gaussian and Student-t data",
        "Kuzmin et al. 2022, figure 3",
        data,
        draw,
    ),
)
