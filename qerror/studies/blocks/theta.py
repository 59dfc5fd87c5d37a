"""The threshold at which a power-of-two scale doubles, and where the rules of tools put it."""

from collections.abc import Iterator

import numpy as np

from qerror._arrays import FrozenMapping
from qerror.formats import BlockFormat, PowerOfTwo, parse_format
from qerror.reporting import Document, Row
from qerror.studies.blocks.measures import mean_sqnr_db
from qerror.studies.study import STUDIES, Study, figure_data

FORMATS = FrozenMapping({"mxfp4": 6.0, "mxfp6_e2m3": 7.5})
"""The formats and the largest level of their elements."""
DENSITIES = ("gaussian", "student-t(nu=3)")
RULES = ("floor", "ceil", "rceil", "even")
_SHARES = np.exp2(np.linspace(-2, -0.5, 17))  # of the largest level: 0.25 to 0.71


def data() -> Document:
    """Return the SQNR over theta / (largest level), as the mean over the spreads of a binade.

    The scale is 2^k while a block's largest magnitude lies in theta [2^k, 2^(k+1)); panel "rule"
    has the thresholds that have names.
    """
    return figure_data({"formats": list(FORMATS)}, [*_curves(), *_rules()])


def _curves() -> Iterator[Row]:
    for name, top in FORMATS.items():
        for density in DENSITIES:
            for share in _SHARES.tolist():
                yield {
                    "panel": "curve",
                    "format": name,
                    "density": density,
                    "share": share,
                    "sqnr_db": mean_sqnr_db(f"{name}:theta={share * top!r}", density),
                }


def _rules() -> Iterator[Row]:
    for name, top in FORMATS.items():
        for rule in RULES:
            for density in DENSITIES:
                yield {
                    "panel": "rule",
                    "format": name,
                    "density": density,
                    "rule": rule,
                    "share": _theta(f"{name}:{rule}") / top,
                    "sqnr_db": mean_sqnr_db(f"{name}:{rule}", density),
                }


def _theta(name: str) -> float:
    form = parse_format(name)
    assert isinstance(form, BlockFormat)
    assert isinstance(form.scale, PowerOfTwo)
    return form.scale.theta_for(form.element)


STUDIES.register(
    "blocks-theta",
    Study(
        "SQNR of MX formats against the threshold of their scales",
        "our own",
        data,
        "The scale of a block is 2^k while its largest magnitude lies between theta 2^k and "
        "theta 2^(k+1). SQNR over theta, in units of the element's largest level, as the mean over "
        "the spreads of one binade: (a) MXFP4, (b) MXFP6 with E2M3, blocks of 32. Vertical lines "
        "are the rules that tools have. Left of 1/2 a bit of the range is never used; right of it "
        "the largest values are clipped, which pays a little.",
    ),
)
