"""Best codebooks, best uniform quantizers, and the bounds that no quantizer passes."""

from qerror.codebooks.bounds import differential_entropy as differential_entropy
from qerror.codebooks.bounds import panter_dite as panter_dite
from qerror.codebooks.bounds import shannon_bound as shannon_bound
from qerror.codebooks.lloyd_max import LloydMax as LloydMax
from qerror.codebooks.lloyd_max import lloyd_max as lloyd_max
from qerror.codebooks.uniform import UniformQuantizer as UniformQuantizer
from qerror.codebooks.uniform import best_uniform as best_uniform
