"""SQNR of 4-bit block formats against the size of the blocks."""

from collections.abc import Iterator

from qerror._arrays import FrozenMapping
from qerror.reporting import Document, Row
from qerror.studies.blocks.measures import cost, mean_sqnr_db, sqnr_db
from qerror.studies.study import STUDIES, Study, figure_data

DENSITIES = ("gaussian", "student-t(nu=5)")
SIZES = tuple(2**k for k in range(2, 11))
FORMATS = FrozenMapping(
    {
        "MXFP4 even": "mxfp4:even:n={}",
        "NVFP4": "nvfp4:n={}",
        "NF4": "nf4:n={}",
        "INT4": "int4:n={}",
    }
)
"""Names of the formats by block size."""
SPREADS = (1.0, 0.02, 0.01, 0.003)
"""Standard deviations at which NVFP4 stands without a tensor scale."""


def data() -> Document:
    """Return the SQNR by block size.

    - panel "formats": on two densities, with the bits of a value; MXFP4 is the mean over the
      spreads of a binade, NVFP4 stands at a tensor scale that suits the data.
    - panel "no tensor scale": NVFP4 on Gaussians so narrow that their scales meet the smallest
      ones of E4M3.
    """
    return figure_data({"sizes": list(SIZES)}, [*_formats(), *_without_tensor_scale()])


def _formats() -> Iterator[Row]:
    for density in DENSITIES:
        for label, pattern in FORMATS.items():
            for size in SIZES:
                name = pattern.format(size)
                at = mean_sqnr_db if name.startswith("mx") else sqnr_db
                yield {
                    "panel": "formats",
                    "density": density,
                    "format": label,
                    "block_size": size,
                    "bits_per_value": cost(name),
                    "sqnr_db": at(name, density),
                }


def _without_tensor_scale() -> Iterator[Row]:
    for std in SPREADS:
        for size in SIZES:
            yield {
                "panel": "no tensor scale",
                "density": "gaussian",
                "format": "NVFP4",
                "std": std,
                "block_size": size,
                "bits_per_value": cost(f"nvfp4:n={size}"),
                "sqnr_db": sqnr_db(f"nvfp4:n={size}", "gaussian", std),
            }


STUDIES.register(
    "blocks-size",
    Study(
        "SQNR of 4-bit block formats against the block size",
        "our own",
        data,
        "SQNR of 4-bit block formats over the block size (a) on a Gaussian, (b) on Student-t data "
        "with 5 degrees of freedom. MXFP4 is the mean over the spreads of one binade; NVFP4 "
        "stands at a tensor scale that suits the data. The bits that smaller blocks cost are in "
        "the data. (c) NVFP4 without a tensor scale on Gaussians of small standard deviation: "
        "the scales of small blocks meet the smallest ones that E4M3 has, and smaller blocks "
        "are worse.",
    ),
)
