"""Training: seeded, resumable, with clear ends."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from qerror.exceptions import InvalidValue
from qerror.pytorch import ModelRecipe, TensorRecipe, quantize_model
from qerror.pytorch.examples import Examples
from qerror.pytorch.training import Plan, load_checkpoint, train
from qerror.pytorch.training.loop import shifted

PLAN = Plan(4, batch_size=16, learning_rate=0.01, shifts=0)


def examples(count: int = 64) -> Examples:
    """Two classes of points that a line tells apart."""
    generator = torch.Generator().manual_seed(3)
    x = torch.randn(count, 6, generator=generator)
    return Examples(x, (x[:, 0] > 0).long())


def network() -> nn.Module:
    """Return a network with quantizers that learn."""
    with torch.random.fork_rng():
        torch.manual_seed(5)
        net = nn.Sequential(nn.Linear(6, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 2))
    part = TensorRecipe("int4", "norm", method="lsq")
    return quantize_model(net, ModelRecipe(part, part), [examples().inputs])


def state(model: nn.Module) -> dict[str, Tensor]:
    return {key: value.clone() for key, value in model.state_dict().items()}


def same(a: dict[str, Tensor], b: dict[str, Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[key], b[key]) for key in a)


def test_a_seed_gives_the_same_network_and_another_seed_another() -> None:
    found = []
    for seed in (0, 0, 1):
        model = network()
        losses = train(model, examples(), PLAN, seed=seed).losses
        assert losses[-1] < losses[0]
        assert not model.training
        found.append(state(model))
    assert same(found[0], found[1])
    assert not same(found[0], found[2])


def test_stopping_and_going_on_gives_the_same(tmp_path: Path) -> None:
    whole = network()
    losses = train(whole, examples(), PLAN, seed=7).losses
    path = tmp_path / "run.checkpoint"
    first = network()
    begun = train(first, examples(), PLAN, seed=7, checkpoint=path, until=2).losses
    assert begun == losses[:2]
    again = network()
    calls: list[tuple[int, int]] = []
    ended = train(
        again,
        examples(),
        PLAN,
        seed=7,
        checkpoint=path,
        progress=lambda done, total: calls.append((done, total)),
    )
    assert ended.losses == losses
    assert calls[0] == (9, 16)
    assert same(state(again), state(whole))
    done = train(network(), examples(), PLAN, seed=7, checkpoint=path)
    assert done.losses == losses  # nothing was left to do


def test_a_damaged_checkpoint_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "run.checkpoint"
    train(network(), examples(), PLAN, checkpoint=path, until=1)
    content = bytearray(path.read_bytes())
    content[-20] ^= 1
    path.write_bytes(content)
    with pytest.raises(InvalidValue, match="is damaged: its checksum differs"):
        train(network(), examples(), PLAN, checkpoint=path)
    path.write_bytes(b"something else")
    with pytest.raises(InvalidValue, match="was not written by qerror"):
        load_checkpoint(path, "any")


def test_a_checkpoint_of_another_run_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "run.checkpoint"
    train(network(), examples(), PLAN, checkpoint=path, until=1)
    with pytest.raises(InvalidValue, match="belongs to another run"):
        train(network(), examples(), PLAN, checkpoint=path, seed=1)
    with pytest.raises(InvalidValue, match="there is no folder"):
        train(network(), examples(), PLAN, checkpoint=tmp_path / "no" / "run")


def test_a_loss_that_is_no_number_ends_the_run_and_leaves_the_checkpoint(tmp_path: Path) -> None:
    path = tmp_path / "run.checkpoint"
    model = network()
    train(model, examples(), PLAN, checkpoint=path, until=1)
    before = path.read_bytes()

    class Broken(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = nn.Linear(6, 2)

        def forward(self, x: Tensor) -> Tensor:
            found: Tensor = self.inner(x) * torch.nan
            return found

    with pytest.raises(InvalidValue, match="the loss is nan in epoch 1; lower the learning rate"):
        train(Broken(), examples(), PLAN, checkpoint=tmp_path / "broken")
    assert [each.name for each in tmp_path.iterdir()] == ["run.checkpoint"]
    assert path.read_bytes() == before


def test_plans_and_sizes_are_checked() -> None:
    cases: list[dict[str, Any]] = [
        {"epochs": 0},
        {"epochs": 1, "learning_rate": -1.0},
        {"epochs": 1, "label_smoothing": 1.0},
    ]
    for wrong in cases:
        with pytest.raises(InvalidValue):
            Plan(**wrong)
    with pytest.raises(InvalidValue, match="a batch of 16 needs as many examples, got 5"):
        train(network(), examples(5), PLAN)
    with pytest.raises(InvalidValue, match="give as many"):
        Examples(torch.zeros(3, 1), torch.zeros(2))


def test_the_learning_rate_rises_and_falls() -> None:
    plan = Plan(1, warm_up=0.25)
    shares = [plan.share(step, 100) for step in range(100)]
    assert shares[24] == 1.0
    assert shares[:25] == sorted(shares[:25])
    assert shares[24:] == sorted(shares[24:], reverse=True)
    assert shares[-1] < 1e-3


def test_images_are_moved_by_whole_pixels() -> None:
    x = torch.randn(9, 2, 4, 5)
    places = torch.cartesian_prod(torch.arange(3), torch.arange(3))
    moved = shifted(x, places, 1)
    assert torch.equal(moved[4], x[4])
    assert torch.equal(moved[0, :, 1:, 1:], x[0, :, :-1, :-1])
    assert torch.equal(moved[8, :, :-1, :-1], x[8, :, 1:, 1:])
    assert shifted(x, places, 0) is x


PROGRAM = """
import sys, torch
from torch import nn
from qerror.pytorch.examples import Examples
from qerror.pytorch.training import Plan, processes, rank, train
torch.set_num_threads(1)
with processes():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 2))
    x = torch.randn(64, 6)
    losses = train(model, Examples(x, (x[:, 0] > 0).long()),
                   Plan(2, batch_size=16, shifts=0)).losses
    if rank() == 0:
        torch.save([losses, model.state_dict()], sys.argv[1])
"""


@pytest.mark.exhaustive
@pytest.mark.slow
def test_two_processes_train_as_one(tmp_path: Path) -> None:
    script = tmp_path / "program.py"
    script.write_text(PROGRAM)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "OMP_NUM_THREADS": "1"}
    found: list[Any] = []
    for launcher in (
        [],
        ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"],
    ):
        out = tmp_path / f"{len(found)}.pt"
        command = [sys.executable, *launcher, str(script), str(out)]
        subprocess.run(command, check=True, env=environment, capture_output=True, timeout=300)
        found.append(torch.load(out))
    (losses, alone), (others, together) = found
    assert others == pytest.approx(losses, rel=1e-5, abs=0)
    for key, value in alone.items():
        torch.testing.assert_close(together[key], value, rtol=1e-3, atol=1e-5)


def test_ranges_learn_in_proportion_to_their_size() -> None:
    """Adam's first step is the learning rate, whatever the gradient: of a range, that share."""
    part = TensorRecipe("int4", "norm", method="lsq")
    net = nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 2))
    with torch.no_grad():
        net.get_parameter("0.weight").mul_(1e-3)
        net.get_parameter("2.weight").mul_(1e3)
    model = quantize_model(net, ModelRecipe(part, part), [examples().inputs])
    before = state(model)
    train(model, examples(), Plan(1, batch_size=64, learning_rate=0.01, shifts=0))
    after = state(model)
    ranges = [key for key in before if key.endswith(".s")]
    assert len(ranges) == 4
    for key in ranges:
        assert abs(float(after[key] / before[key]) - 1) == pytest.approx(0.01, rel=1e-2, abs=0)
