"""F8Net: units, lengths and folding against their definitions, and integers with the same codes."""

import copy
import itertools
import math
import pickle
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from torch import Tensor, nn

from qerror import fractional_length_constant
from qerror.exceptions import InvalidType, InvalidValue
from qerror.integer.network import IntegerNetwork
from qerror.pytorch.examples import Dataset, Examples
from qerror.pytorch.f8net import F8Network, Lengths, f8net
from qerror.pytorch.integer import to_integer
from qerror.pytorch.studies import fixed_study
from qerror.pytorch.training import Plan, train
from qerror.pytorch.zoo import Classifier, digits
from qerror.pytorch.zoo import networks as zoo_networks
from qerror.pytorch.zoo.mobilenet import InvertedBottleneck
from qerror.pytorch.zoo.resnet import BasicBlock
from qerror_cli.main import main


class Residual(nn.Module):
    """A stem, a block with a projection, one without, an odd pool and a head."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            nn.Conv2d(1, 4, 3, padding=1, bias=False), nn.BatchNorm2d(4), nn.ReLU()
        )
        self.blocks = nn.Sequential(BasicBlock(4, 8, 2), BasicBlock(8, 8, 1))
        self.pool = nn.AvgPool2d(3, 1)
        self.head = nn.Linear(32, 3)

    def forward(self, x: Tensor) -> Tensor:
        """Return logits."""
        found: Tensor = self.head(self.pool(self.blocks(self.stem(x))).flatten(1))
        return found


class Inverted(nn.Module):
    """Depthwise layers, sums without a ReLU behind them, a largest value, a mean."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(1, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU6())
        self.blocks = nn.Sequential(
            InvertedBottleneck(4, 4, 1), InvertedBottleneck(4, 4, 1), InvertedBottleneck(4, 6, 1)
        )
        self.largest = nn.MaxPool2d(2)
        self.last = nn.Sequential(nn.Conv2d(6, 6, 1, bias=False), nn.BatchNorm2d(6), nn.ReLU())
        self.head = nn.Linear(6, 3)

    def forward(self, x: Tensor) -> Tensor:
        """Return logits."""
        found: Tensor = self.head(self.last(self.largest(self.blocks(self.stem(x)))).mean((2, 3)))
        return found


NETWORKS: dict[str, Any] = {"residual": Residual, "inverted": Inverted}


def network(name: str, seed: int = 0) -> nn.Module:
    """Return a network whose normalisations have odd statistics, in evaluation mode."""
    torch.manual_seed(seed)
    found: nn.Module = NETWORKS[name]()
    for module in found.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.3, 1.5)
            nn.init.normal_(module.bias, std=0.3)
            module.running_mean = torch.randn(module.num_features) * 0.2
            module.running_var = torch.rand(module.num_features) + 0.5
    return found.eval()


def images(count: int = 64, *, positive: bool = False) -> Tensor:
    """Return images, with or without negative values."""
    x = torch.randn(count, 1, 8, 8, generator=torch.Generator().manual_seed(3))
    return x.abs() if positive else x


def example_of(x: Tensor) -> Examples:
    """Return images of three brightnesses."""
    targets = torch.arange(len(x)) % 3
    return Examples(x + 1.5 * targets[:, None, None, None], targets)


def equal_to_integers(fixed: F8Network, x: Tensor) -> IntegerNetwork:
    """Check that integers, their fake quantization and the network agree to the last bit."""
    both = to_integer(fixed, ())
    whole: Any = both.integer
    codes = whole.encode(x.double().numpy())
    found = whole.run(codes)
    worth = 2.0 ** -list(whole.codes.values())[-1].length
    with torch.no_grad():
        logits = fixed(x).double().numpy()
    np.testing.assert_array_equal(found * worth, logits)
    fake: Any = both.fake.codes(x.double())
    np.testing.assert_array_equal(list(fake.values())[-1].numpy(), found)
    return both.integer


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("rule", ["exact", "paper", "search"])
@pytest.mark.parametrize("clip", [8.0, 1.0])
def test_integers_have_the_same_codes(name: str, rule: Any, clip: float) -> None:
    for positive in (False, True):
        x = images(positive=positive)
        fixed = f8net(network(name), x, lengths=Lengths(rule), clip=clip).double()
        whole = equal_to_integers(
            fixed, torch.cat([x, 40 * x[:8], torch.zeros(1, 1, 8, 8)]).double()
        )
        assert not bool(torch.isnan(fixed(x.double())).any())
        assert whole.input.low == (0 if positive else -127)
        kinds = [each.kind for each in whole.layers]
        assert kinds.count("add") == 2
        assert all(getattr(each, "raw", False) for each in whole.layers if each.weight is not None)


@pytest.mark.parametrize("name", NETWORKS)
def test_a_trained_network_too_in_float32(name: str) -> None:
    examples = example_of(images(60))
    fixed = f8net(network(name), examples.inputs)
    before = {key: value.clone() for key, value in fixed.state_dict().items()}
    plan = Plan(8, batch_size=20, shifts=0, label_smoothing=0.0)
    losses = train(fixed, examples, plan).losses
    assert losses[-1] < 0.8 * losses[0]
    assert all(each.grad is not None for each in fixed.parameters())
    after = fixed.state_dict()
    for kind in ("clips.", "running_mean", "module.weight", "norm.weight", "norm.bias"):
        keys = [key for key in before if kind in key]
        assert keys
        assert all(not torch.equal(before[key], after[key]) for key in keys), kind
    equal_to_integers(fixed, examples.inputs)
    again = copy.deepcopy(fixed)
    again.load_state_dict(after)
    assert torch.equal(again(examples.inputs), fixed(examples.inputs))


def by_hand(x: Tensor, length: float, bits: int, *, signed: bool) -> Tensor:
    """Round to fixed point."""
    high = 2 ** (bits - signed) - 1
    return torch.clamp(torch.round(x * 2**length), -high if signed else 0, high) / 2**length


def length_of(x: Tensor, *, signed: bool) -> float:
    """Return the length by equation 1 with the exact constant."""
    found = math.floor(math.log2(fractional_length_constant(8, signed) / float(x.std())))
    return float(min(max(found, 0), 8 - signed))


@pytest.mark.parametrize("training", [False, True])
def test_a_chain_computes_equation_6(training: bool) -> None:
    torch.manual_seed(0)
    net: Any = nn.Sequential(
        *(nn.Conv2d(1, 3, 3), nn.BatchNorm2d(3), nn.ReLU()),
        *(nn.Conv2d(3, 3, 3), nn.BatchNorm2d(3), nn.ReLU(), nn.Flatten(), nn.Linear(48, 2)),
    )
    net = net.double().eval()
    x = images().double()
    fixed: Any = f8net(net, x, input_length=4)
    running = {"0": 6.0, "3": 5.4, "7": 3.6}
    with torch.no_grad():
        for key, each in running.items():
            fixed.layers[key].length.fill_(each)
        fixed.clips["3"].fill_(-5.0)
        fixed.clips["7"].fill_(2.5)
    etas = (1.0, 2.0**5 * 5 / 255, 2.0**4 * 2.5 / 255, 1.0)

    def rounded(weight: Tensor, bias: Tensor, length: float) -> tuple[Tensor, Tensor]:
        exponent = length_of(weight, signed=True)
        places = 2.0 ** (exponent + length)
        kept = bias if training else torch.round(bias * places) / places
        return by_hand(weight, exponent, 8, signed=True), kept

    def taken(y: Tensor, key: str) -> tuple[Tensor, float]:
        length = length_of(y, signed=False) if training else float(round(running[key]))
        return by_hand(y, length, 8, signed=False), length

    def folded(i: int, q: Tensor, length: float) -> Tensor:
        conv, norm = net[3 * i], net[3 * i + 1]
        mean, variance = norm.running_mean, norm.running_var
        if training:
            y = conv(etas[i] * q)
            mean, variance = y.mean((0, 2, 3)), y.var((0, 2, 3), unbiased=False)
        factor = norm.weight / torch.sqrt(variance + norm.eps)
        weight = conv.weight * factor[:, None, None, None] * etas[i] / etas[i + 1]
        bias = (norm.bias - factor * (mean - conv.bias)) / etas[i + 1]
        return nn.functional.conv2d(q, *rounded(weight, bias, length))

    with torch.no_grad():
        found = fixed.train(training)(x)
        first = by_hand(x, 4, 8, signed=True)
        y = folded(0, first, 4.0)
        second, length = taken(y, "3")
        lengths = {"3": length}
        z = folded(1, second, length).clamp(min=0).flatten(1)
        q, lengths["7"] = taken(z, "7")
        weight, bias = rounded(net[7].weight * etas[2], net[7].bias, lengths["7"])
        torch.testing.assert_close(found, q @ weight.T + bias, rtol=1e-12, atol=1e-12)
    for key, length in lengths.items():
        share = 0.1 if training else 0.0
        expected = (1 - share) * running[key] + share * length
        assert float(fixed.layers[key].length) == pytest.approx(expected, rel=1e-6, abs=0)
    moved = 0.1 * net[0](first).mean((0, 2, 3)) if training else torch.zeros(3).double()
    torch.testing.assert_close(fixed.layers["0"].norm.running_mean, moved)


def test_what_is_added_has_one_unit_and_lengths_of_its_own() -> None:
    fixed = f8net(network("residual"), images())
    units = fixed.units()
    # The sums of the second block and the first join three tensors; so do the pool and the head.
    shared = {name for name, unit in units.items() if unit is units["add"]}
    assert {"add", "add_1", "blocks.0.conv2", "blocks.1.conv2", "blocks.0.skip.0"} <= shared
    assert fixed.structure.master["add"] == "blocks.1.conv1"
    assert "head" not in fixed.structure.masters
    assert set(fixed.structure.masters) == {
        "blocks.0.conv1",
        "blocks.0.conv2",
        "blocks.1.conv1",
        "blocks.1.conv2",
    }
    lengths = fixed.chosen_lengths()
    assert set(lengths) == {each.name for each in fixed.structure.layers}
    assert fixed.layer("head").length is not fixed.layer("blocks.1.conv1").length
    assert float(units["stem.0"].detach()) != 1
    assert float(units[""]) == float(units["head"]) == 1


def test_lengths() -> None:
    torch.manual_seed(0)
    for std in (0.01, 0.2, 1.3, 30.0, 1e4):
        x = std * torch.randn(4000)
        for signed in (True, False):
            for rule in ("exact", "paper"):
                constant = {True: 40.0, False: 70.0}[signed]
                if rule == "exact":
                    constant = fractional_length_constant(8, signed)
                expected = math.floor(math.log2(constant / float(x.std())))
                found = Lengths(rule).of(x, signed=signed)  # pyright: ignore[reportArgumentType]
                assert float(found) == min(max(expected, 0), 8 - signed)
            target = x if signed else x.clamp(min=0)
            errors = [
                float((by_hand(x, each, 8, signed=signed) - target).square().mean())
                for each in range(9 - signed)
            ]
            assert int(Lengths("search").of(x, signed=signed)) == int(np.argmin(errors))
            narrow = Lengths("exact", least=6).of(x, signed=signed)
            assert 6 <= float(narrow) <= 8 - signed


def test_gradients_of_a_clip() -> None:
    """It acts through the units alone: doubled, it halves what a unit is worth."""
    fixed: Any = f8net(network("residual"), images()).double().train()
    x = images().double()
    state = copy.deepcopy(fixed.state_dict())
    name = "blocks_0_conv2"
    found: list[float] = []
    for sign in (1.0, -1.0):
        fixed.load_state_dict(state)
        with torch.no_grad():
            fixed.clips[name].mul_(sign)
        fixed.zero_grad()
        fixed(x).square().sum().backward()
        found.append(float(fixed.clips[name].grad))
    assert found[0] != 0
    assert found[1] == pytest.approx(-found[0], rel=1e-9, abs=0)


# ---- what is refused


def test_bad_input() -> None:
    plain = nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU(), nn.Flatten(), nn.Linear(72, 2)).eval()
    with pytest.raises(InvalidValue, match="no batch normalisation behind a layer"):
        f8net(plain, images())
    net = network("residual")
    with pytest.raises(InvalidValue, match=r"input_length .* with a sign: 0 to 7, got 8"):
        f8net(net, images(), input_length=8)
    assert int(f8net(net, images(positive=True), input_length=8).input_length) == 8
    with pytest.raises(InvalidValue, match=r"input_length .*got -1"):
        f8net(net, images(), input_length=-1)
    with pytest.raises(InvalidValue, match="most is a fractional length of 8-bit codes"):
        Lengths(most=9)
    with pytest.raises(InvalidValue, match="least is a fractional length"):
        Lengths(least=-1)
    with pytest.raises(InvalidValue, match="least must not be above"):
        Lengths(least=5, most=4)
    with pytest.raises(InvalidValue, match="unknown rule"):
        Lengths("guess")  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]
    with pytest.raises(InvalidValue, match="constants are for 8 bits, not 4"):
        Lengths("paper", bits=4)
    with pytest.raises(InvalidValue, match="is in training mode"):
        f8net(network("residual").train(), images())
    with pytest.raises(InvalidType, match=r"torch\.nn\.Module"):
        f8net("net", images())  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]
    with pytest.raises(InvalidValue, match="no batch"):
        f8net(net, [])
    with pytest.raises(InvalidValue, match="not finite"):
        f8net(net, images() * math.nan)
    with pytest.raises(InvalidValue, match="clip"):
        f8net(net, images(), clip=-1.0)
    with pytest.raises(InvalidValue, match="do not fit step"):
        f8net(net, torch.randn(4, 3, 8, 8))
    twice: Any = nn.Sequential(nn.Conv2d(1, 1, 3, padding=1), nn.BatchNorm2d(1))
    twice.append(twice[0])
    with pytest.raises(InvalidValue, match="called twice"):
        f8net(twice.eval(), images())
    with pytest.raises(InvalidValue, match="integers cannot express Sigmoid"):
        f8net(nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.Sigmoid()).eval(), images())


def test_all_calibration_images_count() -> None:
    first, second = images(positive=True), 20 * images()
    fixed, whole = (f8net(network("residual"), x) for x in ([first, second], first))
    together = f8net(network("residual"), torch.cat([first, second]))
    assert fixed.integer_network().input == together.integer_network().input
    assert fixed.integer_network().input.low == -127
    assert fixed.chosen_lengths() == together.chosen_lengths() != whole.chosen_lengths()
    for given in ([first, first[..., :7]], []):
        with pytest.raises(InvalidValue, match=r"one size, got \(1, 8, 7\)|no batch"):
            f8net(network("residual"), given)
        with pytest.raises(InvalidValue, match=r"one size, got \(1, 8, 7\)|no batch"):
            to_integer(network("residual"), given)


def test_normalisations_that_do_not_fold() -> None:
    bare = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2, affine=False)).eval()
    fixed = f8net(bare, images())  # its factor is 1, its offset 0
    assert float((fixed(images()) - bare(images())).detach().abs().max()) < 0.1
    to_integer(bare, [images()])
    lost = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2, track_running_stats=False)).eval()
    for convert in (f8net, to_integer):
        with pytest.raises(InvalidValue, match="BatchNorm2d '1' without running statistics"):
            convert(lost, [images()])


@pytest.mark.parametrize("names", [("a.b", "a_b"), ("pop", "keys")])
def test_names_that_collide(names: tuple[str, str]) -> None:
    class Two(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a = nn.Module()
            for name in names:
                part = nn.Sequential(nn.Conv2d(1, 1, 3, padding=1))
                (self.a if "." in name else self).add_module(name.split(".")[-1], part[0])
            self.norm = nn.BatchNorm2d(1)

        def forward(self, x: Tensor) -> Tensor:
            one, other = (self.get_submodule(name) for name in names)
            found: Tensor = self.norm(other(torch.relu(one(x))))
            return found

    with pytest.raises(InvalidValue, match=r"which is taken: rename it"):
        f8net(Two().eval(), images())


class Short(nn.Module):
    """A layer with a normalisation, and a head."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 4, 3, stride=2, padding=1)
        self.norm = nn.BatchNorm2d(4)
        self.head = nn.Linear(64, 10)

    def forward(self, x: Tensor) -> Tensor:
        """Return logits."""
        found: Tensor = self.head(torch.relu(self.norm(self.conv(x))).flatten(1))
        return found


def few_digits() -> Dataset:
    found = digits()
    return Dataset("few", found.train.first(96), found.test.first(64))


def test_a_study_trains_as_it_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The integers are those of a training by hand, so of its rate and its epochs."""
    monkeypatch.setenv("QERROR_CACHE", str(tmp_path))
    short = Classifier("short", Short, few_digits, Plan(2, batch_size=32))
    monkeypatch.setattr(zoo_networks, "NETWORKS", {"short": short})
    numbers: list[list[Any]] = []
    for training, plan in (
        ("tiny", Plan(2, batch_size=32, learning_rate=short.plan.learning_rate / 100)),
        ("whole", Plan(3, batch_size=32)),
    ):
        rows, found = fixed_study(["short"], trainings=(training,), epochs=3)
        trained = f8net(short.model(), short.calibration())
        train(trained, few_digits().train, plan, seed=0)
        expected = trained.integer_network()
        for ours, theirs in zip(found.layers, expected.layers, strict=True):
            if ours.weight is not None:
                np.testing.assert_array_equal(ours.weight, theirs.weight)
                np.testing.assert_array_equal(ours.bias, theirs.bias)
        numbers.append([each.bias for each in found.layers if each.weight is not None])
        (row,) = rows
        assert (row.training, row.epochs, row.unequal) == (training, plan.epochs, 0)
        logits = short.run(trained)
        assert row.accuracy == row.integer_accuracy == short.score(logits, logits)
        with ThreadPoolExecutor(1) as pool:
            pooled, again = fixed_study(["short"], trainings=(training,), epochs=3, executor=pool)
        assert pooled == rows
        sent: IntegerNetwork = pickle.loads(pickle.dumps(again))
        x = short.batches()[0].numpy()
        assert np.array_equal(sent.run(sent.encode(x)), found.run(found.encode(x)))
    start = f8net(short.model(), short.calibration()).integer_network()
    numbers.append([each.bias for each in start.layers if each.weight is not None])
    for one, other in itertools.combinations(numbers, 2):
        assert any(not np.array_equal(a, b) for a, b in zip(one, other, strict=True))


def test_bad_exports() -> None:
    fixed = f8net(network("residual"), images())
    with pytest.raises(InvalidValue, match=r"the network is in training mode: call eval"):
        to_integer(fixed.train(), ())
    fixed.eval()
    fixed.layer("stem.0").norm.train()
    with pytest.raises(InvalidValue, match=r"normalisation 'layers\.stem_0\.norm' is in training"):
        to_integer(fixed, ())
    fixed.eval()
    with pytest.raises(InvalidValue, match="in fixed point already"):
        to_integer(fixed, (), weight_bits=4)
    fixed.layer("blocks.0.conv2").length.fill_(9.0)
    with pytest.raises(InvalidValue, match="fractional length is 9; codes of 8 bits have 0 to 8"):
        to_integer(fixed, ())


def test_other_bits() -> None:
    x = images()
    net = network("residual").double()
    exact = net(x.double())
    errors: list[float] = []
    for bits in (4, 6, 8, 12):
        fixed = f8net(net, x, lengths=Lengths(bits=bits))
        equal_to_integers(fixed, x.double())
        errors.append(float((fixed(x.double()) - exact).square().mean().detach()))
    assert errors == sorted(errors, reverse=True)
    assert replace(Lengths(), bits=12).longest(signed=True) == 11


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--lengths", "guess"], "unknown rule 'guess'"),
        (["--training", "huge"], "unknown training 'huge'"),
        (["--bits", "1"], "bits must lie in 2..16"),
        (["--epochs", "0"], "--epochs must be at least 1"),
        (["--integer", "net.txt"], "must end in .npz or .safetensors"),
        (["--integer", "nowhere/net.npz"], "no folder"),
        (["--model", "digits-resnet,digits-vit"], "cannot trace"),
        (["--model", "crepe-tiny"], "comes trained"),
    ],
)
def test_the_command_refuses_before_it_trains(
    options: list[str], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(*given: object) -> None:
        raise AssertionError(given)

    monkeypatch.setattr(Classifier, "model", never)
    given = options if "--model" in options else ["--model", "digits-resnet", *options]
    result = CliRunner().invoke(main, ["network", "f8net", *given], prog_name="qerror")
    assert result.exit_code == 2
    assert message in result.stderr
    assert result.stdout == ""
