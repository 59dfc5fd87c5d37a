"""Probability densities with exact local integrals. One law a file."""

# Members that are known by their import alone.
from qerror.densities import scipy_families as scipy_families
from qerror.densities.arcsine import Arcsine as Arcsine
from qerror.densities.atoms import Atoms as Atoms
from qerror.densities.clipped import Clipped as Clipped
from qerror.densities.density import DENSITIES as DENSITIES
from qerror.densities.density import Affine as Affine
from qerror.densities.density import Density as Density
from qerror.densities.discrete import Discrete as Discrete
from qerror.densities.empirical import Empirical as Empirical
from qerror.densities.from_scipy import FromScipy as FromScipy
from qerror.densities.gaussian import Gaussian as Gaussian
from qerror.densities.generalized_gaussian import GeneralizedGaussian as GeneralizedGaussian
from qerror.densities.half_gaussian import HalfGaussian as HalfGaussian
from qerror.densities.laplace import Laplace as Laplace
from qerror.densities.law import Law as Law
from qerror.densities.law import LocalIntegrals as LocalIntegrals
from qerror.densities.location_scale import LocationScale as LocationScale
from qerror.densities.log_uniform import LogUniform as LogUniform
from qerror.densities.logistic import Logistic as Logistic
from qerror.densities.mixture import Mixture as Mixture
from qerror.densities.names import DensityLike as DensityLike
from qerror.densities.names import as_density as as_density
from qerror.densities.names import density_name as density_name
from qerror.densities.names import parse_density as parse_density
from qerror.densities.piece import Piece as Piece
from qerror.densities.rectified import Rectified as Rectified
from qerror.densities.smooth_law import SmoothLaw as SmoothLaw
from qerror.densities.student_t import StudentT as StudentT
from qerror.densities.truncated import Truncated as Truncated
from qerror.densities.uniform import Uniform as Uniform
