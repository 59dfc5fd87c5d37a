"""Where a training run stands, in a file that appears whole or not at all."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from qerror.exceptions import InvalidValue
from qerror.pytorch.sealed import sealed, unsealed
from qerror.storage import write_atomically


@dataclass(frozen=True)
class Checkpoint:
    """What a run needs to go on as if it had never stopped."""

    run: str
    """Identifies the plan, the network and the data."""
    epoch: int
    """How many are done."""
    model: dict[str, Any]
    optimizer: dict[str, Any]
    generator: torch.Tensor
    losses: tuple[float, ...]
    """The mean loss of every epoch that is done."""


def save_checkpoint(path: Path, checkpoint: Checkpoint) -> None:
    """Write a checkpoint with its checksum; what was there before stays until all is written."""
    write_atomically(path, sealed({**vars(checkpoint), "losses": list(checkpoint.losses)}))


def load_checkpoint(path: Path, run: str) -> Checkpoint:
    """Read a checkpoint of this run.

    Raises
    ------
    InvalidValue
        If it is none, is damaged, or belongs to another run.
    """
    try:
        found = unsealed(path.read_bytes())
    except InvalidValue as error:
        raise InvalidValue(
            f"cannot go on from the checkpoint {str(path)!r}: {error}; delete it to begin anew"
        ) from None
    if found["run"] != run:
        raise InvalidValue(
            f"the checkpoint {str(path)!r} belongs to another run: {found['run']}, not {run}; "
            "name another file, or delete it to begin anew"
        )
    parts: dict[str, Any] = {**found, "losses": tuple(found["losses"])}
    return Checkpoint(**parts)
