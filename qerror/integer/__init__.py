"""Networks that compute with integers alone: codes, shifts, clamps and multipliers, in NumPy."""

from qerror.integer.arithmetic import requantize as requantize
from qerror.integer.file import load_network as load_network
from qerror.integer.file import save_network as save_network
from qerror.integer.layer import Codes as Codes
from qerror.integer.layer import IntegerLayer as IntegerLayer
from qerror.integer.multiplier import multiplied as multiplied
from qerror.integer.multiplier import multiplier_of as multiplier_of
from qerror.integer.network import IntegerNetwork as IntegerNetwork
from qerror.integer.network import Width as Width
from qerror.integer.scaled import ScaledCodes as ScaledCodes
from qerror.integer.scaled import ScaledLayer as ScaledLayer
