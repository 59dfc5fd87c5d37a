"""Van Baalen et al. 2023, figure 5: effective bits, beside the values read off their figure."""

# matplotlib leaves its keyword arguments untyped.
# pyright: reportUnknownMemberType=false

import math
from collections.abc import Iterator

from matplotlib.figure import Figure

from qerror.codebooks import lloyd_max, panter_dite
from qerror.densities import Density, Gaussian, StudentT, Uniform, density_name
from qerror.optimize import optimal_scale
from qerror.plotting._style import COLORS
from qerror.plotting.papers._figure import (
    EIGHT_BITS,
    FIGURES,
    PaperFigure,
    canvas,
    column,
    figure_data,
    grouped_bars,
    select,
)
from qerror.reporting import Document, Row

LEVELS = 256
ACCURACY = 0.03
"""To how many bits their figure can be read."""
READ: tuple[tuple[Density, tuple[float, ...], float], ...] = (
    (Uniform(-1, 1), (7.99, 7.34, 6.42, 5.44, 4.46), 7.99),
    (Gaussian(), (6.72, 7.08, 6.24, 5.23, 4.24), 7.27),
    (StudentT(3), (2.88, 3.21, 4.19, 5.16, 4.24), 5.82),
)
"""Read off their figure: INT8, E2, E3, E4, E5, and the dotted line."""


def data() -> Document:
    """Return log2(std / RMSE) at the best range, what was read, and whether the two agree.

    The dotted line of the figure, called Lloyd-Max there, is compared with Panter and Dite's
    asymptote; the true best quantizer of 256 levels stands in a row of its own.
    """
    return figure_data({"levels": LEVELS, "accuracy": ACCURACY}, _rows())


def _rows() -> Iterator[Row]:
    for density, read, dotted in READ:
        for name, each in zip(EIGHT_BITS, read, strict=True):
            yield _row(density, name, optimal_scale(name, density).report.mse, each)
        yield _row(density, "Panter-Dite", panter_dite(density, LEVELS), dotted)
        yield _row(density, "Lloyd-Max", lloyd_max(density, LEVELS).report.mse, None)


def _row(density: Density, name: str, mse: float, read: float | None) -> Row:
    bits = 0.5 * math.log2(density.variance / mse)
    return {
        "density": density_name(density),
        "format": name,
        "bits": bits,
        "read": read,
        "difference": None if read is None else read - bits,
        "agrees": None if read is None else abs(read - bits) <= ACCURACY,
    }


def draw(document: Document) -> Figure:
    """Draw bars of effective bits, the values read as strokes, the limits as lines."""
    figure = canvas(11, 4.8)
    ax = figure.subplots()
    bars = [row for row in document.rows if row["format"] in EIGHT_BITS]
    grouped_bars(ax, bars, group="density", member="format", value="bits", digits=3, inside=True)
    width = 0.84 / len(EIGHT_BITS)
    label: str | None = "read off the paper's figure"
    for i, name in enumerate(EIGHT_BITS):
        for group, row in enumerate(select(document, format=name)):
            place, (read,) = group + (i + 0.5) * width - 0.42, column([row], "read")
            ax.plot([place - 0.07, place + 0.07], [read, read], color="black", lw=2, label=label)
            label = None
            if not row["agrees"]:
                ax.annotate(
                    f"paper: {read}", (place, read), xytext=(place + 0.02, 9.15), ha="center",
                    fontsize=8, arrowprops={"arrowstyle": "->", "color": COLORS[4]},
                )  # fmt: skip
    for name, dash in (("Lloyd-Max", "-"), ("Panter-Dite", ":")):
        for group, row in enumerate(select(document, format=name)):
            (bits,) = column([row], "bits")
            ends = [group - 0.47, group + 0.47]
            shown = f"{name}, {LEVELS} levels" if group == 0 else None
            ax.plot(ends, [bits, bits], dash, color="black", linewidth=1.2, label=shown)
    ax.set_xticks(range(3), ["uniform", "Gaussian", "t(3)"])
    ax.set_ylabel("effective bits: log2(std / RMSE)")
    ax.set_ylim(0, 9.8)
    ax.legend(fontsize=8, ncols=2, loc="upper right")
    return figure


FIGURES.register(
    "int8-fig5",
    PaperFigure(
        "Effective bits of 8-bit formats, with the values read off the paper's figure",
        "van Baalen et al. 2023, figure 5",
        data,
        draw,
    ),
)
