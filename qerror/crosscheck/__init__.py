"""The analysis against the simulation: exact figures, sampled figures, and how far apart."""

from qerror.crosscheck._chi_square import chi_square_p as chi_square_p
from qerror.crosscheck.check import LEAST_P as LEAST_P
from qerror.crosscheck.check import LEAST_TOTAL_P as LEAST_TOTAL_P
from qerror.crosscheck.check import MOST_Z as MOST_Z
from qerror.crosscheck.check import CrossCheck as CrossCheck
from qerror.crosscheck.check import cross_check as cross_check
from qerror.crosscheck.check import total_p as total_p
from qerror.crosscheck.expected import expected_measure as expected_measure
from qerror.crosscheck.judgement import Judgement as Judgement
from qerror.crosscheck.pairs import Pair as Pair
from qerror.crosscheck.pairs import telling_scale as telling_scale
from qerror.crosscheck.pairs import verify as verify
