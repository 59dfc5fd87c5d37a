"""Examples in memory: what a network is trained, calibrated and judged on."""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from qerror._arrays import integer
from qerror.exceptions import InvalidValue

Batch = tuple[Tensor, Tensor]


@dataclass(frozen=True, eq=False)
class Examples:
    """Inputs and what is to come out of them.

    Parameters
    ----------
    inputs, targets : Tensor
        The same number of each, along the first axis.
    """

    inputs: Tensor
    targets: Tensor

    def __post_init__(self) -> None:
        if len(self.inputs) != len(self.targets) or not len(self.inputs):
            raise InvalidValue(
                f"got {len(self.inputs):,} inputs and {len(self.targets):,} targets; "
                "give as many of one as of the other, and at least one"
            )

    def __len__(self) -> int:
        return len(self.inputs)

    def first(self, count: int) -> "Examples":
        """Return the first few."""
        count = integer("count", count, 1, 2**31)
        return Examples(self.inputs[:count], self.targets[:count])

    def batches(self, size: int = 256) -> Iterator[Batch]:
        """Yield them in order, `size` at a time."""
        for start in range(0, len(self), size):
            yield self.inputs[start : start + size], self.targets[start : start + size]

    def shuffled(self, size: int, generator: torch.Generator) -> Iterator[Batch]:
        """Yield all in a random order, `size` at a time; the last few are left out."""
        order = torch.randperm(len(self), generator=generator)
        for start in range(0, len(self) - size + 1, size):
            chosen = order[start : start + size]
            yield self.inputs[chosen], self.targets[chosen]


@dataclass(frozen=True, eq=False)
class Dataset:
    """Examples to learn from and others to be judged on."""

    name: str
    train: Examples
    test: Examples
