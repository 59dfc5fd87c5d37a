"""Networks trained with a backend's quantizers, as integers: the codes that the network has."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from qerror.exceptions import InvalidValue
from qerror.integer import load_network, save_network
from qerror.pytorch import METHODS, NETWORKS, FakeQuantize
from qerror.pytorch.backends import BACKENDS
from qerror.pytorch.calibration import MinMax
from qerror.pytorch.granularity import PerChannel
from qerror.pytorch.graphs import prepare
from qerror.pytorch.integer import IntegerModel, IntegerModule, to_integer
from qerror.pytorch.integer.prepared import prepared_of
from qerror.pytorch.integer.prepared_convert import PreparedPlanner
from qerror.pytorch.integer.steps import values_of
from qerror.pytorch.scales import PowerOfTwo
from qerror.pytorch.training import train
from qerror.pytorch.zoo import Classifier
from tests.pytorch.test_integer import CASES, differing, images, ready

ONE = np.array([1 << 30])
# Of the codes: of values nearer to a tie than a bias's unit, or the 31 bits of a factor, tell.
# How many do depends on the processor, whose sums trained the network.
TIES = 4e-6


def own_codes(model: Any, x: Tensor) -> dict[str, Tensor]:
    """Return what every quantizer of a network gave, in its own units."""
    found: dict[str, Tensor] = {}
    hooks = [
        each.register_forward_hook(lambda _, __, y, name=name: found.__setitem__(name, y))
        for name, each in model.quantizers.named_children()
    ]
    with torch.no_grad():
        model(x)
    for hook in hooks:
        hook.remove()
    return found


def strays(model: Any, both: IntegerModel, x: Tensor) -> tuple[int, int]:
    """Return how many codes are others than the network's, and of how many.

    Of an image that has one, what follows from it does not count.
    """
    seen = own_codes(model, x.to(next(model.parameters()).dtype))
    prepared = prepared_of(model)
    values_of(prepared.steps, x[:1].double())
    planner = PreparedPlanner(prepared)
    planner.network(tuple(x.shape[1:]))
    codes = both.integer.encode(x.numpy())
    integer = {"": codes, **both.integer.trace(codes)}
    wrong = count = 0
    alike = np.ones(len(x), dtype=bool)
    for step, own in prepared.codes.items():
        values = seen[step.removeprefix("quantizers.")].double() / own.scale + own.zero
        expected = torch.round(values).long().numpy()
        found = integer[planner.name[step]]
        off = abs(found - expected).reshape(len(x), -1)
        assert off[alike].max(initial=0) <= 1
        wrong, count = wrong + int(np.count_nonzero(off[alike])), count + found.size
        alike &= ~off.any(axis=1)
    return wrong, count


def stirred(model: nn.Module, x: Tensor) -> Any:
    """Return a network after steps of training, so that scales are no calibration's."""
    model.train()
    optimizer = torch.optim.Adam([p for p in model.parameters() if p.requires_grad], 1e-4)
    for _ in range(3):
        optimizer.zero_grad()
        model(x).square().mean().backward()
        optimizer.step()
    return model.eval()


@pytest.mark.parametrize(
    ("backend", "algorithm", "bits", "folding"),
    [
        ("TensorRT", "lsq", 8, 4),
        ("ACL", "dsq", 4, 2),
        ("TVM", "pact", 4, 4),
        ("SNPE", "lsq", 4, 3),
        ("FBGEMM", "pact", 8, 1),
        ("TensorRT", "lsq+", 3, 0),
        ("ACL", "dorefa", 4, 4),
        ("TVM", "dorefa", 5, 4),
        ("FBGEMM", "dorefa", 4, 2),
        ("FBGEMM", "mse", 8, 4),
    ],
)
@pytest.mark.parametrize("name", ["resnet", "mobilenet"])
@pytest.mark.thinned(2)
def test_the_codes_are_those_of_the_network(
    name: str, backend: str, algorithm: str, bits: int, folding: int
) -> None:
    build, shape = CASES[name]
    torch.manual_seed(bits)
    x = torch.randn(32, *shape)
    model = prepare(ready(build()), [x], backend, algorithm, bits=bits, folding=folding)
    model = stirred(model, x).double()
    both = to_integer(model, [x])
    assert not differing(both, x)
    assert not differing(both, 1e6 * x)
    wrong, count = strays(model, both, x)
    # DoReFa's activations all have one step: means of places lie at ties, which the sums of
    # floating point decide.
    assert wrong <= (1e-3 if algorithm == "dorefa" else TIES) * count
    last: Any = both.integer.layers[-1]
    logits = both.integer.run(both.integer.encode(x.numpy())) * last.output.scale
    with torch.no_grad():
        close = torch.isclose(torch.from_numpy(logits), model(x.double()), rtol=0, atol=1e-6)
    assert bool(close.all()) or wrong
    codes = both.integer.encode(x.numpy())
    found = IntegerModule(both.integer).trace(torch.from_numpy(codes))
    expected = both.integer.trace(codes)
    assert all(np.array_equal(found[each].numpy(), expected[each]) for each in expected)


@pytest.mark.parametrize("rounding", ["once", "twice"])
def test_hardware_s_own_rounding(rounding: Any) -> None:
    build, shape = CASES["resnet"]
    torch.manual_seed(3)
    x = torch.randn(16, *shape)
    # Steps that are powers of two, and biases that are none of a product's unit but 0: ties.
    model = prepare(ready(build()), [x], "TVM", "mse", bits=4).double()
    both, even = to_integer(model, [x], rounding=rounding), to_integer(model, [x])
    assert {each.rounding for each in both.integer.layers if "finer" not in each.name} == {rounding}  # type: ignore[union-attr]
    assert {each.rounding for each in even.integer.layers} == {"even"}  # type: ignore[union-attr]
    assert not differing(both, x)
    assert not differing(both, 1e6 * x)
    codes = both.integer.encode(x.numpy())
    found = IntegerModule(both.integer).trace(torch.from_numpy(codes))
    expected, other = both.integer.trace(codes), even.integer.trace(codes)
    assert all(np.array_equal(found[each].numpy(), expected[each]) for each in expected)
    first = both.integer.layers[0].name
    assert int(abs(expected[first] - other[first]).max()) <= 1
    with pytest.raises(InvalidValue, match="once or twice or even, got 'up'"):
        to_integer(model, [x], rounding="up")  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]


@pytest.mark.exhaustive
@pytest.mark.parametrize(
    ("name", "backend", "algorithm", "bits"),
    [
        ("digits-resnet", "TensorRT", "lsq", 4),
        ("digits-mobilenet", "ACL", "pact", 4),
        ("digits-resnet", "TVM", "dsq", 4),
        ("digits-mobilenet", "SNPE", "lsq", 8),
        ("digits-resnet", "FBGEMM", "lsq", 4),
        ("digits-mobilenet", "FBGEMM", "lsq", 4),
    ],
)
def test_trained_networks(name: str, backend: str, algorithm: str, bits: int) -> None:
    network = NETWORKS[name].quick()
    assert isinstance(network, Classifier)
    model = prepare(network.model(0), network.calibration(), backend, algorithm, bits=bits)
    train(model, network.data().train, replace(network.plan, epochs=2))
    x = images()
    both = to_integer(model.double(), network.calibration())
    assert not differing(both, x)
    wrong, count = strays(model, both, x)
    assert wrong <= TIES * count
    with torch.no_grad():
        expected = model(x.double()).argmax(1).numpy()
    assert np.array_equal(both.integer.classify(x.numpy()), expected)


def test_files_and_widths(tmp_path: Any) -> None:
    build, shape = CASES["resnet"]
    torch.manual_seed(0)
    x = torch.randn(8, *shape)
    model = prepare(ready(build()), [x], "TensorRT", "lsq", bits=4)
    network = to_integer(model, [x]).integer
    save_network(network, tmp_path / "net.npz")
    again = load_network(tmp_path / "net.npz")
    codes = network.encode(x.numpy())
    assert np.array_equal(again.run(codes), network.run(codes))
    for width in network.widths(codes):
        layer: Any = next(each for each in network.layers if each.name == width.layer)
        if layer.weight is None:
            continue
        products = replace(layer, left=0, bias=None)
        given = [network.codes[each] for each in layer.inputs]
        # The bias is in the register behind: the products alone need as much, but for its part.
        low, high = products.extremes(given)
        offset = int(abs(layer.bias >> layer.left).max()) + 1
        assert low - offset <= width.worst[0] <= width.worst[1] <= high + offset
        assert width.measured is not None
        assert width.worst[0] <= width.measured[0] <= width.measured[1] <= width.worst[1]


@pytest.mark.parametrize("method", [name for name in METHODS if METHODS[name].steps is not None])
@pytest.mark.parametrize("form", ["int4", "uint4", "int4:full"])
@pytest.mark.parametrize("asymmetric", [False, True])
@pytest.mark.parametrize("role", ["weight", "activation"])
@pytest.mark.parametrize("power", [False, True])
def test_steps_give_the_levels(
    method: str, form: str, asymmetric: bool, role: Any, power: bool
) -> None:
    """Where a method takes the setting: its levels are s (k - z), and no others."""
    options: dict[str, Any] = {"scale_rule": PowerOfTwo()} if power else {}
    if role == "weight":
        options["granularity"] = PerChannel(3)
    try:
        quantizer = FakeQuantize(form, method, role=role, asymmetric=asymmetric, **options).double()
    except InvalidValue:
        return
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(3, 2000, generator=generator, dtype=torch.float64)
    x *= torch.tensor([[0.3], [1.0], [2.0]])
    if quantizer.calibration is not None:
        quantizer.calibration = MinMax()
    quantizer.calibrate(x)
    if method == "lsq+" and asymmetric:
        with pytest.raises(InvalidValue, match="no code stands for 0"):
            quantizer.steps(x)
        return
    s, z = quantizer.steps(x)
    codes = quantizer(x).detach() / s + z
    torch.testing.assert_close(codes, codes.round(), rtol=0, atol=1e-9)
    low, high = quantizer.setting.codes
    codes = codes.round()
    assert low <= float(codes.min()) <= float(codes.max()) <= high
    assert len(torch.unique(codes)) > 5
    assert torch.equal(z, z.round())


class Forked(nn.Module):
    """Two layers that both take the image."""

    def __init__(self) -> None:
        super().__init__()
        self.one = nn.Conv2d(1, 2, 1)
        self.two = nn.Conv2d(1, 2, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Return their sum."""
        found: Tensor = self.one(x) + self.two(x)
        return found


def test_bad_input() -> None:
    x = torch.randn(8, 1, 8, 8)
    plain = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.ReLU()).eval()
    folded = prepare(plain, [x], "FBGEMM", "lsq")
    choices: list[dict[str, Any]] = [{"backend": "FBGEMM"}, {"weight_bits": 4}]
    for given in choices:
        with pytest.raises(InvalidValue, match="its bits, its backend and its scales are its own"):
            to_integer(folded, [x], **given)
    with pytest.raises(InvalidValue, match="in training mode: call eval"):
        to_integer(prepare(plain, [x], "FBGEMM", "lsq").train(), [x])
    with pytest.raises(InvalidValue, match=r"normalisation '1' is not folded"):
        to_integer(prepare(plain, [x], "Academic", "lsq"), [x])
    with pytest.raises(InvalidValue, match=r"quantizer at 'input_1': the offset of lsq\+ is any"):
        to_integer(prepare(plain, [x], "FBGEMM", "lsq+"), [x])
    unfolded = replace(BACKENDS["FBGEMM"], folds=False)
    with pytest.raises(InvalidValue, match="folding 0 to 4"):
        to_integer(prepare(plain, [x], unfolded, "lsq"), [x])
    with pytest.raises(InvalidValue, match=r"taken by quantizers\.one, quantizers\.two; choose"):
        to_integer(prepare(Forked().eval(), [x], "ACL", "lsq"), [x])
    both = to_integer(prepare(Forked().eval(), [x], "SNPE", "lsq"), [x])
    assert not differing(both, x)
    layer: Any = both.integer.layers[0]
    with pytest.raises(InvalidValue, match="go left, no others"):
        replace(layer, kind="clip", weight=None, bias=None, multiplier=ONE, shift=ONE, left=3)


def test_scales_that_training_took_to_nothing() -> None:
    """They count as 2^-100: the channel is its bias."""
    torch.manual_seed(0)
    x = torch.randn(8, 1, 8, 8)
    plain = nn.Sequential(nn.Conv2d(1, 3, 3), nn.BatchNorm2d(3), nn.ReLU(), nn.Conv2d(3, 2, 3))
    model: Any = prepare(ready(plain), [x], "FBGEMM", "lsq").double()
    with torch.no_grad():
        model.get_submodule("0").quantizer.s[1] = -0.5
        model.get_submodule("3").parametrizations.weight[0].s[0] = 0.0
    both = to_integer(model, [x])
    assert not differing(both, x)
    assert strays(model, both, x)[0] == 0
    layer: Any = both.integer.layers[0]
    assert not layer.factors[1].any()
    assert layer.factors[0].any()


@pytest.mark.parametrize("zero", [-3.0, 20.0])
def test_ranges_without_zero(zero: float) -> None:
    """A learnt range may leave 0 out; padding still adds nothing."""
    torch.manual_seed(0)
    x = torch.randn(8, 1, 8, 8)
    plain = nn.Sequential(
        nn.Conv2d(1, 2, 3, padding=1), nn.BatchNorm2d(2), nn.ReLU(), nn.Conv2d(2, 3, 3, padding=1)
    ).eval()
    for name in ("input_1", "_2"):
        shifted: Any = prepare(plain, [x], "FBGEMM", "lsq").double()
        with torch.no_grad():
            shifted.quantizers.get_submodule(name).z.fill_(zero)
        both = to_integer(shifted, [x])
        assert not differing(both, x)
        assert strays(shifted, both, x)[0] == 0
