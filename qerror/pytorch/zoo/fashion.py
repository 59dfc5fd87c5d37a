"""Fashion-MNIST, from Debian's package or a folder of one's own."""

# torch leaves much of itself untyped.
# pyright: reportUnknownMemberType=false, reportUnknownArgumentType=false
# pyright: reportUnknownVariableType=false, reportPrivateUsage=false

import gzip
import hashlib
import math
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from qerror.exceptions import InvalidValue, MissingLibrary
from qerror.pytorch.examples import Dataset, Examples

INSTALL = "apt install dataset-fashion-mnist"


VARIABLE = "QERROR_FASHION_MNIST"
"""Names the folder with the four files, where Debian's package is not installed."""


@dataclass(frozen=True)
class DebianPackage:
    """Where Debian puts the files, unless a variable names another folder."""

    folder: Path

    def find(self) -> Path:
        """Return the folder.

        Raises
        ------
        MissingLibrary
            If it is not there; the message says how to install it.
        """
        given = os.environ.get(VARIABLE)
        folder = Path(given) if given else self.folder
        if not folder.is_dir():
            named = f"there is no folder {given!r}, which {VARIABLE} names; " if given else ""
            raise MissingLibrary(
                f"{named}Fashion-MNIST comes with a package of Debian, which is not installed: "
                f"{INSTALL}; or let {VARIABLE} name a folder with its four files"
            )
        return folder


FASHION = DebianPackage(Path("/usr/share/datasets/fashion-mnist"))

_FILES = {
    "train-images-idx3": "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
    "train-labels-idx1": "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
    "t10k-images-idx3": "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
    "t10k-labels-idx1": "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
}
"""The files, with the sha256 of what is packed in them."""
_TYPE, _DIMENSIONS = 0x08, {"images": 3, "labels": 1}


def fashion_mnist(folder: str | Path | None = None, *, train: int = 60_000) -> Dataset:
    """Return 60,000 and 10,000 images of 28 x 28 pixels, standardised.

    Parameters
    ----------
    folder : str or Path, optional
        With the four files ``*-ubyte.gz``; by default the folder that QERROR_FASHION_MNIST names,
        or where Debian's package puts them. Files there must be the original ones; those of a
        folder that is given here may hold other images.
    train : int
        How many of the training images are taken.

    Raises
    ------
    MissingLibrary
        If Debian's package is not installed.
    InvalidValue
        If a file is missing, damaged, or no such file.
    """
    place = FASHION.find() if folder is None else Path(folder)
    pixels, labels, tested, expected = (
        _read(place / f"{name}-ubyte.gz", digest if folder is None else None)
        for name, digest in _FILES.items()
    )
    pixels, labels = pixels[:train], labels[:train]
    mean, std = float(pixels.mean()), float(pixels.std())
    return Dataset(
        "fashion-mnist",
        Examples(((pixels - mean) / std)[:, None], labels.long()),
        Examples(((tested - mean) / std)[:, None], expected.long()),
    )


def _read(path: Path, sha256: str | None) -> Tensor:
    """Read an IDX file of bytes."""
    if not path.is_file():
        raise InvalidValue(f"cannot read {str(path)!r}: there is no such file")
    try:
        content = gzip.decompress(path.read_bytes())
    except (OSError, EOFError) as error:
        raise InvalidValue(f"cannot read {str(path)!r}: {error}") from None
    found = hashlib.sha256(content).hexdigest()
    if sha256 not in {None, found}:
        raise InvalidValue(
            f"{str(path)!r} is not the file that was verified: the sha256 of its content is "
            f"{found}, expected {sha256}; install its package anew"
        )
    count = _DIMENSIONS["images" if "images" in path.name else "labels"]
    sizes = np.frombuffer(content[4 : 4 + 4 * count], dtype=">u4").tolist()
    start = 4 + 4 * count
    if content[:4] != bytes([0, 0, _TYPE, count]) or len(content) - start != math.prod(sizes):
        raise InvalidValue(f"cannot read {str(path)!r}: it is no IDX file of bytes, or damaged")
    values = np.frombuffer(content[start:], dtype=np.uint8).reshape(sizes)
    return torch.from_numpy(values.astype(np.float32))
