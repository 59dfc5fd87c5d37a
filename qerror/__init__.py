"""The exact cost of a number format on a density: rounding, clipping, SQNR."""

from typing import TYPE_CHECKING

from qerror._later import later
from qerror.analysis import BlockErrorReport as BlockErrorReport
from qerror.analysis import ErrorReport as ErrorReport
from qerror.analysis import quantization_error as quantization_error
from qerror.densities import DENSITIES as DENSITIES
from qerror.densities import Arcsine as Arcsine
from qerror.densities import Clipped as Clipped
from qerror.densities import Density as Density
from qerror.densities import Discrete as Discrete
from qerror.densities import Empirical as Empirical
from qerror.densities import FromScipy as FromScipy
from qerror.densities import Gaussian as Gaussian
from qerror.densities import GeneralizedGaussian as GeneralizedGaussian
from qerror.densities import HalfGaussian as HalfGaussian
from qerror.densities import Laplace as Laplace
from qerror.densities import Logistic as Logistic
from qerror.densities import LogUniform as LogUniform
from qerror.densities import Mixture as Mixture
from qerror.densities import Rectified as Rectified
from qerror.densities import StudentT as StudentT
from qerror.densities import Truncated as Truncated
from qerror.densities import Uniform as Uniform
from qerror.densities import parse_density as parse_density
from qerror.exceptions import QErrorException as QErrorException
from qerror.formats import FORMATS as FORMATS
from qerror.formats import Absmax as Absmax
from qerror.formats import Amax as Amax
from qerror.formats import BlockFormat as BlockFormat
from qerror.formats import Codebook as Codebook
from qerror.formats import ExponentOnly as ExponentOnly
from qerror.formats import FixedPoint as FixedPoint
from qerror.formats import FloatingPoint as FloatingPoint
from qerror.formats import Format as Format
from qerror.formats import FourOverSix as FourOverSix
from qerror.formats import Integer as Integer
from qerror.formats import MinMax as MinMax
from qerror.formats import PowerOfTwo as PowerOfTwo
from qerror.formats import ScalarFormat as ScalarFormat
from qerror.formats import ScaleRule as ScaleRule
from qerror.formats import StoredScale as StoredScale
from qerror.formats import parse_format as parse_format
from qerror.formats import parse_formats as parse_formats
from qerror.grids import Grid as Grid
from qerror.optimize import ChannelScales as ChannelScales
from qerror.optimize import OptimalScale as OptimalScale
from qerror.optimize import optimal_scale as optimal_scale
from qerror.sweep import SweepResult as SweepResult
from qerror.sweep import sweep as sweep

if TYPE_CHECKING:
    from qerror.analysis import Bands as Bands
    from qerror.analysis import ErrorDistribution as ErrorDistribution
    from qerror.analysis import ScalarProductReport as ScalarProductReport
    from qerror.analysis import error_distribution as error_distribution
    from qerror.analysis import expected_bands as expected_bands
    from qerror.analysis import scalar_product_error as scalar_product_error
    from qerror.analysis import sqnr_band as sqnr_band
    from qerror.checkpoints import CheckpointReport as CheckpointReport
    from qerror.checkpoints import analyze_checkpoint as analyze_checkpoint
    from qerror.codebooks import LloydMax as LloydMax
    from qerror.codebooks import lloyd_max as lloyd_max
    from qerror.codebooks import panter_dite as panter_dite
    from qerror.codebooks import shannon_bound as shannon_bound
    from qerror.crosscheck import CrossCheck as CrossCheck
    from qerror.crosscheck import cross_check as cross_check
    from qerror.fitting import FitResult as FitResult
    from qerror.fitting import fit as fit
    from qerror.optimize import RangeChoice as RangeChoice
    from qerror.optimize import block_density as block_density
    from qerror.optimize import block_size_for as block_size_for
    from qerror.optimize import compare_ranges as compare_ranges
    from qerror.optimize import format_switches as format_switches
    from qerror.optimize import fractional_length_constant as fractional_length_constant
    from qerror.optimize import optimal_format as optimal_format
    from qerror.optimize import optimal_fractional_length as optimal_fractional_length
    from qerror.optimize import optimal_multiplier as optimal_multiplier
    from qerror.optimize import optimal_threshold as optimal_threshold
    from qerror.optimize import rank_blocks as rank_blocks
    from qerror.simulation import BlockCodes as BlockCodes
    from qerror.simulation import Estimate as Estimate
    from qerror.simulation import decode as decode
    from qerror.simulation import encode as encode
    from qerror.simulation import estimate_error as estimate_error
    from qerror.simulation import quantize as quantize

__version__ = "0.1.0"

_LATER = {
    "analysis": (
        "Bands",
        "ErrorDistribution",
        "ScalarProductReport",
        "error_distribution",
        "expected_bands",
        "scalar_product_error",
        "sqnr_band",
    ),
    "checkpoints": ("CheckpointReport", "analyze_checkpoint"),
    "codebooks": ("LloydMax", "lloyd_max", "panter_dite", "shannon_bound"),
    "crosscheck": ("CrossCheck", "cross_check"),
    "fitting": ("FitResult", "fit"),
    "optimize": (
        "RangeChoice",
        "block_density",
        "block_size_for",
        "compare_ranges",
        "format_switches",
        "fractional_length_constant",
        "optimal_format",
        "optimal_fractional_length",
        "optimal_multiplier",
        "optimal_threshold",
        "rank_blocks",
    ),
    "simulation": ("BlockCodes", "Estimate", "decode", "encode", "estimate_error", "quantize"),
    "storage": (),
}
"""Rooms with their names above: imported when first asked for, as errors and ranges need none."""

__getattr__, __dir__ = later(__name__, _LATER)

__all__ = [name for name in __dir__() if name[0] != "_" and name not in {"TYPE_CHECKING", "later"}]  # pyright: ignore[reportUnsupportedDunderAll]
