"""Networks of multipliers and shifts equal their fake quantization, code by code."""

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from qerror.exceptions import InvalidType, InvalidValue, UnknownName
from qerror.integer import (
    IntegerNetwork,
    ScaledCodes,
    ScaledLayer,
    load_network,
    save_network,
)
from qerror.pytorch import NETWORKS
from qerror.pytorch.backends import Backend, TensorRule
from qerror.pytorch.integer import IntegerModel, IntegerModule, ScaledModel, to_integer
from qerror.pytorch.integer.trace import steps_of
from tests.pytorch.test_integer import CASES, differing, images, ready

BACKENDS = ("int8", "TensorRT", "ACL", "TVM", "SNPE", "FBGEMM")


@pytest.mark.parametrize("rounding", ["once", "twice", "even"])
@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("name", CASES)
@pytest.mark.thinned(5)
def test_random_networks(name: str, backend: str, rounding: Any) -> None:
    build, shape = CASES[name]
    torch.manual_seed(5)
    model = ready(build())
    x = torch.randn(16, *shape)
    both = to_integer(model, [x], backend=backend, rounding=rounding)
    assert not differing(both, x)
    assert not differing(both, hard_images(both, shape))
    with torch.no_grad():
        exact, found = model.double()(x.double()), both.fake(x)
    most = 0.1 if backend == "TVM" else 0.01  # a power of two may clip where min-max does not
    assert 0 < float((found - exact).square().mean() / exact.var()) < most


def hard_images(both: IntegerModel, shape: tuple[int, ...]) -> Tensor:
    """Return images at ties of the input's codes, beyond both ends, and of nothing at all."""
    codes = both.integer.input
    assert isinstance(codes, ScaledCodes)
    half = codes.scale / 2
    values = (0.0, 1e6, -1e6, half, 3 * half, -half, -3 * half)
    return torch.stack([torch.full(shape, v, dtype=torch.float64) for v in values])


def test_wide_and_narrow_codes() -> None:
    torch.manual_seed(1)
    model = ready(CASES["resnet"][0]())
    x = torch.randn(16, 1, 8, 8)
    for weights, activations in ((4, 4), (2, 8), (8, 12)):
        both = to_integer(
            model, [x], backend="FBGEMM", weight_bits=weights, activation_bits=activations
        )
        assert not differing(both, x)
    calibrated = to_integer(model, [x[:2]], backend="int8", calibration="quantile")
    assert not differing(calibrated, x)


@pytest.mark.parametrize("rounding", ["once", "twice", "even"])
def test_ties_inside_a_network(rounding: Any) -> None:
    """Factors of a half and a quarter: half of the sums are ties, on both sides of 0."""
    half, quarter = (np.array([[1 << 30], [n]]) for n in (31, 32))
    signed, own = ScaledCodes(1.0, 0, -127, 127), partial(ScaledLayer, rounding=rounding)
    wide = ScaledCodes(1.0, 0, -1000, 1000)
    layers = (
        own("a", "linear", ("",), wide, half[0], half[1], np.array([[1, 0], [0, -1]])),
        own("b", "linear", ("a",), signed, quarter[0], quarter[1], np.array([[3, 0], [1, 1]])),
        own(
            "c",
            "add",
            ("a", "b"),
            signed,
            np.array([1 << 30]),
            np.array([30 + 16]),
            operands=((1 << 30, 32), (1 << 30, 31)),
            left=20,
        ),
    )
    network = IntegerNetwork(ScaledCodes(1.0, 128, 0, 255), layers)
    x = torch.cartesian_prod(torch.arange(-140.0, 140.0), torch.arange(-140.0, 140.0, 9.0))
    codes = network.encode(x.numpy())
    integer, fake = network.trace(codes), ScaledModel(network).codes(x)
    assert all(np.array_equal(fake[name].numpy(), integer[name]) for name in "abc")
    ties = (codes[:, 0] - 128) % 2 == 1
    exact = (codes[ties, 0] - 128) / 2
    rounded = np.rint(exact) if rounding == "even" else np.floor(exact + 0.5)
    assert np.array_equal(integer["a"][ties, 0], rounded)
    tensors = IntegerModule(network).trace(torch.from_numpy(codes))
    assert all(np.array_equal(tensors[name].numpy(), integer[name]) for name in "abc")
    assert {-127, 127} <= set(integer["c"][:, 0].tolist())


def test_scales_as_they_are_differ_by_one_code_near_ties() -> None:
    """Real scales, ties to even, from the same codes: where the integers' multiplier decides."""
    torch.manual_seed(5)
    model = ready(CASES["mobilenet"][0]())
    x = torch.randn(16, 1, 8, 8)
    both = to_integer(model, [x], backend="int8")
    steps = {"": both.integer.encode(x.numpy())}
    steps.update(both.integer.trace(steps[""]))
    folded = {step.name: step.weight for step in steps_of(model)}
    worth: Any = both.integer.codes
    count = differs = 0
    for layer in both.integer.layers[:-1]:
        each: Any = layer
        weight = folded[each.name]
        if weight is None:
            continue
        given = worth[each.inputs[0]]
        total, found = each.run([steps[each.inputs[0]]], [given])
        largest = weight.abs().flatten(1).amax(1).numpy()
        factor = given.scale * (largest / 127) / each.output.scale  # min-max, symmetric
        plain = np.rint(total * factor.reshape(1, -1, 1, 1)) + each.output.zero
        off = np.abs(plain.clip(each.output.low, each.output.high) - found)
        assert off.max() <= 1
        count, differs = count + off.size, differs + int((off > 0).sum())
    assert count > 50_000
    assert differs < count / 10_000


@pytest.mark.parametrize(
    "options", [{}, {"backend": "FBGEMM"}, {"backend": "ACL", "rounding": "twice"}]
)
@pytest.mark.parametrize("name", CASES)
def test_int64_tensors_give_the_same(name: str, options: dict[str, Any]) -> None:
    build, shape = CASES[name]
    torch.manual_seed(4)
    x = torch.randn(4, *shape)
    network = to_integer(ready(build()), [x], **options).integer
    codes = network.encode(3 * x.numpy())  # saturated in part
    found = IntegerModule(network).trace(torch.from_numpy(codes))
    expected = network.trace(codes)
    assert list(found) == list(expected)
    for each, values in found.items():
        assert values.dtype == torch.int64
        assert np.array_equal(values.numpy(), expected[each]), each
    with pytest.raises(InvalidType, match="codes are integers"):
        IntegerModule(network)(x)


def test_float32_where_it_is_exact(tmp_path: Path) -> None:
    torch.manual_seed(2)
    model = ready(CASES["resnet"][0]())
    x = torch.randn(16, 1, 8, 8)
    both = to_integer(model, [x], backend="int8")
    small = ScaledModel(both.integer, torch.float32)
    assert small.exact_in_float32 == ()
    integer = both.integer.trace(both.integer.encode(x.numpy()))
    assert all(np.array_equal(each.numpy(), integer[name]) for name, each in small.codes(x).items())
    save_network(both.integer, tmp_path / "net.npz")
    again = load_network(tmp_path / "net.npz")
    assert np.array_equal(again.classify(x.numpy()), both.integer.classify(x.numpy()))
    wide = nn.Sequential(nn.Linear(4000, 1)).eval()
    found = to_integer(wide, [torch.rand(8, 4000)], backend="int8").fake
    assert found.exact_in_float32 == ("0",)


@pytest.mark.exhaustive
@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("name", ["digits-resnet", "digits-mobilenet"])
def test_trained_networks(name: str, backend: str) -> None:
    network = NETWORKS[name]
    model = network.model(0)
    rule = "mse" if backend == "TVM" else "minmax"  # powers of two clip where min-max asks for it
    both = to_integer(model, network.calibration()[:1], backend=backend, calibration=rule)
    x = images()
    assert not differing(both, x)
    with torch.no_grad():
        exact = model(x)
    agree = float((both.integer.classify(x.numpy()) == exact.argmax(1).numpy()).mean())
    assert agree > 0.98


def test_bad_input() -> None:
    x = torch.randn(4, 3, 8, 8)
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU()).eval()
    with pytest.raises(InvalidValue, match="Academic does not fold"):
        to_integer(net, [x], backend="Academic")
    with pytest.raises(UnknownName, match="TensorRT"):
        to_integer(net, [x], backend="TensorT")
    with pytest.raises(InvalidValue, match="those of a backend"):
        to_integer(net, [x], calibration="mse")
    with pytest.raises(InvalidValue, match="those of a backend"):
        to_integer(net, [x], rounding="once")
    with pytest.raises(InvalidValue, match="once or twice"):
        to_integer(net, [x], backend="int8", rounding="up")  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]
    with pytest.raises(UnknownName, match="calibration"):
        to_integer(net, [x], backend="int8", calibration="best")
    own = Backend("own", TensorRule(True), TensorRule(True, adaptive_sign=True))
    both = to_integer(net, [x], backend=own)
    assert both.integer.layers[0].output.high == 255
    assert not differing(both, x)
    wide = nn.Sequential(nn.Linear(40_000, 1)).eval()
    with pytest.raises(InvalidValue, match="beyond int32"):
        to_integer(wide, [torch.rand(2, 40_000)], backend="FBGEMM", weight_bits=12)
