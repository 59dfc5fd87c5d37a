"""Densities fitted to data by maximum likelihood."""

from qerror.fitting.fit import Candidate as Candidate
from qerror.fitting.fit import FitResult as FitResult
from qerror.fitting.fit import fit as fit
from qerror.fitting.fit import fit_parts as fit_parts
