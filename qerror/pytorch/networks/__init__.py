"""Whole networks: quantized after a recipe, listed, predicted, measured."""

from qerror.pytorch.networks.attention import ProjectedAttention as ProjectedAttention
from qerror.pytorch.networks.blockwise import BlockwiseFakeQuantize as BlockwiseFakeQuantize
from qerror.pytorch.networks.calibrations import CALIBRATIONS as CALIBRATIONS
from qerror.pytorch.networks.layers import Layer as Layer
from qerror.pytorch.networks.layers import layers_of as layers_of
from qerror.pytorch.networks.listing import QuantizedLayer as QuantizedLayer
from qerror.pytorch.networks.listing import quantized_layers as quantized_layers
from qerror.pytorch.networks.predict import LayerPrediction as LayerPrediction
from qerror.pytorch.networks.predict import Prediction as Prediction
from qerror.pytorch.networks.predict import predict as predict
from qerror.pytorch.networks.predict import predict_each as predict_each
from qerror.pytorch.networks.quantize_model import quantize_model as quantize_model
from qerror.pytorch.networks.quantize_model import update_bn as update_bn
from qerror.pytorch.networks.recipe import ModelRecipe as ModelRecipe
from qerror.pytorch.networks.recipe import TensorRecipe as TensorRecipe
from qerror.pytorch.networks.recipe import as_recipe as as_recipe
