"""Whole networks as backends compute them: quantizers by MQBench's graphs, folding, one call."""

from qerror.pytorch.graphs.algorithms import ALGORITHMS as ALGORITHMS
from qerror.pytorch.graphs.algorithms import Algorithm as Algorithm
from qerror.pytorch.graphs.algorithms import check_combination as check_combination
from qerror.pytorch.graphs.declared import Declared as Declared
from qerror.pytorch.graphs.prepare import prepare as prepare
from qerror.pytorch.graphs.prepare import sites_of as sites_of
from qerror.pytorch.graphs.sites import Site as Site
