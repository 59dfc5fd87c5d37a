"""Trained weights in the user's cache folder: a network is trained once."""

import contextlib
import hashlib
import os
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import torch
from torch import Tensor

from qerror.exceptions import InvalidValue
from qerror.pytorch.sealed import sealed, unsealed
from qerror.storage import write_atomically

Weights = Mapping[str, Tensor]


def cache_folder() -> Path:
    """Return where trained weights are kept: QERROR_CACHE, or a folder in the system's place."""
    given = os.environ.get("QERROR_CACHE")
    if given:
        return Path(given)
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "qerror"
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA", Path.home() / "AppData" / "Local")) / "qerror"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "qerror"


def cached_weights(name: str, recipe: object, make: Callable[[], Weights]) -> Weights:
    """Return the weights that a recipe makes, from the cache if it has them.

    A file that cannot be read is made anew; a folder that cannot be written is no reason to fail.

    Parameters
    ----------
    name : str
        Of the network, for the file's name.
    recipe : object
        All that the weights depend on; its `repr` is the key, with the version of PyTorch.
    make : callable
        Trains.
    """
    key = hashlib.sha256(f"{recipe!r} {torch.__version__}".encode()).hexdigest()[:16]
    path = cache_folder() / f"{name}-{key}.pt"
    with contextlib.suppress(OSError, InvalidValue):
        found: Weights = unsealed(path.read_bytes())
        return found
    weights = dict(make())
    with contextlib.suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, sealed(weights))
    return weights
