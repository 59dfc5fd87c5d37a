"""Folding against the normalisation itself, for every layer, strategy and grouping."""

import copy
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from qerror.exceptions import InvalidType, InvalidValue
from qerror.pytorch import FakeQuantize
from qerror.pytorch.folding import FoldedBatchNorm, Folding, fold_batch_norms

LAYERS: dict[str, tuple[Any, Any, tuple[int, ...]]] = {
    "conv": (lambda: nn.Conv2d(4, 6, 3, padding=1), lambda: nn.BatchNorm2d(6), (5, 4, 7, 7)),
    "no bias": (lambda: nn.Conv2d(4, 6, 3, bias=False), lambda: nn.BatchNorm2d(6), (5, 4, 7, 7)),
    "groups": (
        lambda: nn.Conv2d(4, 6, 3, groups=2, stride=2),
        lambda: nn.BatchNorm2d(6),
        (5, 4, 7, 7),
    ),
    "depthwise": (
        lambda: nn.Conv2d(4, 4, 3, groups=4, padding_mode="reflect", padding=1),
        lambda: nn.BatchNorm2d(4),
        (5, 4, 7, 7),
    ),
    "conv1d": (lambda: nn.Conv1d(4, 6, 3), lambda: nn.BatchNorm1d(6), (5, 4, 9)),
    "transposed": (
        lambda: nn.ConvTranspose2d(4, 6, 3, stride=2, output_padding=1, padding=1),
        lambda: nn.BatchNorm2d(6),
        (5, 4, 5, 5),
    ),
    "transposed groups": (
        lambda: nn.ConvTranspose2d(4, 6, 3, groups=2),
        lambda: nn.BatchNorm2d(6),
        (5, 4, 5, 5),
    ),
    "linear": (lambda: nn.Linear(4, 6), lambda: nn.BatchNorm1d(6), (9, 4)),
}


def parts(kind: str) -> tuple[Any, Any, Tensor]:
    """Return a layer, its normalisation with odd parameters, and a batch, all in float64."""
    torch.manual_seed(0)
    layer, norm, shape = LAYERS[kind]
    module, bn = layer().double(), norm().double()
    with torch.no_grad():
        bn.weight.uniform_(-1.5, 1.5)
        bn.bias.normal_()
        bn.running_mean.normal_()
        bn.running_var.uniform_(0.3, 2)
    return module, bn, torch.randn(shape, dtype=torch.float64)


def coarse(weight: Tensor) -> Tensor:
    """Round coarsely and one-sidedly, so that means and spreads move."""
    step = weight.detach().abs().max() / 2
    return weight + (torch.floor(weight / step) * step - weight).detach()


@pytest.mark.parametrize("kind", LAYERS)
@pytest.mark.parametrize("strategy", list(Folding))
def test_without_a_quantizer_it_is_the_normalisation(kind: str, strategy: Folding) -> None:
    module, bn, x = parts(kind)
    folded = FoldedBatchNorm(copy.deepcopy(module), copy.deepcopy(bn), None, strategy)
    frozen = strategy in {Folding.ONCE, Folding.RUNNING}
    expected = bn.train(not frozen)(module(x))
    found = folded.train()(x)
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)
    if strategy not in {Folding.ONCE, Folding.RENORMALISED}:
        for name in ("running_mean", "running_var", "num_batches_tracked"):
            torch.testing.assert_close(
                getattr(folded.norm, name), getattr(bn, name), rtol=1e-12, atol=1e-12
            )


@pytest.mark.parametrize("kind", LAYERS)
@pytest.mark.parametrize("strategy", [s for s in Folding if s is not Folding.NOT])
def test_evaluation_is_one_layer(kind: str, strategy: Folding) -> None:
    module, bn, x = parts(kind)
    folded = FoldedBatchNorm(module, bn, coarse, strategy).eval()
    y = folded(x)
    factor: Any = bn.weight / torch.sqrt(bn.running_var + bn.eps)
    single: Any = folded.folded()
    assert type(single) is type(module)
    torch.testing.assert_close(single(x), y, rtol=1e-12, atol=1e-12)
    # By definition: the weight times the factor, then quantized.
    plain: Any = copy.deepcopy(module)
    with torch.no_grad():
        weight: Any = module.weight
        if type(module) is nn.ConvTranspose2d:
            each = module.out_channels // module.groups
            share = module.in_channels // module.groups
            scaled = torch.stack(
                [
                    weight[i] * factor[i // share * each :][:each, None, None]
                    for i in range(module.in_channels)
                ]
            )
        else:
            scaled = torch.stack([w * f for w, f in zip(weight, factor, strict=True)])
        plain.weight = nn.Parameter(coarse(scaled))
        bias = torch.zeros_like(factor) if module.bias is None else module.bias
        plain.bias = nn.Parameter(bn.bias + (bias - bn.running_mean) * factor)
    torch.testing.assert_close(plain(x), y, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("kind", ["conv", "transposed groups", "linear"])
def test_only_two_strategies_keep_the_statistics(kind: str) -> None:
    for strategy in (Folding.NOT, Folding.RENORMALISED, Folding.BATCH, Folding.CORRECTED):
        module, bn, _ = parts(kind)
        torch.manual_seed(1)
        x = torch.randn((200, *LAYERS[kind][2][1:]), dtype=torch.float64)
        bn.eps = 1e-14
        y = FoldedBatchNorm(module, bn, coarse, strategy).train()(x).detach()
        kept = (0, *range(2, y.dim()))
        off = float((y.mean(kept) - bn.bias.detach()).abs().max())
        spread = float((y.std(kept, unbiased=False) / bn.weight.detach().abs() - 1).abs().max())
        exact = strategy in {Folding.NOT, Folding.RENORMALISED}
        assert (max(off, spread) < 1e-9) == exact
        assert exact or max(off, spread) > 1e-2


@pytest.mark.parametrize("strategy", [Folding.BATCH, Folding.CORRECTED, Folding.RENORMALISED])
def test_gradients(strategy: Folding) -> None:
    module, bn, _ = parts("conv")
    folded = FoldedBatchNorm(module, bn, lambda w: w + 0.1 * w**3, strategy).train()
    state = copy.deepcopy(folded.state_dict())
    x = torch.randn(2, 4, 4, 4, dtype=torch.float64, requires_grad=True)

    def run(x: Tensor, weight: Tensor, gamma: Tensor, beta: Tensor) -> Tensor:
        folded.load_state_dict(state)  # each evaluation moves the running statistics
        given = {"module.weight": weight, "norm.weight": gamma, "norm.bias": beta}
        found = torch.func.functional_call(folded, given, (x,))
        assert isinstance(found, Tensor)
        return found

    inputs = [module.weight, bn.weight, bn.bias]
    assert torch.autograd.gradcheck(
        run, (x, *(p.detach().clone().requires_grad_() for p in inputs))
    )


def test_a_network_by_its_graph() -> None:
    torch.manual_seed(0)
    net = nn.Sequential(
        nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.Flatten(), nn.Linear(288, 4)
    )
    x = torch.randn(16, 3, 8, 8)
    net.train()(x)
    folded = fold_batch_norms(net.eval(), lambda _: FakeQuantize("int8", "lsq"), 1)
    kinds = [type(module).__name__ for module in folded.modules()]
    assert "BatchNorm2d" in kinds  # inside the folded layer, whose gamma and beta train
    assert kinds.count("FoldedBatchNorm") == 1
    # LSQ's first scale is coarse, but eight bits are near the network itself.
    torch.testing.assert_close(folded(x), net(x), rtol=0, atol=0.05)


WORKER = """
import sys, torch
from torch import distributed, nn
from qerror.pytorch.folding import FoldedBatchNorm

rank, store, out = int(sys.argv[1]), sys.argv[2], sys.argv[3]
torch.set_num_threads(1)
if rank < 2:
    distributed.init_process_group("gloo", f"file://{store}", rank=rank, world_size=2)
torch.manual_seed(0)
x = torch.randn(12, 3, 5, 5, dtype=torch.float64)
part = x[:4] if rank == 0 else x[4:] if rank == 1 else x  # uneven shares of one batch
found = {}
for strategy in (2, 3, 4):
    torch.manual_seed(1)
    conv, norm = nn.Conv2d(3, 4, 3).double(), nn.SyncBatchNorm(4).double()
    folded = FoldedBatchNorm(conv, norm, lambda w: (w * 8).round() / 8 + (w - w.detach()), strategy)
    y = folded.train()(part)
    y.square().sum().backward()
    gradient = conv.weight.grad
    if rank < 2:
        distributed.all_reduce(gradient)
    found[strategy] = (gradient, norm.running_mean, norm.running_var, y.detach())
torch.save(found, f"{out}/{rank}.pt")
if rank < 2:
    distributed.destroy_process_group()
"""


@pytest.mark.exhaustive
@pytest.mark.slow
def test_two_processes_see_one_batch(tmp_path: Path) -> None:
    code = f"import sys; sys.path[:0] = {sys.path!r}\n{WORKER}"
    workers = [
        subprocess.Popen(
            [sys.executable, "-c", code, str(rank), str(tmp_path / "store"), str(tmp_path)],
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(3)  # two together, and one alone with the whole batch
    ]
    for worker in workers:
        _, messages = worker.communicate(timeout=120)
        assert worker.returncode == 0, messages
    one, two, alone = (torch.load(tmp_path / f"{rank}.pt") for rank in range(3))
    for strategy in (2, 3, 4):
        for k in range(3):
            torch.testing.assert_close(one[strategy][k], alone[strategy][k], rtol=1e-10, atol=1e-12)
            torch.testing.assert_close(two[strategy][k], alone[strategy][k], rtol=1e-10, atol=1e-12)
        parts = torch.cat([one[strategy][3], two[strategy][3]])
        torch.testing.assert_close(parts, alone[strategy][3], rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("strategy", list(Folding))
def test_a_normalisation_without_a_factor(strategy: Folding) -> None:
    module, bn, x = parts("conv")
    bare = nn.BatchNorm2d(bn.num_features, affine=False).double()
    bare.load_state_dict(
        {name: value for name, value in bn.state_dict().items() if name in bare.state_dict()}
    )
    with torch.no_grad():
        bn.weight.fill_(1)
        bn.bias.zero_()
    one = FoldedBatchNorm(module, bare, coarse, strategy).train()
    two = FoldedBatchNorm(copy.deepcopy(module), bn, coarse, strategy).train()
    torch.testing.assert_close(one(x), two(x), rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(one.eval()(x), two.eval()(x), rtol=1e-12, atol=1e-12)
    if strategy is not Folding.NOT:
        torch.testing.assert_close(one.folded()(x), one(x), rtol=1e-12, atol=1e-12)


def test_a_layer_that_is_called_twice() -> None:
    class Twice(nn.Module):
        def __init__(self, norms: int) -> None:
            super().__init__()
            self.conv = nn.Conv2d(2, 2, 3, padding=1)
            self.norms = nn.ModuleList(nn.BatchNorm2d(2) for _ in range(norms))

        def forward(self, x: Tensor) -> Any:
            y: Tensor = self.norms[0](self.conv(x))
            z: Tensor = self.conv(y)
            return self.norms[-1](z)

    x = torch.randn(4, 2, 6, 6)
    alike = Twice(1).eval()
    found = fold_batch_norms(alike, lambda _: None)
    torch.testing.assert_close(found(x), alike(x))
    with pytest.raises(InvalidValue, match=r"'conv' is called again .*'norms.0'.*twin"):
        fold_batch_norms(Twice(2).eval(), lambda _: None)


def test_a_linear_layer_of_sequences() -> None:
    folded = FoldedBatchNorm(nn.Linear(4, 6), nn.BatchNorm1d(6))
    with pytest.raises(InvalidValue, match=r"rows \(n, features\), got an input of shape"):
        folded(torch.randn(3, 6, 4))


def test_bad_input() -> None:
    conv, bn = nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8)
    with pytest.raises(InvalidValue, match="-1 \\(not\\), 0 \\(once\\)"):
        FoldedBatchNorm(conv, bn, None, 7)
    with pytest.raises(InvalidType, match="got ReLU"):
        FoldedBatchNorm(nn.ReLU(), bn)
    with pytest.raises(InvalidType, match="got LayerNorm"):
        FoldedBatchNorm(conv, nn.LayerNorm(8))
    with pytest.raises(InvalidValue, match="8 outputs and the normalisation 4"):
        FoldedBatchNorm(conv, nn.BatchNorm2d(4))
    with pytest.raises(InvalidValue, match="track_running_stats"):
        FoldedBatchNorm(conv, nn.BatchNorm2d(8, track_running_stats=False))
    with pytest.raises(InvalidValue, match=r"call eval\(\) first"):
        FoldedBatchNorm(conv, bn).train().folded()
    with pytest.raises(InvalidValue, match="does not fold"):
        FoldedBatchNorm(conv, bn, None, -1).eval().folded()
    with pytest.raises(InvalidValue, match="nothing to fold"):
        fold_batch_norms(nn.Sequential(nn.Linear(2, 2)), lambda _: None)

    class Branching(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x if x.sum() > 0 else -x

    with pytest.raises(InvalidValue, match=r"cannot trace module '1' \(Branching\)"):
        fold_batch_norms(nn.Sequential(nn.Linear(2, 2), Branching()), lambda _: None)
    with pytest.raises(InvalidValue, match="one value a channel"):
        FoldedBatchNorm(nn.Linear(2, 2), nn.BatchNorm1d(2), None, 2).train()(torch.ones(1, 2))
