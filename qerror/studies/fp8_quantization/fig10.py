"""Kuzmin et al. 2022, figure 10: the best exponent width as the min-max range grows."""

from collections.abc import Iterator

import numpy as np

from qerror.analysis import quantization_error
from qerror.densities import Clipped, StudentT
from qerror.formats import FloatingPoint, Format, as_scalar_format
from qerror.optimize import format_switches
from qerror.reporting import Document, Row
from qerror.studies.eight_bits import EIGHT_BITS
from qerror.studies.study import STUDIES, Study, figure_data

FORMATS = (*EIGHT_BITS, "1M6E")
NUS = (2.0, 3.0, 5.0, 10.0)
SHOWN = 2.0
"""Degrees of freedom of the curves. The published text does not say which the paper took."""
LOW, HIGH = 0.5, 1e6


def data() -> Document:
    """Return SQNR over r of t(nu) clipped to [-r, r] at largest level r, and the switches.

    - panel "curves": t(2), every format.
    - panel "switches": per nu, where the best format changes; "exponent_bits" above and below,
      0 for INT8.
    """
    return figure_data({"nus": list(NUS), "formats": list(FORMATS)}, [*_curves(), *_switches()])


def _curves() -> Iterator[Row]:
    for r in (float(f"{r:.6g}") for r in np.geomspace(1, HIGH, 61)):
        density = Clipped(StudentT(SHOWN), -r, r)
        for name in FORMATS:
            form = as_scalar_format(name)
            report = quantization_error(form, density, form.scale_for(r))
            yield {
                "panel": "curves",
                "nu": SHOWN,
                "r": r,
                "format": name,
                "sqnr_db": report.sqnr_db,
            }


def _switches() -> Iterator[Row]:
    for nu in NUS:
        for switch in format_switches(list(FORMATS), StudentT(nu), "range", LOW, HIGH).switches:
            yield {
                "panel": "switches",
                "nu": nu,
                "r": switch.value,
                "format": switch.above.name,
                "exponent_bits_below": _exponent_bits(switch.below),
                "exponent_bits_above": _exponent_bits(switch.above),
            }


def _exponent_bits(form: Format) -> int:
    return form.exponent_bits if isinstance(form, FloatingPoint) else 0


STUDIES.register(
    "fp8-fig10",
    Study(
        "Best exponent width of 8-bit formats as the min-max range of Student-t data grows",
        "Kuzmin et al. 2022, figure 10",
        data,
        "(a) SQNR on Student-t data with 2 degrees of freedom, clipped at r, where every "
        "format has its largest level at r. (b) The best number of exponent bits by degrees "
        "of freedom nu; markers are the exact switches, and curves are shifted by up to 0.09 "
        "so that all can be seen.",
    ),
)
