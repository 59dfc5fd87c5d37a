"""Figures with a proof, with any number of digits, and as formulas."""

from qerror.rigorous.enclosure import EnclosureReport as EnclosureReport
from qerror.rigorous.enclosure import Interval as Interval
from qerror.rigorous.enclosure import enclosure as enclosure
from qerror.rigorous.high_precision import HighPrecisionReport as HighPrecisionReport
from qerror.rigorous.high_precision import high_precision as high_precision
