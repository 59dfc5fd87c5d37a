"""Forwards as people write them, prepared for a backend: modes, changes in place, odd layers."""

import copy
import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F  # noqa: N812 - torch's own custom
from torch import Tensor, nn

from qerror.exceptions import InvalidValue
from qerror.integer import Codes, IntegerLayer, IntegerNetwork
from qerror.pytorch.f8net import f8net
from qerror.pytorch.graphs import Declared, prepare, sites_of
from qerror.pytorch.integer import FixedPointModel, IntegerModule, to_integer
from qerror.pytorch.tracing import traced


class Net(nn.Module):
    """A forward over named layers."""

    def __init__(self, forward: Callable[[Any, Tensor], Any]) -> None:
        super().__init__()
        self.way = forward
        self.a = nn.Conv2d(2, 2, 3, padding=1)
        self.b = nn.Conv2d(2, 2, 3, padding=1)
        self.relu = nn.ReLU(inplace=True)
        self.nothing = nn.Identity()

    def forward(self, x: Tensor) -> Any:
        return self.way(self, x)


def images() -> Tensor:
    return torch.randn(8, 2, 6, 6, generator=torch.Generator().manual_seed(0))


def test_dropouts_in_functions_know_the_mode() -> None:
    net = Net(lambda n, x: n.b(F.dropout(n.a(x), 0.5, training=n.training)))
    found = prepare(net.train(), images(), "TensorRT", "minmax", bits=10)  # in any mode
    with torch.no_grad():
        assert torch.equal(found(images()), found(images()))
        assert float((found(images()) - net.eval()(images())).abs().max()) < 0.1
        found.train()
        assert not torch.equal(found(images()), found(images()))
    assert net.training is False
    graph = traced(net.train(), "")
    assert graph.training
    assert graph.get_submodule("dropout_of_dropout").training


def test_modes_of_modules_stay_as_they_were() -> None:
    net = nn.Sequential(nn.Conv2d(2, 2, 3), nn.BatchNorm2d(2), nn.ReLU()).train()
    net[1].eval()  # a frozen normalisation
    graph = traced(net, "")
    assert graph.get_submodule("0").training
    assert not graph.get_submodule("1").training
    assert net.training
    assert not net[1].training


def _module(net: Any, x: Tensor) -> Any:
    y = net.a(x)
    return net.b(net.relu(y)) + y


def _function(net: Any, x: Tensor) -> Any:
    y = net.a(x)
    z = F.relu(y, inplace=True)
    return net.b(z) + y


def _positional(net: Any, x: Tensor) -> Any:
    y = net.nothing(net.a(x))
    z = F.relu(y, True)
    return net.b(y) + z


def _method(net: Any, x: Tensor) -> Any:
    y = net.a(x)
    y.clamp_(-0.5, 0.5)
    return net.b(y)


def _torch(net: Any, x: Tensor) -> Any:
    y = net.a(x)
    before = net.b(y)
    torch.relu_(y)
    return before + y


def _twice(net: Any, x: Tensor) -> Any:
    y = net.a(x)
    z = net.b(net.relu(y))
    return net.relu(z) + y


@pytest.mark.parametrize("way", [_module, _function, _positional, _method, _torch, _twice])
def test_changes_in_place(way: Callable[[Any, Tensor], Any]) -> None:
    torch.manual_seed(0)
    net = Net(way).eval()
    with torch.no_grad():
        expected = net(images())
        assert torch.equal(traced(net, "")(images()), expected)
        assert net.relu.inplace
    for backend in ("TensorRT", "FBGEMM", "Academic"):
        found = prepare(net, images(), backend, "minmax", bits=10)
        with torch.no_grad():
            assert float((found(images()) - expected).abs().max()) < 0.15
        found.train()(images()).square().mean().backward()
        assert all(each.grad is not None for each in found.parameters())


def test_changes_in_place_of_what_has_another_shape() -> None:
    def way(net: Any, x: Tensor) -> Any:
        y = net.a(x)
        z = y.flatten(1)
        net.relu(y)
        return z

    with pytest.raises(InvalidValue, match=r"'relu' changes in place .* leave inplace out"):
        prepare(Net(way).eval(), images())


def test_another_network_than_the_one_that_runs() -> None:
    def way(net: Any, x: Tensor) -> Any:
        y = net.a(x)
        z = y
        z += x  # torch.fx takes it for z = z + x, so that y would stay
        return net.b(y)

    with pytest.raises(InvalidValue, match="do not give what Net computes"):
        prepare(Net(way).eval(), images())
    # One that draws numbers is never the same: it is let pass.
    prepare(Net(lambda n, x: F.dropout(n.a(x), 0.5)).eval(), images())


def test_a_layer_by_itself() -> None:
    for layer, x in ((nn.Conv2d(2, 3, 3), images()), (nn.Linear(6, 3), images())):
        found = prepare(layer.eval(), x, algorithm="minmax", bits=10)
        assert [site.users for site in sites_of(found)] == [("_0",)]
        with torch.no_grad():
            assert float((found(x) - layer(x)).abs().max()) < 0.1
    both = to_integer(nn.Conv2d(2, 3, 3).eval(), images())
    assert [each.name for each in both.integer.layers] == ["0"]


def test_an_embedding_takes_indices() -> None:
    class Words(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.table = nn.Embedding(10, 4)
            self.head = nn.Linear(4, 2)

        def forward(self, x: Tensor) -> Any:
            return self.head(self.table(x))

    for number, backend in ((1, "ACL"), (2, "TensorRT"), (3, "SNPE")):
        found = prepare(Words().eval(), torch.arange(10), backend, "minmax", bits=10)
        assert [site.users for site in sites_of(found)] == [("head",)], number


def test_names_that_modules_have() -> None:
    class Half(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.quantizers = nn.Conv2d(2, 2, 3)

        def forward(self, half: Tensor) -> Any:
            return self.quantizers(half)

    class Named(Half):
        def __init__(self) -> None:
            super().__init__()
            self.layer = self.quantizers
            del self.quantizers

        def forward(self, half: Tensor) -> Any:
            return self.layer(half)

    found = prepare(Named().eval(), images(), "TensorRT")
    assert [site.name for site in sites_of(found)] == ["half"]
    assert "quantizers.half_" in dict(found.named_modules())
    to_integer(found, images())
    with pytest.raises(InvalidValue, match="a part 'quantizers' of its own"):
        prepare(Half().eval(), images(), "TensorRT")


def test_declared_layers_are_no_integers() -> None:
    net = nn.Sequential(nn.Conv2d(2, 3, 3), nn.ReLU(), nn.Conv2d(3, 2, 3)).eval()
    by_hand = [Declared("2", (("",),))]
    found = prepare(net, images(), "FBGEMM", "minmax", bits=8, declared=by_hand)
    with pytest.raises(InvalidValue, match="declared by hand in '2'"):
        to_integer(found, images())


def test_a_normalisation_without_a_factor() -> None:
    net = nn.Sequential(nn.Conv2d(2, 2, 3), nn.BatchNorm2d(2, affine=False), nn.ReLU())
    net.train()(images())
    found = prepare(net.eval(), images(), "TensorRT", "minmax", bits=10)
    with torch.no_grad():
        assert float((found(images()) - net(images())).abs().max()) < 0.1


def test_networks_without_numbers() -> None:
    net = nn.Sequential(nn.Conv2d(2, 2, 3), nn.BatchNorm2d(2), nn.ReLU()).eval()
    found = prepare(net, images(), "TensorRT", bits=8)
    fixed = f8net(net, images())
    codes = torch.full((1, 2, 6, 6), 300)
    with pytest.raises(InvalidValue, match="the network takes codes in"):
        IntegerModule(to_integer(fixed, ()).integer)(codes)
    for model, names in (
        (found, ("0.module.weight", "quantizers.input_1.s", "0.norm.running_mean")),
        (fixed, ("layers.0.module.weight", "layers.0.norm.bias")),
        (net, ("0.weight", "1.bias")),
    ):
        for name in names:
            broken = copy.deepcopy(model)
            values = dict([*broken.named_parameters(), *broken.named_buffers()])[name]
            values.detach().fill_(math.nan)
            with pytest.raises(InvalidValue, match=r"NaN|not finite"):
                to_integer(broken, images())
    longer = nn.Sequential(net, nn.Conv2d(2, 2, 1)).eval()
    clipped = f8net(longer, images())
    next(iter(clipped.clips.values())).detach().fill_(math.inf)
    with pytest.raises(InvalidValue, match="the clip '1' is inf"):
        to_integer(clipped, ())


def test_biases_beside_faint_weights() -> None:
    net = nn.Sequential(nn.Conv2d(2, 2, 3), nn.ReLU(), nn.Conv2d(2, 3, 4)).eval()
    with torch.no_grad():
        for each in (net[0].weight, net[0].bias):
            assert isinstance(each, Tensor)
            each.mul_(1e-14)
    prepared = prepare(net, images(), "TensorRT", "minmax", bits=10)
    both = to_integer(prepared, images())
    with torch.no_grad():
        assert torch.allclose(both.fake(images()).float(), net(images()), atol=1e-7)


def test_sums_of_additions_and_images_in_float32() -> None:
    fine, coarse = Codes(18, -127, 127), Codes(0, -127, 127)
    layers = (
        IntegerLayer("fine", "clip", ("",), fine),
        IntegerLayer("coarse", "clip", ("",), coarse),
        IntegerLayer("sum", "add", ("fine", "coarse"), Codes(18, -(2**30), 2**30)),
    )
    network = IntegerNetwork(Codes(16, -(2**23), 2**23), layers)
    model = FixedPointModel(network, torch.float32)
    assert model.exact_in_float32 == ("sum",)  # 127 * 2^18 + 127
    odd = torch.tensor([[0.5 + 2.0**-17 + 2.0**-40]], dtype=torch.float64)  # a tie in float32
    assert network.encode(odd.numpy()).tolist() == [[2**15 + 1]]
    assert int(model.codes(odd)["fine"]) == 127
    assert int(model.codes(copy.deepcopy(odd))["coarse"]) == 1
