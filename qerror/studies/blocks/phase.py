"""Rules for scales that are powers of two, against where the spread lies between two powers."""

from collections.abc import Iterator

import numpy as np

from qerror.reporting import Document, Row
from qerror.studies.blocks.measures import sqnr_db
from qerror.studies.study import STUDIES, Study, figure_data

DENSITIES = ("gaussian", "student-t(nu=5)")
RULES = ("floor", "ceil", "rceil", "even")
_PHASES = np.arange(33) / 32


def data() -> Document:
    """Return the SQNR of MXFP4 by rule over the binary logarithm of the spread."""
    return figure_data({"format": "MXFP4", "rules": list(RULES)}, _rows())


def _rows() -> Iterator[Row]:
    for density in DENSITIES:
        for rule in RULES:
            for phase in _PHASES.tolist():
                yield {
                    "density": density,
                    "rule": rule,
                    "log2_scale": phase,
                    "sqnr_db": sqnr_db(f"mxfp4:{rule}", density, 2.0**phase),
                }


STUDIES.register(
    "blocks-phase",
    Study(
        "Scale rules of MXFP4 against the phase of the spread",
        "our own",
        data,
        "SQNR of MXFP4, blocks of 32, under four rules for its power-of-two scale, over the "
        "binary logarithm of the scale parameter of the density (on the Gaussian its standard "
        "deviation): (a) Gaussian, (b) Student-t with 5 degrees of freedom. Every other binade "
        "repeats this one.",
    ),
)
