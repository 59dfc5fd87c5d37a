"""Ranges from data: a statistic of each batch, an accumulator over batches, a solver."""

from qerror.pytorch.calibration.accumulate import Accumulator as Accumulator
from qerror.pytorch.calibration.accumulate import Ema as Ema
from qerror.pytorch.calibration.accumulate import Pooled as Pooled
from qerror.pytorch.calibration.accumulate import calibrate as calibrate
from qerror.pytorch.calibration.base import Calibration as Calibration
from qerror.pytorch.calibration.base import Range as Range
from qerror.pytorch.calibration.base import Target as Target
from qerror.pytorch.calibration.best import MSE as MSE
from qerror.pytorch.calibration.best import Fitted as Fitted
from qerror.pytorch.calibration.best import Optimal as Optimal
from qerror.pytorch.calibration.divergence import KLD as KLD
from qerror.pytorch.calibration.ends import MeanStd as MeanStd
from qerror.pytorch.calibration.ends import MinMax as MinMax
from qerror.pytorch.calibration.ends import Quantile as Quantile
from qerror.pytorch.calibration.formats import FormatChoice as FormatChoice
from qerror.pytorch.calibration.formats import choose_format as choose_format
from qerror.pytorch.calibration.norm import Norm as Norm
