"""Quantizers stand where MQBench's figures have them; a network computes its backend's rules."""

import copy
import math
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from qerror.exceptions import InvalidType, InvalidValue, UnknownName
from qerror.pytorch import FakeQuantize, functional, quantizers, update_bn
from qerror.pytorch.backends import BACKENDS, Backend, Graph
from qerror.pytorch.examples import Examples
from qerror.pytorch.folding import FoldedBatchNorm, Folding
from qerror.pytorch.graphs import (
    ALGORITHMS,
    Algorithm,
    Declared,
    check_combination,
    prepare,
    sites_of,
)
from qerror.pytorch.training import Plan, train
from qerror.pytorch.zoo.mobilenet import InvertedBottleneck
from qerror.pytorch.zoo.resnet import BasicBlock


class Joined(nn.Module):
    """Two convolutions side by side, joined, and a third on the whole (Szegedy et al. 2015)."""

    def __init__(self) -> None:
        super().__init__()
        self.left = nn.Sequential(nn.Conv2d(4, 3, 1), nn.ReLU())
        self.right = nn.Sequential(nn.Conv2d(4, 2, 3, padding=1), nn.BatchNorm2d(2))
        self.pool = nn.MaxPool2d(2)
        self.last = nn.Conv2d(5, 4, 1)
        self.mean = nn.AdaptiveAvgPool2d(1)
        self.head = nn.Linear(4, 2)

    def forward(self, x: Tensor) -> Tensor:
        """Return logits."""
        y = self.pool(torch.cat([self.left(x), 10 * self.right(x)], 1))
        found: Tensor = self.head(self.mean(self.last(y)).flatten(1))
        return found


class Dense(nn.Module):
    """A joint that is joined again (Huang et al. 2017)."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(4, 4, 1)
        self.second = nn.Conv2d(8, 4, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Return all channels."""
        joined = torch.cat((x, self.first(x)), 1)
        return torch.cat((joined, self.second(joined)), 1)


def with_graph(number: Graph) -> Backend:
    """Return a backend of one's own: another graph."""
    return replace(BACKENDS["ACL"], name="own", graph=number)


def images(channels: int = 4, count: int = 16) -> Tensor:
    """Return a batch with values on both sides of 0."""
    return torch.randn(count, channels, 8, 8, generator=torch.Generator().manual_seed(1))


def built(build: Any) -> nn.Module:
    """Return a module with reproducible weights, in evaluation mode."""
    torch.manual_seed(0)
    module: nn.Module = build().eval()
    return module


BLOCKS: dict[str, Any] = {
    "plain": lambda: BasicBlock(4, 4, 1),
    "projected": lambda: BasicBlock(4, 8, 2),
    "inverted": lambda: InvertedBottleneck(4, 4, 1),
    "joined": Joined,
    "dense": Dense,
}

# Quantizer: what it quantizes, and for whom. Li et al. 2021, figures 4, 15 and 16.
PLACES: dict[tuple[str, Graph], dict[str, tuple[set[str], set[str]]]] = {
    ("plain", 1): {"conv1": ({"x"}, {"conv1"}), "conv2": ({"relu"}, {"conv2"})},
    ("plain", 2): {"x": ({"x"}, {"conv1", "add"}), "relu": ({"relu"}, {"conv2"})},
    ("plain", 3): {
        "x": ({"x"}, {"conv1", "add"}),
        "relu": ({"relu"}, {"conv2"}),
        "conv2": ({"conv2"}, {"add"}),
    },
    ("projected", 1): {
        "conv1": ({"x"}, {"conv1"}),
        "conv2": ({"relu"}, {"conv2"}),
        "skip_0": ({"x"}, {"skip_0"}),
    },
    ("projected", 2): {
        "x": ({"x"}, {"conv1", "skip_0"}),
        "relu": ({"relu"}, {"conv2"}),
        "skip_0": ({"skip_0"}, {"add"}),
    },
    ("projected", 3): {
        "x": ({"x"}, {"conv1", "skip_0"}),
        "relu": ({"relu"}, {"conv2"}),
        "conv2": ({"conv2"}, {"add"}),
        "skip_0": ({"skip_0"}, {"add"}),
    },
    ("inverted", 1): {
        "expand_0": ({"x"}, {"expand_0"}),
        "depthwise_0": ({"expand_2"}, {"depthwise_0"}),
        "project_0": ({"depthwise_2"}, {"project_0"}),
    },
    ("inverted", 2): {
        "x": ({"x"}, {"expand_0", "add"}),
        "expand_2": ({"expand_2"}, {"depthwise_0"}),
        "depthwise_2": ({"depthwise_2"}, {"project_0"}),
    },
    ("inverted", 3): {
        "x": ({"x"}, {"expand_0", "add"}),
        "expand_2": ({"expand_2"}, {"depthwise_0"}),
        "depthwise_2": ({"depthwise_2"}, {"project_0"}),
        "project_0": ({"project_0"}, {"add"}),
    },
    ("joined", 1): {
        "left_0": ({"x"}, {"left_0"}),
        "right_0": ({"x"}, {"right_0"}),
        "last": ({"pool"}, {"last"}),
        "head": ({"flatten"}, {"head"}),
    },
    ("joined", 2): {
        "x": ({"x"}, {"left_0", "right_0"}),
        "left_1": ({"left_1", "mul"}, {"cat", "pool", "last"}),
        "last": ({"last"}, {"mean"}),
        "mean": ({"mean"}, {"head"}),
    },
    ("dense", 3): {"x": ({"x", "first", "second"}, {"first", "cat", "second", "cat_1"})},
}
PLACES["joined", 3] = PLACES["joined", 2]


@pytest.mark.parametrize(("block", "number"), PLACES)
def test_places(block: str, number: Graph) -> None:
    found = prepare(built(BLOCKS[block]), images(), with_graph(number), bits=8)
    sites = {each.name: (set(each.tensors), set(each.users)) for each in sites_of(found)}
    assert sites == PLACES[block, number]
    held = [each for each in found.modules() if isinstance(each, FakeQuantize)]
    active = [each for each in held if each.setting.role == "activation"]
    assert len(active) == len(sites)
    assert all(found.get_submodule(f"quantizers.{name}") in active for name in sites)


@pytest.mark.parametrize("number", [2, 3])
def test_what_is_joined_shares_scale_and_zero_point(number: Graph) -> None:
    found = prepare(built(Joined), images(), with_graph(number), bits=4)
    taken: list[Tensor] = []

    def keep(_: nn.Module, given: tuple[Tensor, ...]) -> None:
        taken.append(given[0].detach())

    found.get_submodule("last").register_forward_pre_hook(keep)
    found(images())
    shared: Any = found.get_submodule("quantizers.left_1")
    codes = taken[0] / shared.scale().detach() + torch.round(shared.z.detach())
    torch.testing.assert_close(codes, codes.round(), rtol=0, atol=1e-4)
    assert 0 <= float(codes.round().min()) < float(codes.round().max()) <= 15
    # Both have a side of their own: neither range alone would do for the other.
    assert float(taken[0][:, 3:].min()) < -1 < 0 <= float(taken[0][:, :3].min())


def test_a_block_computes_what_the_figure_shows() -> None:
    block: Any = built(BLOCKS["projected"])
    with torch.no_grad():
        for norm in (block.norm1, block.norm2, block.skip[1]):
            norm.running_mean.normal_()
            norm.running_var.uniform_(0.5, 2)
            norm.weight.uniform_(0.5, 2)
    x = images()
    for number in (2, 3):
        found: Any = prepare(block, x, replace(BACKENDS["TVM"], graph=number), bits=4, folding=2)
        q = found.quantizers

        def layer(
            conv: nn.Conv2d, norm: nn.BatchNorm2d, x: Tensor, quantizer: FakeQuantize
        ) -> Tensor:
            assert norm.running_mean is not None
            assert norm.running_var is not None
            factor = norm.weight / torch.sqrt(norm.running_var + norm.eps)
            weight = conv.weight * factor[:, None, None, None]
            scale = quantizer.scale().detach()
            assert float(torch.log2(scale)) == math.floor(float(torch.log2(scale)))
            rounded = torch.clamp(torch.round(weight / scale), -7, 7) * scale
            bias = norm.bias - factor * norm.running_mean
            return nn.functional.conv2d(x, rounded, bias, conv.stride, conv.padding)

        held = q.x(x)
        y = torch.relu(layer(block.conv1, block.norm1, held, found.conv1.quantizer))
        y = layer(block.conv2, block.norm2, q.relu(y), found.conv2.quantizer)
        skip = getattr(found.skip, "0")
        short = q.skip_0(layer(block.skip[0], block.skip[1], held, skip.quantizer))
        expected = torch.relu((q.conv2(y) if number == 3 else y) + short)
        torch.testing.assert_close(found(x), expected, rtol=1e-4, atol=1e-4)


def test_the_academic_setting() -> None:
    net = nn.Sequential(
        nn.Conv2d(4, 6, 3), nn.ReLU(), nn.Conv2d(6, 6, 3), nn.Flatten(), nn.Linear(96, 3)
    ).eval()
    found: Any = prepare(net, images(), "Academic", "lsq", bits=3)
    forms = [found.get_submodule(f"quantizers._{i}").setting.form.name for i in (0, 2, 4)]
    assert forms == ["INT8", "UINT3", "INT8"]
    weights = [found.get_submodule(str(i)).parametrizations.weight[0] for i in (0, 2, 4)]
    assert [each.setting.form.name for each in weights] == ["INT8", "INT3", "INT8"]


@pytest.mark.parametrize("algorithm", ["lsq", "lsq+", "dsq", "pact", "dorefa", "minmax"])
@pytest.mark.parametrize("name", ["Academic", "TensorRT", "ACL", "TVM", "SNPE", "FBGEMM"])
def test_every_deployable_pair_is_computed_and_trains(name: str, algorithm: str) -> None:
    backend = BACKENDS[name]
    check_combination(backend, algorithm)
    model = built(BLOCKS["projected"])
    before = copy.deepcopy(model.state_dict())
    found = prepare(model, images(), backend, algorithm, bits=4)
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())
    assert sum(isinstance(each, FoldedBatchNorm) for each in found.modules()) == 3 * backend.folds
    found.train()
    found(images()).square().mean().backward()
    for key, each in found.named_parameters():
        assert not each.requires_grad or each.grad is not None, key
        assert each.grad is None or bool(torch.isfinite(each.grad).all()), key
    for module in quantizers(found):
        most = 256 if module.setting.bits == 8 else 16
        rows = module(torch.randn((*module.setting.granularity.shape, 3, 40))).detach()
        assert all(len(torch.unique(row)) <= most for row in rows.reshape(-1, 120))


def test_a_network_of_convolutions_learns() -> None:
    torch.manual_seed(0)
    targets = torch.arange(64) % 2
    data = torch.randn(64, 4, 8, 8) + 2.0 * targets[:, None, None, None]
    examples = Examples(data, targets)
    net = built(Joined)
    for name, folding in (("Academic", None), ("FBGEMM", 2)):
        found = prepare(net, data, name, bits=4, folding=folding)
        with torch.no_grad():
            first = nn.functional.cross_entropy(found(data), examples.targets)
        train(found, examples, Plan(12, batch_size=16, shifts=0, label_smoothing=0.0))
        with torch.no_grad():
            assert nn.functional.cross_entropy(found(data), examples.targets) < 0.9 * first


@pytest.mark.parametrize("folding", [0, 1, 2, 3, 4])
def test_normalisations_are_calibrated_anew_where_their_statistics_live(folding: int) -> None:
    model = built(BLOCKS["plain"])
    found: Any = prepare(model, images(), "TensorRT", bits=4, folding=folding)
    before = copy.deepcopy(found.state_dict())
    update_bn(found, images(count=64))
    moved = not torch.equal(found.conv1.norm.running_mean, before["conv1.norm.running_mean"])
    assert moved == (folding >= Folding.BATCH)
    assert bool(torch.isfinite(found(images())).all())
    assert copy.deepcopy(found)(images()).equal(found(images()))


# ---- by hand


class Undecided(nn.Module):
    """A block whose steps depend on the data: torch.fx cannot trace it."""

    def __init__(self) -> None:
        super().__init__()
        self.one = nn.Conv2d(4, 4, 1)
        self.two = nn.Conv2d(4, 4, 1)
        self.sum = Sum()

    def forward(self, x: Tensor) -> Tensor:
        """Return one of two."""
        y = self.one(x)
        found: Tensor = self.sum(y, self.two(x)) if bool(x.mean() > 0) else self.sum(x, y)
        return found


class Sum(nn.Module):
    """An addition with a name."""

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        """Return the sum."""
        return x + y


def test_what_cannot_be_traced_is_named_and_can_be_declared() -> None:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(4, 4, 1), nn.Sequential(Undecided()), nn.Conv2d(4, 2, 1)).eval()
    with pytest.raises(InvalidValue, match=r"cannot trace module '1\.0' \(Undecided\).*Declare"):
        prepare(net, images(), "FBGEMM")
    by_hand = Declared("1.0", (("one", "two"), ("sum",)))
    found: Any = prepare(net, images(), "FBGEMM", declared=[by_hand])
    block = found.get_submodule("1.0")
    assert block.one.input_quantizer is block.two.input_quantizer
    assert block.sum.input_quantizer is not block.one.input_quantizer
    assert {each.name for each in sites_of(found)} == {"input_1", "_1_0"}
    seen: list[Tensor] = []
    block.sum.input_quantizer.register_forward_hook(lambda *given: seen.append(given[2]))
    y = found(images())
    assert len(seen) == 2  # both inputs of the sum, by one range
    for part in seen:
        assert len(torch.unique(part.detach())) <= 16
    assert len(block.one.weight.detach()[0].unique()) <= 16
    assert float(block.one.input_quantizer.scale().detach()) != 1.0
    y.sum().backward()
    assert block.one.input_quantizer.s.grad is not None


def test_modules_with_weights_inside_are_declared_or_refused() -> None:
    net = nn.Sequential(nn.Linear(4, 4), nn.LSTM(4, 4))
    with pytest.raises(InvalidValue, match=r"LSTM '1' has weights .* Declared\('1', \.\.\.\)"):
        prepare(net, torch.randn(8, 5, 4), "ACL")
    found = prepare(net, torch.randn(8, 5, 4), "ACL", declared=[Declared("1")])
    assert len(sites_of(found)) == 1


# ---- what is refused


def test_combinations_that_a_backend_does_not_have() -> None:
    for name in ("qil", "apot"):
        check_combination("Academic", name)
        for backend in ("TensorRT", "ACL", "TVM", "SNPE", "FBGEMM"):
            with pytest.raises(InvalidValue, match=f"{backend} cannot compute {name}"):
                check_combination(backend, name)
        with pytest.raises(InvalidValue, match="cannot compute"):
            check_combination(replace(BACKENDS["Academic"], graph=2), name)
    with pytest.raises(InvalidValue, match="tqt takes integers with all codes"):
        check_combination("SNPE", Algorithm("own", "pact", "tqt"))
    with pytest.raises(InvalidValue, match="Academic does not fold"):
        check_combination("Academic", "lsq", folding=1)
    with pytest.raises(InvalidValue, match="TVM folds normalisations"):
        prepare(built(BLOCKS["plain"]), images(), "TVM", folding=-1)
    with pytest.raises(InvalidValue, match="unknown folding strategy 9"):
        check_combination("TVM", "lsq", folding=9)
    with pytest.raises(UnknownName):
        check_combination("TVM", "lsqq")
    with pytest.raises(UnknownName):
        Algorithm("own", "lsq", "none")
    assert {each.name for each in ALGORITHMS.values() if not each.deployable} == {"qil", "apot"}


def test_bad_input() -> None:
    flat = nn.Sequential(nn.Conv2d(4, 4, 1), nn.ReLU())
    assert sites_of(prepare(flat, images(), "TensorRT"))  # nothing to fold, and nothing asked
    with pytest.raises(InvalidValue, match="nothing to fold"):
        prepare(flat, images(), "TensorRT", folding=1)
    with pytest.raises(InvalidValue, match="no convolution"):
        prepare(nn.Sequential(nn.ReLU()), images(), "ACL")
    with pytest.raises(InvalidValue, match="no batch"):
        prepare(flat, [], "ACL")
    with pytest.raises(InvalidValue, match="bits"):
        prepare(flat, images(), "ACL", bits=1)
    with pytest.raises(InvalidValue, match="cannot take a batch of shape"):
        prepare(flat, images(3), "ACL")
    broken: Any = copy.deepcopy(flat)
    nn.init.constant_(broken[0].weight, math.nan)
    with pytest.raises(InvalidValue, match="layer 0: its weights are not all finite"):
        prepare(broken, images(), "ACL")
    with pytest.raises(InvalidValue, match="quantized or folded already"):
        prepare(prepare(flat, images(), "ACL"), images(), "ACL")
    with pytest.raises(InvalidType, match=r"torch\.nn\.Module"):
        prepare("resnet", images())  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]
    with pytest.raises(InvalidType, match="Declared records"):
        prepare(flat, images(), declared=["0"])  # type: ignore[list-item] # pyright: ignore[reportArgumentType]
    with pytest.raises(InvalidValue, match="no module 'nine'"):
        prepare(flat, images(), declared=[Declared("nine")])
    with pytest.raises(InvalidValue, match="'0' has no module 'a'"):
        prepare(flat, images(), declared=[Declared("0", (("a",),))])
    with pytest.raises(InvalidValue, match="declared twice"):
        prepare(flat, images(), declared=[Declared("0", (("",), ("",)))])
    with pytest.raises(InvalidType, match="tuples of names"):
        Declared("0", ("ab",))  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]
    with pytest.raises(InvalidValue, match="know their sites"):
        sites_of(flat)

    class Bare(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return nn.functional.conv2d(x, torch.ones(2, 4, 1, 1))

    with pytest.raises(InvalidValue, match="conv2d at node 'conv2d' takes its weight"):
        prepare(nn.Sequential(nn.Conv2d(4, 4, 1), Bare()), images(), "ACL")


# ---- what deployment adds to the methods, by their definitions


def test_dsq_with_a_zero_point() -> None:
    x = torch.linspace(-2, 3, 501, dtype=torch.float64).requires_grad_()
    s, z = torch.tensor(0.25, dtype=torch.float64), torch.tensor(5.0, dtype=torch.float64)
    y = functional.dsq(x, s, z, low=0, high=15, alpha=0.4)
    expected = s * (torch.clamp(torch.round(x.detach() / s + z), 0, 15) - z)
    torch.testing.assert_close(y.detach(), expected, rtol=0, atol=1e-15)
    torch.autograd.backward(y.sum())
    v = x.detach() / s + z
    k = math.log(2 / 0.4 - 1)
    slope = k / (2 * 0.6) / torch.cosh(k * (v - torch.floor(v) - 0.5)) ** 2
    inside = (v >= 0) & (v <= 15)
    torch.testing.assert_close(x.grad, slope * inside, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("bits", [2, 3, 4, 8])
@pytest.mark.parametrize("asymmetric", [False, True])
@pytest.mark.parametrize("power", [False, True])
def test_levels_of_the_unit_interval(bits: int, asymmetric: bool, power: bool) -> None:
    u = torch.linspace(-1, 1, 999, dtype=torch.float64).requires_grad_()
    y = functional.unit_levels(u, bits=bits, asymmetric=asymmetric, power_of_two=power)
    step = 2 / (2**bits - 1) if asymmetric else 1 / (2 ** (bits - 1) - 1)
    if power:
        step = 2.0 ** round(math.log2(step))
    zero = round(1 / step) if asymmetric else 0
    low, high = (0, 2**bits - 1) if asymmetric else (1 - 2 ** (bits - 1), 2 ** (bits - 1) - 1)
    codes = torch.round(u.detach() / step) + zero
    expected = (torch.clamp(codes, low, high) - zero) * step
    torch.testing.assert_close(y.detach(), expected, rtol=0, atol=1e-15)
    torch.autograd.backward(y.sum())
    torch.testing.assert_close(u.grad, ((codes >= low) & (codes <= high)).double())


def test_pact_at_powers_of_two() -> None:
    quantizer: Any = BACKENDS["TVM"].quantizer(4, "activation", "pact")
    x = torch.randn(500)
    for alpha in (0.3, 1.0, 5.0, 6.9):
        nn.init.constant_(quantizer.alpha, alpha)
        step = 2.0 ** round(math.log2(alpha / 7))
        expected = torch.clamp(torch.round(x / step), -7, 7) * step
        torch.testing.assert_close(quantizer(x).detach(), expected)
    quantizer(x * 9).sum().backward()
    assert float(quantizer.alpha.grad) != 0
