"""Figures that no paper has."""

from qerror.studies.our_own import accumulators as accumulators
from qerror.studies.our_own import best_format_map as best_format_map
from qerror.studies.our_own import lloyd_gap as lloyd_gap
