"""Densities fitted to data by maximum likelihood, one family a file."""

from qerror.fitting import gaussian as gaussian
from qerror.fitting import generalized_gaussian as generalized_gaussian
from qerror.fitting import half_gaussian as half_gaussian
from qerror.fitting import laplace as laplace
from qerror.fitting import logistic as logistic
from qerror.fitting import student_t as student_t
from qerror.fitting import uniform as uniform
from qerror.fitting.channel_lattice import ChannelLattices as ChannelLattices
from qerror.fitting.channels import ChannelSpread as ChannelSpread
from qerror.fitting.channels import Layout as Layout
from qerror.fitting.counted import fit_counted as fit_counted
from qerror.fitting.fit import fit as fit
from qerror.fitting.fit import fit_parts as fit_parts
from qerror.fitting.lattice import Lattice as Lattice
from qerror.fitting.result import Candidate as Candidate
from qerror.fitting.result import FitResult as FitResult
from qerror.fitting.summary import Summary as Summary
from qerror.fitting.summary import Unit as Unit
