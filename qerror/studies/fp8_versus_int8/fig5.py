"""Van Baalen et al. 2023, figure 5: effective bits, beside the values read off their figure."""

import math
from collections.abc import Iterator

from qerror.codebooks import lloyd_max, panter_dite
from qerror.densities import Density, Gaussian, StudentT, Uniform, density_name
from qerror.optimize import optimal_scale
from qerror.reporting import Document, Row
from qerror.studies.eight_bits import EIGHT_BITS
from qerror.studies.study import STUDIES, Study, figure_data

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


STUDIES.register(
    "int8-fig5",
    Study(
        "Effective bits of 8-bit formats, with the values read off the paper's figure",
        "van Baalen et al. 2023, figure 5",
        data,
        "Effective bits, log2(std / RMSE), at the best range of each format (bars), as read "
        "off the paper's figure (strokes), and for the best quantizer of 256 levels. The line "
        "that the paper calls Lloyd-Max follows Panter and Dite's asymptote, which 256 levels "
        "exceed on heavy tails. One bar of the paper is drawn too short.",
    ),
)
