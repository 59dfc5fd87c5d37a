"""Quantizers in PyTorch: the same formats, as functions and modules that calibrate and learn."""

from importlib.util import find_spec

from qerror.exceptions import MissingLibrary

if find_spec("torch") is None:
    raise MissingLibrary(
        "qerror.pytorch needs PyTorch, which is not installed: pip install 'qerror[torch]'"
    )

from qerror.pytorch import calibration as calibration
from qerror.pytorch import functional as functional
from qerror.pytorch import methods as methods  # registers them
from qerror.pytorch.blocks import BlockFakeQuantize as BlockFakeQuantize
from qerror.pytorch.blocks import fake_quantize_blocks as fake_quantize_blocks
from qerror.pytorch.fake_quantize import FakeQuantize as FakeQuantize
from qerror.pytorch.fake_quantize import calibrating as calibrating
from qerror.pytorch.fake_quantize import quantizers as quantizers
from qerror.pytorch.granularity import PerChannel as PerChannel
from qerror.pytorch.granularity import PerGroup as PerGroup
from qerror.pytorch.granularity import PerTensor as PerTensor
from qerror.pytorch.levels import quantize as quantize
from qerror.pytorch.networks import CALIBRATIONS as CALIBRATIONS
from qerror.pytorch.networks import ModelRecipe as ModelRecipe
from qerror.pytorch.networks import TensorRecipe as TensorRecipe
from qerror.pytorch.networks import predict as predict
from qerror.pytorch.networks import quantize_model as quantize_model
from qerror.pytorch.networks import quantized_layers as quantized_layers
from qerror.pytorch.networks import update_bn as update_bn
from qerror.pytorch.recipe import METHODS as METHODS
from qerror.pytorch.scales import FixedLength as FixedLength
from qerror.pytorch.scales import Free as Free
from qerror.pytorch.scales import PowerOfTwo as PowerOfTwo
from qerror.pytorch.wrapping import QuantizedConcat as QuantizedConcat
from qerror.pytorch.wrapping import QuantizedInput as QuantizedInput
from qerror.pytorch.wrapping import quantize_weight as quantize_weight
from qerror.pytorch.zoo import NETWORKS as NETWORKS
