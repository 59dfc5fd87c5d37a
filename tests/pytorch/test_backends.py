"""The presets are MQBench's table, field by field, and build the quantizers that it names."""

import json

import pytest
import torch
from click.testing import CliRunner

from qerror.exceptions import InvalidValue, UnknownName
from qerror.formats import Integer
from qerror.pytorch.backends import BACKENDS, Backend, TensorRule
from qerror.pytorch.granularity import PerChannel, PerTensor
from qerror_cli.main import main

# weights symmetric, per channel; activations symmetric, adaptive sign; power of two, graph,
# folded, width of first and last layer
TABLE = {
    "Academic": (True, False, True, True, False, 1, False, 8),
    "TensorRT": (True, True, True, False, False, 2, True, None),
    "ACL": (True, True, False, False, False, 1, True, None),
    "TVM": (True, False, True, False, True, 3, True, None),
    "SNPE": (False, False, False, False, False, 3, True, None),
    "FBGEMM": (False, True, False, False, False, 3, True, None),
}


def test_the_table() -> None:
    found = {
        name: (
            each.weights.symmetric,
            each.weights.per_channel,
            each.activations.symmetric,
            each.activations.adaptive_sign,
            each.power_of_two,
            each.graph,
            each.folds,
            each.first_last_bits,
        )
        for name, each in BACKENDS.items()
    }
    assert found == TABLE
    assert not any(each.activations.per_channel for each in BACKENDS.values())
    assert all(each.source for each in BACKENDS.values())
    assert BACKENDS["tensorrt"] is BACKENDS["TensorRT"]
    with pytest.raises(UnknownName, match="did you mean TensorRT"):
        BACKENDS["tensorrd"]


@pytest.mark.parametrize("name", TABLE)
def test_quantizers(name: str) -> None:
    backend = BACKENDS[name]
    torch.manual_seed(0)
    weight = torch.randn(6, 4, 3, 3)
    quantizer = backend.quantizer(4, "weight", channels=6)
    setting = quantizer.setting
    quantizer.calibrate(weight)
    codes = setting.codes
    assert codes == ((-7, 7) if backend.weights.symmetric else (0, 15))
    assert isinstance(setting.granularity, PerChannel if backend.weights.per_channel else PerTensor)
    rounded = quantizer(weight).detach()
    scale = setting.scale_rule(quantizer.get_parameter_or_buffer("s").detach()).reshape(-1)
    assert scale.numel() == (6 if backend.weights.per_channel else 1)
    if backend.power_of_two:
        assert torch.equal(torch.log2(scale).round(), torch.log2(scale))
    for channel in range(6):
        values = rounded[channel].unique()
        assert len(values) <= codes[1] - codes[0] + 1
    x = torch.rand(32, 10)
    positive = backend.quantizer(4, "activation", negative=False)
    unsigned = backend.activations.adaptive_sign or not backend.activations.symmetric
    assert positive.setting.form == Integer(4, signed=not unsigned)
    positive.calibrate(x)
    assert torch.isfinite(positive(x)).all()


def test_the_command_prints_them() -> None:
    result = CliRunner().invoke(main, ["network", "backends", "--json"], prog_name="qerror")
    assert result.exit_code == 0, result.stderr
    rows = {row["backend"]: row for row in json.loads(result.stdout)["rows"]}
    assert list(rows) == list(TABLE)
    assert rows["TVM"]["scale"] == "power of two"
    assert rows["Academic"]["first_last_bits"] == 8
    text = CliRunner().invoke(main, ["network", "backends"], prog_name="qerror").stdout
    assert all(name in text for name in TABLE)


def test_bad_input() -> None:
    with pytest.raises(InvalidValue, match="give channels"):
        BACKENDS["TensorRT"].quantizer(4, "weight")
    with pytest.raises(InvalidValue, match="bits"):
        BACKENDS["TVM"].quantizer(1, "weight")
    with pytest.raises(InvalidValue, match="qil"):
        BACKENDS["SNPE"].quantizer(4, "weight", "qil")
    with pytest.raises(InvalidValue, match="graph"):
        Backend("own", TensorRule(True), TensorRule(True), graph=4)  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]
    with pytest.raises(InvalidValue, match="sum over the channels"):
        Backend("own", TensorRule(True), TensorRule(True, True))
    with pytest.raises(InvalidValue, match="both signs"):
        Backend("own", TensorRule(True, adaptive_sign=True), TensorRule(True))


def test_one_of_ones_own() -> None:
    own = Backend("mine", TensorRule(True, True), TensorRule(False), power_of_two=True)
    quantizer = own.quantizer(8, "weight", channels=3)
    assert quantizer.setting.form == Integer(8)
    assert str(own.weights) == "symmetric, per channel"
