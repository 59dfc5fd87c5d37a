"""Kuzmin et al. 2022, figure 8: analytic against simulated errors, with error bars."""

from collections.abc import Iterator

import numpy as np

from qerror.densities import Density, Gaussian, StudentT, Uniform, density_name
from qerror.optimize import optimal_scale
from qerror.reporting import Document, Row
from qerror.simulation import estimate_error
from qerror.studies.eight_bits import EIGHT_BITS
from qerror.studies.study import STUDIES, Study, figure_data

SIZE = 1_000_000
SEED = 2208
DENSITIES: tuple[Density, ...] = (Uniform(-1, 1), Gaussian(), StudentT(8))
"""Those of the paper's code. All have a finite fourth moment, so the error bars are honest."""


def data() -> Document:
    """Return exact and sampled SQNR at the best ranges, with standard errors of the samples.

    Where a row is not "settled" a few samples carry the error, and with it its standard error:
    then even a million samples do not say how far off they are.
    """
    return figure_data({"size": SIZE, "seed": SEED}, _rows())


def _rows() -> Iterator[Row]:
    for row, density in enumerate(DENSITIES):
        for place, name in enumerate(EIGHT_BITS):
            best = optimal_scale(name, density)
            rng = np.random.default_rng([SEED, row, place])
            found = estimate_error(name, density, scale=best.scale, size=SIZE, rng=rng)
            error = found.standard_error.sqnr_db
            yield {
                "density": density_name(density),
                "format": name,
                "exact_db": best.report.sqnr_db,
                "sampled_db": found.sqnr_db,
                "standard_error_db": error,
                "z": (found.sqnr_db - best.report.sqnr_db) / error,
                "settled": found.settled["sqnr_db"],
            }


STUDIES.register(
    "fp8-fig8",
    Study(
        "Exact against simulated SQNR, with standard errors",
        "Kuzmin et al. 2022, figure 8",
        data,
        "The SQNR of a million samples less the exact one, with two standard errors either "
        "way; each format at its best range. The axis is even up to 0.01 dB and logarithmic "
        "beyond. Hollow: a handful of samples carry the error, so that the standard error "
        "itself is uncertain.",
    ),
)
