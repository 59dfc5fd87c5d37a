"""From a network in PyTorch to one of integers alone, and to the fake quantization it equals."""

from qerror.pytorch.integer.convert import IntegerModel as IntegerModel
from qerror.pytorch.integer.convert import to_integer as to_integer
from qerror.pytorch.integer.fake import FixedPointModel as FixedPointModel
from qerror.pytorch.integer.module import IntegerModule as IntegerModule
from qerror.pytorch.integer.scaled_fake import ScaledModel as ScaledModel
