"""Kuzmin et al. 2022, figure 3: the SQNR of 8-bit formats on ever heavier tails."""

import csv
import math
from collections.abc import Iterator
from importlib import resources

import numpy as np

from qerror._arrays import FloatArray, read_only
from qerror.densities import Density, Empirical, Gaussian, StudentT, Uniform, density_name
from qerror.optimize import optimal_scale
from qerror.reporting import Document, Row
from qerror.studies.eight_bits import EIGHT_BITS
from qerror.studies.study import STUDIES, Study, figure_data

DENSITIES: tuple[Density, ...] = (
    Uniform(-1, 1),
    Gaussian(),
    StudentT(8),
    StudentT(5),
    StudentT(3),
)
_ROOM = "qerror.studies.fp8_quantization"
# Even in log(nu - 2): at 2 the variance is infinite, and towards it the curves are steep.
_NUS = tuple(float(f"{2 + above:.6g}") for above in np.geomspace(0.2, 98, 41))


def data() -> Document:
    """Return the SQNR of every format at its best range, densities not clipped.

    INT8 is -127..127; INT8:full, -128..127, is the grid of the paper's own code.
    """
    rows = [
        _row("bars", density, name) for density in DENSITIES for name in ("INT8:full", *EIGHT_BITS)
    ]
    return figure_data({"formats": list(EIGHT_BITS)}, [*rows, *_swept(), *_of_layer()])


def _swept() -> Iterator[Row]:
    for nu in _NUS:
        for name in EIGHT_BITS:
            yield _row("nu", StudentT(nu), name) | {"nu": nu}


def _of_layer() -> Iterator[Row]:
    """Yield the SQNR on a layer's values, and on the Gaussian of their mean and deviation."""
    for kind, values in layer_values().items():
        own = Empirical(values)
        gaussian = Gaussian(own.mean, math.sqrt(own.variance))
        for name in EIGHT_BITS:
            on_gaussian = optimal_scale(name, gaussian).report.sqnr_db
            row = _row("layer", own, name) | {"gaussian_db": on_gaussian}
            yield row | {"density": kind}


def layer_values() -> dict[str, FloatArray]:
    """Return the values of a layer of EfficientNet-Lite0, a network trained on ImageNet.

    "weights" are all 3,456 of the convolution that widens the third block (24 to 144 channels),
    "inputs" 2,048 of its input on photographs. ``python -m figures.make_layer`` wrote them.
    """
    found: dict[str, list[float]] = {}
    with resources.files(_ROOM).joinpath("layer.csv").open(encoding="utf-8") as file:
        for row in csv.DictReader(file):
            found.setdefault(row["of"], []).append(float(np.float32(row["value"])))
    return {kind: read_only(np.array(values)) for kind, values in found.items()}


def _row(panel: str, density: Density, name: str) -> dict[str, object]:
    best = optimal_scale(name, density)
    return {
        "panel": panel,
        "density": density_name(density),
        "format": name,
        "max_value": best.max_value,
        "sqnr_db": best.report.sqnr_db,
    }


STUDIES.register(
    "fp8-fig3",
    Study(
        "SQNR of 8-bit formats on uniform, Gaussian and Student-t data",
        "Kuzmin et al. 2022, figure 3",
        data,
        "(a) SQNR of five formats at their best ranges on ever heavier tails. The grid of the "
        "paper's code, INT8:full (-128..127), is in the data; it is up to 0.07 dB above INT8, too "
        "little to be seen. (b) The same over the degrees of "
        "freedom of Student's t: the best format changes at nu = 7.20, 3.50 and 2.57. The "
        "curves stop at 2.2, for at 2 the variance is infinite. (c) A layer of a network trained "
        "on ImageNet, EfficientNet-Lite0 (the convolution that widens the third block): all of its "
        "weights, and 2,048 of its inputs on photographs. Bars are exact for these values, each "
        "format at its best range; lines for the Gaussian of the same mean and variance.",
    ),
)
