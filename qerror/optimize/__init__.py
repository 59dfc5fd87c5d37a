"""Searching: best ranges, best formats, the limits of any quantizer."""

from qerror.optimize.scale import LocalMinimum as LocalMinimum
from qerror.optimize.scale import OptimalScale as OptimalScale
from qerror.optimize.scale import optimal_scale as optimal_scale
