"""What a network of integers makes of forwards as people write them: the network's own function."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F  # noqa: N812 - torch's own custom
from torch import Tensor, nn

from qerror.exceptions import InvalidValue
from qerror.pytorch.integer import to_integer

Forward = Callable[[Any, Tensor], Any]


class Net(nn.Module):
    """A forward over named layers."""

    def __init__(self, forward: Forward) -> None:
        super().__init__()
        self.way = forward
        self.a = nn.Conv2d(2, 2, 3, padding=1)
        self.b = nn.Conv2d(2, 2, 3, padding=1)
        self.wide = nn.Linear(2 * 8 * 8, 3)
        self.narrow = nn.Linear(2, 3)
        self.norm = nn.BatchNorm2d(2)
        self.plain = nn.BatchNorm2d(2, affine=False)
        self.one = [1, 1]
        self.nothing, self.drop = nn.Identity(), nn.Dropout()
        self.relu = nn.ReLU(inplace=True)
        for norm in (self.norm, self.plain):
            nn.init.normal_(norm.running_mean)  # type: ignore[arg-type]
            nn.init.uniform_(norm.running_var, 0.5, 2.0)  # type: ignore[arg-type]

    def forward(self, x: Tensor) -> Any:
        return self.way(self, x)


def _in_place_before_a_sum(net: Any, x: Tensor) -> Any:
    y = net.a(x)
    return net.b(net.relu(y)) + y  # y is rectified by then


def _in_place_after_a_use(net: Any, x: Tensor) -> Any:
    y = net.a(x)
    z = net.b(y)
    return torch.relu_(y) + z


def _in_place_of_a_view(net: Any, x: Tensor) -> Any:
    y = net.a(x)
    z = net.nothing(y)
    F.relu(z, inplace=True)
    return net.b(y)


def _augmented(net: Any, x: Tensor) -> Any:
    y = net.a(x)
    z = y
    z += x
    return net.b(y)


def _unused(net: Any, x: Tensor) -> Any:
    y = net.a(x)
    _ = net.b(x).relu()
    return y


def _result_in_the_middle(net: Any, x: Tensor) -> Any:
    y = net.a(x)
    _ = F.relu(y)
    return y


def _pooled_and_not(net: Any, x: Tensor) -> Any:
    y = net.a(x)
    return F.relu(F.max_pool2d(y, 3, 1, 1)) + y


def _view_and_not(net: Any, x: Tensor) -> Any:
    y = net.a(x)
    return F.relu(net.nothing(y)) + y


def _dropped_and_not(net: Any, x: Tensor) -> Any:
    y = net.a(x)
    return F.relu(F.dropout(y, training=net.training)) + y


def _norm_behind_two(net: Any, x: Tensor) -> Any:
    y = net.a(x)
    return net.norm(net.nothing(y)) + y


def _in_place_of_a_flat_view(net: Any, x: Tensor) -> Any:
    y = net.a(x)
    z = y.flatten(1)
    net.relu(y)
    return net.wide(z)


FORWARDS: dict[str, Forward] = {
    "relu behind a pool": lambda n, x: n.b(F.relu(F.max_pool2d(n.a(x), 2))),
    "relu6 behind a pool": lambda n, x: n.b(F.relu6(F.max_pool2d(n.a(x), kernel_size=3, stride=1))),
    "relu behind a pool that others take": _pooled_and_not,
    "relu behind flattening": lambda n, x: n.wide(F.relu(torch.flatten(n.a(x), 1))),
    "relu at the end": lambda n, x: n.b(n.a(x)).relu(),
    "relu twice": lambda n, x: n.b(F.relu(F.relu6(F.relu(n.a(x))))),
    "relu of the image": lambda n, x: n.b(F.relu(x)),
    "relu of a view that others take": _view_and_not,
    "relu of what is dropped": _dropped_and_not,
    "norm of a view": lambda n, x: n.b(n.norm(n.drop(n.a(x)))),
    "norm without a factor": lambda n, x: n.b(F.relu(n.plain(n.a(x)))),
    "one layer, two normalisations": lambda n, x: n.plain(n.a(x)) + n.norm(n.a(F.relu(x))),
    "in place before a sum": _in_place_before_a_sum,
    "in place after a use": _in_place_after_a_use,
    "in place of a view": _in_place_of_a_view,
    "unused": _unused,
    "result in the middle": _result_in_the_middle,
    "flatten by name": lambda n, x: n.wide(torch.flatten(n.a(x), start_dim=1)),
    "flatten as method": lambda n, x: n.wide(n.a(x).flatten(start_dim=1)),
    "view by size": lambda n, x: n.wide(n.a(x).view(x.size(0), -1)),
    "view by features": lambda n, x: n.wide(n.a(x).view(-1, 128)),
    "reshape by shape": lambda n, x: n.wide(n.a(x).reshape((x.shape[0], -1))),
    "reshape as function": lambda n, x: n.wide(torch.reshape(n.a(x), (x.shape[0], 128))),
    "mean": lambda n, x: n.narrow(n.a(x).mean((2, 3), False)),
    "mean as function": lambda n, x: n.narrow(torch.mean(n.a(x), dim=(-1, -2))),
    "mean that keeps": lambda n, x: n.narrow(n.a(x).mean([2, 3], keepdim=True).flatten(1)),
    "adaptive by name": lambda n, x: n.narrow(
        F.adaptive_avg_pool2d(n.a(x), output_size=n.one).flatten(1)
    ),
    "adaptive to places": lambda n, x: n.b(F.adaptive_avg_pool2d(n.a(x), (4, 2))),
    "means of means": lambda n, x: n.b(F.avg_pool2d(F.avg_pool2d(n.a(x), 3, 1), 3, 1)),
    "relu6 of a mean": lambda n, x: n.b(F.relu6(F.avg_pool2d(n.a(x), 3, 1))),
    "largest mean": lambda n, x: n.b(F.max_pool2d(F.avg_pool2d(n.a(x), 3, 1), 2)),
    "sum of means": lambda n, x: n.b(F.avg_pool2d(n.a(x), 3, 1) + F.avg_pool2d(n.b(x), 3, 1)),
}


@pytest.mark.parametrize("backend", [None, "int8"])
@pytest.mark.parametrize("name", FORWARDS)
def test_the_network_s_own_function(name: str, backend: str | None) -> None:
    torch.manual_seed(1)
    net = Net(FORWARDS[name]).eval()
    x = 3 * torch.rand(16, 2, 8, 8) - 1
    found = to_integer(net, x, weight_bits=11, activation_bits=11, backend=backend)
    with torch.no_grad():
        expected = net(x).double()
    values = found.fake(x).double()
    codes = found.integer.encode(x.numpy())
    last = found.integer.layers[-1].name
    assert (found.integer.run(codes) == found.fake.codes(x)[last].numpy()).all()
    # Eleven bits, with the clip of the tails.
    assert float((values - expected).square().mean().sqrt()) < 0.003 * float(expected.abs().max())


@pytest.mark.parametrize(
    ("module", "padding"),
    [
        (nn.Conv2d(2, 3, 3, padding="same", dilation=2), (2, 2)),
        (nn.Conv2d(2, 3, (3, 1), padding="same"), (1, 0)),
        (nn.Conv2d(2, 3, 3, padding="valid"), (0, 0)),
    ],
)
def test_padding_by_name(module: nn.Conv2d, padding: tuple[int, int]) -> None:
    x = torch.rand(4, 2, 8, 8)
    found = to_integer(nn.Sequential(module).eval(), x, weight_bits=12, activation_bits=12)
    assert found.integer.layers[0].padding == padding
    assert torch.allclose(found.fake(x).float(), module(x), atol=2e-3)


REFUSED: dict[str, tuple[Forward, str]] = {
    # torch.fx takes z += x for z = z + x: the graph is that of another network.
    "augmented": (_augmented, "do not give what Net computes"),
    "alpha": (lambda n, x: torch.add(n.a(x), x, alpha=2), "add of other than two tensors"),
    "number": (lambda n, x: n.a(x) + 1, "add of other than two tensors"),
    "hardswish": (lambda n, x: F.hardswish(n.a(x)), "hardswish"),
    "norm behind two": (_norm_behind_two, "'norm'"),
    "dropped in evaluation": (lambda n, x: F.dropout(n.a(x)), "dropout"),
    "places": (lambda n, x: F.adaptive_avg_pool2d(n.a(x), 3), "8 x 8 values do not divide into"),
    "rows of two images": (lambda n, x: n.wide(n.a(x).view(-1, 64).view(-1, 128)), "mixed"),
    "shape": (lambda n, x: n.a(x) + x.size(1), "size"),
    "rows": (lambda n, x: nn.functional.relu(n.wide(n.a(x))), "takes rows"),
    "in place of a view": (
        _in_place_of_a_flat_view,
        "changes in place what is used in another shape later",
    ),
    "mean at the end": (lambda n, x: F.avg_pool2d(n.a(x), 3), "backend, such as int8"),
    "mean and another": (lambda n, x: F.avg_pool2d(n.a(x), 3, 1, 0) + n.a(x)[:, :, 1:-1], "item"),
    "two results": (lambda n, x: (n.a(x), x), "one tensor"),
    "its input": (lambda n, x: n.nothing(x), "no layer"),
    "indices": (lambda n, x: F.max_pool2d(n.a(x), 2, return_indices=True)[0], "max_pool2d"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_refused_is_named(name: str) -> None:
    forward, message = REFUSED[name]
    with pytest.raises(InvalidValue, match=message):
        to_integer(Net(forward).eval(), torch.rand(4, 2, 8, 8))


def test_small_values_are_named() -> None:
    first = nn.Conv2d(2, 3, 3, bias=False)
    with torch.no_grad():
        first.weight.mul_(1e-14)
    net = nn.Sequential(first, nn.ReLU(), nn.Conv2d(3, 3, 3)).eval()
    with pytest.raises(InvalidValue, match="step '0': a fractional length"):
        to_integer(net, torch.rand(4, 2, 8, 8))
