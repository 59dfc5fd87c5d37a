"""Van Baalen et al. 2023, FP8 versus INT8 for efficient deep learning inference."""

from qerror.studies.fp8_versus_int8 import fig3 as fig3
from qerror.studies.fp8_versus_int8 import fig5 as fig5
from qerror.studies.fp8_versus_int8 import fig9 as fig9
