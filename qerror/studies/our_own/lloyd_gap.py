"""How far every format stays from the best quantizer, and from Shannon's bound."""

import math
from collections.abc import Iterator

from qerror.codebooks import lloyd_max, shannon_bound
from qerror.densities import Density, Gaussian, Laplace, StudentT, Uniform, density_name
from qerror.optimize import optimal_scale
from qerror.reporting import Document, Row
from qerror.studies.eight_bits import EIGHT_BITS
from qerror.studies.study import STUDIES, Study, figure_data

BITS = 8
DENSITIES: tuple[Density, ...] = (
    Uniform(-1, 1),
    Gaussian(),
    Laplace(),
    StudentT(5),
    StudentT(3),
)


def data() -> Document:
    """Return, at the best ranges, the MSE above Lloyd-Max of 256 levels and above Shannon's bound.

    The bound, at 8 bits per value, is tight for the Gaussian alone; elsewhere it is a lower one.
    """
    return figure_data({"bits": BITS, "formats": list(EIGHT_BITS)}, _rows())


def _rows() -> Iterator[Row]:
    for density in DENSITIES:
        least, bound = lloyd_max(density, 2**BITS).report.mse, shannon_bound(density, BITS)
        for name in EIGHT_BITS:
            mse = optimal_scale(name, density).report.mse
            yield {
                "density": density_name(density),
                "format": name,
                "mse": mse,
                "lloyd_max": least,
                "shannon": bound,
                "above_lloyd_max_db": 10 * math.log10(mse / least),
                "above_shannon_db": 10 * math.log10(mse / bound),
            }


STUDIES.register(
    "lloyd-gap",
    Study(
        "Distance of 8-bit formats to Lloyd-Max and to Shannon's bound",
        "our own",
        data,
        "By how many dB the mean squared error of each format at its best range exceeds (a) "
        "that of the best quantizer of 256 levels (Lloyd-Max) and (b) Shannon's bound at 8 "
        "bits, which is tight for the Gaussian alone.",
    ),
)
