"""Several processes that train one network: what torchrun starts."""

# torch leaves much of itself untyped.
# pyright: reportUnknownMemberType=false, reportUnknownArgumentType=false
# pyright: reportUnknownVariableType=false, reportPrivateUsage=false

import contextlib
import os
from collections.abc import Generator

import torch.distributed
from torch import Tensor, nn

from qerror.exceptions import InvalidValue


def world_size() -> int:
    """Return how many processes train together."""
    return torch.distributed.get_world_size() if _is_running() else 1


def rank() -> int:
    """Return the number of this process, from 0."""
    return torch.distributed.get_rank() if _is_running() else 0


def _is_running() -> bool:
    return torch.distributed.is_available() and torch.distributed.is_initialized()


@contextlib.contextmanager
def processes(backend: str = "gloo") -> Generator[None]:
    """Join the processes that torchrun has started, if it has; leave them at the end."""
    if "TORCHELASTIC_RUN_ID" not in os.environ or _is_running():
        yield
        return
    torch.distributed.init_process_group(backend)
    try:
        yield
    finally:
        torch.distributed.destroy_process_group()


def shared(model: nn.Module) -> nn.Module:
    """Return the model whose gradients are averaged over all processes."""
    if world_size() == 1:
        return model
    return nn.parallel.DistributedDataParallel(model)


def own_part(chosen: Tensor) -> Tensor:
    """Return this process's share of a batch.

    Raises
    ------
    InvalidValue
        If the batch cannot be divided evenly: gradients would be weighted wrongly.
    """
    if len(chosen) % world_size():
        raise InvalidValue(
            f"a batch of {len(chosen)} cannot be divided evenly among {world_size()} processes; "
            "choose another batch size or number of processes"
        )
    return chosen[rank() :: world_size()]


def mean_over_processes(value: Tensor) -> Tensor:
    """Return the mean of a number over all processes."""
    if world_size() > 1:
        torch.distributed.all_reduce(value)
        value /= world_size()
    return value
