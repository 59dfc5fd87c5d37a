"""The exact cost of a number format on a density: rounding, clipping, SQNR."""

from qerror.analysis import ErrorReport as ErrorReport
from qerror.analysis import ScalarProductReport as ScalarProductReport
from qerror.analysis import quantization_error as quantization_error
from qerror.analysis import scalar_product_error as scalar_product_error
from qerror.densities import Clipped as Clipped
from qerror.densities import Density as Density
from qerror.densities import Discrete as Discrete
from qerror.densities import FromScipy as FromScipy
from qerror.densities import Gaussian as Gaussian
from qerror.densities import GeneralizedGaussian as GeneralizedGaussian
from qerror.densities import HalfGaussian as HalfGaussian
from qerror.densities import Laplace as Laplace
from qerror.densities import Logistic as Logistic
from qerror.densities import Mixture as Mixture
from qerror.densities import Rectified as Rectified
from qerror.densities import StudentT as StudentT
from qerror.densities import Truncated as Truncated
from qerror.densities import Uniform as Uniform
from qerror.densities import parse_density as parse_density
from qerror.exceptions import QErrorException as QErrorException
from qerror.formats import Codebook as Codebook
from qerror.formats import FixedPoint as FixedPoint
from qerror.formats import FloatingPoint as FloatingPoint
from qerror.formats import Format as Format
from qerror.formats import Integer as Integer
from qerror.formats import parse_format as parse_format
from qerror.grids import Grid as Grid
from qerror.optimize import LloydMax as LloydMax
from qerror.optimize import OptimalScale as OptimalScale
from qerror.optimize import format_switches as format_switches
from qerror.optimize import fractional_length_constant as fractional_length_constant
from qerror.optimize import lloyd_max as lloyd_max
from qerror.optimize import optimal_format as optimal_format
from qerror.optimize import optimal_fractional_length as optimal_fractional_length
from qerror.optimize import optimal_scale as optimal_scale
from qerror.optimize import panter_dite as panter_dite
from qerror.optimize import shannon_bound as shannon_bound
from qerror.sweep import SweepResult as SweepResult
from qerror.sweep import sweep as sweep

__version__ = "0.1.0"
