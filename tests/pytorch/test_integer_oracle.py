"""Whole networks of integers against their definition: every layer's codes, at the worst images."""

from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F  # noqa: N812 - torch's own custom
from torch import Tensor, nn

from qerror.pytorch.f8net import f8net
from qerror.pytorch.graphs import prepare
from qerror.pytorch.integer import FixedPointModel, IntegerModel, IntegerModule, to_integer
from tests.oracles.integer_network import traced


class Block(nn.Module):
    """A residual block with a projection, groups, dilation and odd pools."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(2, 4, 3, padding=(1, 0), bias=False)
        self.norms = nn.ModuleList(nn.BatchNorm2d(4) for _ in range(3))
        self.deep = nn.Conv2d(4, 4, (3, 2), padding=1, dilation=(1, 2), groups=4)
        self.skip = nn.Conv2d(4, 4, 1, bias=False)
        self.head = nn.Linear(4, 3, bias=False)
        for each in self.norms:
            for values, low, high in (
                (each.weight, -1.5, 1.5),
                (each.bias, -0.5, 0.5),
                (each.running_mean, -0.5, 0.5),
                (each.running_var, 0.3, 2.0),
            ):
                assert isinstance(values, Tensor)
                nn.init.uniform_(values, low, high)

    def forward(self, x: Tensor) -> Any:
        y = F.relu6(self.norms[0](self.stem(x)))
        y = F.relu(self.norms[1](self.deep(y)) + self.norms[2](self.skip(F.max_pool2d(y, 3, 1, 1))))
        y = F.avg_pool2d(y, (3, 2), stride=(2, 1))
        return self.head(torch.mean(y, dim=(2, 3)))


def made(kind: str) -> IntegerModel:
    torch.manual_seed(2)
    net, x = Block().eval(), torch.randn(64, 2, 7, 6)
    if kind == "f8net":
        return to_integer(f8net(net, [x]), ())
    if kind in {"8 bits", "4 bits", "2 bits"}:
        bits = int(kind[0])
        return to_integer(net, [x], weight_bits=bits, activation_bits=bits)
    backend, rounding = kind.split()
    if backend == "TVM":
        learnt = prepare(net, [x], backend, "mse", bits=4).double()
        return to_integer(learnt, [x], rounding=rounding)  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]
    return to_integer(net, [x], backend=backend, rounding=rounding)  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]


def worst(low: int, high: int) -> Any:
    """Return codes at the ends, at random, and in patches of one value, which make ties."""
    rng, shape = np.random.default_rng(0), (2, 7, 6)
    return np.stack(
        [
            np.full(shape, low),
            np.full(shape, high),
            rng.integers(low, high + 1, shape),
            rng.choice([low, high], shape),
            np.where(np.arange(6) < 3, high // 2, low // 2) + np.zeros(shape, np.int64),
        ]
    ).astype(np.int64)


@pytest.mark.parametrize(
    "kind",
    [
        *("8 bits", "4 bits", "2 bits", "f8net"),
        *("int8 once", "int8 twice", "SNPE even", "FBGEMM once", "TensorRT twice"),
        *("TVM even", "TVM once", "TVM twice"),
    ],
)
def test_every_layer_is_its_definition(kind: str) -> None:
    both = made(kind)
    network: Any = both.integer
    codes = worst(network.input.low, network.input.high)
    expected = traced(network, codes)
    found = network.trace(codes)
    assert list(found) == list(expected)
    tensors = IntegerModule(network).trace(torch.from_numpy(codes))
    shifts = isinstance(both.fake, FixedPointModel)
    scale = network.input.scale
    images = torch.from_numpy((codes - (0 if shifts else network.input.zero)) * scale)
    fake = both.fake.codes(images)
    narrow = FixedPointModel(network, torch.float32) if shifts else None
    for name, values in expected.items():
        assert np.array_equal(found[name], values), name
        assert np.array_equal(tensors[name].numpy(), values), name
        assert np.array_equal(fake[name].numpy(), values), name
        if narrow is not None and not narrow.exact_in_float32:
            assert np.array_equal(narrow.codes(images)[name].numpy(), values), name
