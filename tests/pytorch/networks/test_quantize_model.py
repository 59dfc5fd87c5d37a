"""Whole networks: what is quantized, to which levels, and what is refused."""

import copy
from typing import Any, cast

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import qerror
from qerror.exceptions import InvalidType, InvalidValue
from qerror.formats import as_scalar_format
from qerror.pytorch import (
    FakeQuantize,
    ModelRecipe,
    TensorRecipe,
    quantize_model,
    quantized_layers,
)
from qerror.pytorch.networks import BlockwiseFakeQuantize, ProjectedAttention, update_bn
from qerror.pytorch.networks.listing import input_quantizer_of, weight_quantizer_of


class Net(nn.Module):
    """Convolutions, a normalisation, and a linear layer."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(2, 6, 3, padding=1)
        self.norm = nn.BatchNorm2d(6)
        self.body = nn.Sequential(nn.ReLU(), nn.Conv2d(6, 6, 3, groups=6), nn.ReLU())
        self.head = nn.Linear(6, 3)

    def forward(self, x: Tensor) -> Tensor:
        found: Tensor = self.head(self.body(self.norm(self.stem(x))).mean((2, 3)))
        return found


@pytest.fixture
def net() -> Net:
    torch.manual_seed(1)
    return Net().eval()


@pytest.fixture
def data() -> list[Tensor]:
    generator = torch.Generator().manual_seed(2)
    return [torch.randn(8, 2, 6, 6, generator=generator) for _ in range(3)]


def on_weight(model: nn.Module, name: str) -> FakeQuantize:
    found = weight_quantizer_of(model.get_submodule(name))
    assert isinstance(found, FakeQuantize)
    return found


def on_input(model: nn.Module, name: str) -> FakeQuantize:
    found = input_quantizer_of(model.get_submodule(name))
    assert isinstance(found, FakeQuantize)
    return found


def levels(tensor: Tensor, form: str, scale: float) -> Tensor:
    return torch.from_numpy(qerror.quantize(tensor.detach().numpy(), form, scale))


@pytest.mark.parametrize("form", ["int8", "4M3E"])
@pytest.mark.parametrize("calibration", ["minmax", "mse"])
def test_layers_compute_with_the_levels_of_the_format(
    net: Net, data: list[Tensor], form: str, calibration: str
) -> None:
    before = copy.deepcopy(net.state_dict())
    quantized = quantize_model(net, ModelRecipe.of(form, calibration=calibration), data)
    layer = quantized.get_submodule("head")
    weight, inputs = on_weight(quantized, "head"), on_input(quantized, "head")
    assert isinstance(layer.weight, Tensor)
    w = levels(net.head.weight, form, float(weight.scale()))
    assert torch.equal(layer.weight, w)
    x = torch.randn(5, 6)
    expected = nn.functional.linear(levels(x, form, float(inputs.scale())), w, net.head.bias)
    assert torch.equal(layer(x), expected)
    assert all(torch.equal(before[key], value) for key, value in net.state_dict().items())
    if calibration == "minmax":
        reach = float(net.head.weight.detach().abs().max())
        assert float(weight.scale()) * as_scalar_format(form).max_value == pytest.approx(
            reach, rel=1e-6, abs=0
        )


def test_the_range_of_inputs_is_that_of_all_batches(net: Net, data: list[Tensor]) -> None:
    data[1][0, 0, 0, 0] = 37.0
    quantized = quantize_model(net, ModelRecipe.of("int8", calibration="minmax"), iter(data))
    inputs = on_input(quantized, "stem")
    assert float(inputs.scale()) * 127 == pytest.approx(37.0, rel=1e-6, abs=0)


def test_patterns_exclude_nested_modules(net: Net, data: list[Tensor]) -> None:
    recipe = ModelRecipe.of("int8", calibration="minmax", exclude=("body", "*ea*"))
    assert [each.name for each in quantized_layers(quantize_model(net, recipe, data))] == ["stem"]
    with pytest.raises(InvalidValue, match="'tail' matches no module"):
        quantize_model(net, ModelRecipe.of("int8", exclude=("tail",)), data)


def test_first_and_last_layers_have_their_own_formats(net: Net, data: list[Tensor]) -> None:
    recipe = ModelRecipe.of("int4", calibration="minmax", first="int8", last="none")
    found = quantized_layers(quantize_model(net, recipe, data))
    assert [(each.name, each.weight, each.activation) for each in found] == [
        ("stem", "INT8", "INT8"),
        ("body.1", "INT4", "INT4"),
    ]


class Backwards(nn.Module):
    """Registers its layers in the other order than it calls them."""

    def __init__(self) -> None:
        super().__init__()
        self.second, self.first = nn.Linear(4, 4), nn.Linear(4, 4)

    def forward(self, x: Tensor) -> Tensor:
        found: Tensor = self.second(self.first(x))
        return found


def test_first_is_what_is_called_first() -> None:
    recipe = ModelRecipe.of("int4", calibration="minmax", first="int8")
    found = quantized_layers(quantize_model(Backwards(), recipe, [torch.randn(3, 4)]))
    assert {each.name: each.weight for each in found} == {"first": "INT8", "second": "INT4"}


def test_unsigned_codes_where_nothing_is_negative(net: Net, data: list[Tensor]) -> None:
    for form, wider in (("int8", "UINT8"), ("4M3E", "U5M3E")):
        activations = TensorRecipe(form, "minmax", unsigned=True)
        found = quantized_layers(
            quantize_model(net, ModelRecipe(TensorRecipe(form, "minmax"), activations), data)
        )
        names = {each.name: (each.weight, each.activation) for each in found}
        signed = qerror.parse_format(form).name
        assert names["stem"] == (signed, signed)
        assert names["head"] == (signed, wider)


def test_a_scale_a_channel_and_a_group(net: Net, data: list[Tensor]) -> None:
    quantized = quantize_model(
        net, ModelRecipe.of("int8", calibration="minmax", granularity="channel"), data
    )
    for name in ("stem", "body.1", "head"):
        original = net.get_submodule(name).weight
        assert isinstance(original, Tensor)
        reach = original.detach().flatten(1).abs().amax(1)
        quantizer = on_weight(quantized, name)
        torch.testing.assert_close(quantizer.scale() * 127, reach)
    grouped = ModelRecipe.of(
        "int8", calibration="minmax", granularity="group:3", exclude=("body", "stem")
    )
    quantizer = on_weight(quantize_model(net, grouped, data), "head")
    assert quantizer.scale().shape == (3, 2)
    with pytest.raises(InvalidValue, match="layer stem: groups of 5"):
        quantize_model(
            net, ModelRecipe.of("int8", calibration="minmax", granularity="group:5"), data
        )


def test_the_best_format_of_each_tensor(net: Net, data: list[Tensor]) -> None:
    with torch.no_grad():
        net.head.weight.copy_(torch.distributions.StudentT(1.5).sample((3, 6)))
    quantized = quantize_model(net, ModelRecipe.of("best:8", activations=False), data)
    layer = quantized.get_submodule("head")
    original = net.head.weight.detach()
    assert isinstance(layer.weight, Tensor)
    own = (layer.weight.detach() - original).square().mean()
    for form in ("1M6E", "2M5E", "3M4E", "4M3E", "5M2E", "6M1E"):
        best = quantize_model(net, ModelRecipe.of(form, activations=False))
        other = best.get_submodule("head").weight
        assert isinstance(other, Tensor)
        # The search goes by steps of 1% of the range, the range alone is found exactly.
        assert float(own) <= 1.2 * float((other.detach() - original).square().mean())


def test_blocks_that_do_not_divide_are_filled_with_zeros(net: Net, data: list[Tensor]) -> None:
    quantized = quantize_model(net, ModelRecipe.of("mxfp4"), data)
    found = {each.name: each for each in quantized_layers(quantized)}
    assert (found["stem"].weight, found["head"].activation) == ("MXFP4", "MXFP4")
    rows = net.stem.weight.detach().flatten(1).numpy()
    filled = np.zeros((6, 32), dtype=np.float32)
    filled[:, : rows.shape[1]] = rows
    expected = qerror.quantize(filled, "mxfp4", axis=-1)[:, : rows.shape[1]]
    layer = quantized.get_submodule("stem")
    assert isinstance(layer.weight, Tensor)
    np.testing.assert_array_equal(layer.weight.detach().flatten(1).numpy(), expected)
    block = BlockwiseFakeQuantize("mxfp4", 1)
    block.enabled = False
    x = torch.randn(2, 6, 4, 4)
    assert block(x) is x


def test_batch_normalisations_are_estimated_anew(net: Net, data: list[Tensor]) -> None:
    quantized = quantize_model(net, ModelRecipe.of("int4", update_bn=True), data)
    with torch.no_grad():
        out = torch.cat([quantized.get_submodule("stem")(x) for x in data])
    norm = quantized.get_submodule("norm")
    torch.testing.assert_close(norm.running_mean, out.mean((0, 2, 3)), rtol=1e-4, atol=1e-5)
    assert not quantized.training
    update_bn(nn.Linear(2, 2), data)  # nothing to do


def test_dropout_rests_while_statistics_are_estimated() -> None:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Dropout(0.9), nn.BatchNorm1d(4), nn.Linear(4, 2))
    x = torch.randn(64, 4)
    update_bn(net, [x])
    torch.testing.assert_close(net[1].running_mean, x.mean(0))
    assert net[0].p == 0.9


class Text(nn.Module):
    """Embeds, and ties the output to the embedding."""

    def __init__(self) -> None:
        super().__init__()
        self.words = nn.Embedding(11, 8)
        self.out = nn.Linear(8, 11, bias=False)
        self.out.weight = self.words.weight

    def forward(self, tokens: Tensor) -> Tensor:
        found: Tensor = self.out(self.words(tokens).mean(1))
        return found


def test_embeddings_keep_their_indices_and_named_inputs_pass() -> None:
    net = Text()
    data = [{"tokens": torch.arange(10).reshape(2, 5)}]
    quantized: Any = quantize_model(net, ModelRecipe.of("int8", calibration="minmax"), data)
    found = quantized_layers(quantized)
    assert [(each.name, each.weight, each.activation) for each in found] == [
        ("words", "INT8", None),
        ("out", "INT8", "INT8"),
    ]
    scale = float(net.words.weight.detach().abs().max()) / 127
    words = quantized.get_submodule("words")
    assert torch.equal(words.weight, levels(net.words.weight, "int8", float(np.float32(scale))))
    assert quantized.out.parametrizations.weight.original is (
        quantized.words.parametrizations.weight.original
    )


def test_transposed_convolutions_have_their_outputs_along_another_axis() -> None:
    net = nn.Sequential(nn.ConvTranspose2d(3, 5, 2))
    recipe = ModelRecipe.of("int8", calibration="minmax", granularity="channel")
    quantized = quantize_model(net, recipe, [torch.randn(2, 3, 4, 4)])
    quantizer = on_weight(quantized, "0")
    reach = net[0].weight.detach().abs().amax((0, 2, 3))  # type: ignore[operator]
    torch.testing.assert_close(quantizer.scale() * 127, reach)


@pytest.mark.parametrize("batch_first", [False, True])
@pytest.mark.parametrize("kdim", [None, 6])
@pytest.mark.parametrize("need_weights", [False, True])
@pytest.mark.parametrize("bias", [False, True])
def test_projected_attention_is_attention(
    batch_first: bool, kdim: int | None, need_weights: bool, bias: bool
) -> None:
    torch.manual_seed(0)
    source = nn.MultiheadAttention(
        8, 2, bias=bias, batch_first=batch_first, kdim=kdim, vdim=kdim
    ).eval()
    own = ProjectedAttention(source)
    wide = kdim or 8
    q, k = torch.randn(4, 4, 8), torch.randn(4, 4, wide)
    padding = torch.zeros(4, 4, dtype=torch.bool)
    padding[1, 2:] = True
    mask = torch.randn(4, 4)
    cases: list[dict[str, Any]] = [
        {},
        {"attn_mask": mask},
        {"key_padding_mask": padding.to(torch.float32) * -1e4, "attn_mask": mask},
        {"attn_mask": torch.triu(torch.ones(4, 4, dtype=torch.bool), 1)},
        {"attn_mask": torch.randn(8, 4, 4)},
        {"key_padding_mask": padding},
    ]
    for case in cases:
        expected = source(q, k, k, need_weights=need_weights, **case)
        found = own(q, k, k, need_weights=need_weights, **case)
        torch.testing.assert_close(found, expected)
    torch.testing.assert_close(own(q[0], k[0], k[0])[0], source(q[0], k[0], k[0])[0])
    if need_weights:
        apart = own(q, k, k, average_attn_weights=False)[1]
        torch.testing.assert_close(apart, source(q, k, k, average_attn_weights=False)[1])


def test_attention_in_pytorchs_own_encoder() -> None:
    torch.manual_seed(0)
    layer = nn.TransformerEncoderLayer(8, 2, 16, dropout=0.0, batch_first=True).eval()
    x = torch.randn(3, 5, 8)
    exact = quantize_model(layer, ModelRecipe.of("fp32", calibration="minmax"), [x])
    torch.testing.assert_close(exact(x), layer(x), rtol=1e-4, atol=1e-5)
    coarse = quantize_model(layer, ModelRecipe.of("int4", calibration="minmax"), [x])
    names = [each.name for each in quantized_layers(coarse)]
    parts = ["query", "key", "value", "out"]
    assert names == [*(f"self_attn.{part}" for part in parts), "linear1", "linear2"]
    assert float((coarse(x) - layer(x)).detach().abs().max()) > 0.01
    with pytest.raises(InvalidValue, match="add_bias_kv"):
        ProjectedAttention(nn.MultiheadAttention(4, 1, add_bias_kv=True))


def test_learnt_ranges_receive_gradients(net: Net, data: list[Tensor]) -> None:
    part = TensorRecipe("int4", "norm", method="lsq")
    quantized = quantize_model(net, ModelRecipe(part, part), data)
    quantized(data[0]).square().sum().backward()
    learnt = {name: p.grad for name, p in quantized.named_parameters() if name.endswith(".s")}
    assert len(learnt) == 6
    assert all(grad is not None and float(grad.abs()) > 0 for grad in learnt.values())


def test_a_quantized_network_can_be_copied_and_saved(net: Net, data: list[Tensor]) -> None:
    recipe = ModelRecipe.of("int8", calibration="minmax")
    quantized, twin = (quantize_model(each, recipe, data) for each in (net, Net()))
    twin.load_state_dict(quantized.state_dict())
    x = data[0]
    assert torch.equal(copy.deepcopy(quantized)(x), quantized(x))
    assert torch.equal(twin(x), quantized(x))


def test_progress_is_reported(net: Net, data: list[Tensor]) -> None:
    calls: list[tuple[int, int]] = []
    recipe = ModelRecipe.of("int8", calibration="minmax")
    quantize_model(net, recipe, data, progress=lambda a, b: calls.append((a, b)))
    assert calls == [(1, 3), (2, 3), (3, 3), (1, 3), (2, 3), (3, 3)]


def test_in_place_changes_the_network_itself(net: Net, data: list[Tensor]) -> None:
    recipe = ModelRecipe.of("int8", calibration="minmax")
    assert quantize_model(net, recipe, data, in_place=True) is net
    with pytest.raises(InvalidValue, match="quantized already"):
        quantize_model(net, recipe, data)


def test_bad_input_is_refused(net: Net, data: list[Tensor]) -> None:
    for wrong, said in (
        ([torch.randn(4, 5, 6, 6)], r"cannot take a batch of shape \(4, 5, 6, 6\)"),
        ([], "no calibration data"),
        (None, "need calibration data"),
        ([torch.full((1, 2, 6, 6), torch.nan)], "stem is not finite"),
    ):
        with pytest.raises(InvalidValue, match=said):
            quantize_model(net, "int8", wrong)
    odd: Any
    for odd in (3, [3], [{}]):
        with pytest.raises((InvalidType, InvalidValue)):
            quantize_model(net, "int8", odd)
    with pytest.raises(InvalidValue, match="nothing to quantize"):
        quantize_model(nn.Sequential(nn.ReLU()), "int8", data)
    with pytest.raises(InvalidType, match=r"must be a torch\.nn\.Module"):
        quantize_model(cast("Any", "resnet"), "int8", data)
    with pytest.raises(InvalidType, match="a recipe is a table"):
        quantize_model(net, cast("Any", 8), data)
    net.unused = nn.Linear(2, 2)
    with pytest.raises(InvalidValue, match="never reach unused"):
        quantize_model(net, "int8", data)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_not_finite_are_named(value: float) -> None:
    first = nn.Linear(4, 3)
    model = nn.Sequential(first, nn.ReLU(), nn.Linear(3, 2))
    with torch.no_grad():
        first.weight[0, 1] = value
    with pytest.raises(InvalidValue, match=r"0: 1 of its 12 weights are NaN or infinite"):
        quantize_model(model, "int8", [torch.randn(8, 4)])


def test_what_learns_is_a_list_of_names() -> None:
    with pytest.raises(InvalidType, match="learn must be a list"):
        ModelRecipe.from_dict({"weights": {"format": "int8", "learn": "scale"}})
