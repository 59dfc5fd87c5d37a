"""Kuzmin et al. 2022, figure 7: the SQNR of products over pairs of formats."""

from collections.abc import Iterator
from functools import cache

from qerror.analysis import ErrorReport, scalar_product_error
from qerror.densities import Density, Gaussian, StudentT, density_name
from qerror.optimize import optimal_scale
from qerror.reporting import Document, Row
from qerror.studies.eight_bits import EIGHT_BITS
from qerror.studies.study import STUDIES, Study, figure_data

PAIRS: tuple[tuple[Density, Density], ...] = (
    (Gaussian(), Gaussian()),
    (Gaussian(), StudentT(3)),
)
"""Densities of weights and activations. Their spreads do not matter: every range follows."""


def data() -> Document:
    """Return the SQNR of w x for all pairs of formats, each side at its best range."""
    return figure_data({"formats": list(EIGHT_BITS), "length": 1}, _rows())


def _rows() -> Iterator[Row]:
    @cache
    def side(name: str, density: Density) -> ErrorReport[float]:
        return optimal_scale(name, density).report

    for weight_density, activation_density in PAIRS:
        for weight in EIGHT_BITS:
            for activation in EIGHT_BITS:
                found = scalar_product_error(
                    side(weight, weight_density), side(activation, activation_density)
                )
                yield {
                    "weight_density": density_name(weight_density),
                    "activation_density": density_name(activation_density),
                    "weight": weight,
                    "activation": activation,
                    "mse": found.mse,
                    "sqnr_db": found.sqnr_db,
                }


STUDIES.register(
    "fp8-fig7",
    Study(
        "SQNR of a product over pairs of 8-bit formats",
        "Kuzmin et al. 2022, figure 7",
        data,
        "SQNR in dB of the product w x of two independent factors, each at the best range of "
        "its format, on one colour scale: (a) both Gaussian, (b) w Gaussian and x Student-t "
        "with 3 degrees of freedom. Black frames mark the best pair.",
    ),
)
