"""The papers' figures and claims as plain data, a folder a paper; nothing is drawn here."""

from qerror.studies import blocks as blocks
from qerror.studies import f8net as f8net
from qerror.studies import fp8_quantization as fp8_quantization
from qerror.studies import fp8_versus_int8 as fp8_versus_int8
from qerror.studies import our_own as our_own
from qerror.studies.eight_bits import EIGHT_BITS as EIGHT_BITS
from qerror.studies.study import STUDIES as STUDIES
from qerror.studies.study import Study as Study
from qerror.studies.study import captions as captions
from qerror.studies.study import figures_document as figures_document
