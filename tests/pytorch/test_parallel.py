"""Two processes train one quantized network: their parameters stay the same."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch

WORKER = """
import sys, torch
from torch import distributed, nn
from torch.nn.parallel import DistributedDataParallel
from qerror.pytorch import FakeQuantize, PerChannel, QuantizedInput, quantize_weight

rank, store, out = int(sys.argv[1]), sys.argv[2], sys.argv[3]
torch.set_num_threads(1)
distributed.init_process_group("gloo", f"file://{store}", rank=rank, world_size=2)
torch.manual_seed(rank)  # different starts, which DDP replaces by those of rank 0
layer = quantize_weight(nn.Linear(8, 4), FakeQuantize("int4", "lsq", granularity=PerChannel(4)))
input = FakeQuantize("ufixed8.6", "f8net", role="activation")
model = DistributedDataParallel(QuantizedInput(layer, input))
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
for step in range(5):
    optimizer.zero_grad()
    x = torch.randn(16, 8, generator=torch.Generator().manual_seed(10 * step + rank))
    (model(x) - 1).square().mean().backward()
    optimizer.step()
torch.save(model.module.state_dict(), f"{out}/{rank}.pt")
distributed.destroy_process_group()
"""


@pytest.mark.exhaustive
@pytest.mark.slow
def test_two_processes_agree(tmp_path: Path) -> None:
    code = f"import sys; sys.path[:0] = {sys.path!r}\n{WORKER}"
    store = tmp_path / "store"
    workers = [
        subprocess.Popen(
            [sys.executable, "-c", code, str(rank), str(store), str(tmp_path)],
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(2)
    ]
    for worker in workers:
        _, messages = worker.communicate(timeout=120)
        assert worker.returncode == 0, messages
    one, two = (torch.load(tmp_path / f"{rank}.pt") for rank in range(2))
    learnt = [name for name in one if not name.endswith("length")]
    assert len(learnt) == 4
    for name in learnt:
        assert torch.equal(one[name], two[name]), name
        assert torch.isfinite(one[name]).all()
