"""Whole networks of integers equal their fake quantization, code by code, in every layer."""

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from qerror.exceptions import InvalidType, InvalidValue
from qerror.pytorch import NETWORKS
from qerror.pytorch.integer import FixedPointModel, IntegerModel, to_integer
from qerror.pytorch.zoo.digits import digits
from qerror.pytorch.zoo.mobilenet import MobileNet
from qerror.pytorch.zoo.resnet import ResNet


class Odd(nn.Module):
    """Pools of seven by seven, a shared ReLU6, a skip around a pool of two, functions."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 8, 3, padding=1)
        self.norm = nn.BatchNorm2d(8)
        self.act = nn.ReLU6()
        self.pool = nn.MaxPool2d(2, padding=1)
        self.small = nn.AvgPool2d(2)
        self.wide = nn.Conv2d(8, 12, 3, groups=4, dilation=2, padding=2, bias=False)
        self.head = nn.Linear(12, 5)

    def forward(self, x: Tensor) -> Tensor:
        y = self.act(self.norm(self.conv(x)))
        y = self.pool(y)
        y = torch.relu(self.small(y) + self.small(self.act(y)))
        y = torch.nn.functional.adaptive_avg_pool2d(self.act(self.wide(y)), 1)
        found: Tensor = self.head(torch.flatten(y, 1))
        return found


def ready(model: nn.Module, seed: int = 0) -> nn.Module:
    """Give a network's normalisations odd parameters and statistics."""
    generator = torch.Generator().manual_seed(seed)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            with torch.no_grad():
                for each, low, high in (
                    (module.weight, 0.5, 1.5),
                    (module.bias, -0.5, 0.5),
                    (module.running_mean, -0.5, 0.5),
                    (module.running_var, 0.3, 2.0),
                ):
                    assert each is not None
                    each.copy_(torch.rand(each.shape, generator=generator) * (high - low) + low)
    return model.eval()


def differing(both: IntegerModel, x: Tensor) -> list[str]:
    """Return the layers with any code that differs."""
    fake = both.fake.codes(x)
    integer = both.integer.trace(both.integer.encode(x.numpy()))
    assert list(fake) == list(integer)
    return [name for name in fake if not np.array_equal(fake[name].numpy(), integer[name])]


CASES: dict[str, tuple[Any, tuple[int, ...]]] = {
    "resnet": (ResNet, (1, 8, 8)),
    "mobilenet": (MobileNet, (1, 8, 8)),
    "odd": (Odd, (3, 26, 26)),
}


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("bits", [8, 4])
def test_random_networks(name: str, bits: int) -> None:
    build, shape = CASES[name]
    torch.manual_seed(bits)
    model = ready(build())
    x = torch.randn(32, *shape, dtype=torch.float64)
    both = to_integer(model, [x.float()], weight_bits=bits, activation_bits=bits)
    assert not differing(both, x.float())
    # Ties of the input, saturation on both sides, and nothing at all.
    step = both.integer.input.scale / 2
    hard = [torch.full(shape, v) for v in (0.0, 1e6, -1e6, step, 3 * step, -step, -3 * step)]
    assert not differing(both, torch.stack(hard))
    if bits == 8:
        with torch.no_grad():
            exact, found = model.double()(x), both.fake(x)
        noise = float((found - exact).square().mean() / exact.var())
        assert 0 < noise < 0.02


def images() -> Tensor:
    """Return 1,000 real images: those of the test, then others."""
    data = digits()
    found = torch.cat([data.test.inputs, data.train.inputs])[:1000]
    assert len(found) == 1000
    return found


@pytest.mark.exhaustive
@pytest.mark.parametrize("name", ["digits-resnet", "digits-mobilenet"])
def test_trained_networks(name: str) -> None:
    network = NETWORKS[name]
    model = network.model(0)
    both = to_integer(model, network.calibration())
    x = images()
    assert not differing(both, x)
    with torch.no_grad():
        exact = model(x)
    logits = both.integer.run(both.integer.encode(x.numpy()))
    agree = float((logits.argmax(1) == exact.argmax(1).numpy()).mean())
    assert agree > 0.995
    small = FixedPointModel(both.integer, torch.float32)
    if not small.exact_in_float32:
        assert np.array_equal(small.codes(x)[both.integer.layers[-1].name].numpy(), logits)


def test_the_share_of_a_pool_goes_into_weights() -> None:
    # 49 values: their sum is 64 / 49 too small a mean, which the next weights make up for.
    torch.manual_seed(0)
    net = nn.Sequential(nn.AvgPool2d(7), nn.Flatten(), nn.Linear(2, 3)).eval()
    x = torch.rand(64, 2, 7, 7)
    both = to_integer(net, [x])
    assert both.integer.layers[0].shift == 6
    assert not differing(both, x)
    with torch.no_grad():
        torch.testing.assert_close(both.fake(x).float(), net(x), rtol=0, atol=0.02)


def test_bad_input() -> None:
    x = torch.randn(4, 3, 8, 8)
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU())
    with pytest.raises(InvalidValue, match=r"'1' is in training mode: call eval\(\)"):
        to_integer(net.train(), [x])
    with pytest.raises(InvalidValue, match="cannot express GELU '1'"):
        to_integer(nn.Sequential(nn.Conv2d(3, 4, 3), nn.GELU()).eval(), [x])
    with pytest.raises(InvalidValue, match="BatchNorm2d '0' not behind a layer"):
        to_integer(nn.Sequential(nn.BatchNorm2d(3), nn.Conv2d(3, 4, 3)).eval(), [x])
    with pytest.raises(InvalidValue, match="pad with zeros"):
        to_integer(nn.Sequential(nn.Conv2d(3, 4, 3, padding_mode="reflect")).eval(), [x])
    with pytest.raises(InvalidValue, match="with such options"):
        to_integer(nn.Sequential(nn.MaxPool2d(2, ceil_mode=True)).eval(), [x])
    with pytest.raises(InvalidValue, match="do not fit step '0'"):
        to_integer(net.eval(), [torch.randn(4, 2, 8, 8)])
    with pytest.raises(InvalidValue, match="finite"):
        to_integer(net.eval(), [x * float("nan")])
    with pytest.raises(InvalidType, match=r"torch\.nn\.Module"):
        to_integer("net", [x])  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]
    with pytest.raises(InvalidValue, match="weight_bits"):
        to_integer(net.eval(), [x], weight_bits=1)
    wide = nn.Sequential(nn.Linear(70_000, 1)).eval()
    with pytest.raises(InvalidValue, match="beyond int32"):
        to_integer(wide, [torch.rand(2, 70_000)], weight_bits=12)

    class Branching(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x if x.sum() > 0 else -x

    with pytest.raises(InvalidValue, match=r"cannot trace the network \(Branching\)"):
        to_integer(Branching(), [x])
