"""Exact errors: formats and densities joined."""

from typing import TYPE_CHECKING

from qerror._later import later
from qerror.analysis.block_report import BlockErrorReport as BlockErrorReport
from qerror.analysis.block_report import CodeProbabilities as CodeProbabilities
from qerror.analysis.report import FIELDS as FIELDS
from qerror.analysis.report import ErrorReport as ErrorReport
from qerror.analysis.single import quantization_error as quantization_error

if TYPE_CHECKING:
    from qerror.analysis.bands import Band as Band
    from qerror.analysis.bands import Bands as Bands
    from qerror.analysis.bands import expected_bands as expected_bands
    from qerror.analysis.bands import sqnr_band as sqnr_band
    from qerror.analysis.distribution import ErrorDistribution as ErrorDistribution
    from qerror.analysis.distribution import error_distribution as error_distribution
    from qerror.analysis.scalar_product import ScalarProductReport as ScalarProductReport
    from qerror.analysis.scalar_product import scalar_product_error as scalar_product_error

__getattr__, __dir__ = later(
    __name__,
    {
        "bands": (
            "Band",
            "Bands",
            "expected_bands",
            "sqnr_band",
        ),
        "distribution": (
            "ErrorDistribution",
            "error_distribution",
        ),
        "scalar_product": (
            "ScalarProductReport",
            "scalar_product_error",
        ),
    },
)
