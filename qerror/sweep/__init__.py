"""Formats times densities, each at its best range or along one swept parameter."""

from qerror.sweep._run import sweep as sweep
from qerror.sweep.result import BLOCK_SIZE as BLOCK_SIZE
from qerror.sweep.result import CHANNEL as CHANNEL
from qerror.sweep.result import QUANTIZER_PARAMETERS as QUANTIZER_PARAMETERS
from qerror.sweep.result import Series as Series
from qerror.sweep.result import SweepResult as SweepResult
from qerror.sweep.result import SweepRow as SweepRow
