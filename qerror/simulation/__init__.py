"""Sampled errors and array quantizers: an independent judge of the analysis."""

from qerror.simulation.block_codes import BlockCodes as BlockCodes
from qerror.simulation.block_codes import decode_blocks as decode_blocks
from qerror.simulation.block_codes import encode_blocks as encode_blocks
from qerror.simulation.blocks import quantize_blocks as quantize_blocks
from qerror.simulation.codes import decode as decode
from qerror.simulation.codes import encode as encode
from qerror.simulation.estimate import estimate_error as estimate_error
from qerror.simulation.figures import BlockEstimate as BlockEstimate
from qerror.simulation.figures import Estimate as Estimate
from qerror.simulation.figures import TruncatedEstimate as TruncatedEstimate
from qerror.simulation.files import quantize_file as quantize_file
from qerror.simulation.files import require_floats as require_floats
from qerror.simulation.measure import Measured as Measured
from qerror.simulation.measure import measure_error as measure_error
from qerror.simulation.quantize import quantize as quantize
