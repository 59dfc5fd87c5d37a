"""Block formats of equal cost on three densities."""

from collections.abc import Iterator

from qerror._arrays import FrozenMapping
from qerror.reporting import Document, Row
from qerror.studies.blocks.measures import DENSITIES, cost, mean_sqnr_db, sqnr_db
from qerror.studies.study import STUDIES, Study, figure_data

COSTS = FrozenMapping(
    {
        4.25: FrozenMapping(
            {
                "MXFP4 floor": "mxfp4",
                "MXFP4 even": "mxfp4:even",
                "NF4": "nf4:g64",
                "INT4": "int4:g64",
            }
        ),
        4.5: FrozenMapping(
            {
                "MXFP4 even": "mxfp4:even:n=16",
                "NVFP4": "nvfp4",
                "NF4": "nf4:g32",
                "INT4": "int4:g32",
            }
        ),
    }
)
"""Formats by the bits of a value, their scales included."""


def data() -> Document:
    """Return the SQNR of formats at 4.25 and 4.5 bits; MXFP4 as the mean over a binade."""
    return figure_data({"costs": list(COSTS)}, _rows())


def _rows() -> Iterator[Row]:
    for bits, formats in COSTS.items():
        for density in DENSITIES:
            for label, name in formats.items():
                at = mean_sqnr_db if name.startswith("mx") else sqnr_db
                yield {
                    "bits_per_value": cost(name),
                    "cost": bits,
                    "density": density,
                    "format": label,
                    "name": name,
                    "sqnr_db": at(name, density),
                }


STUDIES.register(
    "blocks-bits",
    Study(
        "SQNR of 4-bit block formats at equal cost",
        "our own",
        data,
        "SQNR of 4-bit block formats on three densities, at equal bits a value, scales included: "
        "(a) 4.25 bits: MXFP4 in blocks of 32, NF4 and INT4 in blocks of 64 with 16-bit scales. "
        "(b) 4.5 bits: MXFP4 and NVFP4 in blocks of 16, NF4 and INT4 in blocks of 32. MXFP4 is the "
        "mean over the spreads of one binade, NVFP4 stands at a tensor scale that suits the data.",
    ),
)
