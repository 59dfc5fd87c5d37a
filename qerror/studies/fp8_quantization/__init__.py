"""Kuzmin et al. 2022, FP8 Quantization: The Power of the Exponent."""

from qerror.studies.fp8_quantization import fig1 as fig1
from qerror.studies.fp8_quantization import fig2 as fig2
from qerror.studies.fp8_quantization import fig3 as fig3
from qerror.studies.fp8_quantization import fig4 as fig4
from qerror.studies.fp8_quantization import fig5 as fig5
from qerror.studies.fp8_quantization import fig7 as fig7
from qerror.studies.fp8_quantization import fig8 as fig8
from qerror.studies.fp8_quantization import fig10 as fig10
