"""Sampled errors and array quantizers: an independent judge of the analysis."""

from qerror.simulation._rules import OVERFLOWS as OVERFLOWS
from qerror.simulation._rules import ROUNDINGS as ROUNDINGS
from qerror.simulation.codes import decode as decode
from qerror.simulation.codes import encode as encode
from qerror.simulation.estimate import Estimate as Estimate
from qerror.simulation.estimate import TruncatedEstimate as TruncatedEstimate
from qerror.simulation.estimate import estimate_error as estimate_error
from qerror.simulation.rounding import quantize as quantize
