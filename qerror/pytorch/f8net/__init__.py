"""F8Net: networks that are trained in fixed point, for 8-bit products and shifts alone."""

from qerror.pytorch.f8net.convert import f8net as f8net
from qerror.pytorch.f8net.lengths import Lengths as Lengths
from qerror.pytorch.f8net.network import F8Network as F8Network
