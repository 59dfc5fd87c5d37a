"""One pure function a method: the levels on the way forward, its own gradient on the way back.

Every function takes float16, bfloat16, float32 or float64; half precision is quantized in
float32 and cast once at the end. That cast moves levels which the narrow dtype does not hold:
most INT8 values at a real scale are no bfloat16 numbers.

Parameters of a range are tensors (or numbers) that broadcast against `x`: a scalar for the
tensor, shape (n, 1, 1, 1) for the channels of a convolution's weight. Their gradients are summed
over what they serve. Nothing here reads a value back to the host.
"""

from qerror.pytorch.functional.additive import apot as apot
from qerror.pytorch.functional.additive import apot_levels as apot_levels
from qerror.pytorch.functional.clipping import pact as pact
from qerror.pytorch.functional.fixed import f8net_pact as f8net_pact
from qerror.pytorch.functional.fixed import fixed_point as fixed_point
from qerror.pytorch.functional.floating import fp as fp
from qerror.pytorch.functional.interval import qil as qil
from qerror.pytorch.functional.learned_step import lsq as lsq
from qerror.pytorch.functional.learned_step import lsq_plus as lsq_plus
from qerror.pytorch.functional.soft import dsq as dsq
from qerror.pytorch.functional.tanh import dorefa_weight as dorefa_weight
from qerror.pytorch.functional.tanh import tanh_weight as tanh_weight
from qerror.pytorch.functional.tanh import unit_levels as unit_levels
from qerror.pytorch.functional.threshold import tqt as tqt
