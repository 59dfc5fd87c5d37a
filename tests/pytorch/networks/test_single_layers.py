"""Formats of single layers in a recipe, as a budget writes them."""

import pytest
import torch
from torch import nn

from qerror.exceptions import InvalidValue
from qerror.pytorch import ModelRecipe, quantize_model, quantized_layers

RECIPE = {
    "weights": {"format": "int8"},
    "activations": "none",
    "layers": ["0=mxfp4", "2*=int4:g4"],
    "first": "e4m3",
}


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(32, 8), nn.ReLU(), nn.Linear(8, 8), nn.Linear(8, 4))


def test_layers_get_their_own_formats() -> None:
    recipe = ModelRecipe.from_dict(RECIPE)
    assert ModelRecipe.from_toml(recipe.to_toml()) == recipe
    assert ModelRecipe.from_json(recipe.to_json()) == recipe
    found = quantized_layers(quantize_model(network(), recipe))
    assert [(each.name, each.weight) for each in found] == [
        ("0", "MXFP4"),
        ("2", "INT4:g4"),
        ("3", "INT8"),
    ]


@pytest.mark.parametrize("rule", ["mxfp4", "=mxfp4", "a=", "a=int8000"])
def test_a_rule_that_is_none_is_refused(rule: str) -> None:
    with pytest.raises(InvalidValue):
        ModelRecipe(layers=(rule,))
